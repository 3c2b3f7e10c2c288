"""Pictures on the device: a run's store kept there, and how what is small gets there.

    pictures = resident(pictures, device, budget_bytes)   # TrainPictures, with the same batches
    tests = resident_tests(tests, device, budget_bytes)   # TestPictures
    ResidentData(data, device, budget_bytes)              # both, for the stage that is training

A copy from ordinary memory to a GPU waits for all that the GPU has to do; one from pinned memory
does not. So arrays go through `sent`, and `ahead` makes batches on a stream of their own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch

if TYPE_CHECKING:
    from lab.vision.loader import TestPictures, TrainPictures

CHUNK_BYTES = 64 * 2**20  # copied to the device at once
INT32_PIXELS = 2**31 - 1  # below this, pixels are counted in int32: half the traffic
FREE_SHARE = 0.4  # of the device's free memory that pictures may take


def sent(array: np.ndarray, device: torch.device | str) -> torch.Tensor:
    """The array on the device, without waiting for what the device is doing."""
    tensor = torch.from_numpy(np.ascontiguousarray(array))
    if torch.device(device).type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


def budget(device: torch.device | str) -> int:
    """Bytes that pictures may take on the device; 0 where keeping them there gains nothing."""
    device = torch.device(device)
    if device.type != "cuda":
        return 0
    return int(FREE_SHARE * torch.cuda.mem_get_info(device)[0])


class Kept(Protocol):
    """Whatever puts the pictures of some rows on one canvas."""

    def canvas(self, rows: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """uint8 (n, H, W, 3) on the device, zero-filled; shapes int64 (n, 2): height, width."""
        ...


@dataclass(frozen=True, eq=False)
class Flat:
    """All pictures behind each other on the device, one pixel a row, then one black pixel."""

    pixels: torch.Tensor  # uint8 (pixels + 1, 3)
    starts: np.ndarray  # int64 (n,): a picture's first row
    shapes: np.ndarray  # int64 (n, 2)

    def canvas(self, rows: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """As `gather` gives it, and moved by one indexed read."""
        shapes = self.shapes[rows]
        height, width = shapes.max(axis=0).tolist()
        black = len(self.pixels) - 1
        kind = np.int32 if black < INT32_PIXELS else np.int64
        about = np.stack([self.starts[rows], shapes[:, 0], shapes[:, 1]]).astype(kind)
        start, h, w = sent(about, self.pixels.device)[:, :, None, None]
        y = torch.arange(height, dtype=start.dtype, device=start.device)[None, :, None]
        x = torch.arange(width, dtype=start.dtype, device=start.device)[None, None, :]
        index = start + y * w + x
        if (shapes != shapes[0]).any():
            index = torch.where((y < h) & (x < w), index, black)
        found = self.pixels.index_select(0, index.reshape(-1))
        return found.view(len(rows), height, width, 3), shapes


@dataclass(frozen=True, eq=False)
class Staged:
    """Pictures too many for the device: each batch's canvas goes through pinned memory."""

    images: Sequence[np.ndarray]
    device: torch.device

    def canvas(self, rows: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """As `gather` gives it, on the device some time later: nobody waits."""
        pictures = [self.images[row] for row in rows]
        shapes = np.array([picture.shape[:2] for picture in pictures])
        height, width = shapes.max(axis=0).tolist()
        pinned = self.device.type == "cuda"
        host = torch.zeros(len(rows), height, width, 3, dtype=torch.uint8, pin_memory=pinned)
        canvas = host.numpy()
        for row, picture in enumerate(pictures):
            canvas[row, : picture.shape[0], : picture.shape[1]] = picture
        return host.to(self.device, non_blocking=True), shapes


def resident(
    pictures: TrainPictures, device: torch.device | str, budget_bytes: int
) -> TrainPictures:
    """The same pictures, kept on the device where they fit; else sent through pinned memory."""
    device = torch.device(device)
    shapes = _shapes(pictures.images)
    if 3 * shapes.prod(axis=1).sum() <= budget_bytes:
        return replace(pictures, kept=flat(pictures.images, shapes, device))
    return replace(pictures, kept=Staged(pictures.images, device))


def flat(images: Sequence[np.ndarray], shapes: np.ndarray, device: torch.device) -> Flat:
    """Copy every picture to the device, some 64 MB at a time."""
    ends = shapes.prod(axis=1).cumsum()
    pixels = torch.zeros(int(ends[-1]) + 1, 3, dtype=torch.uint8, device=device)
    starts = ends - shapes.prod(axis=1)
    chunks = starts * 3 // CHUNK_BYTES
    for chunk in np.unique(chunks):
        rows = np.flatnonzero(chunks == chunk)
        block = np.concatenate([np.reshape(images[row], (-1, 3)) for row in rows])
        pixels[starts[rows[0]] : ends[rows[-1]]].copy_(torch.from_numpy(block))
    return Flat(pixels, starts, shapes)


def resident_tests(
    pictures: TestPictures, device: torch.device | str, budget_bytes: int
) -> TestPictures:
    """Test pictures kept on the device where they fit; else as they are."""
    if not len(pictures) or pictures.images.nbytes > budget_bytes:
        return pictures
    kept = torch.empty(pictures.images.shape, dtype=torch.uint8, device=device)
    step = max(1, CHUNK_BYTES // pictures.images[0].nbytes)
    for start in range(0, len(kept), step):
        block = np.array(pictures.images[start : start + step])  # a copy: torch wants it writable
        kept[start : start + step].copy_(torch.from_numpy(block))
    return replace(pictures, kept=kept)


def _shapes(images: Sequence[np.ndarray]) -> np.ndarray:
    """int64 (n, 2); a store knows them without a look at its pixels."""
    known = getattr(images, "shapes", None)
    shapes = known if known is not None else [image.shape[:2] for image in images]
    return np.asarray(shapes, dtype=np.int64).reshape(-1, 2)


class ResidentData:
    """What the trainer is fed with, kept on the device: one train store and the last test stores.

    Training pictures come first; test pictures take what is left of the budget.
    """

    def __init__(self, data: Any, device: torch.device | str, budget_bytes: int):
        self.data, self.device, self.budget_bytes = data, torch.device(device), budget_bytes
        self._train: TrainPictures | None = None
        self._tests: list[TestPictures] = []

    def train(self, stage: int) -> TrainPictures:
        """What a stage trains on; another store takes the place of the one before."""
        wanted = self.data.train(stage)
        if self._train is None or self._train.images is not wanted.images:
            self._train, self._tests = None, []  # first let go, then fill
            self._train = resident(wanted, self.device, self.budget_bytes)
        return replace(wanted, kept=self._train.kept)

    def valid(self, stage: int) -> TestPictures:
        """What a stage is validated on."""
        return self._test(self.data.valid(stage))

    def final(self) -> TestPictures:
        """What every stage is also scored on."""
        return self._test(self.data.final())

    def locked(self, stage: int) -> TestPictures | None:
        """The locked test part, where it is looked at after every epoch."""
        wanted = self.data.locked(stage)
        return wanted and self._test(wanted)

    def _test(self, wanted: TestPictures) -> TestPictures:
        for known in self._tests:
            if known.images is wanted.images:
                return known
        self._tests = self._tests[-1:]  # a stage reads two: its own and the final one
        found = resident_tests(wanted, self.device, self.budget_bytes - self._taken())
        self._tests.append(found)
        return found

    def _taken(self) -> int:
        kept = self._train.kept if self._train else None
        train = kept.pixels.nbytes if isinstance(kept, Flat) else 0
        return train + sum(tests.kept.nbytes for tests in self._tests if tests.kept is not None)


def ahead(
    batches: Iterator[tuple[torch.Tensor, ...]], device: torch.device | str
) -> Iterator[tuple[torch.Tensor, ...]]:
    """On a GPU the next batch is made, on a stream of its own, while the network has this one."""
    device = torch.device(device)
    if device.type != "cuda":
        yield from batches
        return
    side = torch.cuda.Stream(device)
    side.wait_stream(torch.cuda.current_stream(device))
    waiting = _made(batches, side)
    while waiting is not None:
        here = torch.cuda.current_stream(device)
        here.wait_stream(side)
        for tensor in waiting:
            tensor.record_stream(here)
        batch, waiting = waiting, _made(batches, side)
        yield batch


def _made(
    batches: Iterator[tuple[torch.Tensor, ...]], side: torch.cuda.Stream
) -> tuple[torch.Tensor, ...] | None:
    with torch.cuda.stream(side):
        return next(batches, None)
