"""What a replay shows when: the clock of work, by hand; and the player's own clock."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lab.analysis.curves import epochs_frame
from lab.analysis.replay import (
    epoch_ends,
    epochs_done,
    length_s,
    seen_at,
    size_starts,
    step_ends,
    time_of,
)
from lab.ui.player import Player

NONE = pd.DataFrame({"step": [], "loss": [], "lr": []})


def three_epochs() -> pd.DataFrame:
    """4 steps in 8 s + 2 s to validate; the same; then at 128: 2 steps in 20 s + 10 s."""
    rows = [(0, 0, 64, 10, 8, 4), (0, 1, 64, 10, 8, 8), (1, 0, 128, 30, 20, 10)]
    return epochs_frame(
        {
            "kind": "epoch", "stage": stage, "epoch": epoch, "global_epoch": number, "size": size,
            "seconds": seconds, "train_seconds": train_s, "step": step, "accuracy": 0.5,
        }
        for number, (stage, epoch, size, seconds, train_s, step) in enumerate(rows)
    )  # fmt: skip


def steps(n: int) -> pd.DataFrame:
    return pd.DataFrame({"step": np.arange(n), "loss": np.linspace(2, 1, n), "lr": 0.1})


@pytest.mark.parametrize(
    ("elapsed_s", "n_epochs", "n_steps"),
    [
        (0, 0, 0),
        (1.9, 0, 0),
        (2, 0, 1),  # a step takes 2 s
        (8, 0, 4),
        (9.9, 0, 4),  # it validates: no step comes, no row yet
        (10, 1, 4),
        (12, 1, 5),
        (20, 2, 8),
        (29.9, 2, 8),
        (30, 2, 9),  # 10 s a step at the larger size
        (40, 2, 10),
        (50, 3, 10),
        (1000, 3, 10),
    ],
)
def test_rows_and_steps_come_when_they_came(elapsed_s: float, n_epochs: int, n_steps: int) -> None:
    epochs, done = seen_at(three_epochs(), steps(10), elapsed_s)
    assert (len(epochs), len(done)) == (n_epochs, n_steps)


def test_steps_after_the_last_whole_epoch_go_on_at_its_pace() -> None:
    whole = three_epochs()
    assert step_ends(whole, steps(12)).tolist()[-3:] == [40, 60, 70]
    assert length_s(whole, steps(12)) == 70


def test_an_epoch_without_training_seconds_spreads_its_steps_over_all_of_it() -> None:
    whole = three_epochs().assign(train_seconds=np.nan)
    assert step_ends(whole, steps(4)).tolist() == [2.5, 5.0, 7.5, 10.0]


def test_ends_that_are_not_known_lie_evenly_before_the_one_that_is() -> None:
    whole = three_epochs().assign(elapsed=[np.nan, np.nan, 60.0])
    assert epoch_ends(whole).tolist() == [20, 40, 60]


def test_without_any_time_an_epoch_is_a_minute() -> None:
    whole = three_epochs().assign(elapsed=np.nan, step=np.nan)
    assert epoch_ends(whole).tolist() == [60, 120, 180]
    assert len(seen_at(whole, NONE, 125)[0]) == 2


def test_a_run_without_an_epoch_has_its_steps() -> None:
    nothing = epochs_frame([])
    assert length_s(nothing, steps(5)) == 5
    assert len(seen_at(nothing, steps(5), 3)[1]) == 3
    assert length_s(nothing, NONE) == 0


def test_a_new_size_starts_where_the_epoch_before_it_ends() -> None:
    assert size_starts(three_epochs()) == [20]


def test_the_sizes_of_a_ramp_are_no_new_stage() -> None:
    assert size_starts(three_epochs().assign(stage=0)) == []


@pytest.mark.parametrize(("done", "elapsed_s"), [(0, 0), (0.5, 5), (1, 10), (2.5, 35), (3, 50)])
def test_epochs_done_and_time_go_both_ways(done: float, elapsed_s: float) -> None:
    whole = three_epochs()
    assert time_of(whole, steps(10), done) == pytest.approx(elapsed_s)
    assert epochs_done(whole, steps(10), elapsed_s) == pytest.approx(done)


def test_an_unfinished_epoch_counts_as_a_part() -> None:
    # Two steps of 10 s after the third epoch, which took 30 s.
    assert epochs_done(three_epochs(), steps(12), 70) == pytest.approx(3 + 20 / 30)


def test_a_table_that_begins_late_counts_from_there() -> None:
    late = three_epochs().assign(global_epoch=[30, 31, 32], step=np.nan)
    assert epochs_done(late, NONE, 0) == 30
    assert epochs_done(late, NONE, 50) == 33


# The player


def test_a_player_goes_at_its_speed_and_stops_at_the_end() -> None:
    player = Player(100, speed=10).started(5)
    assert [player.position(now) for now in (5, 6, 14, 15, 99)] == [0, 10, 90, 100, 100]
    assert not player.arrived(14)
    assert player.arrived(15)


def test_a_paused_player_stays_where_it_is() -> None:
    player = Player(100, speed=10).started(0).paused(3)
    assert (player.playing, player.position(50)) == (False, 30)


def test_a_new_speed_counts_from_now_on() -> None:
    player = Player(100, speed=10).started(0).changed(3, speed=1)
    assert player.position(5) == 32


def test_a_player_waits_at_its_next_stop_and_goes_on_from_there() -> None:
    player = Player(100, speed=10, stops=(20, 60)).started(0)
    assert player.position(9) == 20
    assert player.arrived(2)
    again = player.paused(9).started(10)
    assert again.position(12) == 40
    assert again.position(99) == 60


def test_stops_chosen_on_the_way_do_not_call_it_back() -> None:
    player = Player(100, speed=10).started(0).changed(3, stops=(20, 60))
    assert player.position(4) == 40


def test_play_at_the_end_begins_anew() -> None:
    assert Player(100, at_s=100).started(0).position(1) == 1


@pytest.mark.parametrize(("wanted", "at_s"), [(-5, 0), (40, 40), (500, 100)])
def test_a_player_is_moved_within_its_run(wanted: float, at_s: float) -> None:
    moved = Player(100).moved(3, wanted)
    assert (moved.playing, moved.position(9)) == (False, at_s)


def test_a_player_that_is_moved_plays_on() -> None:
    assert Player(100).started(0).moved(7, 40).position(9) == 42
