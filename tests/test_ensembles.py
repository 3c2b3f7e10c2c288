"""Ensembles: the arithmetic of combining, what counts as locked for all, and the verdicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.ensemble import HistGradientBoostingClassifier

from lab.analysis import combine
from lab.analysis.combine import average, error_of, fit_stacked, fit_weighted, folds_of, nested
from lab.analysis.ensembles import AVERAGE, MEMBER, STACKED, WEIGHTED, Ensemble, Row, assess
from lab.analysis.members import Member, Said, demand_together
from lab.analysis.significance import error_difference
from lab.errors import LabError

CLASSES = ("a", "b", "c")


def answers(target: np.ndarray, right: float, seed: int, sure: float = 4.0) -> np.ndarray:
    """Softmax of noise that favours the true class of a share `right` of the images."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(len(target), 3))
    known = rng.random(len(target)) < right
    logits[known, target[known]] += sure
    odds = np.exp(logits)
    return odds / odds.sum(axis=1, keepdims=True)


def member(name: str, right: float, seed: int, *, n: int = 300, shift: int = 0) -> Member:
    """Validated on items shift .. shift + n - 1; the locked items are 1000 .. 1199."""
    valid, test = np.arange(shift, shift + n), np.arange(1000, 1200)
    said = [
        Said(item, item % 3, answers(item % 3, right, seed + at))
        for at, item in enumerate((valid, test))
    ]
    return Member(f"run-{name}", name, 0, (64, 64), CLASSES, "disease", "f00d", *said)


def row(found: Ensemble, kind: str) -> Row:
    return next(row for row in found.rows if row.kind == kind)


def test_the_average_is_of_probabilities_and_not_of_logits():
    probs = np.array([[[0.9, 0.1]], [[0.2, 0.8]]])
    assert average(probs).tolist() == [[pytest.approx(0.55), pytest.approx(0.45)]]


def test_fitted_weights_are_those_that_a_general_optimiser_finds():
    target = np.random.default_rng(0).integers(0, 3, 400)
    probs = np.stack([answers(target, right, at) for at, right in enumerate((0.8, 0.6, 0.7))])
    true = probs[:, np.arange(400), target]
    reference = minimize(
        lambda w: -np.log(w @ true).mean(), np.full(3, 1 / 3), method="SLSQP",
        bounds=[(0, 1)] * 3, constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        options={"ftol": 1e-12},
    )  # fmt: skip
    assert fit_weighted(probs, target).weights == pytest.approx(reference.x, abs=2e-3)


def test_weights_lie_on_the_simplex_and_a_useless_member_gets_none():
    target = np.random.default_rng(1).integers(0, 3, 400)
    wrong = np.full((400, 3), 0.499)
    wrong[np.arange(400), target] = 0.002
    weights = fit_weighted(np.stack([answers(target, 0.9, 5), wrong]), target).weights
    assert weights.sum() == pytest.approx(1)
    assert weights.min() >= 0
    assert weights[1] < 0.01


def test_two_equal_members_keep_equal_weights():
    target = np.arange(60) % 3
    one = answers(target, 0.7, 2)
    assert fit_weighted(np.stack([one, one]), target).weights.tolist() == [0.5, 0.5]


def test_the_stacker_is_scikit_learns_boosting_on_all_outputs_side_by_side():
    target = np.arange(200) % 3
    probs = np.stack([answers(target, 0.7, 0), answers(target, 0.7, 1)])
    found = fit_stacked(probs, target, seed=3)
    beside = np.concatenate([probs[0], probs[1]], axis=1)
    reference = HistGradientBoostingClassifier(
        max_iter=found.rounds, learning_rate=0.1, max_leaf_nodes=8, min_samples_leaf=10,
        early_stopping=False, random_state=3,
    ).fit(beside, target)  # fmt: skip
    assert found.rounds in (5, 20, 60)
    assert np.abs(found(probs) - reference.predict_proba(beside)).max() < 4e-4


def test_a_stacker_answers_for_classes_that_it_has_not_met():
    target = np.arange(90) % 2  # of three classes
    probs = np.stack([answers(target, 0.8, 0), answers(target, 0.8, 1)])
    said = fit_stacked(probs, target)(probs)
    assert said.shape == (90, 3)
    assert said.sum(axis=1) == pytest.approx(np.ones(90))
    assert (said[:, 2] > 0).all()


def test_stacking_on_pure_noise_fits_its_own_data_and_the_nested_estimate_shows_it(monkeypatch):
    """Outputs that know nothing of the classes: every error rate below 2/3 is an illusion."""
    monkeypatch.setattr(combine, "ROUNDS", (60,))
    rng = np.random.default_rng(0)
    target = rng.integers(0, 3, 300)
    probs = rng.dirichlet(np.ones(3), (4, 300))
    own = error_of(fit_stacked(probs, target)(probs), target)
    apart = error_of(nested(probs, target, fit_stacked), target)
    assert own < 0.1
    assert apart > 0.55


def test_every_class_is_spread_evenly_over_the_folds():
    target = np.array([0] * 50 + [1] * 10)
    fold = folds_of(target, 5)
    counts = np.array([[np.sum((fold == k) & (target == c)) for k in range(5)] for c in (0, 1)])
    assert counts.tolist() == [[10] * 5, [2] * 5]


def test_no_image_is_combined_by_a_fit_that_has_seen_it():
    """Each image is named by its own probability: a fit that had seen it would know the name."""
    probs = np.linspace(0.1, 0.9, 20)[None, :, None].repeat(2, axis=2)
    target = np.arange(20) % 2

    def fit(seen, _):
        names = set(seen[0, :, 0])
        return lambda asked: np.array([[float(x in names), 0.0] for x in asked[0, :, 0]])

    assert nested(probs, target, fit)[:, 0].sum() == 0


def test_three_members_that_err_independently_are_better_together():
    found = assess([member(str(at), 0.7, 10 * at) for at in range(3)], stack=False)
    together = row(found, AVERAGE)
    assert together.p < 0.05
    assert together.difference > 0
    assert "fewer errors" in together.verdict
    assert [one.kind for one in found.rows] == [MEMBER] * 3 + [AVERAGE, WEIGHTED]


def test_the_best_member_is_chosen_in_validation_whatever_the_locked_part_says():
    good, lucky = member("good", 0.9, 0), member("lucky", 0.6, 50)
    perfect = np.eye(3)[lucky.test.target]
    found = assess([good, replace(lucky, test=replace(lucky.test, probs=perfect))], stack=False)
    assert found.best == "run-good"
    assert found.rows[1].error == 0


def test_weights_are_fitted_without_the_locked_part():
    one, other = member("one", 0.9, 0), member("other", 0.6, 50)
    before = assess([one, other], stack=False)
    shuffled = replace(other.test, probs=other.test.probs[::-1])
    after = assess([one, replace(other, test=shuffled)], stack=False)
    assert [r.weight for r in before.rows] == [r.weight for r in after.rows]
    assert row(before, AVERAGE).error != row(after, AVERAGE).error


def test_the_difference_is_the_paired_test_against_the_best_member():
    one, other = member("one", 0.9, 0), member("other", 0.6, 50)
    found = row(assess([one, other], stack=False), AVERAGE)
    target = one.test.target
    mean = (one.test.probs + other.test.probs) / 2
    by_hand = error_difference(one.test.probs.argmax(1) == target, mean.argmax(1) == target)
    assert found.difference == pytest.approx(by_hand.difference)
    assert found.p >= by_hand.p  # corrected for two combinations


def test_only_images_that_all_keep_locked_count_and_how_many_is_said():
    one, other = member("one", 0.9, 0), member("other", 0.8, 50)
    half = slice(100, 200)
    fewer = Said(*(getattr(other.test, key)[half] for key in ("item", "target", "probs")))
    found = assess([one, replace(other, test=fewer)], stack=False)
    assert found.n_locked == 100
    assert any("Only 100 images count" in note for note in found.notes)
    assert found.rows[0].error == error_of(one.test.probs[half], one.test.target[half])


def test_locked_parts_without_a_common_image_are_refused_with_the_remedy():
    one, other = member("one", 0.9, 0), member("other", 0.8, 50)
    elsewhere = replace(other.test, item=other.test.item + 500)
    with pytest.raises(LabError, match="no locked image in common") as caught:
        assess([one, replace(other, test=elsewhere)])
    assert "test_seed" in caught.value.fix


def test_images_that_a_member_has_met_by_another_way_are_left_out():
    one, other = member("one", 0.9, 0), member("other", 0.8, 50)
    met = np.array([1000, 1001, 5], np.int32)
    found = assess([one, replace(other, touched=met)], stack=False)
    assert (found.n_locked, found.n_fit) == (198, 299)
    assert any("2 locked images are left out" in note for note in found.notes)


def test_members_of_different_divisions_are_weighted_on_what_all_validated_on():
    one, other = member("one", 0.9, 0), member("other", 0.8, 50, shift=200)
    found = assess([one, other], stack=False)
    assert found.n_fit == 100
    assert any("on the 100 images" in note for note in found.notes)


def test_too_few_common_validation_images_leave_the_plain_average():
    one, other = member("one", 0.9, 0), member("other", 0.8, 50, shift=290)
    found = assess([one, other])
    assert [r.kind for r in found.rows] == [MEMBER, MEMBER, AVERAGE]
    assert any("only 10 images in common" in note for note in found.notes)


def test_other_classes_and_other_data_are_refused_in_one_message():
    one = member("one", 0.9, 0)
    classes = replace(member("two", 0.9, 1), classes=("a", "b", "d"))
    data = replace(member("three", 0.9, 2), fingerprint="beef")
    with pytest.raises(LabError) as caught:
        demand_together([one, classes, data])
    assert "one and two tell different classes apart" in caught.value.what
    assert "one and three were trained on different data" in caught.value.what


def test_one_run_twice_is_no_ensemble():
    with pytest.raises(LabError, match="two different runs"):
        assess([member("one", 0.9, 0)] * 2)


def test_a_member_whose_locked_part_was_not_scored_is_named():
    with pytest.raises(LabError, match="not scored by two"):
        assess([member("one", 0.9, 0), replace(member("two", 0.9, 1), test=None)])


def test_labels_that_differ_for_the_same_image_are_refused():
    one, other = member("one", 0.9, 0), member("two", 0.8, 50)
    other = replace(other, test=replace(other.test, target=(other.test.target + 1) % 3))
    with pytest.raises(LabError, match="different labels"):
        assess([one, other])


def test_stacking_carries_its_warning_with_both_numbers():
    found = assess([member(str(at), 0.7, 10 * at) for at in range(2)])
    stacked = row(found, STACKED)
    words = found.notes[-1]
    assert "over-fits easily" in words
    assert f"on {100 * stacked.fitted_error:.1f}\u202f% of the images" in words
    assert f"on {100 * stacked.valid_error:.1f}\u202f% of images held out" in words


def test_a_member_with_unknown_ancestors_is_named():
    one, other = member("one", 0.9, 0), replace(member("two", 0.8, 50), unsure=True)
    assert any("cannot be looked up" in note for note in assess([one, other], stack=False).notes)


def test_equal_names_are_told_apart():
    found = assess([member("x", 0.9, 0), replace(member("x", 0.8, 50), run="run-y")], stack=False)
    assert [r.name for r in found.rows[:2]] == ["x (un-x)", "x (un-y)"]
