"""As long as another run: steps sized by turns, a plan that ends within an epoch, locked looks."""

import numpy as np
import pytest
from small import small_recipe

from lab.recipe.check import check
from lab.recipe.facts import Resolved
from lab.runs.events import read_events, read_steps
from lab.runs.folder import RunFolder, create_run
from lab.schedules.plan import make_plan
from lab.workers import same_time
from lab.workers.runner import execute
from lab.workspace import Workspace

ONE = [{"size": 48, "epochs": 2, "lr": 3e-3, "batch_size": 16}]


def sized(steps: int, n: int = 80, **stage):
    recipe = small_recipe([{**ONE[0], "batch_size": 8, "epochs": 9, **stage}])
    return make_plan(recipe, n, 1, Resolved(stages={"0": {"steps": steps}}))


# -- plan -----------------------------------------------------------------------------------------


def test_a_length_in_steps_makes_whole_epochs_and_a_part():
    plan = sized(25)
    assert [row.steps for row in plan.epochs] == [10, 10, 5]
    assert [row.images for row in plan.epochs] == [80, 80, 40]
    assert plan.total_steps == 25
    assert plan.total_pixels == 200 * 48 * 48


def test_the_curve_is_stretched_to_end_with_the_last_step():
    plan = sized(25)
    assert plan.phases[0].lrs(25)[0] == pytest.approx(3e-3 / 1e5)  # fastai: the peak / 1e5
    assert plan.lrs(24)[0] < 0.02 * 3e-3
    assert max(plan.lrs(step)[0] for step in range(25)) > 0.9 * 3e-3


def test_a_length_of_whole_epochs_is_the_usual_plan():
    recipe = small_recipe([{**ONE[0], "batch_size": 8, "epochs": 3}])
    assert sized(30, epochs=3) == make_plan(recipe, 80, 1)


def test_augmentation_is_off_in_the_last_epochs_of_the_real_length():
    assert [row.augmented for row in sized(25, augment_off_epochs=1).epochs] == [True, True, False]


@pytest.mark.parametrize(
    "stages",
    [
        [*ONE, *ONE],
        [{**ONE[0], "schedule": "restarts"}],
        [{**ONE[0], "frozen_epochs": 1}],
        [{**ONE[0], "ramp_from": 32}],
    ],
)
def test_only_one_plain_stage_can_be_made_as_long_as_another_run(stages):
    problems = check(small_recipe(stages, same_time_as="run-1"))
    assert "same_time_as" in [problem.where for problem in problems]


def test_one_plain_stage_can():
    assert check(small_recipe(ONE, same_time_as="run-1")) == []


# -- kinds of steps -------------------------------------------------------------------------------


def test_steps_are_counted_by_size_and_by_what_learns():
    stages = [
        {"size": 32, "epochs": 2, "batch_size": 8},
        {"size": 48, "epochs": 2, "frozen_epochs": 1, "batch_size": 16},
    ]
    kinds = same_time.kinds_of(make_plan(small_recipe(stages), 80, 2))
    found = [(kind.row.height, kind.row.frozen, kind.steps) for kind in kinds]
    assert found == [(32, False, 20), (48, True, 5), (48, False, 10)]


def test_a_ramp_is_one_kind_for_each_of_its_sizes():
    stage = {"size": 64, "epochs": 4, "batch_size": 8, "ramp_from": 32, "ramp_multiple": 16}
    kinds = same_time.kinds_of(make_plan(small_recipe([stage]), 80, 1))
    assert sum(kind.steps for kind in kinds) == 40
    assert [kind.row.height for kind in kinds] == sorted({kind.row.height for kind in kinds})


def test_the_time_of_a_plan_is_the_sum_over_its_steps():
    stages = [
        {"size": 32, "epochs": 2, "batch_size": 8},
        {"size": 48, "epochs": 2, "frozen_epochs": 1, "batch_size": 16},
    ]
    kinds = same_time.kinds_of(make_plan(small_recipe(stages), 80, 2))
    total = same_time.total_seconds(kinds, [0.001, 0.002, 0.003], [], 5.0)
    assert total == pytest.approx(20 * 0.001 + 5 * 0.002 + 10 * 0.003)


def test_epochs_on_cached_activations_keep_their_clock_at_the_speed_of_now():
    stages = [
        {"size": 32, "epochs": 1, "batch_size": 8, "cached_activations": True, "trainable": "head"},
        {"size": 32, "epochs": 1, "batch_size": 8},
    ]
    kinds = same_time.kinds_of(make_plan(small_recipe(stages), 80, 2))
    assert [kind.steps for kind in kinds] == [10]
    # 4 s cached and 6 s of ten steps then; the ten steps take 3 s now: twice as fast
    assert same_time.total_seconds(kinds, [0.3], [4.0], 10.0) == pytest.approx(3.0 + 2.0)


# -- real runs ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(tmp_path_factory.mktemp("same-time")).create()


@pytest.fixture(scope="module")
def reference(workspace) -> RunFolder:
    run = create_run(workspace, small_recipe())
    assert execute(workspace, run, 0, "cpu") == 0
    return run


@pytest.fixture(scope="module")
def baseline(workspace, reference) -> RunFolder:
    recipe = small_recipe(
        ONE, same_time_as=reference.id, evaluation={"test_every_epoch": True, "tta_views": 0}
    )
    run = create_run(workspace, recipe, {"baseline_of": reference.id})
    assert execute(workspace, run, 0, "cpu") == 0
    return run


def epochs(run: RunFolder) -> list[dict]:
    return [event for event in read_events(run) if event["kind"] == "epoch"]


@pytest.mark.slow
def test_a_run_takes_just_the_steps_that_it_measured(baseline):
    resolved = baseline.resolved()["resolved"]
    assert len(read_steps(baseline)) == resolved["stages"]["0"]["steps"]
    assert "timed in turns" in resolved["reasons"]["stages.0.steps"]


@pytest.mark.slow
def test_a_killed_attempt_goes_on_with_the_steps_measured_first(workspace, baseline):
    steps = baseline.resolved()["resolved"]["stages"]["0"]["steps"]
    assert execute(workspace, baseline, 1, "cpu") == 0
    assert baseline.resolved()["resolved"]["stages"]["0"]["steps"] == steps


@pytest.mark.slow
def test_measuring_leaves_the_first_weights_and_the_first_loss_alone(
    workspace, reference, baseline
):
    plain = create_run(workspace, small_recipe(ONE), {"baseline_of": reference.id})
    assert execute(workspace, plain, 0, "cpu") == 0
    first = [read_steps(run)["loss"][0] for run in (plain, baseline)]
    assert first[0] == first[1]


@pytest.mark.slow
def test_what_each_epoch_says_of_the_locked_part_is_kept_where_asked(baseline, reference):
    assert list(reference.predictions.glob("*-test.npz")) == []
    said = sorted(baseline.predictions.glob("e*-test.npz"))
    assert len(said) == len(epochs(baseline))
    with np.load(said[0]) as locked, np.load(baseline.predictions / "e0-48x48.npz") as valid:
        assert locked["probs"].shape[1] == valid["probs"].shape[1]
        assert not set(locked["item"]) & set(valid["item"])


@pytest.mark.slow
def test_operations_of_a_run_grow_from_epoch_to_epoch(reference):
    spent = [event["flops"] for event in epochs(reference)]
    assert spent == sorted(set(spent))
    assert spent[0] == pytest.approx(spent[1] / 2)


@pytest.mark.slow
def test_a_reference_that_is_not_finished_is_refused_in_words(workspace):
    unfinished = create_run(workspace, small_recipe())
    run = create_run(workspace, small_recipe(ONE, same_time_as=unfinished.id))
    assert execute(workspace, run, 0, "cpu") == 1
    assert "is not finished" in run.state()["message"]
