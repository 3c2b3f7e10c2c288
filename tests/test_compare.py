"""Comparisons: significance by hand and by simulation, refusals, verdicts, recipes side by side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binom

from lab.analysis.compare import Predictions, compare_pair, recipe_differences, verdict
from lab.analysis.significance import (
    Paired,
    error_difference,
    mean_difference,
    rate_interval,
    seed_difference,
)
from lab.analysis.tta import changes, fastai_average, running_averages
from lab.recipe import recipe_from

RNG = np.random.default_rng(3)


def predictions(run: str, wrong: set[int], n: int = 100, **changes_) -> Predictions:
    """A model that is sure of itself and wrong on just these images."""
    target = np.arange(n) % 2
    answer = np.array([1 - t if i in wrong else t for i, t in enumerate(target)])
    probs = np.where(np.arange(2) == answer[:, None], 0.9, 0.1).astype(np.float32)
    made = Predictions(run, run, 0, (64, 64), ("cat", "dog"), "f", np.arange(n), target, probs)
    return replace(made, **changes_)


def rights(a_only: int, b_only: int, n: int = 200) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.ones(n, bool), np.ones(n, bool)
    b[:a_only], a[a_only : a_only + b_only] = False, False
    return a, b


def test_p_of_the_error_rate_is_the_exact_mcnemar_test():
    # 4 against 15: twice the chance of at most 4 heads in 19 throws.
    tail = (1 + 19 + 171 + 969 + 3876) / 2**19
    assert error_difference(*rights(a_only=4, b_only=15)).p == pytest.approx(2 * tail)


def test_p_of_the_error_rate_by_hand():
    # 0 against 6 disagreements: 2 * (1/2)^6.
    assert error_difference(*rights(6, 0)).p == pytest.approx(2 / 64)


def test_the_interval_holds_the_difference_and_has_about_the_normal_width():
    found = error_difference(*rights(10, 30, n=400))
    spread = np.sqrt(40 / 400 - (20 / 400) ** 2) / np.sqrt(400)
    assert found.difference == pytest.approx(20 / 400)
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_two_models_that_never_disagree_have_a_p_of_one():
    found = error_difference(*rights(0, 0))
    assert (found.difference, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_swaps_find_a_clear_difference_of_losses():
    a = RNG.normal(1.0, 0.1, 80)
    assert mean_difference(a, a - 0.2 + RNG.normal(0, 0.05, 80)).p < 0.001


def test_swaps_raise_few_false_alarms_where_there_is_nothing():
    alarms = sum(
        mean_difference(RNG.exponential(size=40), RNG.exponential(size=40)).p < 0.05
        for _ in range(60)
    )
    assert alarms <= binom.ppf(0.999, 60, 0.05)


def test_same_seed_gives_the_same_interval():
    a, b = RNG.random(50), RNG.random(50)
    assert mean_difference(a, b, seed=4) == mean_difference(a, b, seed=4)


def test_seeds_are_compared_by_a_t_interval():
    # Differences 1, 2, 3: mean 2, error 1/sqrt(3), t(0.975, 2) = 4.3027.
    found = seed_difference(np.array([2, 4, 6]), np.array([1, 2, 3]))
    assert found.high - found.difference == pytest.approx(4.30265 / np.sqrt(3), abs=1e-4)


def test_wilson_interval_by_hand():
    # 5 of 50, from Wilson's formula: 0.0435 to 0.2136.
    assert rate_interval(5, 50) == pytest.approx((0.0435, 0.2136), abs=1e-4)


def test_a_pair_is_compared_in_three_scores():
    rows = compare_pair(predictions("a", set(range(20))), predictions("b", set()))
    assert [row.metric for row in rows] == ["error_rate", "log_loss", "balanced_error"]


def test_difference_is_a_minus_b():
    rows = compare_pair(predictions("a", set(range(20))), predictions("b", set()))
    assert rows[0].difference == pytest.approx(0.2)


def test_the_better_model_is_named_first_in_the_verdict():
    rows = compare_pair(predictions("worse", set(range(20))), predictions("better", set()))
    assert rows[0].verdict.startswith("better makes fewer errors than worse")


def test_a_small_difference_is_called_not_measurable():
    row = compare_pair(predictions("a", {1, 2}), predictions("b", {3}))[0]
    assert "these two models do not differ measurably on these 100 images" in row.verdict


def test_a_verdict_keeps_to_the_two_models():
    found = Paired(0.2, 0.1, 0.3, 0.001, 100)
    assert "about these two models" in verdict("a", "b", "error_rate", found)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"classes": ("dog", "cat")}, "different classes"),
        ({"fingerprint": "g"}, "different data"),
        ({"item": np.arange(100) + 1}, "different images"),
        ({"target": np.zeros(100, int)}, "different images"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(other, words):
    rows = compare_pair(predictions("a", set()), predictions("b", set(), **other))
    assert len(rows) == 1
    assert rows[0].difference is None
    assert words in rows[0].verdict


def test_models_scored_on_different_numbers_of_images_are_refused():
    rows = compare_pair(predictions("a", set()), predictions("b", set(), n=90))
    assert "(100 and 90)" in rows[0].verdict


def test_recipe_differences_shows_only_fields_that_differ():
    a = recipe_from({"stages": [{"size": 64}]})
    b = recipe_from({"stages": [{"size": 96}], "name": "other words", "notes": "many"})
    assert recipe_differences({"a": a, "b": b}).index.tolist() == ["stages.0.size"]


def test_recipe_differences_shows_a_stage_that_one_recipe_lacks():
    a = recipe_from({"stages": [{"size": 64}]})
    b = recipe_from({"stages": [{"size": 64}, {"size": [96, 64]}]})
    found = recipe_differences({"a": a, "b": b})
    assert found.loc["stages.1.size"].tolist() == ["", "96×64"]


def test_fastai_average_weighs_the_plain_picture_by_beta():
    plain, views = np.array([[1.0, 0.0]]), np.array([[[0.0, 1.0], [0.5, 0.5]]])
    assert fastai_average(plain, views, beta=0.25)[0] == pytest.approx([0.4375, 0.5625])


def test_the_last_running_average_is_the_average():
    plain, views = RNG.dirichlet([1] * 3, 6), RNG.dirichlet([1] * 3, (6, 4))
    running = running_averages(plain, views)
    assert np.allclose(running[:, -1], fastai_average(plain, views))


def test_corrected_and_corrupted_answers_are_both_counted():
    before = np.array([[0.4, 0.6], [0.9, 0.1], [0.2, 0.8]])
    after = np.array([[0.6, 0.4], [0.9, 0.1], [0.7, 0.3]])
    found = changes(before, after, np.array([0, 0, 1]))
    assert (found["corrected"], found["corrupted"]) == (1, 1)
