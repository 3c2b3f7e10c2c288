"""The same work for many things, on all cores, by threads.

Pillow lets go of the interpreter lock while it decodes and resizes. On 2,000 clothing photos and 2
cores, threads decoded 3,406 images a second and a process pool 3,228; with three resizes each, 374
and 383. So: threads, which need no start-up, no pickling and no clean-up after a kill.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Thing = TypeVar("Thing")
Result = TypeVar("Result")
Progress = Callable[[int, int], Any]  # (done, total); may raise Stopped

_LOT = 16  # things per hand-over: 200,000 futures at once would cost 300 MB
_QUIET_S = 0.1  # between two words of progress: whoever listens may write a file each time


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def each(
    work: Callable[[Thing], Result],
    things: Sequence[Thing],
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Result]:
    """`work(thing)` for each thing, in order. An exception in `work` or `progress` ends it all."""
    total, done, told = len(things), 0, 0.0
    threads = threads or cores()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="lab-data")
    pending: deque[Future[list[Result]]] = deque()
    starts = iter(range(0, total, _LOT))
    try:
        while True:
            while len(pending) < 4 * threads and (start := next(starts, None)) is not None:
                pending.append(pool.submit(_lot, work, things[start : start + _LOT]))
            if not pending:
                return
            results = pending.popleft().result()
            done += len(results)
            if progress and (done == total or time.monotonic() - told > _QUIET_S):
                progress(done, total)
                told = time.monotonic()
            yield from results
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _lot(work: Callable[[Thing], Result], things: Sequence[Thing]) -> list[Result]:
    return [work(thing) for thing in things]
