"""False verdicts, counted: at most 5 % on 1,000 simulated nulls, within what chance allows.

A count of false verdicts passes where it is no larger than the 97.5 % point of the binomial law for
1,000 throws at 5 %: 64.
"""

from __future__ import annotations

import functools

import numpy as np
import pytest
from scipy.stats import binom

from lab.analysis.compare import Predictions
from lab.analysis.methods import METRICS, compare_seeds
from lab.analysis.needed import seeds_power
from lab.analysis.significance import balanced_difference, error_difference, mean_difference
from lab.analysis.verdict import Comparison, corrected

NULLS = 1000
MOST = binom.ppf(0.975, NULLS, 0.05)
CLASSES = 6
pytestmark = pytest.mark.slow


def answers(rng: np.random.Generator, models: int, n: int, spread: float = 0.0) -> np.ndarray:
    """Which images each model gets right, (models, n): equal true error rates of about 10 %.

    Images differ in difficulty (most are easy), so models err on the same ones: of two models'
    errors about half are shared, as with two seeds of one network. `spread`: how much a model's own
    error rate moves about the common one.
    """
    hard = rng.beta(0.15, 1.35, n)
    shift = 1 + spread * rng.standard_normal((models, 1))
    return rng.random((models, n)) >= np.clip(hard * shift, 0, 1)


def test_pairs_of_equal_models_get_few_false_verdicts_on_the_error_rate():
    rng = np.random.default_rng(1)
    false = sum(error_difference(*answers(rng, 2, 300)).p < 0.05 for _ in range(NULLS))
    assert 0 < false <= MOST


def test_pairs_of_equal_models_get_few_false_verdicts_on_the_balanced_error():
    rng, false = np.random.default_rng(2), 0
    for at in range(NULLS):
        target = rng.choice(CLASSES, 300, p=[0.4, 0.3, 0.15, 0.08, 0.05, 0.02])
        pair = answers(rng, 2, 300)
        false += balanced_difference(*pair, target, seed=at, resamples=999).p < 0.05
    assert 0 < false <= MOST


def test_pairs_of_equal_models_get_few_false_verdicts_on_the_log_loss():
    rng, false = np.random.default_rng(3), 0
    for at in range(NULLS):
        shared = rng.exponential(0.3, 200)  # a hard image is hard for both
        losses = shared * rng.lognormal(0, 0.8, (2, 200))
        false += mean_difference(*losses, seed=at, resamples=399).p < 0.05
    assert 0 < false <= MOST


@pytest.mark.parametrize("paired", [True, False])
def test_equal_methods_of_three_seeds_get_few_false_verdicts_on_any_score(paired):
    rng, false = np.random.default_rng(4), dict.fromkeys(METRICS, 0)
    for _ in range(NULLS):
        target = rng.integers(0, CLASSES, 120)
        runs = [predicted(rng, right, target) for right in answers(rng, 6, 120, spread=0.25)]
        a, b = dict(enumerate(runs[:3])), dict(enumerate(runs[3:], start=0 if paired else 10))
        for row in compare_seeds("a", "b", a, b):
            assert (row.kind, row.paired) == ("method", paired)
            false[row.metric] += row.clear
    assert 0 < max(false.values()) <= MOST


def predicted(rng: np.random.Generator, right: np.ndarray, target: np.ndarray) -> Predictions:
    """A run that answers so, sure of itself in a way of its own."""
    n = len(target)
    answer = np.where(right, target, (target + 1) % CLASSES)
    sure = rng.uniform(0.4, 0.95) + rng.uniform(-0.1, 0.04, n)
    probs = np.repeat(((1 - sure) / (CLASSES - 1))[:, None], CLASSES, axis=1)
    probs[np.arange(n), answer] = sure
    names = tuple("abcdef")
    return Predictions("r", "r", 0, (64, 64), names, "f", np.arange(n), target, probs)


def test_of_ten_comparisons_at_once_few_families_hold_a_false_verdict():
    # Five equal models on the same images: ten pairs. Uncorrected, a quarter of the families would.
    rng, corrected_false, plain_false = np.random.default_rng(5), 0, 0
    for _ in range(NULLS):
        models = answers(rng, 5, 300)
        rows = [row_of(models[a], models[b]) for a in range(5) for b in range(a)]
        corrected_false += any(row.clear for row in corrected(rows))
        plain_false += any(row.clear for row in rows)
    assert corrected_false <= MOST < plain_false


def row_of(a: np.ndarray, b: np.ndarray) -> Comparison:
    p = mcnemar_p(int((~a & b).sum()), int((a & ~b).sum()))
    return Comparison("a", "b", "error_rate", float((~a).mean() - (~b).mean()), 0, 0, p, 300, "")


@functools.cache
def mcnemar_p(only_a: int, only_b: int) -> float:
    return error_difference(np.arange(300) >= only_a, np.arange(300) < 300 - only_b).p


def test_a_bootstrap_over_three_seeds_would_have_failed_this():
    # Why there is a t interval over seeds: the same nulls, judged by resampling three differences.
    rng, false = np.random.default_rng(6), 0
    for _ in range(NULLS):
        gaps = rng.normal(0, 1, 3)
        low, high = np.quantile(rng.choice(gaps, (400, 3)).mean(axis=1), [0.025, 0.975])
        false += low > 0 or high < 0
    assert false > 3 * MOST


def test_the_power_over_seeds_is_the_share_of_true_differences_that_are_shown():
    rng, n, effect = np.random.default_rng(7), 5, 1.5
    gaps = rng.normal(effect, 1, (4000, n))
    error = gaps.std(axis=1, ddof=1) / np.sqrt(n)
    shown = (np.abs(gaps.mean(axis=1)) / error > 2.776445).mean()  # t(0.975, 4)
    assert seeds_power(effect, n) == pytest.approx(shown, abs=0.025)
