"""Several processes train one network: each takes its rows of every batch, DDP averages gradients.

    team = join("cuda:1")          # in each process that torchrun started; collective
    team.mine(64), team.wrap(model), team.agree(wish), team.wait()

All of a team call the same methods in the same order. Whatever they decide by (losses, scores,
wishes) is the same number in each, so that nobody waits for somebody who has gone another way.
"""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from datetime import timedelta

import numpy as np
import psutil
import torch
import torch.distributed as dist
from timm.layers import convert_sync_batchnorm
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lab.errors import Stopped
from lab.train.evaluation import BATCH, Probabilities
from lab.train.judge import Judge
from lab.train.memory import has_batch_norm
from lab.train.team import Alone, Forward
from lab.vision.loader import TestPictures

PATIENCE = timedelta(days=2)  # one process may prepare pictures for hours; the dead are noticed
ASK_EVERY = {"cpu": 1, "cuda": 10}  # a common question costs 0.2 ms, much of a GPU's small step


class Together(Alone):
    """One of several processes. `device` is its own; numbers for decisions travel by gloo."""

    def __init__(self, device: str, rank: int, size: int):
        self.device, self.rank, self.size = device, rank, size
        self.asked = 0
        self.pids = _gathered(os.getpid(), size)  # by rank

    def wrap(self, model: nn.Module) -> Forward:
        """DDP, which starts all from the weights and buffers of process 0.

        Batch norm sees the whole batch on GPUs. On CPUs torch cannot: there each process's norms
        see their own rows, and the running statistics are those of process 0.
        """
        on_gpu = self.device.startswith("cuda")
        if on_gpu and has_batch_norm(model) and not _synced(model):
            convert_sync_batchnorm(model)  # in place; names and parameters stay
        # Some architectures have parameters without a part in the output: DDP must look for them.
        devices = [self.device] if on_gpu else None
        return DistributedDataParallel(model, device_ids=devices, find_unused_parameters=True)

    def rows(self, n: int) -> slice:
        """My contiguous share of n things, maybe none; shares differ by one at most."""
        return slice(self.rank * n // self.size, (self.rank + 1) * n // self.size)

    def mine(self, n: int) -> slice:
        """My rows of a batch of n. Who has none takes the first, with weight 0: DDP needs a
        backward pass of everybody."""
        rows = self.rows(n)
        return rows if rows.stop > rows.start else slice(0, min(1, n))

    def weight(self, rows: int, n: int) -> float:
        """Weight of the mean loss over `rows` of my rows; DDP divides the sum by the processes."""
        return rows * self.size / n if self._has_rows(n) else 0.0

    def mean(self, loss: torch.Tensor, rows: int, n: int) -> torch.Tensor:
        """The mean loss over the whole batch, the same in all processes."""
        share = loss * (rows / n) if self._has_rows(n) else torch.zeros_like(loss)
        dist.all_reduce(share)
        return share

    def part(self, forward: Forward, last: bool) -> AbstractContextManager:
        """Around a part of my rows: gradients are exchanged once, with the last."""
        return nullcontext() if last else forward.no_sync()

    def agree(self, wish: bool) -> bool:
        """Whether anybody wishes it."""
        flag = torch.tensor([float(wish)])
        dist.all_reduce(flag, op=dist.ReduceOp.MAX)
        return bool(flag.item())

    def stop(self, wish: Callable[[], bool]) -> bool:
        """Whether all stop here: asked at every step on a CPU, at every tenth on a GPU."""
        self.asked += 1
        if self.asked % ASK_EVERY[self.device.split(":")[0]]:
            return False
        return self.agree(wish())

    def wait(self) -> None:
        """Until all are here. Raises RuntimeError where one has died."""
        dist.all_reduce(torch.zeros(1))

    @contextmanager
    def first(self) -> Iterator[None]:
        """Process 0 does this before the others do."""
        if self.rank:
            self.wait()
        yield
        if not self.rank:
            self.wait()

    def shared(self, judge: Judge) -> Judge:
        """A judge that has each process look at its share of the pictures."""
        return SharedJudge(judge, self)

    def same_buffers(self, model: nn.Module) -> None:
        """Norm statistics of process 0 in all."""
        for buffer in model.buffers():
            dist.broadcast(buffer, src=0)

    def summed(self, values: np.ndarray) -> np.ndarray:
        """The sum over all processes, float32."""
        total = torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32))
        dist.all_reduce(total)
        return total.numpy()

    def abandoned(self, wait_s: float = 0.0) -> bool:
        """Whether another process has ended: then an error here is only the echo of its end."""
        end = time.monotonic() + wait_s
        while not any(ended(pid) for pid in self.pids if pid != os.getpid()):
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def outlast_first(self) -> None:
        """Return once process 0 has ended: until then it may have to save."""
        while not ended(self.pids[0]):
            time.sleep(0.05)

    def _has_rows(self, n: int) -> bool:
        rows = self.rows(n)
        return rows.stop > rows.start


class SharedJudge(Judge):
    """Validation shared by whole batches of pictures, as one process would cut them.

    So it takes a part of the time, and as what was said is summed over zeros, all get the same bits
    and decide alike.
    """

    def __init__(self, judge: Judge, team: Together):
        super().__init__(judge.network, judge.device, judge.norm, judge.stopping)
        self.team = team

    def of(
        self,
        model: nn.Module,
        pictures: TestPictures,
        size: tuple[int, int] | None,
        precision: str,
    ) -> Probabilities:
        """As Judge.of. Raises Stopped in all processes at once."""
        self.team.same_buffers(model)
        batches = -(-len(pictures) // BATCH)
        mine = self.team.rows(batches)
        rows = slice(mine.start * BATCH, min(mine.stop * BATCH, len(pictures)))
        found = super().of(model, _part(pictures, rows), size, precision)
        most = -(-batches // self.team.size)
        for _ in range(most - (mine.stop - mine.start)):  # all must ask equally often
            if self.stopping():
                raise Stopped
        return self._whole(found, rows, len(pictures))

    def _whole(self, found: Probabilities, rows: slice, n: int) -> Probabilities:
        second = self.network.second_classes
        whole = np.zeros((n, self.network.n_classes), dtype=np.float32)
        if rows.stop > rows.start:
            count = rows.stop - rows.start
            parts = [found.first] if found.second is None else [found.first, found.second]
            whole[rows] = np.concatenate(parts, axis=1)[:count]
        whole = self.team.summed(whole)
        first = self.network.n_classes - second
        return Probabilities(whole[:, :first], whole[:, first:] if second else None)


def join(device: str) -> Together:
    """Meet the others; RANK, WORLD_SIZE and the meeting place are torchrun's. Collective."""
    warnings.filterwarnings("ignore", message=".*find_unused_parameters=True was specified.*")
    warnings.filterwarnings("ignore", message=".*Grad strides do not match bucket.*")
    on_gpu = device.startswith("cuda")
    if on_gpu:
        torch.cuda.set_device(device)
    dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo", timeout=PATIENCE)
    return Together(device, dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Forget the others, in a process that goes on."""
    if dist.is_initialized():
        dist.destroy_process_group()


def ended(pid: int) -> bool:
    """Whether a process has ended, seen by its parent or not."""
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.Error:
        return True


def _gathered(pid: int, size: int) -> list[int]:
    found = [torch.zeros(1, dtype=torch.int64) for _ in range(size)]
    dist.all_gather(found, torch.tensor([pid]))
    return [int(one) for one in found]


def _synced(model: nn.Module) -> bool:
    return any(isinstance(module, nn.SyncBatchNorm) for module in model.modules())


def _part(pictures: TestPictures, rows: slice) -> TestPictures:
    kept, second = pictures.kept, pictures.second
    return replace(
        pictures,
        images=pictures.images[rows],
        labels=pictures.labels[rows],
        items=pictures.items[rows],
        second=None if second is None else second[rows],
        kept=None if kept is None else kept[rows],
    )
