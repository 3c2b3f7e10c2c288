"""Scores against scikit-learn, against published definitions, and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics as sk

from lab.analysis.metrics import calibration_table, confusion, log_losses, scores

RNG = np.random.default_rng(7)
PROBS = RNG.dirichlet([0.4] * 5, 300)
TARGET = RNG.choice(5, 300, p=[0.4, 0.3, 0.15, 0.1, 0.05])


def test_scores_have_just_the_keys_that_the_contract_names():
    keys = {"n", "accuracy", "error_rate", "balanced_error", "log_loss", "brier", "ece"}
    assert set(scores(PROBS, TARGET)) == keys


def test_accuracy_agrees_with_scikit_learn():
    assert scores(PROBS, TARGET)["accuracy"] == sk.accuracy_score(TARGET, PROBS.argmax(1))


def test_balanced_error_agrees_with_scikit_learn():
    expected = 1 - sk.balanced_accuracy_score(TARGET, PROBS.argmax(1))
    assert scores(PROBS, TARGET)["balanced_error"] == pytest.approx(expected)


def test_log_loss_agrees_with_scikit_learn():
    expected = sk.log_loss(TARGET, PROBS, labels=range(5))
    assert scores(PROBS, TARGET)["log_loss"] == pytest.approx(expected)


def test_brier_score_agrees_with_scikit_learn_class_by_class():
    expected = sum(sk.brier_score_loss(c == TARGET, PROBS[:, c]) for c in range(5))
    assert scores(PROBS, TARGET)["brier"] == pytest.approx(expected)


def test_confusion_agrees_with_scikit_learn():
    expected = sk.confusion_matrix(TARGET, PROBS.argmax(1), labels=range(5))
    assert np.array_equal(confusion(PROBS, TARGET), expected)


def test_calibration_error_by_hand():
    # Two images at 0.9 of which one is right, two at 0.6 that are right: (0.4 * 2 + 0.4 * 2) / 4.
    probs = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.6, 0.4]])
    assert scores(probs, np.array([0, 1, 0, 0]))["ece"] == pytest.approx(0.4)


def test_a_perfectly_sure_and_right_model_is_perfectly_calibrated():
    found = scores(np.eye(3), np.arange(3))
    assert (found["ece"], found["brier"], found["error_rate"]) == (0, 0, 0)


def test_confidence_of_one_falls_into_the_last_of_fifteen_bins():
    table = calibration_table(np.array([1.0]), np.array([True]))
    assert table["n"].tolist() == [0] * 14 + [1]


def test_balanced_error_leaves_out_classes_that_are_not_there():
    probs = np.array([[0.8, 0.1, 0.1], [0.8, 0.1, 0.1]])
    assert scores(probs, np.array([0, 1]))["balanced_error"] == 0.5


def test_a_probability_of_zero_costs_no_more_than_its_clip():
    assert log_losses(np.array([[1.0, 0.0]]), np.array([1])) == pytest.approx(-np.log(1e-12))


def test_float32_probabilities_are_summed_in_float64():
    probs = np.full((100_000, 2), 0.5, np.float32)
    assert scores(probs, np.zeros(100_000, int))["log_loss"] == pytest.approx(np.log(2), abs=1e-12)


def test_no_images_is_an_error_and_not_a_number():
    with pytest.raises(ValueError, match="0 predictions"):
        scores(np.empty((0, 3)), np.empty(0, int))
