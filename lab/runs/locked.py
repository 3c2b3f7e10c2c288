"""How often the locked test part was asked something about a run. Every look spends it a little.

    note_look(run, "scores of stage 2 at 128 px")    -> 1: different questions asked so far
    looks(run)                                       -> [{"question": ..., "t": ...}]

A look is a question. The same one asked again tells nothing new, so it does not count again.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from lab.runs.folder import RunFolder
from lab.workspace import read_json, write_json

FILE = "looks.json"  # in the run's folder


def looks(run: RunFolder) -> list[dict[str, Any]]:
    """The questions asked so far, oldest first; empty where nobody has looked."""
    found = read_json(run.path / FILE, [])
    return [look for look in found if isinstance(look, dict) and "question" in look]


def note_look(run: RunFolder, question: str, now: float | None = None) -> int:
    """Remember that an answer of the locked part was shown; how many different ones by now."""
    known = looks(run)
    if question not in [look["question"] for look in known]:
        known.append({"question": question, "t": now or time.time()})
        write_json(run.path / FILE, known)
    return len(known)


def look_words(runs: Sequence[RunFolder]) -> str:
    """How much of the locked part is spent already, in a sentence or two."""
    asked = {look["question"] for run in runs for look in looks(run)}
    if not asked:
        return (
            "Nobody has looked at the locked test part of these runs yet. The first look is the "
            "one to believe."
        )
    times = "once" if len(asked) == 1 else f"with {len(asked)} different questions"
    return (
        f"The locked test part of these runs was looked at {times} so far. Every look spends it a "
        "little: what you choose because of it, it can no longer judge."
    )
