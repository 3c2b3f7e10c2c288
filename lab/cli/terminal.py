"""What the command line prints: words and tables for people, JSON lines for programs.

out = Terminal(as_json=True)
out.line({"kind": "epoch", ...})      # JSON on standard output, only with --json
out.say("Done.")                      # words on standard output, only without
out.note("Reading ...")               # standard error, always
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from lab.errors import LabError


@dataclass
class Terminal:
    """Standard output belongs to the answer; everything else goes to standard error."""

    as_json: bool = False
    _shown: bool = field(default=False)  # whether a progress line stands there unfinished

    def line(self, values: dict[str, Any]) -> None:
        """One JSON object on one line."""
        if self.as_json:
            print(json.dumps(values, ensure_ascii=False, default=str), flush=True)

    def say(self, text: str = "") -> None:
        """An answer in words."""
        if not self.as_json:
            self._end_progress()
            print(text, flush=True)

    def note(self, text: str) -> None:
        """Something on the way, for whoever watches."""
        self._end_progress()
        print(text, file=sys.stderr, flush=True)

    def progress(self, what: str, done: int, total: int) -> None:
        """A line that is written over on a terminal; in a file, only its end."""
        words = f"{what} {done}/{total}"
        if sys.stderr.isatty():
            print(f"\r{words:<60}", end="", file=sys.stderr, flush=True)
            self._shown = True
        elif done >= total:
            print(words, file=sys.stderr, flush=True)

    def error(self, error: LabError) -> None:
        """All problems: as JSON on standard output, or a sentence and its fix on standard error."""
        problems = [problem.as_dict() for problem in error.problems]
        self.line({"kind": "error", "problems": problems})
        for problem in error.problems:
            self.note(str(problem) if self.as_json else f"Error. {problem}")

    def table(self, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Columns as wide as their widest cell; numbers to the right."""
        if self.as_json:
            return
        cells = [[*map(str, head)], *([str(cell) for cell in row] for row in rows)]
        widths = [max(map(len, column)) for column in zip(*cells)]
        for row in cells:
            self.say(aligned(row, widths).rstrip())

    def _end_progress(self) -> None:
        if self._shown:
            self._shown = False
            print(file=sys.stderr, flush=True)


def aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """Cells side by side: what looks like a number to the right, words to the left."""
    cells = [
        cell.rjust(width) if cell[:1].isdigit() or cell[:1] in "-–" else cell.ljust(width)
        for cell, width in zip(row, widths)
    ]
    return "  ".join(cells)


def minutes(seconds: float | None) -> str:
    """`3:41`; above an hour `1:03:41`."""
    if seconds is None:
        return "–"
    whole = int(seconds + 0.5)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def percent(share: float | None) -> str:
    """`12.3 %` from 0.123."""
    return "–" if share is None else f"{100 * share:.1f} %"


def decimal(number: float | None, digits: int = 4) -> str:
    """`0.5123`."""
    return "–" if number is None else f"{number:.{digits}f}"


def size_words(size: int | Sequence[int]) -> str:
    """`128 px` or `256×192 px`."""
    return f"{size} px" if isinstance(size, int) else "×".join(map(str, size)) + " px"


EPOCH_HEAD = (
    "stage",
    "size",
    "epoch",
    "train_loss",
    "valid_loss",
    "error_rate",
    "accuracy",
    "time",
)
EPOCH_WIDTHS = (5, 10, 5, 10, 10, 10, 8, 7)


def epoch_cells(event: dict[str, Any]) -> list[str]:
    """An epoch event as a row of fastai's table. The stage counts from 0, as --stage does."""
    return [
        str(event["stage"]),
        size_words(event["size"]),
        str(event["epoch"]),
        decimal(event["train_loss"]),
        decimal(event["valid_loss"]),
        decimal(event["error_rate"]),
        decimal(event["accuracy"]),
        minutes(event["seconds"]),
    ]
