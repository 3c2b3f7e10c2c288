"""The order in which waiting jobs start: owners take turns; of one, first come first served."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

WAITING, LIVE = ("queued", "blocked"), ("starting", "running")


@dataclass(frozen=True)
class Job:
    """One row of the queue: a run or a task, what it needs, and how it stands."""

    id: str
    kind: str  # run | task
    device: str = "auto"  # auto | cpu | cuda | cuda:0 ... | cuda:0,cuda:1 | cuda:all | light
    owner: str = ""
    priority: int = 0  # among the jobs of one owner
    submitted: float = 0.0
    after: str = ""  # a job that must be done first
    forecast_s: float | None = None
    status: str = "queued"  # queued starting running blocked done failed stopped cancelled lost
    attempt: int = 0
    restarts: int = 0  # deaths of its workers since it was submitted
    slot: str = ""  # the device it got
    started: float | None = None
    message: str = ""
    fix: str = ""


def fair_order(
    waiting: Iterable[Job], running: Mapping[str, int], last_start: Mapping[str, float]
) -> list[Job]:
    """Waiting jobs in starting order.

    The next turn is that owner's who has the fewest jobs running or ahead in this list; of equals,
    that owner's who has waited longest since a start. Within an owner: priority, then submission.
    """
    lines: dict[str, list[Job]] = defaultdict(list)
    for job in sorted(waiting, key=lambda job: (-job.priority, job.submitted, job.id)):
        lines[job.owner].append(job)
    turns = {owner: running.get(owner, 0) for owner in lines}
    order: list[Job] = []
    while turns:
        owner = min(turns, key=lambda name: (turns[name], last_start.get(name, 0.0), name))
        order.append(lines[owner].pop(0))
        turns[owner] += 1
        if not lines[owner]:
            del turns[owner]
    return order


def expected_starts(order: Iterable[Job], busy_s: float | None) -> list[float | None]:
    """Seconds until each starts, one after the other; None from the first unknown duration on."""
    starts: list[float | None] = []
    for job in order:
        starts.append(busy_s)
        unknown = busy_s is None or job.forecast_s is None
        busy_s = None if unknown else busy_s + job.forecast_s
    return starts
