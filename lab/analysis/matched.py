"""Whether a baseline of equal time really took as long: the clocks of both, after the fact.

    for found in time_matches(runs): print(found.words)

A baseline is sized by timing both schedules in turns, at one speed of the machine; its own clock
and its reference's may have run at different ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.analysis.curves import epochs_frame
from lab.runs.events import read_events
from lab.runs.folder import RunFolder
from lab.runs.status import standing

CLOSE = 0.03


@dataclass(frozen=True)
class TimeMatch:
    """Seconds of training of a finished baseline and of its reference, and the baseline's steps."""

    run: str
    reference: str
    seconds: float
    reference_seconds: float
    steps: int

    @property
    def ratio(self) -> float:
        """1.02: the baseline trained 2 % longer."""
        return self.seconds / self.reference_seconds

    @property
    def close(self) -> bool:
        """Whether the two are within 3 %."""
        return abs(self.ratio - 1) <= CLOSE

    @property
    def words(self) -> str:
        """One sentence."""
        gap = self.ratio - 1
        long = "as long, to the second" if abs(gap) < 0.0005 else f"{abs(gap):.1%} "
        if abs(gap) >= 0.0005:
            long += "longer" if gap > 0 else "shorter"
        first = f"By the clock it trained {long} ({self.steps} steps)."
        if self.close:
            return first
        return f"{first} The machine's speed changed between the two: at one speed they are equal."

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"kind": "same-time", **asdict(self), "ratio": self.ratio, "verdict": self.words}


def time_matches(runs: Sequence[RunFolder]) -> list[TimeMatch]:
    """Of every finished run that was made as long as another one that is still there."""
    found = []
    for run in runs:
        reference = RunFolder(run.path.parent / (run.recipe().same_time_as or "-"))
        if not reference.exists() or standing(run).status != "finished":
            continue
        mine, theirs = (epochs_frame(read_events(one)) for one in (run, reference))
        both = [float(epochs["train_seconds"].sum()) for epochs in (mine, theirs)]
        if all(both):
            found.append(TimeMatch(run.id, reference.id, *both, steps=int(mine["step"].max())))
    return found
