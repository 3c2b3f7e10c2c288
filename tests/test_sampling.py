"""The order of an epoch; weighted sampling: rare classes as often as common ones."""

import numpy as np
import pytest
import torch

from lab.recipe import Recipe
from lab.recipe.stage import Stage
from lab.schedules.plan import EpochRow, make_plan
from lab.vision.draws import drawn_counts, order, weighted_order
from lab.vision.loader import Normalisation, TrainPictures

UNEVEN = np.repeat([0, 1, 2], [900, 90, 10])  # 1000 items of three classes


def row_of(stage: Stage, n: int, epoch: int = 0) -> EpochRow:
    return make_plan(Recipe(stages=(stage,)), n, 1).epochs[epoch]


def test_an_epochs_order_is_a_permutation():
    assert sorted(order(0, 1, 2, 100)) == list(range(100))


def test_another_epoch_has_another_order():
    assert (order(0, 0, 0, 100) != order(0, 0, 1, 100)).any()


def test_an_epoch_draws_as_many_as_there_are_items():
    assert weighted_order(0, 0, 0, UNEVEN).shape == (1000,)


def test_every_class_is_drawn_as_often():
    draws = np.concatenate([weighted_order(0, 0, epoch, UNEVEN) for epoch in range(20)])
    shares = np.bincount(UNEVEN[draws]) / len(draws)
    assert shares == pytest.approx([1 / 3] * 3, abs=0.02)  # six standard deviations


def test_items_of_one_class_are_drawn_as_often():
    draws = np.concatenate([weighted_order(0, 0, epoch, UNEVEN) for epoch in range(60)])
    rare = np.bincount(draws, minlength=1000)[-10:]  # 60,000 / 3 / 10 = 2,000 times each
    assert np.abs(rare - 2000).max() < 225  # five standard deviations


def test_items_may_lie_in_any_order():
    shuffled = np.random.default_rng(0).permutation(UNEVEN)
    counts = np.bincount(shuffled[weighted_order(0, 0, 0, shuffled)])
    assert np.abs(counts - 333).max() < 75


def test_a_class_that_nobody_has_is_not_drawn():
    labels = np.repeat([0, 5], [30, 10])
    assert set(labels[weighted_order(0, 0, 0, labels)]) == {0, 5}


def test_of_two_targets_the_first_is_weighted():
    second = np.random.default_rng(0).integers(-1, 3, len(UNEVEN))
    both = np.stack([UNEVEN, second], axis=1)
    assert (weighted_order(1, 0, 2, both) == weighted_order(1, 0, 2, UNEVEN)).all()


@pytest.mark.parametrize("where", [(1, 0, 0), (0, 1, 0), (0, 0, 1)])
def test_another_seed_stage_or_epoch_draws_others(where):
    assert (weighted_order(0, 0, 0, UNEVEN) != weighted_order(*where, UNEVEN)).any()


def test_without_weights_an_epoch_draws_what_is_there():
    stage = Stage(size=32, batch_size=100)
    assert drawn_counts(stage, row_of(stage, 1000), 0, UNEVEN) == [900, 90, 10]


def test_a_dropped_last_image_is_not_counted():
    stage = Stage(size=32, batch_size=111)  # 1000 = 9 * 111 + 1: a norm cannot learn from one
    assert sum(drawn_counts(stage, row_of(stage, 1000), 0, UNEVEN)) == 999


def test_counts_are_as_many_as_the_classes():
    stage = Stage(size=32, batch_size=100)
    assert drawn_counts(stage, row_of(stage, 1000), 0, UNEVEN, n_classes=5)[3:] == [0, 0]


def test_counts_are_those_of_the_batches():
    labels = np.repeat([0, 1], [26, 6])
    pictures = TrainPictures([np.zeros((20, 20, 3), dtype=np.uint8)] * 32, labels)
    stage = Stage(size=16, batch_size=8, sampling="weighted")
    row = row_of(stage, 32, epoch=1)
    norm = Normalisation((0.5,) * 3, (0.5,) * 3)
    seen = torch.cat([y for _, y in pictures.batches(stage, row, 7, 0, norm)])
    assert torch.bincount(seen).tolist() == drawn_counts(stage, row, 7, labels)
    assert drawn_counts(stage, row, 7, labels) != [26, 6]


def test_an_item_drawn_twice_is_changed_differently():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [15, 1])
    images = [rng.integers(0, 256, (24, 24, 3), dtype=np.uint8) for _ in range(16)]
    stage = Stage(size=16, batch_size=16, sampling="weighted")
    norm = Normalisation((0.5,) * 3, (0.5,) * 3)
    x, y = next(TrainPictures(images, labels).batches(stage, row_of(stage, 16), 0, 0, norm))
    only = x[y == 1]
    assert len(only) > 1
    assert not torch.equal(only[0], only[1])
