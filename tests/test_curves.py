"""Events as tables, thinning, smoothing, what a run will still take."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lab.analysis.curves import (
    epochs_frame,
    eta_seconds,
    forecast_error,
    run_summary,
    smoothed,
    steps_frame,
    thin,
)
from lab.recipe import recipe_from
from lab.runs.events import EventWriter, read_events
from lab.runs.folder import RunFolder, create_run
from lab.schedules.plan import Plan, make_plan
from lab.workspace import Workspace

RECIPE = recipe_from(
    {
        "stages": [
            {"size": 64, "epochs": 2},
            {"size": [128, 64], "epochs": 1},
            {"size": 64, "epochs": 1},
        ]
    }
)


@pytest.fixture
def run(tmp_path) -> RunFolder:
    return create_run(Workspace(tmp_path).create(), RECIPE)


def write(run: RunFolder, plan: Plan, seconds: list[float]) -> None:
    """The first epochs of a plan, each taking so long."""
    writer = EventWriter(run, 0)
    for row, took in zip(plan.epochs, seconds):
        for step in range(row.first_step, row.last_step):
            writer.step(step + 1, 2.0, 1e-3)
        size = row.height if row.height == row.width else [row.height, row.width]
        writer.write(
            "epoch", stage=row.stage, epoch=row.epoch, global_epoch=row.global_epoch, size=size,
            train_loss=1.0, valid_loss=None, accuracy=0.5, error_rate=0.5, seconds=took,
            train_seconds=took, images_per_s=None, lr=1e-3, pixels=1, step=row.last_step,
        )  # fmt: skip
    writer.close()


def test_an_epoch_becomes_a_row_with_its_label_and_the_seconds_so_far(run):
    write(run, make_plan(RECIPE, 200, 1), [2.0, 3.0, 4.0])
    frame = epochs_frame(read_events(run))
    assert frame["label"].tolist() == ["64", "64", "128×64"]
    assert frame["elapsed"].tolist() == [2.0, 5.0, 9.0]


def test_no_events_give_an_empty_table_with_all_columns():
    assert {"global_epoch", "valid_loss", "elapsed", "label"} <= set(epochs_frame([]).columns)


def test_a_value_that_is_missing_is_not_a_number(run):
    write(run, make_plan(RECIPE, 200, 1), [2.0])
    assert np.isnan(epochs_frame(read_events(run))["valid_loss"].iloc[0])


def test_steps_count_from_zero_as_the_plan_does(run):
    plan = make_plan(RECIPE, 200, 1)
    write(run, plan, [2.0])
    assert steps_frame(run)["step"].tolist() == list(range(plan.epochs[0].steps))


def test_smoothing_has_no_start_up_bias():
    assert smoothed(np.full(5, 3.0)) == pytest.approx(np.full(5, 3.0))


def test_smoothing_by_hand():
    # Weights 0.5 * 0.5 and 0.5, over 0.75.
    assert smoothed(np.array([1.0, 4.0]), 0.5) == pytest.approx([1.0, (0.25 + 2.0) / 0.75])


def test_smoothing_passes_over_values_that_are_not_finite():
    found = smoothed(np.array([np.nan, 2.0, np.inf, 2.0]))
    assert found[1:] == pytest.approx([2.0, 2.0, 2.0])


def test_thinning_keeps_the_first_and_the_last_row():
    kept = thin(pd.DataFrame({"step": range(5000)}), 1000)["step"].tolist()
    assert (kept[0], kept[-1], len(kept) <= 1000) == (0, 4999, True)


def test_thinned_rows_stay_while_a_live_curve_grows():
    before = thin(pd.DataFrame({"step": range(5000)}), 1000)["step"].tolist()[:-1]
    after = thin(pd.DataFrame({"step": range(5100)}), 1000)["step"].tolist()
    assert set(before) <= set(after)


def test_nothing_is_forecast_before_an_epoch_was_measured():
    assert eta_seconds(make_plan(RECIPE, 200, 1), epochs_frame([])) is None


def test_epochs_to_come_last_like_the_latest_of_their_size_and_others_by_pixels(run):
    plan = make_plan(RECIPE, 200, 1)
    write(run, plan, [9.0, 3.0])  # the first epoch warmed up: it is not taken as a measure
    # 128 x 64 has twice the pixels of 64 x 64: 6 s, then 3 s.
    assert eta_seconds(plan, epochs_frame(read_events(run))) == pytest.approx(9.0)


def test_steps_of_the_epoch_under_way_are_taken_off(run):
    plan = make_plan(RECIPE, 200, 1)
    write(run, plan, [3.0, 3.0])
    half = plan.epochs[2].first_step + plan.epochs[2].steps // 2
    assert eta_seconds(plan, epochs_frame(read_events(run)), half) == pytest.approx(6.0)


def test_a_forecast_that_is_a_fifth_too_long_is_off_by_a_fifth():
    assert forecast_error(60.0, 50.0) == pytest.approx(0.2)


def test_a_run_without_a_finished_stage_has_a_summary(run):
    assert run_summary(run)["scores"] == {}
