"""Is the network as sure as it is right? Scores with intervals, and temperature scaling.

    found = assess({"plain": plain, "tta": average}, target)     ->  {"plain": Scored, ...}
    found["plain"].scores["gap"]             mean confidence minus accuracy, with its 95 % interval
    fit_temperature(probs, target)           ->  Temperature(value=1.6, low=1.4, high=1.9)
    temper(probs, held_out_temperatures(probs, target))     every image by a T that never saw it

Temperature scaling (Guo et al. 2017) divides the logits by one number T before the softmax. Logits
count up to a constant per image, and the logs of the probabilities are such logits: so
probs^(1/T), normalised, is the same thing, also for averages of views, which have no logits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq

from lab.analysis.metrics import BINS, brier_each, count_bins, log_losses, width_bins

RESAMPLES, MANY_IMAGES = 2_000, 10_000  # above so many images, a quarter of the resamples do
HALVES = 20  # random divisions into two halves
WORK = 2_000_000  # numbers (images x classes) above which fewer divisions are made
CHUNK = 2_000_000  # counts held at a time: 16 MB
COLDEST, HOTTEST = 0.05, 20.0
TINY = float(np.finfo(np.float32).tiny)  # the least probability that has a logarithm here
SCORES = ("accuracy", "log_loss", "brier", "ece", "adaptive_ece", "gap")
PAIRED = ("accuracy", "log_loss", "brier", "gap", "distance")
_SUMS = ("accuracy", "log_loss", "brier", "gap")
_BINNED = {"ece": width_bins, "adaptive_ece": count_bins}


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Temperature:
    """T with its 95 % interval; above 1 the network was too sure. `at_limit`: no T is best, as
    where every answer is right."""

    value: float
    low: float
    high: float
    at_limit: bool = False


@dataclass(frozen=True)
class Chance:
    """The ECE of a perfectly calibrated network with these confidences: mean and upper 5 % point.

    `p`: how often it would look at least as badly calibrated as this one.
    """

    mean: float
    high: float
    p: float


@dataclass(frozen=True)
class Scored:
    """`scores` by the names in SCORES; `against`: minus the reference, paired, names in PAIRED.

    `gap` is mean confidence minus accuracy, `distance` how far it is from zero either way.
    """

    n: int
    scores: dict[str, Interval]
    against: dict[str, Interval]
    chance: Chance


def temper(probs: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """probs^(1/T), normalised: float64 (n, classes). One T, or one per image (n,).

    The order of the classes stays, so accuracy does not change.
    """
    return _softmax(_logits(probs) / np.reshape(np.asarray(temperature, np.float64), (-1, 1)))


def fit_temperature(probs: np.ndarray, target: np.ndarray) -> Temperature:
    """The T of the least log loss on these images, between 0.05 and 20.

    The interval is that of an estimating equation (White 1982): it holds without the model.
    """
    logits, target = _logits(probs), np.asarray(target, np.int64)
    value = 1 / _best_inverse(logits, target)
    at_limit = not COLDEST * 1.001 < value < HOTTEST / 1.001
    if at_limit or len(target) < 2:
        return Temperature(value, COLDEST, HOTTEST, at_limit)
    scaled = _softmax(logits / value)
    mean = (scaled * logits).sum(axis=1)
    curvature = ((scaled * logits**2).sum(axis=1) - mean**2).sum()
    slopes = mean - logits[np.arange(len(target)), target]
    reach = 1.96 * float(np.sqrt((slopes**2).sum())) / max(float(curvature), 1e-12)
    low, high = 1 / value - reach, 1 / value + reach
    return Temperature(value, max(1 / high, COLDEST), 1 / max(low, 1 / HOTTEST))


def held_out_temperatures(
    probs: np.ndarray, target: np.ndarray, seed: int = 0, halves: int = HALVES
) -> np.ndarray:
    """A temperature per image, (n,), that was fitted without it.

    The images are divided into random halves again and again; T of an image is the geometric mean
    of those that were fitted on the half it was not in.
    """
    logits, target = _logits(probs), np.asarray(target, np.int64)
    n, rng = len(target), np.random.default_rng(seed)
    if n < 2:
        return np.ones(n)
    times = max(1, min(halves, WORK * HALVES // max(logits.size, 1)))
    total = np.zeros(n)
    for _ in range(times):
        order = rng.permutation(n)
        one, other = order[: n // 2], order[n // 2 :]
        total[other] -= np.log(_best_inverse(logits[one], target[one]))
        total[one] -= np.log(_best_inverse(logits[other], target[other]))
    return np.exp(total / times)


def assess(
    ways: Mapping[str, np.ndarray], target: np.ndarray, seed: int = 0, resamples: int = RESAMPLES
) -> dict[str, Scored]:
    """Scores of several answers to the same images; the first one is the reference.

    Intervals: bootstrap over images, the same resamples for all, so that differences are paired.
    Bins of equally many images stay as they are on all images.
    """
    target = np.asarray(target, np.int64)
    if len(target) == 0:
        raise ValueError("no images to score")
    parts = {name: _per_image(probs, target) for name, probs in ways.items()}
    drawn = _resampled(parts, len(target), seed, resamples)
    reference = next(iter(ways))
    values = {name: _scores(part.mean(axis=0)) for name, part in parts.items()}
    found = {}
    for name, value in values.items():
        scores = {key: _between(value[key], drawn[name][key]) for key in _SUMS}
        confidence, chances = np.asarray(ways[name]).max(axis=1), {}
        for key, bins in _BINNED.items():
            chances[key] = chance_error(confidence, float(value[key]), seed, where=bins(confidence))
            scores[key] = _around(value[key], drawn[name][key], chances[key])
        against = {
            key: _between(
                value[key] - values[reference][key], drawn[name][key] - drawn[reference][key]
            )
            for key in PAIRED
        }
        paired = {} if name == reference else against
        found[name] = Scored(len(target), scores, paired, chances["ece"])
    return found


def chance_error(
    confidence: np.ndarray,
    ece: float,
    seed: int = 0,
    resamples: int = 1_000,
    where: np.ndarray | None = None,
) -> Chance:
    """What ECE says of a network that is right just as often as it says (Broecker and Smith 2007).

    It is never 0 on finitely many images: bins with few images stray from the diagonal. `where`:
    the bin of each image; None: bins of equal width.
    """
    confidence = np.asarray(confidence, np.float64)
    n, rng = len(confidence), np.random.default_rng(seed)
    member = np.eye(BINS)[width_bins(confidence) if where is None else where]
    found, rows = [], max(1, CHUNK // n)
    for start in range(0, resamples, rows):
        right = rng.random((min(rows, resamples - start), n)) < confidence
        found.append(np.abs((confidence - right) @ member).sum(axis=1) / n)
    drawn = np.concatenate(found)
    p = (1 + int((drawn >= ece - 1e-12).sum())) / (1 + resamples)
    return Chance(float(drawn.mean()), float(np.quantile(drawn, 0.95)), p)


def _logits(probs: np.ndarray) -> np.ndarray:
    """Logs of the probabilities, the largest of each image 0."""
    logs = np.log(np.maximum(np.asarray(probs, np.float64), TINY))
    return logs - logs.max(axis=1, keepdims=True)


def _softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=1, keepdims=True)


def _best_inverse(logits: np.ndarray, target: np.ndarray) -> float:
    """1/T where the log loss is least. It is convex in 1/T: its slope has one zero, or none."""
    true = logits[np.arange(len(target)), target].mean()

    def slope(inverse: float) -> float:
        return float((_softmax(inverse * logits) * logits).sum(axis=1).mean() - true)

    low, high = 1 / HOTTEST, 1 / COLDEST
    if slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    return float(brentq(slope, low, high, xtol=1e-10))


def _per_image(probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """What the scores are means of, (n, 4 + 2 x bins): right, losses, gap, gap in its bin."""
    probs = np.asarray(probs, np.float64)
    right, confidence = probs.argmax(axis=1) == target, probs.max(axis=1)
    gap = confidence - right
    bins = [np.eye(BINS)[where(confidence)] * gap[:, None] for where in _BINNED.values()]
    losses = log_losses(probs, target), brier_each(probs, target)
    return np.column_stack([right, *losses, gap, *bins])


def _scores(means: np.ndarray) -> dict[str, np.ndarray]:
    """Scores from means over images, along the last axis."""
    found = {name: means[..., at] for at, name in enumerate(_SUMS)}
    start = len(_SUMS)
    found["ece"] = np.abs(means[..., start : start + BINS]).sum(axis=-1)
    found["adaptive_ece"] = np.abs(means[..., start + BINS :]).sum(axis=-1)
    found["distance"] = np.abs(found["gap"])
    return found


def _resampled(
    parts: Mapping[str, np.ndarray], n: int, seed: int, resamples: int
) -> dict[str, dict[str, np.ndarray]]:
    """Scores of every way on the same resamples of the images: (resamples,) each."""
    rng = np.random.default_rng(seed)
    times = resamples if n <= MANY_IMAGES else max(1, resamples // 4)
    means: dict[str, list[np.ndarray]] = {name: [] for name in parts}
    rows = max(1, CHUNK // n)
    for start in range(0, times, rows):
        count = min(rows, times - start)
        picked = rng.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
        often = np.bincount(picked.ravel(), minlength=count * n).reshape(count, n) / n
        for name, part in parts.items():
            means[name].append(often @ part)
    return {name: _scores(np.concatenate(found)) for name, found in means.items()}


def _between(value: np.ndarray, drawn: np.ndarray) -> Interval:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Interval(float(value), float(low), float(high))


def _around(value: np.ndarray, drawn: np.ndarray, chance: Chance) -> Interval:
    """The interval of an ECE, which is no mean: chance alone lifts it above 0, a resample again.

    The middle 95 % of resamples would leave a small truth out (46 of 100 times in a simulation).
    So the upper end is half their spread above the value; the lower one is that of the basic
    bootstrap, or lower: what is left when chance at its upper 5 % point is taken out (of squares,
    for the two add up like independent errors). It is 0 where chance explains the value.
    """
    ece, (low, high) = float(value), np.quantile(drawn, [0.025, 0.975])
    left = max(0.0, ece**2 - chance.high**2) ** 0.5
    return Interval(ece, min(max(0.0, 2 * ece - float(high)), left), ece + float(high - low) / 2)
