"""Two error rates on the same images, when nobody stored which images were wrong: bounds.

    found = bounds(wrong_a=105, wrong_b=80, n=367)
    found.nested, found.apart        # Paired, for the least and the most disagreement possible
    choice, source = keras_example()    # a published table whose last epoch decided the story

A paired interval needs to know on how many images the two disagree. Without it, all that is certain
lies between two cases: every error of the better one is also an error of the other (nested), or
their errors overlap as little as they can (apart).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lab.analysis.published import Source, published_run
from lab.analysis.significance import Paired, difference_of_counts, rate_interval

KERAS = "published:keras-fixres-baseline"


@dataclass(frozen=True)
class Bounds:
    """a - b, and the two ends of what the disagreement can be; the truth lies between."""

    nested: Paired
    apart: Paired


def bounds(wrong_a: int, wrong_b: int, n: int) -> Bounds:
    """From the numbers of wrong answers among the same n images."""
    shared = (min(wrong_a, wrong_b), max(0, wrong_a + wrong_b - n))  # most, least in common
    nested, apart = (difference_of_counts(wrong_a - k, wrong_b - k, n) for k in shared)
    return Bounds(nested, apart)


@dataclass(frozen=True)
class Choice:
    """Last epoch against the best-looking one of a published table: rates with Wilson's interval,
    the difference of error rates last - best with its bounds."""

    n: int
    accuracy: tuple[float, ...]
    best: int  # from 0
    wrong: tuple[int, ...]
    intervals: tuple[tuple[float, float], ...]  # of the error rate, an epoch each
    difference: float
    bounds: Bounds

    @property
    def last(self) -> int:
        return len(self.accuracy) - 1

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def published_choice(accuracy: Sequence[float], n: int) -> Choice:
    """Accuracies by epoch (fractions, as printed) on n validation images."""
    wrong = tuple(round((1 - value) * n) for value in accuracy)
    best = min(range(len(wrong)), key=wrong.__getitem__)
    intervals = tuple(rate_interval(count, n) for count in wrong)
    found = bounds(wrong[-1], wrong[best], n)
    return Choice(n, tuple(accuracy), best, wrong, intervals, (wrong[-1] - wrong[best]) / n, found)


def keras_example() -> tuple[Choice, Source]:
    """The baseline of Keras' FixRes example: 30 epochs whose last one decided the story."""
    run = published_run(KERAS)
    assert run.n_valid, "this table says how many images it was scored on"
    return published_choice(run.epochs["accuracy"].tolist(), run.n_valid), run.source


def choice_words(found: Choice) -> str:
    """What n images allow one to say of the jump at the end, in plain sentences."""
    last, best = found.accuracy[-1], found.accuracy[found.best]
    near, far = found.bounds.nested, found.bounds.apart
    return (
        f"{100 * last:.2f} % right at the last epoch, {100 * best:.2f} % at epoch "
        f"{found.best + 1}: {100 * found.difference:.1f} points apart. On {found.n} images the "
        f"95 % interval of the first is {_accuracy(found.intervals[-1])}, of the second "
        f"{_accuracy(found.intervals[found.best])}. The table does not tell which pictures each "
        "got wrong, so the interval of the difference lies between two cases: "
        f"{_between(near)} if their errors overlap as much as they can (p {_p(near.p)}), "
        f"{_between(far)} if as little (p {_p(far.p)}). And the better epoch was picked "
        "afterwards, because it looked best."
    )


def _accuracy(interval: tuple[float, float]) -> str:
    return f"{100 * (1 - interval[1]):.1f} to {100 * (1 - interval[0]):.1f} %"


def _between(found: Paired) -> str:
    return f"{100 * found.low:.1f} to {100 * found.high:.1f} points"


def _p(p: float) -> str:
    return "below 0.001" if p < 0.001 else f"= {p:.2g}"
