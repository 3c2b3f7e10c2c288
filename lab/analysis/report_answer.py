"""What a report comes to, in a sentence or two, from its numbers.

reference_of(numbers)     # the number of the method that the others are held against; None
answer(numbers)           # ["A makes fewer errors than B ...", ...]
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lab.analysis.report_words import counted, minutes, percent
from lab.analysis.verdict import LEVEL

Numbers = Mapping[str, Any]


def reference_of(numbers: Numbers) -> int | None:
    """The method that others are baselines of; else the scored one with the lowest error."""
    wanted = {run for method in numbers["methods"] for run in method["baseline_of"]}
    for method in numbers["methods"]:
        if wanted & set(method["runs"]) and method["scored"]:
            return int(method["number"])
    scored = [method for method in numbers["methods"] if method["scored"]]
    best = min(scored, key=lambda method: method["means"]["error_rate"], default=None)
    return int(best["number"]) if best else None


def answer(numbers: Numbers) -> list[str]:
    """The first is the answer; what follows limits it."""
    scored = [method for method in numbers["methods"] if method["scored"]]
    if not scored:
        return ["No run is finished and scored yet: there is nothing to answer with."]
    if len(scored) == 1:
        return [_alone(scored[0]), _alone_limits(scored[0])]
    rows = [row for row in numbers["verdicts"] if row["metric"] == "error_rate"]
    if len(scored) == 2:
        return [row["verdict"] for row in rows][:1] or ["The two cannot be compared."]
    reference = next(m for m in scored if m["number"] == numbers["reference"])
    return [_against_all(reference, scored, rows), *_cautions(rows)]


def _alone(method: Numbers) -> str:
    means, runs = method["means"], method["scored"]
    over = f"mean of {len(runs)} seeds" if len(runs) > 1 else f"{runs[0]['n']} validation images"
    words = f"{method['name']} makes {percent(means['error_rate'])} errors ({over}"
    if means["low"] is not None:
        words += f", 95 % interval {percent(means['low'])} to {percent(means['high'])}"
    return f"{words}), after {minutes(means['seconds'])} of training and validation."


def _alone_limits(method: Numbers) -> str:
    if len(method["scored"]) > 1:
        return "One method alone does not say whether another one would have been better."
    return "One run alone does not say whether another recipe, or another seed, would be better."


def _against_all(reference: Numbers, scored: Sequence[Numbers], rows: Sequence[Numbers]) -> str:
    """The reference against each other method, sorted by what the tests say."""
    found: dict[str, list[str]] = {"fewer": [], "more": [], "open": [], "refused": []}
    for other in scored:
        if other["number"] != reference["number"]:
            row = _row_of(reference, other, rows)
            found[_kind(row, reference)].append(_with_error(other))
    parts = []
    if found["fewer"]:
        parts.append(f"makes fewer errors than {_and(found['fewer'])}")
    if found["more"]:
        parts.append(f"makes more errors than {_and(found['more'])}")
    if found["open"]:
        parts.append(f"cannot be told apart from {_and(found['open'])} on this evidence")
    if found["refused"]:
        parts.append(f"cannot be compared with {_and(found['refused'])}")
    return f"{_with_error(reference)} {'; it '.join(parts)}."


def _row_of(a: Numbers, b: Numbers, rows: Sequence[Numbers]) -> Numbers | None:
    both = {a["name"], b["name"]}
    return next((row for row in rows if {row["name_a"], row["name_b"]} == both), None)


def _kind(row: Numbers | None, reference: Numbers) -> str:
    if row is None or row["difference"] is None:
        return "refused"
    p = row["p"] if row["p_corrected"] is None else row["p_corrected"]
    if p >= LEVEL:
        return "open"
    worse = row["name_a"] if row["difference"] > 0 else row["name_b"]
    return "more" if worse == reference["name"] else "fewer"


def _with_error(method: Numbers) -> str:
    return f"{method['name']} ({percent(method['means']['error_rate'])})"


def _and(words: Sequence[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


def _cautions(rows: Sequence[Numbers]) -> list[str]:
    """What the answer rests on: seeds or single models, and how many were compared."""
    told = [row for row in rows if row["difference"] is not None]
    if not told:
        return []
    models = [row for row in told if row["kind"] == "models"]
    n = counted(len(told), "comparison")
    words = f"Judged by p values corrected for {n} (Holm), at the 5 % level."
    if len(models) == len(told):
        return [f"{words} One seed each: this is about these models, not about their methods."]
    if models:
        return [f"{words} Some pairs rest on a single seed and are about these models alone."]
    return [f"{words} It is about these methods on this data and split."]
