"""Verdicts: against scipy and statsmodels, corrected for many, in words; what more is needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ttest_rel
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower, TTestIndPower, TTestPower
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from lab.analysis.compare import Predictions, compare_pair, why_not
from lab.analysis.methods import compare_seeds
from lab.analysis.needed import images_by_error, images_needed, more_words, seeds_needed
from lab.analysis.significance import (
    balanced_difference,
    error_difference,
    holm,
    seed_difference,
    welch_difference,
)
from lab.analysis.verdict import Comparison, corrected, verdict

RNG = np.random.default_rng(11)


def said(wrong: np.ndarray, **changes) -> Predictions:
    """A model of two classes that is wrong on these images."""
    n = len(wrong)
    target = np.arange(n) % 2
    answer = np.where(wrong, 1 - target, target)
    probs = np.where(np.arange(2) == answer[:, None], 0.9, 0.1).astype(np.float32)
    made = Predictions("r", "r", 0, (64, 64), ("cat", "dog"), "f", np.arange(n), target, probs)
    return replace(made, **changes)


def first(k: int, n: int = 200) -> np.ndarray:
    return np.arange(n) < k


def seeds(errors: list[int], n: int = 200, **changes) -> dict[int, Predictions]:
    """One run a seed, wrong on as many images, on others each."""
    rolled = [np.roll(first(k, n), 31 * at) for at, k in enumerate(errors)]
    return {at: said(wrong, seed=at, run=f"r{at}", **changes) for at, wrong in enumerate(rolled)}


# Against scipy and statsmodels


@pytest.mark.parametrize(("only_a", "only_b"), [(3, 9), (0, 6), (20, 20), (41, 19), (1, 0)])
def test_mcnemar_agrees_with_statsmodels(only_a, only_b):
    right_a, right_b = np.ones(150, bool), np.ones(150, bool)
    right_a[:only_a], right_b[only_a : only_a + only_b] = False, False
    table = [[150 - only_a - only_b, only_b], [only_a, 0]]
    assert error_difference(right_a, right_b).p == pytest.approx(mcnemar(table).pvalue)


def test_the_t_interval_over_seeds_agrees_with_statsmodels():
    a, b = RNG.normal(0.1, 0.02, 5), RNG.normal(0.09, 0.02, 5)
    found = seed_difference(a, b)
    assert (found.low, found.high) == pytest.approx(DescrStatsW(a - b).tconfint_mean())


def test_p_over_seeds_agrees_with_scipy():
    a, b = RNG.normal(0.1, 0.02, 4), RNG.normal(0.09, 0.02, 4)
    assert seed_difference(a, b).p == pytest.approx(ttest_rel(a, b).pvalue)


def test_unpaired_seeds_agree_with_statsmodels_welch():
    a, b = RNG.normal(0.1, 0.01, 3), RNG.normal(0.08, 0.04, 6)
    means = CompareMeans(DescrStatsW(a), DescrStatsW(b))
    found = welch_difference(a, b)
    assert found.p == pytest.approx(means.ttest_ind(usevar="unequal")[1])
    assert (found.low, found.high) == pytest.approx(means.tconfint_diff(usevar="unequal"))


@pytest.mark.parametrize(
    "ps", [[0.01, 0.04, 0.03], [0.5], [0.02] * 4, [0.9, 0.001, 0.2, 0.02, 0.04]]
)
def test_holm_agrees_with_statsmodels(ps):
    assert holm(ps) == pytest.approx(multipletests(ps, method="holm")[1])


def test_holm_by_hand():
    # 3 * 0.01, 2 * 0.03, and the largest never below the one before it.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


@pytest.mark.parametrize(("gap", "sd"), [(0.012, 0.01), (0.01, 0.02), (0.03, 0.01), (0.002, 0.02)])
def test_seeds_needed_agree_with_statsmodels(gap, sd):
    exact = TTestPower().solve_power(effect_size=gap / sd, power=0.8, alpha=0.05)
    assert seeds_needed(gap, sd) == int(np.ceil(exact))


@pytest.mark.parametrize(("gap", "sd"), [(0.012, 0.01), (0.01, 0.02)])
def test_unpaired_seeds_needed_agree_with_statsmodels(gap, sd):
    exact = TTestIndPower().solve_power(effect_size=gap / sd, power=0.8, alpha=0.05)
    assert seeds_needed(gap, sd, paired=False) == int(np.ceil(exact))


def test_images_needed_are_those_of_a_normal_test_where_the_difference_is_small():
    # 65 and 35 of 1,000: a mean of 0.03 with a deviation of sqrt(0.1) an image.
    exact = NormalIndPower(ddof=0).solve_power(0.03 / np.sqrt(0.1), power=0.8, alpha=0.05, ratio=0)
    assert images_by_error(0.03, np.sqrt(0.1 / 1000), 1000) == np.ceil(exact)
    assert images_needed(65, 35, 1000) == pytest.approx(exact, rel=0.01)


def test_as_many_images_as_are_needed_show_the_difference_four_times_of_five():
    total = images_needed(30, 15, 300)
    rng, shown = np.random.default_rng(2), 0
    for _ in range(400):
        drawn = rng.choice(3, total, p=[0.1, 0.05, 0.85])
        shown += error_difference(drawn != 0, drawn != 1).p < 0.05
    assert 0.74 < shown / 400 < 0.86


# Balanced error


def test_balanced_error_gives_every_class_the_same_weight():
    target = np.repeat([0, 1], [90, 10])
    a, b = np.ones(100, bool), np.ones(100, bool)
    a[:9] = False  # a tenth of the first class
    b[90:95] = False  # half of the second
    assert balanced_difference(a, b, target).difference == pytest.approx((0.1 - 0.5) / 2)


def test_the_balanced_interval_has_the_width_of_its_strata():
    # One class of 200 with 40 gaps, one of 50 without any: half of the first one's error.
    target = np.repeat([0, 1], [200, 50])
    a = np.ones(250, bool)
    a[:40] = False
    found = balanced_difference(a, np.ones(250, bool), target)
    spread = 0.5 * np.sqrt(0.2 * 0.8 / 200)
    assert found.high - found.low == pytest.approx(2 * 1.96 * spread, rel=0.06)


def test_swapping_within_classes_gives_the_binomial_p_where_there_is_one_class():
    right_a, right_b = ~first(4, 100), ~np.roll(first(12, 100), 50)
    found = balanced_difference(right_a, right_b, np.zeros(100, int))
    assert found.p == pytest.approx(error_difference(right_a, right_b).p, abs=0.015)


# Seeds without spread


def test_the_same_difference_at_every_seed_is_no_proof():
    found = seed_difference([0.10, 0.12, 0.11], [0.08, 0.10, 0.09])
    assert found.p == pytest.approx(0.25)  # three heads, or three tails, in three throws
    assert found.low == found.high


def test_methods_that_never_spread_are_told_apart_by_permutation():
    # Of the 20 ways to part six runs into three and three, two are as extreme.
    assert welch_difference([0.2] * 3, [0.1] * 3).p == pytest.approx(0.1)


# Words


def test_one_run_each_speaks_of_two_models():
    row = compare_pair(said(first(40)), said(first(5)))[0]
    assert row.kind == "models"
    assert "this is about these two models" in row.verdict


def test_several_seeds_speak_of_the_method_on_this_data():
    row = compare_seeds("slow", "quick", seeds([30, 32, 31]), seeds([10, 11, 13]))[0]
    assert (row.kind, row.seeds) == ("method", 3)
    assert row.verdict.startswith("quick makes fewer errors than slow as a method, on this data")
    assert "another split, may tell otherwise" in row.verdict


def test_the_method_row_pairs_runs_by_seed():
    row = compare_seeds("a", "b", seeds([30, 20, 10]), seeds([28, 17, 9]))[0]
    # Differences 2, 3 and 1 of 200 images: mean 2, deviation 1.
    assert row.difference == pytest.approx(2 / 200)
    assert row.sd == pytest.approx(1 / 200)
    reach = 4.30265 / np.sqrt(3) / 200
    assert (row.low, row.high) == pytest.approx((0.01 - reach, 0.01 + reach), abs=1e-6)


def test_seeds_that_do_not_meet_are_compared_unpaired():
    other = {7: said(first(9)), 8: said(first(12)), 9: said(first(14))}
    row = compare_seeds("a", "b", seeds([30, 35]), other)[0]
    assert not row.paired
    assert "not paired" in row.verdict


def test_one_seed_against_three_falls_back_on_the_pair_of_models():
    rows = compare_seeds("a", "b", seeds([30]), seeds([10, 11, 13]))
    assert {row.kind for row in rows} == {"models"}
    assert rows[0].difference == pytest.approx(20 / 200)


def test_no_evidence_tells_how_many_seeds_and_images_would_be_needed():
    row = compare_seeds("a", "b", seeds([30, 20, 10]), seeds([29, 15, 13]))[0]
    # Differences 1, 5, -3 of 200: mean 1, deviation 4.
    total = int(np.ceil(TTestPower().solve_power(effect_size=1 / 4, power=0.8, alpha=0.05)))
    assert row.needed_seeds == total
    assert "Not enough evidence: about" in row.verdict
    assert f"more seeds of each (or, for one pair of models, {_images(row)})" in row.verdict
    assert f"about {round(total - 3, -1)} more seeds" in row.verdict


def test_where_seeds_lie_apart_more_images_are_said_not_to_help():
    row = compare_seeds("a", "b", seeds([60, 20, 50]), seeds([10, 15, 8]))[0]
    assert not row.clear
    assert "it is the seeds that lie apart" in row.verdict


def _images(row: Comparison) -> str:
    return more_words(row.needed_images, row.n, "image")


def test_no_difference_at_all_asks_for_nothing_more():
    row = compare_pair(said(first(9)), said(first(9)))[0]
    assert "there is no difference to show" in row.verdict
    assert "more images" not in row.verdict


def test_what_is_out_of_reach_is_said_so():
    assert more_words(None, 300, "image") == "more than 10,000 more images"
    wrong_a, wrong_b = first(400, 2000), np.roll(first(400, 2000), 200)
    wrong_b[-1] = True  # 401 against 400
    assert "more than 10,000 more images" in compare_pair(said(wrong_a), said(wrong_b))[0].verdict


def test_one_more_seed_is_in_the_singular():
    assert more_words(4, 3, "seed") == "about 1 more seed"


def test_seeds_without_spread_ask_for_more_seeds():
    row = compare_seeds("a", "b", seeds([30, 20, 10]), seeds([28, 18, 8]))[0]
    assert row.low is None
    assert "its spread is not known" in row.verdict


def test_two_seeds_of_one_recipe_get_no_verdict():
    a, b = said(first(40), method="m", seed=0), said(first(5), method="m", seed=1)
    row = compare_pair(a, b)[0]
    assert row.p < 0.001
    assert not row.clear
    assert "neither recipe is better" in row.verdict


# Many comparisons


def test_many_comparisons_take_back_a_weak_verdict():
    weak = compare_pair(said(first(10)), said(first(2)))[0]
    assert weak.clear  # 8 against 0: p = 2 / 256
    rows = corrected([weak] + [compare_pair(said(first(5)), said(first(5)))[0]] * 9)
    assert not rows[0].clear
    assert rows[0].p_corrected == pytest.approx(10 * 2 / 256)
    assert "or 0.078 corrected for 10 comparisons" in rows[0].verdict


def test_each_score_is_corrected_among_its_like():
    rows = compare_pair(said(first(10)), said(first(2)))
    found = corrected([*rows, *compare_pair(said(first(10)), said(first(1)))])
    assert {row.comparisons for row in found} == {2}


def test_refusals_are_not_counted_as_comparisons():
    refused = compare_pair(said(first(3)), said(first(3), fingerprint="g"))
    rows = corrected([*compare_pair(said(first(10)), said(first(2))), *refused])
    assert rows[0].comparisons == 1
    assert rows[-1].difference is None


def test_seeds_of_one_recipe_do_not_count_among_the_comparisons():
    alike = [said(first(k), method="m", seed=k, run=f"r{k}") for k in (3, 4)]
    other = said(first(30), method="o")
    pairs = [(alike[0], alike[1]), (alike[0], other), (alike[1], other)]
    rows = corrected(compare_pair(a, b)[0] for a, b in pairs)
    assert [row.comparisons for row in rows] == [1, 2, 2]


def test_needed_images_grow_with_the_number_of_comparisons():
    row = compare_pair(said(first(10)), said(first(5)))[0]
    assert corrected([row] * 6)[0].needed_images > row.needed_images


def test_equal_names_are_told_apart_in_words():
    row = compare_pair(said(first(40)), said(first(5)))[0]
    assert row.verdict.startswith("r (second) makes fewer errors than r (first)")


def test_the_plain_sentence_takes_any_paired_result():
    found = error_difference(~first(40), ~first(5))
    assert verdict("a", "b", "error_rate", found).startswith("b makes fewer errors than a")


# Refusals


def test_all_that_differs_is_told_at_once_with_what_no_longer_holds():
    words = why_not(said(first(5)), said(first(5), classes=("a", "b"), size=(96, 64)))
    assert "different classes" in words
    assert "different sizes (64 and 96×64 px)" in words
    assert "paired tests" in words
    assert "curves may still be looked at" in words


def test_overlapping_splits_are_refused_with_the_number_of_shared_images():
    words = why_not(said(first(5)), said(first(5), item=np.arange(200) + 150))
    assert "of which only 50 are the same" in words
    assert "divided in another way" in words


def test_the_same_images_under_another_split_rule_are_compared_with_a_caution():
    a, b = said(first(5), split="one"), said(first(9), split="other")
    assert why_not(a, b) == ""
    assert "divided by different rules" in compare_pair(a, b)[0].verdict


def test_methods_are_refused_where_one_run_was_scored_elsewhere():
    others = seeds([10, 11, 12]) | {2: said(first(9), item=np.arange(200) + 1)}
    (row,) = compare_seeds("a", "b", seeds([30, 31, 32]), others)
    assert row.difference is None
    assert "Not comparable" in row.verdict
