"""Weighted sampling beside fastai's WeightedDL: classes in the proportions that are wanted."""

import numpy as np
import pytest
from scipy.stats import chisquare

pytest.importorskip("fastai", reason="fastai is not installed: `make test-parity` compares with it")

from fastai.callback.data import WeightedDL

from lab.vision import draws

LABELS = np.repeat([0, 1, 2], [600, 150, 50])
EPOCHS = 30


def by_fastai():
    """Labels of one epoch of fastai's loader, each picture weighted by one over its class."""
    weights = (1 / np.bincount(LABELS))[LABELS]
    loader = WeightedDL(list(range(len(LABELS))), bs=8, wgts=weights, shuffle=True)
    return LABELS[loader.get_idxs()]


def by_the_lab(epoch):
    return LABELS[draws.weighted_order(0, 0, epoch, LABELS)]


def p_of_equal_shares(epochs):
    """Probability of counts as uneven as these where every class is drawn as often."""
    return chisquare(np.bincount(np.concatenate(epochs), minlength=3)).pvalue


def test_every_class_is_drawn_as_often_as_every_other_on_both_sides():
    np.random.seed(0)
    assert p_of_equal_shares([by_fastai() for _ in range(EPOCHS)]) > 0.01
    assert p_of_equal_shares([by_the_lab(epoch) for epoch in range(EPOCHS)]) > 0.01


def test_an_epoch_stays_as_long_as_fastais():
    assert len(by_the_lab(0)) == len(by_fastai()) == len(LABELS)


def test_pictures_of_a_class_are_drawn_alike():
    counts = np.zeros(len(LABELS))
    for epoch in range(400):
        counts += np.bincount(draws.weighted_order(0, 0, epoch, LABELS), minlength=len(LABELS))
    for label in range(3):
        assert chisquare(counts[label == LABELS]).pvalue > 0.001
