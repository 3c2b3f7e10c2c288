"""What a comparison comes to: its numbers, corrected for how many there are, in one sentence.

    rows = corrected(rows)      # Holm over all that are shown; verdicts and `needed_...` anew
    rows[0].verdict

One pair of runs speaks of *these two models*; several seeds speak of *this method, on this data*.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from lab.analysis.needed import images_by_error, images_needed, more_words, seeds_needed
from lab.analysis.significance import Paired, holm

LEVEL = 0.05
NORMAL_95 = 3.92  # width of a 95 % interval in standard errors
# What the better one does; what is measured; factor, unit and digits of a difference.
_METRICS = {
    "error_rate": ("makes fewer errors", "error", 100, " points", 1),
    "balanced_error": (
        "makes fewer errors, every class counting the same,", "balanced error", 100, " points", 1,
    ),
    "log_loss": ("gives the true class more probability", "log loss", 1, "", 3),
}  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """One score of a pair. `difference` is a - b: above zero, b is better. Where the two cannot be
    compared, the numbers are None and `verdict` says why.

    kind: "models", a and b are runs; or "method", a and b name groups of runs, and the interval
    is over their `seeds`. The interval is that of this comparison alone; `p_corrected` (Holm) holds
    for all `comparisons` of its kind and metric that are shown together.
    """

    a: str
    b: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    n: int
    verdict: str
    kind: str = "models"
    p_corrected: float | None = None
    comparisons: int = 1
    name_a: str = ""
    name_b: str = ""
    value_a: float | None = None
    value_b: float | None = None
    only_a: int | None = None  # error rate of models: images on which only a is wrong
    only_b: int | None = None
    seeds: int = 0  # method: paired seeds, or the runs of the smaller group
    paired: bool = True  # method: whether runs were paired by seed
    sd: float | None = None  # method: over seeds, of the differences (unpaired: of one method)
    apart: float | None = None  # method: share of images that a pair of models disagrees on
    needed_seeds: int | None = None  # in all, for 80 % power at a difference of this size
    needed_images: int | None = None
    same_recipe: bool = False  # models: they differ in nothing but the seed
    note: str = ""  # what the reader must know besides

    @property
    def clear(self) -> bool:
        """Whether there is evidence that one is better. Two seeds of one recipe are never that: how
        far they lie apart is what the seed alone does."""
        if self.same_recipe:
            return False
        p = self.p if self.p_corrected is None else self.p_corrected
        return p is not None and p < LEVEL

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def corrected(rows: Iterable[Comparison]) -> list[Comparison]:
    """The rows in their order, judged together: error rates among error rates, and so on.

    Seeds of one recipe raise no question of which is better, so they do not count among the others.
    """
    rows = list(rows)
    families: dict[tuple[str, str], list[int]] = {}
    for at, row in enumerate(rows):
        if row.p is not None and not row.same_recipe:
            families.setdefault((row.kind, row.metric), []).append(at)
    for places in families.values():
        ps = holm([rows[at].p for at in places])  # type: ignore[misc]
        for at, p in zip(places, ps):
            rows[at] = judged(rows[at], p, len(places))
    return rows


def judged(row: Comparison, p_corrected: float, comparisons: int) -> Comparison:
    """The row with its verdict, as one of so many comparisons."""
    row = replace(row, p_corrected=p_corrected, comparisons=comparisons)
    level = LEVEL / comparisons
    row = replace(row, needed_seeds=_seeds(row, level), needed_images=_images(row, level))
    return replace(row, verdict=_sentence(row))


def verdict(a: str, b: str, metric: str, found: Paired) -> str:
    """One plain sentence on two models. It is about these two models, not about their methods."""
    numbers = (found.difference, found.low, found.high, found.p, found.n)
    row = Comparison(a, b, metric, *numbers, "", name_a=a, name_b=b)
    return judged(row, found.p, 1).verdict


def _seeds(row: Comparison, level: float) -> int | None:
    if row.kind != "method" or not row.sd or not row.difference:
        return None
    return seeds_needed(row.difference, row.sd, paired=row.paired, level=level)


def _images(row: Comparison, level: float) -> int | None:
    """For one pair of models; of a method, at the mean disagreement of its pairs of runs."""
    if not row.difference or not row.n:
        return None
    if row.metric == "error_rate":
        counts = _disagreement(row)
        return images_needed(*counts, row.n, level=level) if counts else None
    if row.kind == "method" or row.low is None or row.high is None:
        return None
    return images_by_error(row.difference, (row.high - row.low) / NORMAL_95, row.n, level=level)


def _disagreement(row: Comparison) -> tuple[float, float] | None:
    if row.only_a is not None and row.only_b is not None:
        return row.only_a, row.only_b
    if row.apart is None or row.difference is None:
        return None
    return (row.apart + row.difference) * row.n / 2, (row.apart - row.difference) * row.n / 2


def _sentence(row: Comparison) -> str:
    a, b = row.name_a or row.a, row.name_b or row.b
    a, b = (a, b) if a != b else (f"{a} (first)", f"{b} (second)")
    if row.same_recipe:
        return f"{_same(row, a, b)} {row.note}".strip()
    words = {"models": (_models, _no_models), "method": (_method, _no_method)}[row.kind]
    return f"{words[0 if row.clear else 1](row, a, b)} {row.note}".strip()


def _same(row: Comparison, a: str, b: str) -> str:
    return (
        f"{a} and {b} are two seeds of one recipe, so neither recipe is better: on these {row.n} "
        f"images the seed alone makes {_shown(row)}."
    )


def _models(row: Comparison, a: str, b: str) -> str:
    better, worse = (b, a) if (row.difference or 0) > 0 else (a, b)
    what = _METRICS[row.metric][0]
    last = "Another seed may tell otherwise: this is about these two models."
    if row.metric == "log_loss":  # 58 % of pairs of seeds did, in benchmarks/records/*-null-pairs
        last += " Two seeds of one recipe often differ in log loss, too."
    return f"{better} {what} than {worse} on these {row.n} images ({_shown(row)}). {last}"


def _no_models(row: Comparison, a: str, b: str) -> str:
    first = (
        f"{a} and {b}: these two models do not differ measurably on these {row.n} images "
        f"({_shown(row)})."
    )
    if not row.difference:
        return f"{first} They come out the same: there is no difference to show."
    more = more_words(row.needed_images, row.n, "image")
    return (
        f"{first} Not enough evidence: {more} would show a difference of this size. To compare the "
        "recipes, train more seeds of each."
    )


def _method(row: Comparison, a: str, b: str) -> str:
    better, worse = (b, a) if (row.difference or 0) > 0 else (a, b)
    return (
        f"{better} {_METRICS[row.metric][0]} than {worse} as a method, on this data, over "
        f"{_over(row)} ({_shown(row)}). Other data, or another split, may tell otherwise."
    )


def _no_method(row: Comparison, a: str, b: str) -> str:
    first = f"{a} and {b}: no measurable difference of these methods on this data, over "
    first += f"{_over(row)} ({_shown(row)})."
    if not row.difference:
        return f"{first} They come out the same: there is no difference to show."
    if not row.sd:
        return (
            f"{first} Not enough evidence: it was the same at every seed, so that its spread is "
            "not known. Train more seeds."
        )
    more = more_words(row.needed_seeds, row.seeds, "seed")
    return (
        f"{first} Not enough evidence: {more} of each{_or_images(row)} would show a difference of "
        "this size."
    )


def _or_images(row: Comparison) -> str:
    """More images sharpen every pair of models, but not how far seeds lie apart."""
    if row.metric != "error_rate":
        return ""
    if row.needed_images is not None and row.needed_images <= row.n:
        return " (more images would not help: it is the seeds that lie apart)"
    return f" (or, for one pair of models, {more_words(row.needed_images, row.n, 'image')})"


def _over(row: Comparison) -> str:
    return f"{row.seeds} seeds" if row.paired else f"{row.seeds} or more seeds each, not paired"


def _shown(row: Comparison) -> str:
    """`3.0 points of error, 5.3 % against 8.3 %, 95 % interval 1.0 to 5.0, p = 0.003`."""
    _, label, factor, unit, digits = _METRICS[row.metric]
    gap, low, high = row.difference or 0.0, row.low, row.high
    sign = 1 if gap >= 0 else -1
    parts = [f"{abs(gap) * factor:.{digits}f}{unit} of {label}"]
    if row.value_a is not None and row.value_b is not None:
        values = sorted((row.value_a, row.value_b))
        mark = " %" if factor == 100 else ""
        parts.append(" against ".join(f"{value * factor:.{digits}f}{mark}" for value in values))
    if low is not None and high is not None:
        ends = sorted((sign * low, sign * high))
        between = " to ".join(_number(end * factor, digits) for end in ends)
        parts.append(f"95 % interval {between}")
    p = f"p = {_p(row.p)}"
    if row.comparisons > 1:
        p += f", or {_p(row.p_corrected)} corrected for {row.comparisons} comparisons"
    return ", ".join([*parts, p])


def _number(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if not text.strip("-0.") else text


def _p(p: float | None) -> str:
    if p is None:
        return "–"
    if p < 0.001:
        return "below 0.001"
    return f"{p:.3f}".rstrip("0").rstrip(".")
