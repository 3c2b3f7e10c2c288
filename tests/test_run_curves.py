"""Curves along an axis and bands over seeds: expected values by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lab.analysis.run_curves import curve, epoch_places, seed_band, step_places


def _epochs(**more: object) -> pd.DataFrame:
    """Two epochs of ten steps: 64 px, then 128 px; the second takes three times as long."""
    columns = {
        "global_epoch": [0, 1], "step": [10, 20], "seconds": [2.0, 6.0], "pixels": [100.0, 500.0],
        "height": [64, 128], "width": [64, 128], "error_rate": [0.5, 0.2],
        "valid_loss": [1.0, 0.5], "train_loss": [2.0, 1.0], "lr": [0.1, 0.0],
    }  # fmt: skip
    return pd.DataFrame({**columns, **more})


def _steps(n: int = 20) -> pd.DataFrame:
    return pd.DataFrame({"step": np.arange(n), "loss": np.arange(n, 0, -1.0), "lr": 0.1})


NONE = pd.DataFrame({"step": [], "loss": [], "lr": []})


@pytest.mark.parametrize(
    ("x", "ends"),
    [("epoch", [1, 2]), ("step", [10, 20]), ("time", [2, 8]), ("pixels", [100, 500])],
)
def test_an_epoch_stands_where_it_ends(x: str, ends: list[float]) -> None:
    assert epoch_places(_epochs(), x).tolist() == ends


def test_flops_that_were_not_counted_are_not_there() -> None:
    assert np.isnan(epoch_places(_epochs(), "flops")).all()
    assert not len(curve(_epochs(), _steps(), "flops", "error"))


def test_flops_are_read_where_they_were_counted() -> None:
    table = curve(_epochs(flops=[1e9, 9e9]), _steps(), "flops", "error")
    assert table["x"].tolist() == [1e9, 9e9]


def test_steps_lie_straight_between_the_ends_of_epochs() -> None:
    # Step 5 of 10 ends at half of the first epoch's 2 s; step 15 at 2 s and half of 6 s.
    assert step_places(np.array([4, 9, 14, 19]), _epochs(), "time").tolist() == [1, 2, 5, 8]


def test_steps_past_the_last_finished_epoch_have_no_place_but_their_number() -> None:
    assert np.isnan(step_places(np.array([25]), _epochs(), "pixels")).all()
    assert step_places(np.array([25]), _epochs(), "step").tolist() == [26]


def test_the_training_loss_is_that_of_every_step() -> None:
    table = curve(_epochs(), _steps(), "step", "train_loss")
    assert len(table) == 20
    assert table["value"].tolist()[:2] == [20.0, 19.0]


def test_without_steps_the_training_loss_is_that_of_epochs() -> None:
    assert curve(_epochs(), NONE, "epoch", "train_loss")["value"].tolist() == [2.0, 1.0]


def test_smoothing_is_a_running_mean_over_all_points() -> None:
    # Weight 0.5 without start-up bias: 20; (0.5 * 20 + 19) / 1.5.
    table = curve(_epochs(), _steps(), "step", "train_loss", 0.5)
    assert table["smooth"].tolist()[:2] == pytest.approx([20, 29 / 1.5])
    assert table["value"].tolist()[:2] == [20.0, 19.0]


def test_the_learning_rate_is_never_smoothed() -> None:
    table = curve(_epochs(), _steps().assign(lr=np.arange(20.0)), "step", "lr", 0.9)
    assert table["smooth"].tolist() == list(range(20))


def test_the_size_holds_from_the_start() -> None:
    table = curve(_epochs(), _steps(), "pixels", "size")
    assert table["x"].tolist() == [0, 100, 500]
    assert table["value"].tolist() == [64, 64, 128]


def test_a_size_that_is_no_square_counts_by_its_pixels() -> None:
    table = curve(_epochs(height=[50, 50], width=[200, 200]), NONE, "epoch", "size")
    assert table["value"].tolist() == [100, 100, 100]


def _seed(values: list[float], x: list[float] | None = None) -> pd.DataFrame:
    at = np.arange(1.0, len(values) + 1)
    return pd.DataFrame({"at": at, "x": x or at, "value": values, "smooth": values})


def test_the_band_is_the_mean_with_smallest_and_largest() -> None:
    band = seed_band([_seed([0.5, 0.2]), _seed([0.4, 0.3]), _seed([0.3, 0.1])], "range")
    assert band["mean"].tolist() == pytest.approx([0.4, 0.2])
    assert band["low"].tolist() == [0.3, 0.1]
    assert band["high"].tolist() == [0.5, 0.3]
    assert band["n"].tolist() == [3, 3]


def test_the_t_interval_of_three_seeds_is_that_of_the_table() -> None:
    # 0.3, 0.4, 0.5: sd 0.1, t of 2 degrees of freedom 4.303, so 0.4 -+ 4.303 * 0.1 / sqrt(3).
    band = seed_band([_seed([0.3]), _seed([0.4]), _seed([0.5])], "t")
    assert band["low"].tolist() == pytest.approx([0.1516], abs=1e-4)
    assert band["high"].tolist() == pytest.approx([0.6484], abs=1e-4)


def test_the_mean_goes_as_far_as_all_seeds_have_come() -> None:
    band = seed_band([_seed([0.5, 0.2, 0.1]), _seed([0.4, 0.3])], "range")
    assert band["at"].tolist() == [1, 2]


def test_seeds_that_took_different_times_meet_at_their_mean_time() -> None:
    band = seed_band([_seed([0.5, 0.2], [2, 4]), _seed([0.4, 0.3], [4, 8])], "range")
    assert band["x"].tolist() == [3, 6]


def test_one_seed_or_one_that_has_not_begun_makes_no_band() -> None:
    assert not len(seed_band([_seed([0.5])], "range"))
    assert not len(seed_band([_seed([0.5]), _seed([])], "t"))
