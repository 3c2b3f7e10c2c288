"""Errors meant for people: one sentence that says what is wrong, one that says what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong: `where` (a field such as `stages.1.size`), `what`, and its `fix`.

    `level` is "error" (must be mended before a launch) or "warning" (may be launched as it is).
    """

    where: str
    what: str
    fix: str
    level: str = "error"

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what} {self.fix}".strip()

    def as_dict(self) -> dict[str, str]:
        """The four fields, ready for JSON."""
        return asdict(self)


class LabError(Exception):
    """Something a person can mend. Anything else that is raised is a fault of the lab."""

    def __init__(
        self, what: str, fix: str = "", *, where: str = "", problems: Iterable[Problem] = ()
    ) -> None:
        super().__init__(f"{what} {fix}".strip())
        self.what, self.fix, self.where = what, fix, where
        self.problems = tuple(problems) or (Problem(where, what, fix),)

    @classmethod
    def of(cls, problems: Iterable[Problem]) -> LabError:
        """All problems at once, as one error."""
        problems = tuple(problems)
        what = " ".join(str(problem) for problem in problems)
        return cls(what, problems=problems)


class Stopped(Exception):
    """Somebody asked for this work to stop. Nothing is wrong, and nothing is lost."""


def place(where: str) -> str:
    """`stages.1.size` as people say it: `Stage 2, size`."""
    names = [name.replace("_", " ") for name in where.split(".") if name]
    if len(names) > 1 and names[0] == "stages" and names[1].isdigit():
        names[:2] = [f"stage {int(names[1]) + 1}"]
    text = ", ".join(f"no. {int(name) + 1}" if name.isdigit() else name for name in names)
    return text[:1].upper() + text[1:]
