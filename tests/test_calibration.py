"""Calibration against scikit-learn, torchmetrics, scipy and simulations; and in words."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn import metrics as sk
from torchmetrics.classification import MulticlassCalibrationError

from lab.analysis.calibrated import (
    PLAIN,
    TEMPERED,
    report,
)
from lab.analysis.calibration import (
    Scored,
    assess,
    chance_error,
    fit_temperature,
    held_out_temperatures,
    temper,
)
from lab.analysis.calibration_words import (
    tamed_words,
    temperature_words,
)
from lab.analysis.metrics import adaptive_calibration_error, adaptive_table, scores

CLASSES = 5


def honest(n: int, seed: int = 0, spread: float = 1.7) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and answers drawn from just their probabilities: perfectly calibrated."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, spread, (n, CLASSES))
    drawn = (softmax(logits, axis=1).cumsum(axis=1) < rng.random((n, 1))).sum(axis=1)
    return logits, np.minimum(drawn, CLASSES - 1)


def one(probs: np.ndarray, target: np.ndarray, resamples: int = 200) -> Scored:
    return assess({"it": probs}, target, resamples=resamples)["it"]


# The scores


def test_scores_agree_with_scikit_learn() -> None:
    logits, target = honest(300)
    probs = softmax(2 * logits, axis=1)
    found = one(probs, target).scores
    assert found["accuracy"].value == sk.accuracy_score(target, probs.argmax(1))
    expected = sk.log_loss(target, probs, labels=range(CLASSES))
    assert found["log_loss"].value == pytest.approx(expected)
    brier = sum(sk.brier_score_loss(c == target, probs[:, c]) for c in range(CLASSES))
    assert found["brier"].value == pytest.approx(brier)


@pytest.mark.parametrize("sharper", [0.5, 1.0, 3.0])
def test_calibration_error_agrees_with_torchmetrics(sharper: float) -> None:
    logits, target = honest(400, seed=3)
    probs = softmax(sharper * logits, axis=1)
    theirs = MulticlassCalibrationError(CLASSES, n_bins=15, norm="l1")
    expected = float(theirs(torch.from_numpy(probs), torch.from_numpy(target)))
    assert one(probs, target).scores["ece"].value == pytest.approx(expected, abs=1e-6)
    assert scores(probs, target)["ece"] == pytest.approx(expected, abs=1e-6)


def test_adaptive_calibration_error_by_hand() -> None:
    # Two bins of two: 0.65 sure and 0.5 right, 0.85 sure and 1.0 right: 0.15 and 0.15.
    confidence, right = np.array([0.9, 0.6, 0.8, 0.7]), np.array([1, 1, 1, 0])
    assert adaptive_calibration_error(confidence, right, bins=2) == pytest.approx(0.15)


def test_adaptive_bins_hold_equally_many_images() -> None:
    confidence = np.random.default_rng(0).random(341)
    assert set(adaptive_table(confidence, confidence > 0.5)["n"]) == {22, 23}


def test_images_of_one_confidence_share_an_adaptive_bin() -> None:
    right = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    assert adaptive_table(np.full(8, 0.7), right, bins=4)["n"].tolist() == [8, 0, 0, 0]
    assert adaptive_calibration_error(np.full(8, 0.7), right, bins=4) == pytest.approx(0.2)


def test_the_gap_is_mean_confidence_minus_accuracy_with_the_usual_interval() -> None:
    logits, target = honest(500, seed=1)
    probs = softmax(2 * logits, axis=1)
    gaps = probs.max(1) - (probs.argmax(1) == target)
    found = one(probs, target, resamples=4000).scores["gap"]
    reach = 1.96 * gaps.std() / np.sqrt(500)
    assert found.value == pytest.approx(gaps.mean())
    assert found.low == pytest.approx(gaps.mean() - reach, abs=0.003)
    assert found.high == pytest.approx(gaps.mean() + reach, abs=0.003)


def test_differences_are_paired() -> None:
    logits, target = honest(400, seed=2)
    base = softmax(2 * logits, axis=1)
    nearly = 0.99 * base + 0.01 / CLASSES
    found = assess({"a": base, "b": nearly}, target)
    alone, paired = found["b"].scores["log_loss"], found["b"].against["log_loss"]
    assert paired.high - paired.low < (alone.high - alone.low) / 5
    assert not found["a"].against


def test_no_images_are_an_error() -> None:
    with pytest.raises(ValueError, match="no images"):
        assess({"a": np.empty((0, 3))}, np.empty(0))


def test_a_calibrated_network_exceeds_its_chance_level_in_one_case_of_twenty() -> None:
    above = 0
    for seed in range(200):
        logits, target = honest(200, seed)
        probs = softmax(logits, axis=1)
        chance = chance_error(probs.max(1), scores(probs, target)["ece"], seed, resamples=300)
        above += chance.p < 0.05
    assert above <= 20  # 5 % of 200 are 10; more than 20 in one case of a thousand


def test_a_calibration_error_that_chance_explains_has_an_interval_from_zero() -> None:
    logits, target = honest(300, seed=3)
    found = one(softmax(logits, axis=1), target)
    assert found.scores["ece"].value < found.chance.high
    assert found.scores["ece"].low == 0


def test_intervals_of_calibration_error_hold_the_truth() -> None:
    far_logits, far_target = honest(200_000, seed=99)
    for sharper in (1.0, 1.3, 2.5):
        truth = scores(softmax(sharper * far_logits, axis=1), far_target)["ece"]
        held = 0
        for seed in range(100):
            logits, target = honest(250, seed)
            found = one(softmax(sharper * logits, axis=1), target, 300).scores["ece"]
            held += found.low <= truth <= found.high
        assert held >= 88  # 95 nominally; fewer than 88 in one case of five hundred


# Temperature


def test_a_temperature_of_one_changes_nothing() -> None:
    probs = softmax(honest(50)[0], axis=1)
    assert temper(probs, 1.0) == pytest.approx(probs, abs=1e-12)


def test_powers_of_probabilities_are_divided_logits() -> None:
    logits, _ = honest(50)
    expected = softmax(logits / 1.7, axis=1)
    assert temper(softmax(logits, axis=1), 1.7) == pytest.approx(expected, abs=1e-12)


def test_each_image_may_have_its_own_temperature() -> None:
    probs = softmax(honest(3)[0], axis=1)
    found = temper(probs, np.array([0.5, 1.0, 4.0]))
    assert found[2] == pytest.approx(temper(probs[2:], 4.0)[0])
    assert found[0] == pytest.approx(temper(probs[:1], 0.5)[0])


@pytest.mark.parametrize("temperature", [0.05, 0.3, 1.9, 20.0])
def test_no_temperature_changes_an_answer(temperature: float) -> None:
    rng = np.random.default_rng(5)
    probs = rng.dirichlet(np.full(37, 0.1), 3000).astype(np.float32)
    probs[:5] = 1 / 37  # all alike
    probs[5:10] = np.eye(37)[3]  # certain
    assert (temper(probs, temperature).argmax(1) == probs.argmax(1)).all()


def test_a_temperature_leaves_the_accuracy_of_a_report_alone() -> None:
    logits, target = honest(120)
    found = report(softmax(3 * logits, axis=1), target)
    plain, tempered = (found.row(key).scored.scores["accuracy"] for key in (PLAIN, TEMPERED))
    assert plain == tempered


@pytest.mark.parametrize("sharper", [0.4, 1.0, 2.3])
def test_temperature_is_what_scipy_finds_on_the_logits(sharper: float) -> None:
    logits, target = honest(341, seed=8)
    logits = sharper * logits + 7.0  # a constant makes no difference

    def loss(temperature: float) -> float:
        return sk.log_loss(target, softmax(logits / temperature, axis=1), labels=range(CLASSES))

    expected = minimize_scalar(loss, bounds=(0.05, 20), method="bounded", options={"xatol": 1e-7})
    found = fit_temperature(softmax(logits, axis=1), target)
    assert found.value == pytest.approx(expected.x, abs=1e-4)


def test_the_interval_of_a_temperature_is_that_of_refitting_resamples() -> None:
    logits, target = honest(600, seed=4)
    probs, rng = softmax(1.8 * logits, axis=1), np.random.default_rng(0)
    picks = [rng.integers(0, 600, 600) for _ in range(300)]
    again = [fit_temperature(probs[pick], target[pick]).value for pick in picks]
    found = fit_temperature(probs, target)
    assert (found.low, found.high) == pytest.approx(np.quantile(again, [0.025, 0.975]), abs=0.06)


def test_a_calibrated_network_needs_a_temperature_of_one() -> None:
    held = 0
    for seed in range(100):
        logits, target = honest(400, seed)
        found = fit_temperature(softmax(logits, axis=1), target)
        assert found.value == pytest.approx(1, abs=0.35)
        held += found.low <= 1 <= found.high
    assert held >= 88


def test_an_over_confident_network_needs_a_temperature_above_one() -> None:
    logits, target = honest(2000, seed=6)
    found = fit_temperature(softmax(2 * logits, axis=1), target)
    assert found.low > 1
    assert found.value == pytest.approx(2, abs=0.2)


def test_where_every_answer_is_right_no_temperature_is_best() -> None:
    target = np.arange(40) % CLASSES
    found = fit_temperature(0.02 + 0.9 * np.eye(CLASSES)[target], target)
    assert found.at_limit
    assert found.value == pytest.approx(0.05)


def test_the_temperature_of_an_image_does_not_know_its_label() -> None:
    logits, target = honest(60, seed=2)
    probs = softmax(2 * logits, axis=1)
    before = held_out_temperatures(probs, target)
    for image in (0, 17, 59):
        other = target.copy()
        other[image] = (other[image] + 1) % CLASSES
        after = held_out_temperatures(probs, other)
        assert after[image] == before[image]
        assert (np.delete(after, image) != np.delete(before, image)).all()


def test_held_out_temperatures_lie_about_the_fitted_one() -> None:
    logits, target = honest(800, seed=5)
    probs = softmax(2 * logits, axis=1)
    found, fitted = held_out_temperatures(probs, target), fit_temperature(probs, target)
    assert found.min() > fitted.low
    assert found.max() < fitted.high


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_handful_of_images_still_gives_a_report(n: int) -> None:
    logits, target = honest(n)
    probs = softmax(logits, axis=1)
    found = report(probs, target, np.stack([probs, probs], axis=1))
    assert found.n == n
    assert all(np.isfinite(row.probs).all() for row in found.rows)
    assert tamed_words(found)
    assert temperature_words(found)
