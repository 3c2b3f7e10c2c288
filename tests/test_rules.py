"""Curves with restarts, and the rules that end a stage before its last epoch."""

from __future__ import annotations

import pytest

from lab.recipe.facts import Resolved
from lab.recipe.model import Rules
from lab.recipe.stage import Stage
from lab.schedules.curves import flat_cosine_lr, group_peaks, restarts_lr
from lab.schedules.plan import make_plan
from lab.schedules.rules import best_epoch, cycles_run, reason_to_end, stops_cycling, stops_early
from tests.small import small_recipe


def test_each_cycle_starts_at_the_peak_and_falls_to_nothing():
    # Cycles of 1, 2 and 4 epochs: seams at 1/7 and 3/7 of the stage.
    at = [restarts_lr(0.01, p, (1, 2, 4)) for p in (0, 0.5 / 7, 1 / 7, 2 / 7, 3 / 7, 5 / 7)]
    assert at == pytest.approx([0.01, 0.005, 0.01, 0.005, 0.01, 0.005])
    assert restarts_lr(0.01, 0.9999, (1, 2, 4)) == pytest.approx(0, abs=1e-8)


def test_the_plan_restarts_on_the_first_step_of_each_cycle():
    stage = {"size": 32, "lr": 0.01, "schedule": "restarts", "cycle_mult": 2, "batch_size": 10}
    plan = make_plan(small_recipe([stage]), 70, 1)  # 7 steps an epoch; cycles of 1, 2, 4 epochs
    assert len(plan.epochs) == 7
    starts = [step for step in range(49) if plan.lrs(step)[0] == pytest.approx(0.01)]
    assert starts == [0, 7, 21]
    assert plan.momentum(3) is None


def test_flat_cosine_stays_until_three_quarters_and_ends_near_nothing():
    at = [flat_cosine_lr(0.01, p, 0.75, 1e5) for p in (0, 0.74, 0.875, 1)]
    assert at == pytest.approx([0.01, 0.01, 0.00500005, 1e-7])


def test_the_plan_takes_three_quarters_where_flat_cosine_says_nothing_else():
    stage = {"size": 32, "lr": 0.01, "schedule": "flat-cosine", "epochs": 4, "batch_size": 10}
    plan = make_plan(small_recipe([stage]), 100, 1)
    assert [plan.lrs(step)[0] for step in (0, 29)] == [0.01, 0.01]
    assert plan.lrs(35)[0] == pytest.approx(0.00500005)


def test_cosine_falls_over_the_whole_stage():
    stage = {"size": 32, "lr": 0.01, "schedule": "cosine", "epochs": 2, "batch_size": 10}
    plan = make_plan(small_recipe([stage]), 100, 1)
    assert [plan.lrs(step)[0] for step in (0, 10)] == pytest.approx([0.01, 0.005])


def test_layer_decay_makes_each_group_three_quarters_of_the_next():
    peaks = group_peaks(0.016, 4, "layer-decay", 100, 0.5)
    assert peaks == pytest.approx((0.002, 0.004, 0.008, 0.016))


def test_of_equal_epochs_the_first_is_the_best():
    assert best_epoch([0.4, 0.3, 0.3, 0.5]) == 1


@pytest.mark.parametrize(
    ("errors", "patience", "ends"),
    [
        ([0.5, 0.4, 0.45, 0.41], 2, True),
        ([0.5, 0.4, 0.45, 0.39], 2, False),
        ([0.5, 0.4, 0.45], 2, False),
        ([0.5, 0.5, 0.5, 0.5], 0, False),
    ],
)
def test_early_stopping_waits_so_many_epochs(errors, patience, ends):
    assert stops_early(errors, patience) is ends


def test_a_cycle_is_over_only_at_its_last_epoch():
    assert [cycles_run([0.5] * n, (1, 2, 4), frozen=1) for n in range(1, 9)] == [
        None, 1, None, 2, None, None, None, 3,
    ]  # fmt: skip


def test_cycles_end_when_one_brings_nothing_better():
    assert stops_cycling([0.5, 0.4, 0.45], (1, 2, 4), patience=1, frozen=0) is False
    assert stops_cycling([0.4, 0.5, 0.45], (1, 2, 4), patience=1, frozen=0) is True
    assert stops_cycling([0.4, 0.5], (1, 2, 4), patience=1, frozen=0) is False


def test_the_first_cycle_is_never_the_last_for_want_of_progress():
    assert stops_cycling([0.9], (1, 1, 1), patience=1, frozen=0) is False


def test_a_stage_that_is_at_its_end_needs_no_reason():
    stage = Stage(size=32, epochs=2)
    assert reason_to_end(stage, Rules(early_stop_epochs=1), [0.3, 0.4]) == ""
    longer = Stage(size=32, epochs=5)
    words = "the last epoch brought no better error rate"
    assert reason_to_end(longer, Rules(early_stop_epochs=1), [0.3, 0.4]) == words


def test_a_stage_ended_early_keeps_the_curve_that_it_was_on():
    recipe = small_recipe([{"size": 32, "epochs": 5}, {"size": 48, "epochs": 1}])
    whole = make_plan(recipe, 64, 1)
    ended = make_plan(recipe, 64, 1, Resolved().with_choice(0, "epochs", 2, "a rule"))
    assert len(ended.epochs) == 3
    last = ended.epochs[1].last_step
    assert [ended.lrs(s) for s in range(last)] == [whole.lrs(s) for s in range(last)]
    assert ended.epochs[2].first_step == last


def test_what_the_finder_or_the_memory_decide_is_marked_as_unknown_until_then():
    recipe = small_recipe([{"size": 32, "epochs": 1, "lr": "finder", "batch_size": "auto"}])
    assert make_plan(recipe, 64, 1).epochs[0].known is False
    chosen = Resolved().with_choice(0, "lr", 0.02, "").with_choice(0, "batch_size", 16, "")
    row = make_plan(recipe, 64, 1, chosen).epochs[0]
    assert (row.known, row.peak_lrs, row.batch) == (True, (0.02,), 16)
