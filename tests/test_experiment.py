"""Experiments: arms and seeds expanded by hand, what is refused, the queue, what is left to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from fake_runs import fake_run
from small import small_recipe

from lab.errors import LabError
from lab.jobs import experiments, queue
from lab.recipe import Recipe, recipe_from
from lab.recipe.augment import Augment
from lab.recipe.baselines import (
    ANSWERS,
    KINDS,
    TITLES,
    baseline,
    fixed_same_time,
    fixres,
    head_only,
    refusal,
    small_only,
)
from lab.recipe.check import check, errors_of
from lab.recipe.experiment import (
    REFERENCE,
    Arm,
    Design,
    arm_recipe,
    arms_of,
    problems_of,
    refusals,
    suggested_question,
)
from lab.recipe.facts import DataFacts, DeviceFacts, Facts
from lab.recipe.presets import preset_recipe
from lab.recipe.stage import Stage
from lab.recipe.sweep import places, said, value_at, values_of, with_values
from lab.runs.experiments import (
    Experiment,
    list_experiments,
    members,
    read_experiment,
)
from lab.runs.folder import RunFolder, all_runs
from lab.schedules.budget import speed_key, valid_key
from lab.schedules.expected import arm_seconds, same_time_epochs, total_seconds
from lab.workspace import Workspace, read_json

QUICK = preset_recipe("quick")  # 2 epochs at 64 px, 1 at 96, 4 at 128
PRETRAINED = {"model": {"name": "resnet18", "weights": "hub", "groups": 2}}


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for module in ("client", "status"):
        monkeypatch.setattr(f"lab.jobs.{module}.ensure_supervisor", lambda *_: None)
    return Workspace(tmp_path).create()


def quick(kinds=(), vary=None, seeds=(0,), grid=False, epochs=5) -> Design:
    return Design(QUICK, arms_of(QUICK, kinds, vary or {}, grid), tuple(seeds), epochs)


def shape(recipe: Recipe) -> list[tuple]:
    return [(stage.size, stage.epochs, stage.trainable) for stage in recipe.stages]


# Baselines


def test_each_baseline_of_the_demo_by_hand():
    # 2 / 4 + 1 x 9 / 16 + 4 = 5.06 epochs of pixels; FixRes: a quarter of 7 is 2 epochs.
    expected = {
        "fixed-same-epochs": [(128, 7, "all")],
        "fixed-same-pixels": [(128, 5, "all")],
        "fixed-same-time": [(128, 6, "all")],
        "small-only": [(64, 7, "all")],
        "fixres": [(64, 5, "all"), (128, 2, "last-norm+head")],
    }
    assert {kind: shape(baseline(kind, QUICK, "r", 6)) for kind in expected} == expected


def test_a_baseline_of_the_same_time_names_its_run_and_keeps_one_plain_stage():
    recipe = fixed_same_time(QUICK, "20260101-a", 6)
    assert recipe.same_time_as == "20260101-a"
    assert errors_of(check(recipe)) == []


def test_a_stage_of_restarts_becomes_one_whole_curve_of_the_same_time():
    restarts = Recipe(stages=(Stage(size=64, epochs=1), Stage(size=96, schedule="restarts")))
    assert errors_of(check(fixed_same_time(restarts, "r", 3))) == []


def test_fixres_adapts_as_the_test_frames_at_a_tenth_of_the_rate_and_only_flips():
    last = fixres(QUICK).stages[-1]
    assert last.lr == pytest.approx(4e-4)
    assert (last.resize, last.test_resize) == ("as-test", QUICK.stages[-1].test_resize)
    assert last.augment == Augment.off().but(flip="dihedral")


@pytest.mark.parametrize(("epochs", "adapting"), [(2, 1), (5, 1), (6, 2), (10, 3), (40, 10)])
def test_fixres_divides_the_epochs_three_to_one(epochs, adapting):
    recipe = Recipe(stages=(Stage(size=64, epochs=1), Stage(size=96, epochs=epochs - 1)))
    assert [stage.epochs for stage in fixres(recipe).stages] == [epochs - adapting, adapting]


def test_a_ramp_begins_where_the_small_baselines_stay():
    recipe = Recipe(stages=(Stage(size=128, ramp_from=64, epochs=8),))
    assert small_only(recipe).stages[0].hw == (64, 64)
    assert [stage.hw for stage in fixres(recipe).stages] == [(64, 64), (128, 128)]


@pytest.mark.parametrize("kind", ["small-only", "fixres", "head-only"])
def test_a_baseline_is_scored_under_the_reference_own_test_transform(kind):
    stages = (
        Stage(size=64, resize="squish"),
        Stage(size=(96, 128), resize="crop", valid_crop_pct=0.9),
    )
    made = baseline(kind, Recipe(stages=stages, **PRETRAINED))
    assert made.final_hw == (96, 128)
    assert (made.evaluation.resize, made.evaluation.crop_pct) == ("center", 0.9)


def test_head_only_caches_what_the_resting_body_says_at_the_final_size():
    stage = head_only(Recipe(stages=QUICK.stages, **PRETRAINED)).stages[0]
    assert (stage.size, stage.epochs, stage.trainable) == (128, 7, "head")
    assert stage.cached_activations
    assert errors_of(check(head_only(QUICK))) == []


def test_head_only_is_refused_for_random_weights_in_words():
    problem = refusal("head-only", QUICK)
    assert "teaches nothing" in problem.what
    with pytest.raises(LabError, match="teaches nothing"):
        baseline("head-only", QUICK)


def test_what_means_nothing_is_refused():
    plain = Recipe(stages=(Stage(size=64),))
    assert set(refusals(plain)) == set(KINDS)
    assert set(refusals(QUICK)) == {"head-only", "single-target"}
    assert "fixres" in refusals(preset_recipe("keras-fixres"))


def test_every_baseline_has_a_title_and_says_what_it_answers():
    assert list(TITLES) == list(ANSWERS) == list(KINDS)
    assert all(words.count("?") == 1 for words in ANSWERS.values())


# Expansion


def test_the_cells_go_seed_by_seed_with_the_reference_first():
    cells = quick(["fixed-same-time", "small-only"], seeds=(0, 1)).cells()
    order = [(cell.arm.name, cell.seed) for cell in cells]
    arms = [REFERENCE, "fixed-same-time", "small-only"]
    assert order == [(arm, seed) for seed in (0, 1) for arm in arms]


def test_every_cell_has_its_seed_and_the_split_of_the_reference():
    design = quick(KINDS[:5], {"stages.0.lr": [0.1]}, seeds=(3, 4))
    assert {cell.recipe.seed for cell in design.cells()} == {3, 4}
    assert all(cell.recipe.seed == cell.seed for cell in design.cells())
    assert all(cell.recipe.dataset == QUICK.dataset for cell in design.cells())


def test_names_tell_arm_and_seed_once():
    recipe = QUICK.but(name="Quick demo seed 7")
    design = Design(recipe, arms_of(recipe, ["small-only"]), (0, 1))
    assert [cell.recipe.name for cell in design.cells()] == [
        "Quick demo seed 0", "Quick demo: small-only seed 0",
        "Quick demo seed 1", "Quick demo: small-only seed 1",
    ]  # fmt: skip


def test_a_long_name_keeps_its_seed():
    recipe = QUICK.but(name="x" * 120)
    cell = Design(recipe, arms_of(recipe, ["small-only"]), (11, 12)).cells()[-1]
    assert len(cell.recipe.name) == 120
    assert cell.recipe.name.endswith(" seed 12")


def test_only_the_same_time_arm_is_told_of_the_reference():
    cells = {cell.arm.name: cell for cell in quick(["fixed-same-time", "small-only"]).cells()}
    assert cells["fixed-same-time"].beside("run-a").same_time_as == "run-a"
    assert cells["small-only"].beside("run-a").same_time_as == ""


def test_a_field_varied_is_an_arm_a_value():
    arms = quick(vary={"stages.0.lr": [0.001, 0.002], "optimizer.name": ["sgd"]}).arms
    assert [arm.name for arm in arms] == [
        REFERENCE, "stage 1 lr = 0.001", "stage 1 lr = 0.002", "optimizer name = sgd",
    ]  # fmt: skip
    assert arm_recipe(QUICK, arms[2]).stages[0].lr == 0.002
    assert arm_recipe(QUICK, arms[2]).stages[1] == QUICK.stages[1]


def test_a_grid_is_an_arm_a_combination():
    vary = {"stages.0.lr": [0.001, 0.002], "stages.*.batch_size": [8, 16]}
    arms = quick(vary=vary, grid=True).arms[1:]
    found = [
        (made.stages[0].lr, {stage.batch_size for stage in made.stages})
        for made in (arm_recipe(QUICK, arm) for arm in arms)
    ]
    assert found == [(0.001, {8}), (0.001, {16}), (0.002, {8}), (0.002, {16})]


def test_what_the_reference_has_already_makes_no_arm():
    assert len(quick(vary={"stages.0.lr": [0.004, 0.001, 0.001]}).arms) == 2


def test_no_arm_shares_a_list_with_who_asked_for_it():
    sizes = [[64, 96], [96, 64]]
    design = quick(vary={"stages.0.size": sizes})
    sizes[0][0] = 999
    assert [cell.recipe.stages[0].size for cell in design.cells()[1:]] == [(64, 96), (96, 64)]


@pytest.mark.parametrize(
    ("path", "own"),
    [("model.name", True), ("precision", True), ("stages.0.lr", False), ("rules.keep_best", False)],
)
def test_an_arm_with_another_network_or_precision_chooses_for_itself(path, own):
    assert Arm("x", settings=((path, 1),)).takes_over is not own


# Values between commas


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0.001, 3e-3", (0.001, 0.003)),
        ("true,false, true", (True, False)),
        ("[64, 96], 128", ([64, 96], 128)),
        ("one-cycle, cosine", ("one-cycle", "cosine")),
        ('"a, b", null', ("a, b", None)),
        ("1, true, 1", (1, True)),
    ],
)
def test_values_are_json_or_words_between_commas(text, values):
    found = values_of(text)
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


@pytest.mark.parametrize("text", ["", " , ", ",".join(map(str, range(99)))])
def test_no_values_and_far_too_many_are_refused(text):
    with pytest.raises(LabError):
        values_of(text)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("stages.9.lr", 1, "no field stages.9.lr"),
        ("seed", 4, "several seeds"),
        ("name", "x", "cannot be varied"),
        ("same_time_as", "r", "cannot be varied"),
        ("stages.0.epochs", "many", '"many" does not fit'),
        ("stages.0.lr", -1, "-1 does not fit"),
        ("model.__class__", 1, "There is no key"),
    ],
)
def test_a_field_or_value_that_does_not_fit_is_refused_in_words(path, value, words):
    with pytest.raises(LabError, match=words) as caught:
        with_values(QUICK, {path: value})
    assert "--set" not in str(caught.value)


def test_all_values_that_do_not_fit_are_told_at_once():
    with pytest.raises(LabError) as caught:
        quick(vary={"stages.0.lr": [-1, 0.1, 99], "nowhere": [1]})
    assert len(caught.value.problems) == 3


def test_every_place_that_is_offered_can_be_read_and_written_back():
    for path in places(QUICK):
        assert with_values(QUICK, {path.replace("*", "0"): value_at(QUICK, path)}) == QUICK, path


def test_a_place_is_said_in_words():
    assert said("stages.1.frozen_epochs") == "stage 2 frozen epochs"
    assert said("stages.*.augment.flip") == "every stage's augment flip"


# Problems before the launch


def problems(design: Design) -> set[tuple[str, str]]:
    return {(arm, problem.where) for arm, problem in problems_of(design)}


def test_nothing_to_compare_is_a_problem_of_the_whole():
    assert [problem.what for _, problem in problems_of(quick())] == ["There is nothing to compare."]
    assert problems_of(quick(seeds=(0, 1))) == []


def test_problems_are_told_by_arm_and_those_of_the_reference_once():
    bad = recipe_from({**QUICK.dump(), "dataset": {"source": "path"}})
    design = Design(bad, arms_of(bad, ["small-only"], {"stages.0.epochs": [0]}), (0,))
    found = problems(design)
    assert (REFERENCE, "dataset.path") in found
    assert ("small-only", "dataset.path") not in found
    assert ("stage 1 epochs = 0", "stages.0.epochs") in found


@pytest.mark.parametrize("seeds", [(1, 1), (-1, 0), (2**31,), tuple(range(300))])
def test_bad_seeds_and_far_too_many_runs_are_problems(seeds):
    assert errors_of([p for _, p in problems_of(quick(["small-only"], seeds=seeds))])


def test_a_question_is_suggested_in_words():
    design = quick(["fixed-same-epochs", "fixed-same-time"])
    assert suggested_question(design) == (
        "Is growing from 64 px to 128 px better than as many epochs at 128 px or as much time at "
        "128 px?"
    )
    assert suggested_question(quick(seeds=(0, 1))).startswith("How much does Quick demo differ")
    assert "stage 1 lr" in suggested_question(quick(vary={"stages.0.lr": [0.1]}))


# What it will take


def facts(recipe: Recipe) -> Facts:
    """100 images/s at 128 px and 400 at 64 for training, three times that for validation."""
    counts = {"n_train": 800, "n_valid": 300, "n_test": 100}
    data = DataFacts("d", "d", "f", "t", ("a", "b"), **counts)
    speeds = {64: 400.0, 96: 200.0, 128: 100.0}
    device = DeviceFacts(
        speeds={speed_key("resnet10t", px, px, 32, "fp32"): s for px, s in speeds.items()},
        valid_speeds={valid_key("resnet10t", px, px, "fp32"): 3 * s for px, s in speeds.items()},
    )
    return Facts(data=data, device=device)


def test_seconds_of_each_arm_and_of_all_by_hand():
    # An epoch: 800 / speed + 300 / (3 speed): 2.25 s at 64 px, 4.5 s at 96, 9 s at 128.
    design = quick(["fixed-same-epochs", "fixed-same-time", "small-only"], seeds=(0, 1, 2))
    each = arm_seconds(design, facts)
    reference = 2 * 2.25 + 4.5 + 4 * 9
    expected = {
        REFERENCE: reference, "fixed-same-epochs": 63.0, "fixed-same-time": reference,
        "small-only": 15.75,
    }  # fmt: skip
    assert each == pytest.approx(expected)
    assert total_seconds(design, each) == pytest.approx(3 * (2 * 45.0 + 63 + 15.75))
    assert total_seconds(design, each, done=1) == pytest.approx(3 * (2 * 45.0 + 78.75) - 45)


def test_as_long_as_the_reference_is_five_epochs_by_the_forecast_and_by_pixels():
    assert same_time_epochs(QUICK, facts(QUICK)) == 5  # 45 s at 9 s an epoch
    assert same_time_epochs(QUICK, Facts()) == 5  # nothing measured: 5.06 epochs of pixels


def test_an_unknown_time_is_not_made_up():
    design = quick(["small-only"])
    assert total_seconds(design, arm_seconds(design, lambda recipe: Facts())) is None


# In the queue


def launched(workspace: Workspace, design: Design, **about) -> Experiment:
    about = {"name": "Quick", "question": "Does it help?", **about}
    return experiments.launch(workspace, design, **about)[0]


def test_a_launch_queues_everything_in_order_behind_the_reference_of_its_seed(workspace):
    made = launched(workspace, quick(["fixed-same-time", "small-only"], seeds=(0, 1)))
    found = members(workspace, made)
    assert [job.id for job in queue.waiting(workspace)] == [one.run.id for one in found]
    references = {one.seed: one.run.id for one in found if one.arm == REFERENCE}
    for one in found:
        expected = "" if one.arm == REFERENCE else references[one.seed]
        assert queue.get(workspace, one.run.id).after == expected
        assert one.run.meta().get("baseline_of", "") == expected
        same_time = references[one.seed] if one.arm == "fixed-same-time" else ""
        assert one.run.recipe().same_time_as == same_time


def test_an_arm_that_chooses_for_itself_waits_for_nobody(workspace):
    made = launched(workspace, quick(vary={"precision": ["bf16"]}))
    own = members(workspace, made)[-1]
    assert queue.get(workspace, own.run.id).after == ""
    assert "baseline_of" not in own.run.meta()


def test_the_file_says_what_was_asked(workspace):
    made = launched(workspace, quick(["small-only"], seeds=(0, 1)), forecast_s=90.0, owner="ana")
    stored = read_json(workspace.root / "experiments" / made.id / "experiment.json")
    assert stored["question"] == "Does it help?"
    assert [arm["name"] for arm in stored["arms"]] == [REFERENCE, "small-only"]
    assert stored["arms"][1] == {
        "name": "small-only", "kind": "small-only", "words": ANSWERS["small-only"],
    }  # fmt: skip
    assert (stored["seeds"], stored["forecast_s"], stored["owner"]) == ([0, 1], 90.0, "ana")
    assert read_experiment(workspace, made.id) == made


def test_a_guess_goes_to_those_that_it_is_about(workspace):
    guess = {"progressive": 0.2, "fixed": 0.3}
    kinds = ["fixed-same-epochs", "small-only"]
    made = launched(workspace, quick(kinds), meta={"prediction": guess})
    found = {one.arm: one.run.meta()["prediction"] for one in members(workspace, made)}
    assert found == {REFERENCE: guess, "fixed-same-epochs": guess, "small-only": {}}


def test_a_failed_reference_takes_its_dependants_of_that_seed_along(workspace):
    from lab.jobs.supervisor import Supervisor

    made = launched(workspace, quick(["small-only"], seeds=(0, 1)))
    reference = members(workspace, made)[0].run
    queue.withdraw(workspace, reference.id, "failed", "It broke.")
    Supervisor(workspace, devices=["cpu"])._cancel_hopeless()
    states = [one.row.status for one in members(workspace, made)]
    assert states == ["failed", "cancelled", "queued", "queued"]
    assert f"It was to follow {reference.id}" in members(workspace, made)[1].row.message


def test_the_rest_is_taken_out_and_put_back_behind_its_reference(workspace):
    made = launched(workspace, quick(["small-only"], seeds=(0, 1)))
    assert experiments.cancel_rest(workspace, made) == "4 runs are taken out of the queue."
    assert {one.row.status for one in members(workspace, made)} == {"cancelled"}
    assert queue.waiting(workspace) == []
    assert experiments.continue_rest(workspace, made) == "4 runs are in the queue again."
    found = members(workspace, made)
    assert [job.id for job in queue.waiting(workspace)] == [one.run.id for one in found]
    assert [job.after for job in queue.waiting(workspace)] == [
        "", found[0].run.id, "", found[2].run.id,
    ]  # fmt: skip
    assert experiments.continue_rest(workspace, made) == "Nothing of this experiment is left to do."


def test_a_launch_that_fails_half_way_leaves_nothing_behind(workspace, monkeypatch):
    made = []

    def broken(*args, **options):
        if len(made) == 2:
            raise OSError(28, "No space left on device")
        made.append(original(*args, **options))
        return made[-1]

    original = experiments.create_run
    monkeypatch.setattr(experiments, "create_run", broken)
    with pytest.raises(OSError, match="No space"):
        launched(workspace, quick(["small-only"], seeds=(0, 1)))
    assert all_runs(workspace) == []
    assert list_experiments(workspace) == []


def test_a_finished_run_is_the_reference_of_its_seed_and_is_not_trained_again(workspace):
    run = fake_run(workspace, "finished", recipe=QUICK)
    made = launched(workspace, quick(["small-only"], seeds=(0, 1)), of=run)
    found = {(one.arm, one.seed): one for one in members(workspace, made)}
    assert found[REFERENCE, 0].run.id == run.id
    assert found["small-only", 0].run.meta()["baseline_of"] == run.id
    assert len(found) == len(all_runs(workspace)) == 4
    assert run.meta()["experiment"] == made.id


def test_a_run_of_another_experiment_is_borrowed(workspace):
    run = fake_run(workspace, "finished", recipe=QUICK, experiment="demo-1")
    made = launched(workspace, quick(["small-only"]), of=run)
    assert run.meta()["experiment"] == "demo-1"
    assert members(workspace, made)[0].run.id == run.id
    assert read_experiment(workspace, made.id).borrowed == (run.id,)


def test_more_seeds_fill_every_arm_and_nothing_twice(workspace):
    made = launched(workspace, quick(["fixed-same-time"]), seconds={REFERENCE: 5.0})
    before = {run.id for run in all_runs(workspace)}
    added = experiments.extend(workspace, made, seeds=(0, 1, 2))
    assert [run.recipe().seed for run in added] == [1, 1, 2, 2]
    assert not {run.id for run in added} & before
    assert added[1].recipe().same_time_as == added[0].id
    assert read_experiment(workspace, made.id).seeds == (0, 1, 2)


def test_a_run_alone_becomes_the_reference_of_an_experiment_once(workspace):
    run = fake_run(workspace, "finished", recipe=QUICK, owner="ana")
    made = experiments.around(workspace, run)
    assert experiments.around(workspace, run) == made
    assert (made.owner, made.device, made.seeds) == ("ana", "cpu", (0,))


def test_an_arm_is_borrowed_as_the_reference_of_a_new_question_once(workspace):
    first = launched(workspace, quick(["small-only"]))
    arm = members(workspace, first)[-1].run
    around = experiments.around(workspace, arm)
    assert around.id != first.id
    assert [one.arm for one in members(workspace, around)] == [REFERENCE]
    assert experiments.around(workspace, arm) == around


def test_old_runs_make_an_experiment_without_a_file(workspace):
    fake_run(workspace, "finished", recipe=QUICK, experiment="demo-9", role="progressive")
    kind = "fixed-same-pixels"
    fake_run(workspace, "queued", recipe=QUICK, experiment="demo-9", baseline=kind)
    (found,) = list_experiments(workspace)
    assert (found.id, found.name, found.question) == ("demo-9", "demo-9", "")
    assert [arm.name for arm in found.arms] == [REFERENCE, kind]
    assert read_experiment(workspace, "demo-9") == found


@pytest.mark.parametrize("content", ['{"arms": 3}', "[]", "{", '{"name": 7, "seeds": ["x"]}'])
def test_a_broken_file_is_an_experiment_by_its_id(workspace, content):
    folder = workspace.root / "experiments" / "e1"
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text(content)
    assert [found.id for found in list_experiments(workspace)] == ["e1"]


@pytest.mark.parametrize("name", ["../x", "nothing", "a/b"])
def test_an_experiment_that_is_not_there_is_told(workspace, name):
    with pytest.raises(LabError):
        read_experiment(workspace, name)


def test_a_deleted_run_leaves_its_cell_to_be_filled(workspace):
    import shutil

    made = launched(workspace, quick(["small-only"]))
    gone = members(workspace, made)[-1].run
    experiments.cancel_rest(workspace, made)
    shutil.rmtree(gone.path)
    experiments.continue_rest(workspace, made)
    (added,) = experiments.extend(workspace, made)
    assert (added.recipe().stages[0].size, added.recipe().seed) == (64, 0)


def test_weights_of_the_last_run_are_those_of_one_run_for_all_arms(workspace):
    source = fake_run(workspace, "finished", recipe=QUICK)
    recipe = QUICK.but(model=QUICK.model.but(weights="run", run="last").model_dump())
    design = Design(recipe, arms_of(recipe, ["small-only"]), (0, 1))
    made = launched(workspace, design)
    runs = [one.run.recipe().model.run for one in members(workspace, made)]
    assert runs == [source.id] * 4


# Really trained


def trained(workspace: Workspace, design: Design) -> list[RunFolder]:
    """Every run of an experiment, trained here without a queue, one after the other."""
    from lab.workers.runner import execute

    made = experiments.begin(workspace, design, name="trained")
    runs = [one.run for one in experiments.make_runs(workspace, made, design.cells(), [], {}, {})]
    for run in runs:
        assert execute(workspace, run, 0, "cpu") == 0, run.log.read_text()
    return runs


@pytest.mark.slow
def test_every_baseline_trains_by_its_reference_choices(workspace):
    recipe = small_recipe(evaluation={"size": 48})
    kinds = [kind for kind in KINDS if refusal(kind, recipe) is None]
    assert kinds == ["fixed-same-epochs", "fixed-same-pixels", "fixed-same-time", "small-only",
                     "fixres"]  # fmt: skip
    reference, *others = trained(workspace, Design(recipe, arms_of(recipe, kinds), (0,)))
    for run in others:
        assert run.scores(run.finished_stages()[-1])["final_size"] == [48, 48]
        reasons = run.resolved()["resolved"]["reasons"]
        assert reasons["precision"] == reasons["threads"] == f"as run {reference.id}"
    same_time = next(run for run in others if run.recipe().same_time_as)
    assert same_time.resolved()["resolved"]["stages"]["0"]["steps"] >= 1


@pytest.mark.slow
def test_head_only_trains_nothing_but_the_head_of_weights_that_have_learned(workspace):
    import numpy as np
    from safetensors.numpy import load_file

    stages = [{"size": 32, "epochs": 1, "batch_size": 16}]
    plain = small_recipe(stages)
    source = trained(workspace, Design(plain, arms_of(plain), (0,)))[0]
    model = {"name": "test_resnet", "groups": 2, "weights": "run", "run": source.id}
    recipe = small_recipe(model=model)
    made = trained(workspace, Design(recipe, arms_of(recipe, ["head-only"]), (0,)))[1]
    before, after = (load_file(run.stage(0) / "model.safetensors") for run in (source, made))
    moved = {name for name in before if not np.array_equal(before[name], after[name])}
    assert moved == {"fc.weight", "fc.bias"}
