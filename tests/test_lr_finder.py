"""The learning-rate finder: arithmetic by hand, where it ends, what it leaves, what it answers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from cli_runs import TINY, lab, recipe_file, trained
from hypothesis import given
from hypothesis import strategies as st
from small import small_recipe

from lab.cli.finder import text_chart
from lab.errors import LabError
from lab.methods.lr_finder import find
from lab.recipe import recipe_from
from lab.recipe.facts import Resolved
from lab.runs.folder import all_runs, create_run
from lab.schedules.finder import (
    curve_name,
    finder_lrs,
    minimum,
    slide,
    smoothed,
    steep,
    suggest,
    usable,
    valley,
)
from lab.schedules.plan import make_plan
from lab.train.model import build
from lab.train.trainer import StageDone, Trainer
from lab.vision.rundata import open_run_data
from lab.workspace import Workspace, read_json, write_json

RATES = finder_lrs()
KEYS = {
    "lrs", "losses", "smooth", "valley", "minimum", "steep", "slide", "words", "stopped", "stage",
    "size", "batch", "seconds", "at",
}  # fmt: skip


# Arithmetic


def test_rates_grow_by_one_ratio_and_stop_short_of_the_end():
    assert finder_lrs(4, 1e-4, 1.0) == pytest.approx((1e-4, 1e-3, 1e-2, 1e-1))


def test_by_default_a_hundred_rates_from_a_ten_millionth_with_a_thousandth_in_the_middle():
    assert (len(RATES), RATES[0], RATES[50]) == (100, 1e-7, pytest.approx(1e-3))


def test_smoothing_has_no_start_up_bias():
    # means 2, 2, 5 over weights 1/2, 3/4, 7/8
    assert smoothed([4, 2, 8], beta=0.5) == pytest.approx([4, 8 / 3, 40 / 7])


def test_the_first_tenth_and_the_last_five_steps_are_not_read():
    rates, losses = usable(RATES, list(range(100)))
    assert (losses[0], losses[-1], len(rates)) == (10, 94, 85)


def test_nothing_is_read_from_the_first_loss_without_a_value_on():
    losses = [1.0] * 100
    losses[40] = losses[60] = math.nan
    assert len(usable(RATES, losses)[1]) == 30


def test_the_valley_lies_half_way_along_the_longest_fall():
    # a rise of 3, then 12 falling steps that end at step 14: 14 - 12 + 4 + 2 = 8
    losses = [1, 2, 3, *range(15, 3, -1), 20]
    assert valley(RATES, losses) == RATES[8]


def test_the_longest_fall_may_have_bumps():
    # 9 8 7 6 5 4 fall, and 10 between them does not count: L = 6, end 6: 6 - 6 + 2 + 1
    assert valley(RATES, [9, 8, 10, 7, 6, 5, 4]) == RATES[3]


def test_a_curve_that_only_rises_has_its_valley_at_the_first_step():
    assert valley(RATES, [1, 2, 3, 4]) == RATES[0]


def test_the_minimum_is_a_tenth_of_the_rate_with_the_lowest_loss():
    assert minimum([0.1, 0.4, 0.8], [3, 1, 2]) == pytest.approx(0.04)


def test_steep_is_where_the_loss_falls_fastest_in_log_rate():
    assert steep([1e-3, 1e-2, 1e-1, 1], [2, 1.9, 1.0, 0.9]) == 1e-2
    assert steep([1, 10, 11, 100], [3, 2, 1.5, 1]) == 10


def test_slide_comes_to_rest_where_slopes_fifteen_steps_apart_agree():
    # slopes: 1 at step 19, 0.5 at 18, 0 before; pairs (19, 4), (18, 3) differ, (17, 2) do not
    assert slide(RATES, [0.0] * 19 + [1.0]) == RATES[3]


def test_slide_stays_where_it_starts_on_a_straight_line():
    assert slide(RATES, [20.0 - i for i in range(20)]) == RATES[4]


def test_slide_goes_no_further_than_the_first_step():
    assert slide(RATES, [1.0] * 10 + [1.0 - 0.1 * i for i in range(1, 11)]) == RATES[0]


# Words


def good_curve(n: int = 100) -> list[float]:
    """Flat at 2, a fall to 1 between steps 50 and 70, a blow-up at the end."""
    return [2.0 - min(max((i - 50) / 20, 0), 1) + (20 if i > 90 else 0) for i in range(n)]


def test_a_good_curve_suggests_four_rates_inside_its_fall_and_needs_no_words():
    found = suggest(RATES, good_curve())
    assert found.words == ""
    # smoothed by 0.98 the fall that begins at step 50 goes on until the blow-up
    assert RATES[50] < found.valley < RATES[90]
    assert RATES[50] <= found.steep < RATES[90]
    assert found.minimum == pytest.approx(RATES[90] / 10)
    assert found.slide is not None


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ([], "too short: 0 usable"),
        ([2.0, 1.0, 9.0], "blew up at a rate of"),
        ([math.nan] * 100, "too short: 0 usable"),
        ([3e-4] * 100, "tiny from the beginning (0.0003)"),
        ([2.0 + 0.01 * i for i in range(100)], "never falls below the 2.0"),
        ([2.0 - 1e-4 * i for i in range(100)], "flat"),
    ],
)
def test_a_curve_that_says_nothing_is_answered_in_words_and_with_no_rate(losses, words):
    found = suggest(RATES[: len(losses)], losses)
    assert words in found.words
    assert (found.valley, found.minimum, found.steep, found.slide) == (None,) * 4


def test_a_short_curve_still_has_three_suggestions_and_says_why_not_the_fourth():
    # 27 steps: 10 left out first and 5 last, 12 remain; slide needs 16
    found = suggest(RATES[:27], [3 - 0.1 * i for i in range(27)])
    assert found.valley
    assert found.slide is None
    assert "12" in found.words


@given(st.lists(st.floats(), max_size=100))
def test_no_curve_whatever_raises(losses):
    found = suggest(RATES[: len(losses)], losses)
    assert found.words or found.valley


# Where a search ends


def test_a_search_takes_every_rate_once():
    seen = []
    curve = find(lambda lr: seen.append(lr) or 1.0, n=8, start=1e-4, end=1.0)
    assert tuple(seen) == curve.lrs == finder_lrs(8, 1e-4, 1.0)
    assert curve.stopped == ""


@pytest.mark.parametrize(("loss", "stopped"), [(12.0, ""), (13.0, "blew up")])
def test_a_search_ends_above_four_times_its_best_smoothed_loss(loss, stopped):
    # after three losses of 1: (0.98 * (1 - 0.98**3) + 0.02 x) / (1 - 0.98**4) > 4 from x = 12.6
    losses = iter([1, 1, 1, loss])
    curve = find(lambda lr: next(losses), n=4)
    assert curve.stopped == stopped


def test_a_search_ends_with_the_loss_that_has_no_value():
    losses = iter([2.0, math.inf])
    curve = find(lambda lr: next(losses))
    assert curve.losses == (2.0, math.inf)
    assert curve.stopped == "no value"


def test_a_search_stops_when_asked():
    seen = []
    curve = find(lambda lr: seen.append(lr) or 1.0, stop=lambda: len(seen) == 3)
    assert (len(curve.losses), curve.stopped) == (3, "asked")


# The trainer


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    torch.set_num_threads(1)
    found = open_run_data(Workspace(tmp_path_factory.mktemp("finder")).create(), small_recipe())
    found.build()
    return found


def trainer_of(data) -> Trainer:
    recipe = small_recipe()
    network = build(recipe, len(data.parts.classes), recipe.model.groups, recipe.stages[0].hw)
    plan = make_plan(recipe, data.n_train, recipe.model.groups)
    return Trainer(recipe, plan, Resolved(groups=recipe.model.groups), data, network)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    """Weights and buffers of norms, copied."""
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_run_with_searches_and_one_without_end_bit_for_bit_equal(data):
    plain, searching = trainer_of(data), trainer_of(data)
    for _ in plain.events():
        pass
    searching.find_lr(0, n=12)
    for event in searching.events():
        if isinstance(event, StageDone) and event.stage == 0:
            searching.find_lr(1, n=12)
    assert same(weights(plain), weights(searching))


def test_a_search_leaves_weights_buffers_modes_and_random_state_as_they_were(data):
    trainer = trainer_of(data)
    before, modes = weights(trainer), [module.training for module in trainer.model.modules()]
    learns = [parameter.requires_grad for parameter in trainer.model.parameters()]
    here, numpy_s = torch.random.get_rng_state(), np.random.get_state()[1].copy()
    trainer.find_lr(1, n=6)
    assert same(weights(trainer), before)
    assert [module.training for module in trainer.model.modules()] == modes
    assert [parameter.requires_grad for parameter in trainer.model.parameters()] == learns
    assert torch.equal(torch.random.get_rng_state(), here)
    assert (np.random.get_state()[1] == numpy_s).all()
    assert trainer.step == 0


def test_a_search_gives_the_same_losses_twice(data):
    trainer = trainer_of(data)
    assert trainer.find_lr(0, n=8) == trainer.find_lr(0, n=8)


def test_a_search_longer_than_an_epoch_goes_on_with_the_next_one(data):
    steps = make_plan(small_recipe(), data.n_train, 2).epochs[0].steps
    curve = trainer_of(data).find_lr(0, n=2 * steps + 1)
    assert len(curve.losses) == 2 * steps + 1 or curve.stopped


# Answers


def test_a_curve_is_remembered_under_the_same_name_whatever_the_rates():
    recipe = small_recipe()
    stages = recipe.dump()["stages"]
    other = [{**stages[0], "lr": 0.2, "epochs": 9, "schedule": "cosine"}, stages[1]]
    assert curve_name(recipe.but(stages=other), 0) == curve_name(recipe, 0)
    assert curve_name(recipe.but(stages=[{**stages[0], "size": 40}, stages[1]]), 0) != curve_name(
        recipe, 0
    )
    assert curve_name(recipe.but(seed=5), 0) != curve_name(recipe, 0)
    assert curve_name(recipe, 1) != curve_name(recipe, 0)


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A workspace and what a task found in it for the small recipe's first stage."""
    from lab.workers.tasks import perform

    workspace = Workspace(tmp_path_factory.mktemp("searched")).create()
    folder = workspace.task("one")
    (folder / "events").mkdir(parents=True)
    request = {"kind": "lr-find", "recipe": small_recipe().dump(), "stage": 0}
    write_json(folder / "request.json", request)
    perform(workspace, "one", "cpu")
    return workspace, read_json(folder / "result.json")["value"]


def test_a_task_answers_with_the_keys_of_the_contract(searched):
    _, found = searched
    assert set(found) == KEYS
    assert len(found["lrs"]) == len(found["losses"]) == len(found["smooth"]) > 40
    assert (found["stage"], found["size"], found["batch"]) == (0, 32, 16)
    assert found["at"] == "first weights"
    assert found["words"] or 1e-6 < found["valley"] < 10


def test_the_answer_stays_in_the_workspace_and_no_run_is_made(searched):
    workspace, found = searched
    assert read_json(workspace.facts / curve_name(small_recipe(), 0)) == found
    assert list(workspace.runs.iterdir()) == []


def test_a_task_tells_its_progress(searched):
    workspace, _ = searched
    lines = (workspace.task("one") / "events" / "0.jsonl").read_text().splitlines()
    told = [event for event in map(json.loads, lines) if event.get("what") == "Trying rates"]
    assert {event["total"] for event in told} == {100}


def refused(workspace: Workspace, *, stage: int, run: str = "") -> str:
    from lab.workers.finder import find_lr

    with pytest.raises(LabError) as caught:
        find_lr(workspace, small_recipe(), stage, "cpu", run=run)
    return str(caught.value)


def test_a_later_stage_without_a_run_is_answered_with_the_two_ways_there_are(tmp_path):
    words = refused(Workspace(tmp_path).create(), stage=1)
    assert "a run that has finished stage 1" in words
    assert "stages.1.lr = finder" in words


def test_a_stage_that_is_not_there_is_answered_in_words(tmp_path):
    assert "the last is 1" in refused(Workspace(tmp_path).create(), stage=2)


def test_a_run_that_has_not_finished_the_stage_before_is_refused(tmp_path):
    workspace = Workspace(tmp_path).create()
    run = create_run(workspace, small_recipe())
    assert "has not finished its stage 1" in refused(workspace, stage=1, run=run.id)


@pytest.mark.slow
def test_a_later_stage_is_searched_from_the_weights_of_the_run_that_is_named(tmp_path_factory):
    from lab.workers.finder import find_lr

    # two runs that differ by their seed; the search has one seed, and so one first batch
    workspace, recipe = Workspace(trained(tmp_path_factory)), recipe_from(TINY)
    answers = [find_lr(workspace, recipe, 1, "cpu", run=run.id) for run in all_runs(workspace)]
    assert [found["at"] for found in answers] == [
        f"run {run.id} stage 0" for run in all_runs(workspace)
    ]
    assert answers[0]["losses"][0] != answers[1]["losses"][0]


# The command line


def test_the_command_wants_one_recipe(tmp_path):
    assert lab("lr-find", workspace=tmp_path).code == 2


@pytest.mark.slow
def test_the_command_prints_one_json_line(tmp_path):
    file = recipe_file(tmp_path)
    done = lab("lr-find", "--recipe", file, "--device", "cpu", workspace=tmp_path / "ws")
    assert done.code == 0, done.err
    assert (len(done.lines), set(done.last)) == (1, KEYS)


def test_the_text_chart_puts_each_arrow_below_its_rate():
    lines = text_chart([1e-4, 1e-3, 1e-2, 1e-1], [2.0, 1.0, None, 9.0], {"valley": 1e-3})
    arrow = next(line for line in lines if "^ valley" in line)
    ticks = next(line for line in lines if "1e-3" in line)
    assert arrow.index("^") == ticks.index("1e-3")


def test_the_module_of_the_command_imports_no_torch():
    import subprocess
    import sys

    code = "import lab.cli.finder, lab.schedules.finder, sys; print('torch' in sys.modules)"
    root = Path(__file__).parent.parent
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr
