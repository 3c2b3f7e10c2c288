"""How much more would be needed to show a difference of the size that was seen: seeds, or images.

    seeds_needed(0.012, sd=0.010)            8: seeds each, paired, to show 1.2 points
    images_needed(12, 20, n=300)             images in all, for two models

For 80 % power at the 5 % level (or at 5 % over the number of comparisons): were the true difference
the one seen, four of five such experiments would show it. None: more than MOST, or nothing to show.
"""

from __future__ import annotations

from math import ceil, sqrt

from scipy.stats import nct, norm, t

POWER, LEVEL = 0.8, 0.05
MOST = 10_000  # beyond that the words say "more than 10,000" and no number


def seeds_needed(
    difference: float, sd: float, *, paired: bool = True, level: float = LEVEL
) -> int | None:
    """Seeds of each method for the t test over seeds; the fewest is 2.

    sd: of the paired differences over seeds, or (paired=False) of one method's runs.
    """
    if difference == 0 or sd < 0:
        return None
    if sd == 0:
        return 2
    effect = abs(difference) / sd
    few, many = 2, MOST
    if seeds_power(effect, many, paired=paired, level=level) < POWER:
        return None
    while few < many:
        middle = (few + many) // 2
        if seeds_power(effect, middle, paired=paired, level=level) >= POWER:
            many = middle
        else:
            few = middle + 1
    return few


def seeds_power(effect: float, n: int, *, paired: bool = True, level: float = LEVEL) -> float:
    """How often a two-sided t test with n seeds each shows a true effect (difference / sd)."""
    freedom = n - 1 if paired else 2 * n - 2
    shift = effect * sqrt(n if paired else n / 2)
    edge = float(t.ppf(1 - level / 2, freedom))
    # Far tails of the noncentral t come back as NaN: there the power is 1.
    power = float(nct.sf(edge, freedom, shift)) + float(nct.cdf(-edge, freedom, shift))
    return power if power == power else 1.0


def images_needed(worse: int, better: int, n: int, *, level: float = LEVEL) -> int | None:
    """Images in all for the McNemar test, at the seen rates of disagreement (Miettinen 1968).

    Of n images only one model is wrong on `worse`, only the other on `better`.
    """
    if worse == better or n == 0:
        return None
    gap, apart = abs(worse - better) / n, (worse + better) / n
    a, b = float(norm.ppf(1 - level / 2)), float(norm.ppf(POWER))
    total = ((a * sqrt(apart) + b * sqrt(apart - gap**2)) / gap) ** 2
    return ceil(total) if total <= MOST + n else None


def images_by_error(difference: float, error: float, n: int, *, level: float = LEVEL) -> int | None:
    """Images in all for any mean over images, by the normal law: `error` is the standard error
    that n images left."""
    if difference == 0 or error <= 0:
        return None
    reach = float(norm.ppf(1 - level / 2) + norm.ppf(POWER))
    total = n * (reach * error / abs(difference)) ** 2
    return ceil(total) if total <= MOST + n else None


def more_words(needed: int | None, have: int, unit: str) -> str:
    """`about 5 more seeds`; honest where it is out of reach."""
    if needed is None:
        return f"more than {MOST:,} more {unit}s"
    more = max(1, needed - have)
    shown = more if more < 100 else round(more, 1 - len(str(more)) + 1)
    return f"about {shown:,} more {unit}{'' if shown == 1 else 's'}"
