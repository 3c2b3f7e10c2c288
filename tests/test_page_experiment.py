"""The Experiment page: from a question to runs in the queue, how far they are, what can be done."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_runs import eight_epochs, fake_run
from streamlit.testing.v1 import AppTest

from lab.jobs import experiments, queue
from lab.recipe import Recipe
from lab.recipe.experiment import REFERENCE, Design, arms_of
from lab.recipe.presets import preset_recipe
from lab.runs.experiments import Experiment, list_experiments, members, read_experiment
from lab.runs.folder import RunFolder, all_runs
from lab.runs.speeds import note_speeds
from lab.schedules.budget import speed_key, valid_key
from lab.ui import experiment_view as view
from lab.ui.experiment_form import arm_title, following, outlook, reference_words
from lab.workspace import Workspace

APP = Path(__file__).resolve().parents[1] / "app.py"
QUICK = preset_recipe("quick")


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.setenv("LAB_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("LAB_NO_PROCESSES", "1")
    for module in ("client", "status"):
        monkeypatch.setattr(f"lab.jobs.{module}.ensure_supervisor", lambda *_: None)
    return Workspace(tmp_path).create()


def opened(**query: str) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=30).run()
    page.switch_page("pages/experiment.py")
    for key, value in query.items():
        page.query_params[key] = value
    page.run()
    assert not page.exception, page.exception
    return page


def texts(page: AppTest) -> str:
    parts = [*page.title, *page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    metrics = [f"{metric.label} {metric.value}" for metric in page.metric]
    return "\n".join([*(str(part.value) for part in parts), *metrics]).replace("\\", "")


def primary(page: AppTest) -> list[str]:
    return [button.label for button in page.button if button.proto.type == "primary"]


def press(page: AppTest, key: str) -> None:
    page.button(key=f"experiment.{key}").click().run()
    assert not page.exception, page.exception


def vary(page: AppTest, path: str, values: str, row: int = 1) -> None:
    press(page, "add")
    page.selectbox(key=f"experiment.field.{row}").set_value(path).run()
    page.text_input(key=f"experiment.values.{row}").set_value(values).run()
    assert not page.exception, page.exception


def measured(workspace: Workspace) -> None:
    """This machine trains 400, 200 and 100 images a second at 64, 96 and 128 px."""
    speeds = {64: 400.0, 96: 200.0, 128: 100.0}
    train = {speed_key("resnet10t", px, px, 32, "fp32"): s for px, s in speeds.items()}
    valid = {valid_key("resnet10t", px, px, "fp32"): 3 * s for px, s in speeds.items()}
    note_speeds(workspace, "cpu", {"speeds": train, "valid_speeds": valid})


def launched(workspace: Workspace, kinds=("small-only",), seeds=(0, 1), **about: Any) -> Experiment:
    design = Design(QUICK, arms_of(QUICK, kinds), seeds, 5)
    about = {"name": "Quick", "question": "Does it help?", **about}
    return experiments.launch(workspace, design, **about)[0]


def test_an_empty_workspace_asks_about_the_draft(workspace):
    page = opened()
    assert page.title[0].value == "What do you want to find out?"
    assert "2 epochs at 64\u202fpx, then 1 at 96\u202fpx, then 4 at 128\u202fpx" in texts(page)
    assert primary(page) == ["Launch the experiment"]
    assert "3 arms with 3 seeds: 9 runs" in texts(page)
    assert "A finished run" not in page.segmented_control[0].options


def test_every_arm_says_what_it_answers_and_what_is_refused_says_why(workspace):
    said = texts(opened())
    assert "Are the large pictures needed at all?" in said
    assert "Head only: The weights are random" in said
    assert "First label alone: There is no second label." in said


def test_the_expected_time_is_that_of_all_arms_and_seeds(workspace):
    measured(workspace)
    page = opened()
    # Train 804, validate 300: 2.26, 4.52 and 9.04 s an epoch: 45.2 s, 63.3 s and again 45.2 s.
    assert "about 0:45 a run" in " ".join(box.label for box in page.checkbox)
    assert "Expected time in all 7:41" in texts(page)
    page.number_input(key="experiment.seeds").set_value(1).run()
    assert "Expected time in all 2:34" in texts(page)


def test_an_unmeasured_machine_knows_no_time_and_says_what_to_do(workspace):
    assert "No time is known: measure this network" in texts(opened())


def test_a_launch_writes_the_experiment_and_queues_it_in_order(workspace):
    page = opened()
    page.checkbox(key="experiment.arm.small-only").check().run()
    page.number_input(key="experiment.seeds").set_value(2).run()
    page.text_input(key="experiment.name").set_value("Lesson 3").run()
    press(page, "launch")
    (made,) = list_experiments(workspace)
    assert made.name == "Lesson 3"
    assert made.question.startswith("Is growing from 64 px to 128 px better than")
    arms = [REFERENCE, "fixed-same-epochs", "fixed-same-time", "small-only"]
    found = members(workspace, made)
    assert [(one.arm, one.seed) for one in found] == [(a, s) for s in (0, 1) for a in arms]
    assert [job.id for job in queue.waiting(workspace)] == [one.run.id for one in found]


def test_after_the_launch_its_progress_is_shown(workspace):
    page = opened()
    press(page, "launch")
    (made,) = list_experiments(workspace)
    assert page.query_params["experiment"] in (made.id, [made.id])
    assert page.title[0].value == made.question
    assert page.dataframe[0].value["seed 2"].tolist() == ["waiting"] * 3


def test_the_guess_is_kept_with_the_runs(workspace):
    page = opened()
    page.number_input(key="experiment.guess_progressive").set_value(20.0).run()
    press(page, "launch")
    run = min(all_runs(workspace), key=lambda run: run.meta()["created"])
    assert run.meta()["prediction"]["progressive"] == pytest.approx(0.2)


def test_a_field_varied_makes_an_arm_a_value(workspace):
    page = opened()
    vary(page, "stages.0.lr", "0.001, 0.004, 0.008")
    assert "It is 0.004 in the reference." in texts(page)
    assert "5 arms with 3 seeds: 15 runs" in texts(page)
    press(page, "launch")
    (made,) = list_experiments(workspace)
    assert [arm.name for arm in made.arms][-2:] == ["stage 1 lr = 0.001", "stage 1 lr = 0.008"]


def test_two_fields_are_arms_of_their_own_or_every_combination(workspace):
    page = opened()
    vary(page, "stages.0.lr", "0.001, 0.002")
    vary(page, "stages.*.batch_size", "8, 16", row=2)
    assert "7 arms with" in texts(page)
    page.toggle(key="experiment.grid").set_value(True).run()
    vary(page, "ema_decay", "0.9", row=3)
    assert "7 arms with" in texts(page)  # 2 x 2 x 1 combinations, two baselines, the reference


def test_a_value_that_does_not_fit_forbids_the_launch_in_words(workspace):
    page = opened()
    vary(page, "stages.0.lr", "0.001, -3")
    assert "-3 does not fit" in texts(page)
    assert page.button(key="experiment.launch").disabled
    press(page, "drop.1")
    assert not page.button(key="experiment.launch").disabled


def test_an_arm_that_cannot_be_trained_is_named_before_the_launch(workspace):
    page = opened()
    vary(page, "stages.0.epochs", "0")
    assert "Stage 1 epochs = 0, Stage 1, epochs: **The stage trains nothing" in texts(page)
    assert page.button(key="experiment.launch").disabled


def test_nothing_ticked_and_one_seed_is_nothing_to_compare(workspace):
    page = opened()
    for kind in ("fixed-same-epochs", "fixed-same-time"):
        page.checkbox(key=f"experiment.arm.{kind}").uncheck().run()
    page.number_input(key="experiment.seeds").set_value(1).run()
    assert "There is nothing to compare." in texts(page)
    page.number_input(key="experiment.seeds").set_value(2).run()
    assert not page.button(key="experiment.launch").disabled


def test_the_question_follows_the_arms_until_somebody_writes(workspace):
    page = opened()
    page.checkbox(key="experiment.arm.small-only").check().run()
    box = page.text_area(key="experiment.question")
    assert "64 px alone" in box.value
    box.set_value("Mine?").run()
    page.checkbox(key="experiment.arm.fixres").check().run()
    assert page.text_area(key="experiment.question").value == "Mine?"


def test_a_preset_can_be_the_reference(workspace):
    page = opened()
    page.segmented_control(key="experiment.from").set_value("preset").run()
    page.selectbox(key="experiment.preset").set_value("keras-fixres").run()
    assert "resnetv2" in texts(page)
    assert "FixRes: The schedule is FixRes already." in texts(page)


def test_a_finished_run_is_not_trained_again(workspace):
    run = fake_run(workspace, "finished", recipe=QUICK)
    page = opened()
    page.segmented_control(key="experiment.from").set_value("run").run()
    press(page, "launch")
    (made,) = list_experiments(workspace)
    assert len(all_runs(workspace)) == 9
    assert members(workspace, made)[0].run.id == run.id
    assert made.device == "cpu"  # as the run
    assert page.dataframe[0].value["seed 0"].tolist()[0] == "9.3\u202f%"


# How far it is


def test_a_failure_says_what_broke_and_offers_to_go_on(workspace):
    made = launched(workspace)
    broken = members(workspace, made)[0].run
    queue.withdraw(workspace, broken.id, "failed", "Memory ran out at *96* px.")
    page = opened(experiment=made.id)
    assert page.error[0].value == "Memory ran out at \\*96\\* px."
    press(page, "again")
    assert len(queue.waiting(workspace)) == 4


def test_the_rest_can_be_cancelled(workspace):
    made = launched(workspace)
    page = opened(experiment=made.id)
    press(page, "cancel")
    assert queue.waiting(workspace) == []
    assert "4 taken out of the queue." in texts(page)


def test_when_all_is_done_the_next_step_is_to_compare(workspace):
    first = fake_run(workspace, "finished", recipe=QUICK)
    design = Design(QUICK, arms_of(QUICK, ["small-only"]), (0,))
    made = experiments.begin(workspace, design, of=first, name="Done", question="Q?")
    about = {"experiment": made.id, "arm": "small-only", "baseline_of": first.id}
    fake_run(workspace, "finished", recipe=design.cells()[1].recipe, skill=0.05, **about)
    page = opened(experiment=made.id)
    assert primary(page) == ["Compare"]
    assert page.dataframe[0].value["seed 0"].tolist() == ["9.3\u202f%", "4.3\u202f%"]


def test_more_seeds_repeat_every_arm(workspace):
    first = fake_run(workspace, "finished", recipe=QUICK)
    design = Design(QUICK, arms_of(QUICK, ["small-only"]), (0,))
    made = experiments.begin(workspace, design, of=first, name="Done")
    page = opened(experiment=made.id)
    press(page, "more.go")
    found = members(workspace, read_experiment(workspace, made.id))
    assert [(one.arm, one.seed) for one in found] == [
        (REFERENCE, 0), (REFERENCE, 1), ("small-only", 1), (REFERENCE, 2), ("small-only", 2),
    ]  # fmt: skip


def test_an_old_experiment_without_a_file_is_shown_by_its_id(workspace):
    fake_run(workspace, "finished", experiment="demo-1", role="progressive")
    assert opened(experiment="demo-1").title[0].value == "demo-1"


@pytest.mark.parametrize("name", ["../../etc", "nothing", "<script>"])
def test_a_link_to_no_experiment_says_so_and_offers_the_form(workspace, name):
    page = opened(experiment=name)
    assert page.error
    assert page.title[0].value == "What do you want to find out?"


def test_hostile_words_stay_words(workspace):
    bad = "<img src=x onerror=alert(1)> **bold** [a](http://x) $x$"
    made = launched(workspace, question=bad, name=bad)
    for page in (opened(experiment=made.id), opened()):
        shown = "".join(str(part.value) for part in [*page.title, *page.markdown, *page.caption])
        assert "<img" not in shown.replace("\\<", "")
        assert "**bold**" not in shown.replace("\\*", "")


def test_the_list_tells_question_and_state(workspace):
    launched(workspace)
    table = opened().dataframe[-1].value
    assert table["question"].tolist() == ["Does it help?"]
    assert table["runs"].tolist() == ["0 of 4 done"]


def test_time_left_goes_by_what_an_arm_really_took(workspace):
    design = Design(QUICK, arms_of(QUICK, ["small-only"]), (0, 1))
    run = fake_run(workspace, "finished", recipe=QUICK)
    seconds = {REFERENCE: 1000.0, "small-only": 7.0}
    made, _ = experiments.launch(workspace, design, of=run, seconds=seconds, name="x")
    now = view.standing_of(workspace, made, 0.0)
    took = members(workspace, made)[0].row.seconds
    assert now.left_s == pytest.approx(took + 2 * 7.0)


def test_time_left_is_not_made_up(workspace):
    assert view.standing_of(workspace, launched(workspace), 0.0).left_s is None


# Small parts


def test_a_ramp_is_told_in_the_words_of_the_reference():
    recipe = Recipe.model_validate({"stages": [{"size": 128, "ramp_from": 64, "epochs": 1}]})
    assert reference_words(recipe) == (
        "run: 1 epoch at 64\u202fpx growing to 128\u202fpx; resnet18."
    )


def test_many_seeds_are_shortened_in_the_outlook():
    design = Design(QUICK, arms_of(QUICK, ["small-only"]), tuple(range(10)))
    table = outlook(design, {REFERENCE: 45.0}, 0)
    assert [name.replace("\u00a0", " ") for name in table.columns] == [
        "seed 0", "seed 1", "seed 2", "to 9",
    ]  # fmt: skip
    assert table.iloc[0].tolist() == ["done", "0:45", "0:45", "…"]
    assert table.iloc[1].tolist() == ["to train", "to train", "to train", "…"]


def test_arms_have_titles_that_people_read():
    assert arm_title("fixed-same-time") == "One size, same time"
    assert arm_title("stage 1 lr = 0.1") == "Stage 1 lr = 0.1"


def test_a_suggestion_is_followed_until_it_is_written_over(monkeypatch):
    import streamlit as st

    state: dict[str, Any] = {}
    monkeypatch.setattr(st, "session_state", state)
    following("q", "A?")
    following("q", "B?")
    assert state["q"] == "B?"
    state["q"] = "Mine?"
    following("q", "C?")
    assert state["q"] == "Mine?"


# On the Runs page


def runs_page(run: RunFolder) -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=30).run()
    page.switch_page("pages/runs.py")
    page.query_params["run"] = run.id
    page.run()
    assert not page.exception, page.exception
    return page


@pytest.mark.parametrize("kind", ["small-only", "fixres"])
def test_each_other_baseline_is_one_click(workspace, kind):
    run = fake_run(workspace, "finished", owner="ana")
    page = runs_page(run)
    page.button(key=f"runs.baseline.{kind}").click().run()
    assert not page.exception
    (made,) = (other for other in all_runs(workspace) if other.id != run.id)
    assert (made.meta()["arm"], made.meta()["baseline_of"]) == (kind, run.id)
    assert made.meta()["owner"] == "ana"
    assert queue.get(workspace, made.id).after == run.id


def test_the_same_time_is_matched_to_the_run_that_was_clicked(workspace):
    run = fake_run(workspace, "finished")
    page = runs_page(run)
    page.button(key="runs.baseline").click().run()
    (made,) = (other for other in all_runs(workspace) if other.id != run.id)
    assert made.recipe().same_time_as == run.id
    assert made.recipe().total_epochs == 4  # 28.2 s at 6.3 s an epoch


def test_another_question_begins_with_the_run(workspace):
    fake_run(workspace, "finished", recipe=QUICK.but(name="Other"))
    run = fake_run(workspace, "finished", recipe=QUICK.but(name="This one"))
    fake_run(workspace, "finished", recipe=QUICK.but(name="Newest"))
    page = runs_page(run)
    page.button(key="runs.ask").click().run()
    assert page.title[0].value == "What do you want to find out?"
    assert "The reference.** This one:" in texts(page)
    assert "default value" not in texts(page)


def test_a_run_is_repeated_with_more_seeds(workspace):
    run = fake_run(workspace, "finished")
    page = runs_page(run)
    page.button(key="runs.seeds.go").click().run()
    assert not page.exception
    assert sorted(one.recipe().seed for one in all_runs(workspace)) == [0, 1, 2]
    assert len({one.meta()["experiment"] for one in all_runs(workspace)}) == 1


def test_the_same_baseline_twice_is_two_arms(workspace):
    run = fake_run(workspace, "finished")
    for _ in range(2):
        runs_page(run).button(key="runs.baseline.fixres").click().run()
    names = [arm.name for arm in list_experiments(workspace)[0].arms]
    assert names == [REFERENCE, "fixres", "fixres (2)"]


def test_a_baseline_of_another_seed_joins_its_arm(workspace):
    made = launched(workspace, ("small-only",), (0,))
    experiments.extend(workspace, made, seeds=(1,), only=[(REFERENCE, 1)])
    reference = members(workspace, read_experiment(workspace, made.id))[-1].run
    from lab.ui.experiment_more import baselines_of, launch_baseline
    from lab.ui.run_cache import snapshot

    seen = snapshot(reference)
    added = launch_baseline(reference, seen, baselines_of(seen)["small-only"][0])
    assert (added.meta()["arm"], added.recipe().seed) == ("small-only", 1)


def test_a_page_of_a_broken_workspace_still_opens(workspace):
    folder = workspace.root / "experiments" / "bad"
    folder.mkdir(parents=True)
    (folder / "experiment.json").write_text(json.dumps({"arms": [{"name": ["x"]}], "seeds": "?"}))
    fake_run(workspace, "finished", recipe=eight_epochs(), experiment="bad")
    assert opened().title[0].value == "What do you want to find out?"
    assert opened(experiment="bad").title[0].value == "bad"
