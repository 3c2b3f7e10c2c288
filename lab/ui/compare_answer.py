"""Compare, the answer on top of the page: fewer errors, at what cost, what was guessed.

    for line in answer(methods, sets): st.markdown(line)

Only runs of the same images are held against each other; with many methods it names the one with
the lowest error and leaves the rest to the verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

from lab.analysis.needed import more_words
from lab.analysis.verdict import Comparison
from lab.ui import comparison, watch
from lab.ui import format as fmt
from lab.ui.compare_apart import Sets
from lab.ui.compare_verdict import scored, sentence, verdicts
from lab.ui.comparison import Entry, Method
from lab.ui.messages import plain

QUICK = 6  # methods that are compared with one another for a sentence on top
QUICK_IMAGES = 12_000  # resampled for it: 0.3 s a thousand, and only once


def answer(methods: Sequence[Method], sets: Sets) -> list[str]:
    """A sentence or two for each set of comparable runs, as Markdown."""
    found = comparison.of_methods(methods)
    lines = [line for own in _by_set(scored(methods), sets) if (line := _answer(own))]
    waiting = [plain(entry.label) for entry in found if not entry.scored]
    if waiting:
        lines.append(f"Not scored yet: {', '.join(waiting)}.")
    guesses = guess_lines(found)
    return lines + ([f"Guesses before the launch. {plain('; '.join(guesses))}."] if guesses else [])


def _by_set(methods: Sequence[Method], sets: Sets) -> list[list[Method]]:
    """The methods of each set; one whose seeds lie in several counts where its first one is."""
    home = {entry.run.id: number for number, one in enumerate(sets) for entry in one}
    return [
        [method for method in methods if home[method.done[0].run.id] == number]
        for number in range(len(sets))
    ]


def _answer(methods: Sequence[Method]) -> str:
    if len(methods) == 1:
        return _of_one(methods[0])
    if len(methods) == 2:
        return _of_two(*methods)
    return _of_many(methods) if methods else ""


def _of_one(method: Method) -> str:
    runs = method.done
    if len(runs) < 2:
        return ""
    errors = [entry.final["final"]["error_rate"] for entry in runs]
    return (
        f"**{plain(method.name)}: {len(runs)} runs of one recipe**, {fmt.percent(min(errors))} to "
        f"{fmt.percent(max(errors))} wrong. They differ in nothing but the seed, so this spread is "
        "luck: another method has to beat it."
    )


def _of_two(a: Method, b: Method) -> str:
    row = next((row for row in verdicts([a, b]) if row.metric == "error_rate"), None)
    if row is None:
        return ""
    costs = cost_words(a, b) if row.difference is not None else ""
    return f"**{plain(_short(row))}** {plain(costs)}".strip()


def _short(row: Comparison) -> str:
    """The verdict without its interval, which stands under Verdict."""
    if row.difference is None or row.value_a is None or row.value_b is None:
        return sentence(row)
    rates = {row.name_a: fmt.percent(row.value_a), row.name_b: fmt.percent(row.value_b)}
    if not row.clear:
        each = " and ".join(f"{rate} wrong ({name})" for name, rate in rates.items())
        what = "methods" if row.kind == "method" else "models"
        first = f"Not enough evidence that one of these two {what} is better"
        return f"{first}: {each}. {_needed(row)}".strip()
    about = (
        f"This is about the methods, on this data, over {row.seeds} seeds."
        if row.kind == "method"
        else f"This is about these two models, on these {row.n} images."
    )
    better, worse = (row.name_b, row.name_a) if row.difference > 0 else (row.name_a, row.name_b)
    return f"{better} makes fewer errors: {rates[better]} against {rates[worse]}. {about}"


def _needed(row: Comparison) -> str:
    """`About 5 more seeds of each would show a difference of this size.`"""
    if not row.difference:
        return ""
    if row.kind == "method":
        if not row.sd:
            return "More seeds would tell."
        words = f"{more_words(row.needed_seeds, row.seeds, 'seed')} of each"
    else:
        words = more_words(row.needed_images, row.n, "image")
    return f"{words[:1].upper()}{words[1:]} would show a difference of this size."


def cost_words(a: Method, b: Method) -> str:
    """What the two cost (means over their scored runs), in one sentence; '' where unknown."""
    spent = {m.name: _spent(m) for m in (a, b)}
    (quick, (less_s, less_px)), (_, (more_s, more_px)) = sorted(
        spent.items(), key=lambda pair: pair[1]
    )
    if not (less_s and more_s):
        return ""
    less = 1 - less_s / more_s
    times = f"{fmt.minutes(less_s)} against {fmt.minutes(more_s)}"
    pixels = f"{fmt.percent(less_px / more_px if more_px else 1.0, 0)} of the pixels"
    if less < 0.03:
        return f"Both took about as long ({times}); {quick} with {pixels}."
    return f"{quick} took {fmt.percent(less, 0)} less time ({times}), with {pixels}."


def _spent(method: Method) -> tuple[float, float]:
    runs = method.done
    return (
        float(np.mean([entry.seconds for entry in runs])),
        float(np.mean([entry.pixels for entry in runs])),
    )


def _of_many(methods: Sequence[Method]) -> str:
    """The method that others are baselines of, else the one with the lowest error, against all."""
    first = comparison.reference(methods)
    if len(methods) > QUICK or _images(methods) > QUICK_IMAGES:
        first = min(methods, key=lambda method: method.error)
        return (
            f"**{plain(_with_error(first))} has the lowest error of {len(methods)} methods.** "
            "Whether that is more than luck is said under Verdict, pair by pair."
        )
    rows = [row for row in verdicts(methods) if row.metric == "error_rate"]
    found: dict[str, list[str]] = {"fewer": [], "more": [], "open": [], "not": []}
    for other in methods:
        if other is not first:
            found[_kind(first, other, rows)].append(_with_error(other))
    words = {
        "fewer": "makes fewer errors than",
        "more": "makes more errors than",
        "open": "cannot be told apart on this evidence from",
        "not": "cannot be compared with",
    }
    parts = [f"{words[kind]} {_and(names)}" for kind, names in found.items() if names]
    return f"**{plain(_with_error(first))} {plain('; it '.join(parts))}.**"


def _images(methods: Sequence[Method]) -> int:
    """How many images the pairs of models among these methods are compared on, all together."""
    pairs = [pair for pair in combinations(methods, 2) if min(len(m.done) for m in pair) < 2]
    return sum(int(a.done[0].final["final"].get("n") or 0) for a, _ in pairs)


def _kind(first: Method, other: Method, rows: Sequence[Comparison]) -> str:
    both = {first.name, other.name}
    row = next((row for row in rows if {row.name_a, row.name_b} == both), None)
    if row is None or row.difference is None:
        return "not"
    if not row.clear:
        return "open"
    better = row.name_b if row.difference > 0 else row.name_a
    return "fewer" if better == first.name else "more"


def _with_error(method: Method) -> str:
    n = len(method.done)
    over = f", mean of {n} seeds" if n > 1 else ""
    return f"{method.name} ({fmt.percent(method.error)}{over})"


def _and(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def guess_lines(found: Sequence[Entry]) -> list[str]:
    """The guesses made before the launches, each with what came of it."""
    lines = []
    for entry in found:
        guess = watch.guess_words(entry.run.meta())
        came = entry.final.get("final", {}).get("error_rate")
        result = f", came to {fmt.percent(came)}" if came is not None else ""
        if guess:
            lines.append(f"{entry.label}: {guess}{result}")
    return lines
