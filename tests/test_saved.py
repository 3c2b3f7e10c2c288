"""Methods and what they save: grouping by recipe, time at equal error, error at equal time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_runs import eight_epochs, fake_run

from lab.analysis.groups import group_runs, method_key
from lab.analysis.methods import compare_groups, method_summary
from lab.analysis.saved import Curve, equal_error, equal_time, saved
from lab.recipe.baselines import fixed_same_epochs
from lab.runs.events import read_events
from lab.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


def growing(seed: int = 0):
    return eight_epochs().but(name=f"Growing seed {seed}", seed=seed)


def fixed(seed: int = 0):
    return fixed_same_epochs(eight_epochs()).but(name=f"Fixed, seed {seed}", seed=seed)


def three_each(workspace: Workspace, **meta):
    """Three seeds of each; the growing ones are better by 2, 3 and 4 points."""
    runs = []
    for seed in range(3):
        skill = 0.02 + 0.01 * seed
        runs.append(fake_run(workspace, "finished", recipe=growing(seed), skill=skill, **meta))
        runs.append(fake_run(workspace, "finished", recipe=fixed(seed), **meta))
    return runs


def curve(*points: tuple[float, float]) -> Curve:
    seconds, errors = zip(*points)
    return Curve(np.array(seconds, float), np.array(errors, float))


# Methods


def test_runs_that_differ_in_the_seed_alone_are_one_method(workspace):
    groups = group_runs(three_each(workspace))
    assert [group.name for group in groups] == ["Growing", "Fixed"]
    assert [group.seeds for group in groups] == [(0, 1, 2), (0, 1, 2)]


def test_name_notes_and_preset_do_not_make_a_method(workspace):
    one, two = growing(), growing().but(name="Other", notes="many", preset="mine", seed=5)
    assert method_key(one) == method_key(two)


def test_any_other_field_makes_another_method():
    values = eight_epochs().but(ema_decay=0.99)
    assert method_key(eight_epochs()) != method_key(values)


def test_the_arm_names_a_method(workspace):
    (group,) = group_runs([fake_run(workspace, "finished", recipe=growing(), arm="progressive")])
    assert group.name == "progressive"


def test_methods_of_one_name_get_names_of_their_own(workspace):
    runs = [
        fake_run(workspace, "finished", recipe=recipe.but(name="Mine"))
        for recipe in (growing(), fixed())
    ]
    assert [group.name for group in group_runs(runs)] == ["Mine", "Mine (2)"]


def test_runs_of_equal_time_are_one_method_whatever_run_they_were_matched_to(workspace):
    runs = []
    for seed in range(2):
        reference = fake_run(workspace, "finished", recipe=growing(seed))
        values = fixed(seed).dump() | {"same_time_as": reference.id}
        values["stages"][0]["epochs"] = 5 + seed  # a guess until the run starts
        runs.append(fake_run(workspace, "finished", recipe=fixed().but(**values)))
    (group,) = group_runs(runs)
    assert group.seeds == (0, 1)


def test_equal_time_with_another_method_is_another_method(workspace):
    references = [fake_run(workspace, "finished", recipe=recipe) for recipe in (growing(), fixed())]
    runs = [
        fake_run(workspace, "finished", recipe=fixed().but(same_time_as=reference.id))
        for reference in references
    ]
    assert len(group_runs(runs)) == 2


def test_unfinished_runs_do_not_count_as_seeds(workspace):
    runs = three_each(workspace)
    runs.append(fake_run(workspace, "stopped", recipe=growing(3), share=0.7))
    row = compare_groups(group_runs(runs))[0]
    assert (row.kind, row.seeds) == ("method", 3)


def test_methods_are_compared_over_their_seeds(workspace):
    row = compare_groups(group_runs(three_each(workspace)))[0]
    # Growing is better by 2, 3 and 4 points, rounded to whole images of 300.
    assert row.difference == pytest.approx(-0.03, abs=0.002)
    assert row.clear
    assert row.verdict.startswith("Growing makes fewer errors than Fixed as a method")


def test_a_method_is_summed_up_with_a_t_interval(workspace):
    growing_group = group_runs(three_each(workspace))[0]
    found = method_summary(growing_group)
    errors = [run.scores(2)["final"]["error_rate"] for run in growing_group.runs]
    reach = 4.30265 * np.std(errors, ddof=1) / np.sqrt(3)
    assert found["error_rate"] == pytest.approx(np.mean(errors))
    assert found["high"] - found["error_rate"] == pytest.approx(reach, rel=1e-5)


# Saved time and error


def test_equal_error_is_where_each_first_comes_down_to_the_worse_end():
    quick = curve((10, 0.5), (20, 0.2), (30, 0.1))
    slow = curve((40, 0.4), (80, 0.25), (120, 0.2))
    assert equal_error(quick, slow) == (0.2, 20, 120)


def test_equal_time_is_the_last_epoch_that_the_slower_one_had_finished():
    quick = curve((10, 0.5), (20, 0.2), (30, 0.1))
    slow = curve((14, 0.4), (28, 0.3), (42, 0.05))
    assert equal_time(quick, slow) == (30, 0.1, 0.3)


def test_totals_within_three_per_cent_are_compared_at_their_ends():
    assert equal_time(curve((50, 0.3), (100, 0.1)), curve((51, 0.3), (102, 0.2))) == (100, 0.1, 0.2)


def test_an_epoch_longer_than_the_whole_other_run_leaves_nothing_to_compare():
    assert equal_time(curve((10, 0.3)), curve((50, 0.1))) is None


def test_what_was_saved_is_recomputed_from_the_events(workspace):
    runs = three_each(workspace)
    time, error = saved(*group_runs(runs))
    tables = [
        [(e["seconds"], e["error_rate"]) for e in read_events(run) if e["kind"] == "epoch"]
        for run in runs
    ]
    gaps, rates = [], []
    for mine, theirs in zip(tables[::2], tables[1::2]):
        worse = max(mine[-1][1], theirs[-1][1])
        first = [next(i for i, (_, e) in enumerate(t) if e <= worse) for t in (mine, theirs)]
        spent = [sum(s for s, _ in t[: i + 1]) for t, i in zip((mine, theirs), first)]
        gaps.append(spent[0] - spent[1])
        total = sum(s for s, _ in mine)  # the growing run is the quicker one
        done = [e for i, (_, e) in enumerate(theirs) if sum(s for s, _ in theirs[: i + 1]) <= total]
        rates.append(mine[-1][1] - done[-1])
    assert time.difference == pytest.approx(np.mean(gaps))
    assert error.difference == pytest.approx(np.mean(rates))
    assert (time.n, error.n) == (3, 3)


def test_the_words_say_less_time_and_that_a_first_touch_may_be_luck(workspace):
    time, error = saved(*group_runs(three_each(workspace)))
    assert time.verdict.startswith("Growing came down to")
    assert "less time (mean of 3 pairs of runs)" in time.verdict
    assert "lucky epoch" in time.verdict
    assert "Fixed was in the middle of its schedule" in error.verdict


def test_one_seed_each_has_no_interval(workspace):
    runs = [fake_run(workspace, "finished", recipe=recipe) for recipe in (growing(), fixed())]
    assert saved(*group_runs(runs))[0].low is None


def test_nothing_is_saved_against_runs_on_other_images(workspace):
    first = fake_run(workspace, "finished", recipe=growing())
    other = fake_run(workspace, "finished", recipe=fixed(), split=7)
    assert saved(*group_runs([first, other])) == []


def test_nothing_is_saved_before_a_run_is_finished(workspace):
    first = fake_run(workspace, "finished", recipe=growing())
    other = fake_run(workspace, "stopped", recipe=fixed(), share=0.5)
    assert saved(*group_runs([first, other])) == []
