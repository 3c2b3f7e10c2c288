"""Trains the project's small body on pictures that the project draws, and measures its worth.

    python -m benchmarks.small_body train --folder DIR        goes on where DIR holds a checkpoint
    python -m benchmarks.small_body measure transfer --photos ZIP
    python -m benchmarks.small_body measure sizes --photos ZIP
`train` writes lab/train/small_body/, `measure` a record; small_body_measure.py says what of.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import machine
from lab.workers.allocator import keep_large_blocks

VALID_N, VALID_SEED = 2000, 1  # the held-out pictures; those trained on have seed 0
NETWORK = "regnetx_002"  # why: records/*-small-body-choice.json
PAUSE_S = 60  # least time between two checkpoints


@dataclass
class DrawnPictures:
    """What the trainer is fed with: drawn pictures, made smaller once for each stage."""

    stages: tuple
    train_images: np.ndarray
    train_labels: np.ndarray
    valid_images: np.ndarray
    valid_labels: np.ndarray
    _smaller: dict[tuple[str, int], np.ndarray] = field(default_factory=dict)

    def train(self, stage: int):
        from lab.vision.loader import TrainPictures

        side = min(self.stages[stage].stored_px, self.train_images.shape[1])
        return TrainPictures(self._at("train", side), self.train_labels)

    def valid(self, stage: int):
        from lab.vision.loader import TestPictures

        images = self._at("valid", self.stages[stage].hw[0])
        return TestPictures(images, self.valid_labels, np.arange(len(images)))

    def final(self):
        return self.valid(len(self.stages) - 1)

    def _at(self, part: str, side: int) -> np.ndarray:
        if (part, side) not in self._smaller:
            images = self.train_images if part == "train" else self.valid_images
            self._smaller = {key: a for key, a in self._smaller.items() if key[0] != part}
            self._smaller[part, side] = shrunk(images, side)
        return self._smaller[part, side]


def shrunk(images: np.ndarray, side: int) -> np.ndarray:
    """uint8 (n, side, side, 3), bicubic as in timm's evaluation."""
    from PIL import Image

    if images.shape[1] == side:
        return images
    out = np.empty((len(images), side, side, 3), np.uint8)
    for row, picture in enumerate(images):
        out[row] = Image.fromarray(picture).resize((side, side), Image.Resampling.BICUBIC)
    return out


def the_recipe(network: str, stages: str, lr: float, batch: int):
    """The recipe of a training such as "64:8,96:2" (size:epochs)."""
    from lab.recipe import recipe_from

    pairs = [tuple(map(int, part.split(":"))) for part in stages.split(",")]
    shape = {"batch_size": batch, "resize": "squish"}
    return recipe_from(
        {
            "name": "small body",
            "model": {"name": network},
            # The rate falls from stage to stage: every stage is a cycle of its own.
            "stages": [
                {**shape, "size": size, "epochs": epochs, "lr": lr * 0.75**number}
                for number, (size, epochs) in enumerate(pairs)
            ],
        }
    )


def the_trainer(recipe, pictures: DrawnPictures, precision: str):
    """The project's own trainer over drawn pictures."""
    import torch

    from lab.data.drawn import CLASSES
    from lab.recipe.facts import DataFacts, Facts, Resolved
    from lab.schedules.plan import plan
    from lab.train.model import build
    from lab.train.trainer import Trainer

    n_train, n_valid = len(pictures.train_labels), len(pictures.valid_labels)
    data = DataFacts("drawn", "drawn", "", "class", CLASSES, n_train, n_valid, 0)
    resolved = Resolved(precision=precision, threads=torch.get_num_threads())
    network = build(recipe, len(CLASSES), 1, recipe.stages[0].hw)
    the_plan = plan(recipe, Facts(data=data), resolved)
    return Trainer(recipe, the_plan, resolved, pictures, network)


def train(wanted: argparse.Namespace) -> None:
    """Draw, train (or go on), and write the package's files."""
    import torch

    from lab.data.drawn import DrawnSet, draw_array
    from lab.train import checkpoint
    from lab.train.trainer import EpochDone

    torch.set_num_threads(wanted.threads)
    folder = Path(wanted.folder or tempfile.mkdtemp(prefix="small-body-"))
    spec, held_out = DrawnSet(n=wanted.n), DrawnSet(n=VALID_N, seed=VALID_SEED)
    since = time.perf_counter()
    drawn = [*draw_array(spec, folder / f"{spec.key()}.npy")]
    drawn += draw_array(held_out, folder / f"{held_out.key()}.npy")
    print(f"drawn after {time.perf_counter() - since:.0f} s", flush=True)
    recipe = the_recipe(wanted.network, wanted.stages, wanted.lr, wanted.batch)
    pictures = DrawnPictures(recipe.stages, *drawn)
    trainer = the_trainer(recipe, pictures, wanted.precision)
    epochs: list[dict[str, Any]] = []
    if found := checkpoint.load_newest(folder):
        trainer.restore(found[0])
        epochs = found[1]["epochs"]
    saved = time.perf_counter()
    for event in trainer.events():
        if isinstance(event, EpochDone):
            epochs.append(_told(event))
            if time.perf_counter() - saved > PAUSE_S:
                about = {"step": event.step, "epochs": epochs}
                checkpoint.save(folder, f"step-{event.step:08d}", trainer.state(), about, keep=2)
                saved = time.perf_counter()
    body = rounded(trainer.model)
    right = predicted(trainer.network, pictures.final()) == pictures.valid_labels
    write_body(Path(wanted.to), trainer.network, body, wanted, recipe, epochs, right)


def rounded(model) -> dict[str, Any]:
    """The body in float16, without its classifier; the model goes on with just these weights."""
    import torch

    from lab.methods.freezing import head_parameters

    head = head_parameters(model)
    body = {
        name: (t.half() if t.is_floating_point() else t).detach().clone().contiguous()
        for name, t in model.state_dict().items()
        if name not in head
    }
    assert all(torch.isfinite(t).all() for t in body.values()), "float16 overflowed"
    model.load_state_dict(body, strict=False)
    return body


def predicted(network, pictures) -> np.ndarray:
    """The likeliest class of each test picture, in float32: int64 (n,)."""
    import torch

    from lab.vision.loader import Normalisation

    model = network.model.eval()
    with torch.inference_mode():
        batches = pictures.batches(64, Normalisation(network.mean, network.std))
        return torch.cat([model(x).argmax(dim=1) for x, _ in batches]).numpy()


def _told(event) -> dict[str, Any]:
    row = {
        "size_px": event.row.height,
        "train_loss": round(event.train_loss, 4),
        "valid_loss": round(event.valid_loss, 4),
        "accuracy": round(event.accuracy, 4),
        "seconds": round(event.seconds, 1),
    }
    print(row, flush=True)
    return row


def write_body(
    to: Path, network, body: dict, wanted: argparse.Namespace, recipe, epochs: list, right
) -> None:
    """body.safetensors (float16, no classifier) and about.json."""
    from safetensors.torch import save_file

    from lab.data.drawn.spec import CLASSES, VERSION
    from lab.train.checkpoint import sha256

    to.mkdir(parents=True, exist_ok=True)
    save_file(body, to / "body.safetensors")
    (to / "body.safetensors").chmod(0o644)  # safetensors makes files that only their owner reads
    about = {
        "what": "Body of a network that this project trained on pictures that this project drew. "
        "It has never seen a photo.",
        "architecture": recipe.model.name,
        "parameters": sum(p.numel() for k, p in network.model.named_parameters() if k in body),
        "dtype": "float16",
        "bytes": (to / "body.safetensors").stat().st_size,
        "sha256": sha256(to / "body.safetensors"),
        "mean": list(network.mean),
        "std": list(network.std),
        "interpolation": "bicubic",
        "sizes_px": [stage.hw[0] for stage in recipe.stages],
        "epochs": [stage.epochs for stage in recipe.stages],
        "pictures": wanted.n,
        "drawn_px": 128,
        "drawing_version": VERSION,
        "classes": len(CLASSES),
        "held_out_pictures": len(right),
        "held_out_accuracy": round(float(right.mean()), 4),
        "seconds": round(sum(row["seconds"] for row in epochs)),
        "date": time.strftime("%Y-%m-%d"),
        "command": f"python -m benchmarks.small_body train --network {wanted.network} "
        f"--n {wanted.n} --stages {wanted.stages} --lr {wanted.lr} --batch {wanted.batch} "
        f"--precision {wanted.precision} --threads {wanted.threads}",
        "machine": machine(),
        "by_epoch": epochs,
    }
    text = json.dumps(about, indent=1, ensure_ascii=False)
    (to / "about.json").write_text(text + "\n", encoding="utf-8")
    print(f"{about['bytes'] / 1e6:.2f} MB, held-out accuracy {right.mean():.3f}", flush=True)


def main() -> None:
    """Read the command line, do it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    verbs = parser.add_subparsers(dest="verb", required=True)
    own = Path(__file__).parents[1] / "lab/train/small_body"
    one = verbs.add_parser("train", help="draw, train, write lab/train/small_body/")
    one.add_argument("--folder", default="", help="for drawings and checkpoints")
    one.add_argument("--to", default=str(own))
    one.add_argument("--network", default=NETWORK)
    one.add_argument("--n", type=int, default=30_000)
    one.add_argument("--stages", default="64:8,96:2", help="size:epochs,...")
    one.add_argument("--lr", type=float, default=4e-3)
    one.add_argument("--batch", type=int, default=64)
    other = verbs.add_parser("measure", help="transfer, against random weights")
    other.add_argument("what", choices=("transfer", "sizes"))
    other.add_argument("--photos", default="", help="a zip of class folders; without: leaves only")
    other.add_argument("--data", default="all", choices=("all", "leaves", "photos"))
    other.add_argument("--seeds", type=int, default=3)
    other.add_argument("--body", default=str(own), help="another folder as `train --to` wrote it")
    for verb in (one, other):
        # On a machine shared with other work two threads wait for each other: 50 pictures a
        # second instead of 300 with one.
        verb.add_argument("--threads", type=int, default=1)
        verb.add_argument("--precision", default="bf16", choices=("bf16", "fp32"))
    wanted = parser.parse_args()
    keep_large_blocks()
    if wanted.verb == "train":
        train(wanted)
    else:
        from benchmarks.small_body_measure import measure

        measure(wanted)


if __name__ == "__main__":
    main()
