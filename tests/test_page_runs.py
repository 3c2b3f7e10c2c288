"""The Runs page on an empty, a full and a broken workspace, and the words and cache behind it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fake_runs import N_TRAIN, eight_epochs, fake_run, grow, living
from runs_page import Show, buttons, markdown, opener, primary, texts

from lab.jobs.client import StatusRow
from lab.runs.events import EventWriter
from lab.runs.folder import all_runs
from lab.schedules.plan import make_plan
from lab.ui import watch
from lab.ui.epoch_table import plain_table
from lab.ui.experiment_more import baselines_of
from lab.ui.run_cache import snapshot
from lab.ui.run_list import library_table
from lab.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


@pytest.fixture
def show(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Show:
    return opener(workspace, monkeypatch)


# The page


def test_an_empty_workspace_says_what_to_do_next(show: Show) -> None:
    page = show()
    assert not page.exception
    assert "No run yet" in page.info[0].value
    assert primary(page) == ["Go to the demo"]


def test_a_running_run_shows_where_it_is_and_offers_to_stop(
    show: Show, workspace: Workspace
) -> None:
    fake_run(workspace, "running", share=0.62, identity=living())
    page = show()
    assert not page.exception
    assert "Stage 2 of 3 at 96" in texts(page)
    assert {"Stop now", "Stop after this stage"} <= set(buttons(page))
    assert primary(page) == []


def test_a_running_run_is_chosen_before_a_newer_finished_one(
    show: Show, workspace: Workspace
) -> None:
    running = fake_run(workspace, "running", share=0.3, identity=living())
    time.sleep(1.1)  # ids sort by the second
    fake_run(workspace, "finished")
    assert show().selectbox(key="runs.run").value == running.id


def test_a_link_opens_its_run(show: Show, workspace: Workspace) -> None:
    first = fake_run(workspace, "finished")
    fake_run(workspace, "running", share=0.3, identity=living())
    assert show(first).selectbox(key="runs.run").value == first.id


def test_a_link_to_a_run_that_is_gone_opens_another_one(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    page = show("no-such-run")
    assert not page.exception
    assert page.selectbox(key="runs.run").value == run.id


def test_stop_now_leaves_a_wish_for_the_worker(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.3, identity=living())
    page = show(run)
    buttons(page)["Stop now"].click().run()
    assert run.wish() == "stop"


def test_stop_after_this_stage_can_be_taken_back(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.3, identity=living())
    page = show(run)
    buttons(page)["Stop after this stage"].click().run()
    assert run.wish() == "stop_after_stage"
    buttons(page)["Keep going"].click().run()
    assert run.wish() == ""


def test_a_failed_run_shows_the_message_and_its_remedy(show: Show, workspace: Workspace) -> None:
    words = {"message": "Memory ran out.", "fix": "Lower the batch size, then clone."}
    page = show(fake_run(workspace, "failed", share=0.3, **words))
    assert page.error[0].value == "**Memory ran out.** Lower the batch size, then clone."
    assert primary(page) == ["Clone and change"]


def test_a_lost_run_is_continued_by_one_click(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.5)  # no such process
    page = show(run)
    assert "is gone" in page.error[0].value
    assert primary(page) == ["Continue"]
    buttons(page)["Continue"].click().run()
    assert not page.exception
    assert "Take out of the queue" in buttons(page)


def test_a_waiting_run_says_its_turn(show: Show, workspace: Workspace) -> None:
    page = show(fake_run(workspace, "queued", owner="ben"))
    assert not page.exception
    assert "It is next." in texts(page)


def test_a_finished_run_shows_forecast_and_guess_beside_the_result(
    show: Show, workspace: Workspace
) -> None:
    guess = {"progressive": 0.1, "fixed": 0.2}
    page = show(fake_run(workspace, "finished", forecast_s=41.0, prediction=guess))
    assert "Forecast 0:41, took 0:28" in texts(page)
    assert "10.0\u202f% wrong; it came to" in texts(page)


def test_one_click_queues_the_fixed_size_baseline(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished", owner="ana")
    page = show(run)
    assert primary(page) == ["Run the fixed-size baseline"]
    buttons(page)["Run the fixed-size baseline"].click().run()
    assert not page.exception
    (baseline,) = (other for other in all_runs(workspace) if other.id != run.id)
    assert [stage.size for stage in baseline.recipe().stages] == [128]
    assert baseline.recipe().dataset == run.recipe().dataset
    assert baseline.recipe().seed == run.recipe().seed
    assert baseline.meta()["experiment"] == run.meta()["experiment"] != ""
    assert baseline.meta()["owner"] == "ana"


def test_a_finished_run_with_an_opponent_leads_to_the_comparison(
    show: Show, workspace: Workspace
) -> None:
    run = fake_run(workspace, "finished", experiment="e")
    fake_run(workspace, "finished", experiment="e")
    assert primary(show(run)) == ["Compare"]


def test_a_finished_run_leads_to_an_opponent_that_still_trains(
    show: Show, workspace: Workspace
) -> None:
    run = fake_run(workspace, "finished", experiment="e")
    other = fake_run(workspace, "running", share=0.4, identity=living(), experiment="e")
    page = show(run)
    (label,) = primary(page)
    assert label.startswith("Watch ")
    buttons(page)[label].click().run()
    assert page.selectbox(key="runs.run").value == other.id


def test_a_run_without_a_readable_recipe_is_said_in_words(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    other = fake_run(workspace, "finished")
    run.recipe_file.write_text("{", encoding="utf-8")
    page = show(run)
    assert not page.exception
    assert "no readable recipe" in page.error[0].value
    assert other.id in page.selectbox(key="runs.run").options or len(page.dataframe) > 0


def test_torn_and_broken_lines_do_not_stop_the_page(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.5, identity=living())
    with open(run.events / "0.jsonl", "ab") as file:
        file.write(b'not json\n{"kind": "epoch", "stage"')
    page = show(run)
    assert not page.exception
    assert snapshot(run).broken == 1


def test_a_broken_index_is_made_anew(show: Show, workspace: Workspace) -> None:
    fake_run(workspace, "finished")
    workspace.database.write_bytes(b"no database at all" * 100)
    assert not show().exception


def test_a_hostile_name_never_becomes_markup(show: Show, workspace: Workspace) -> None:
    recipe = eight_epochs().but(name="<img src=x> [a](http://b) **c**")
    run = fake_run(workspace, "finished", recipe=recipe, experiment="e")
    fake_run(workspace, "running", recipe=recipe, share=0.3, identity=living(), experiment="e")
    for page in (show(run), show()):
        assert "<img" not in markdown(page).replace("\\<", "")
        assert all("[a](" not in button.label.replace("\\[", "") for button in page.button)


def test_tags_and_notes_are_kept_with_the_run(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished", tags=["old"], owner="ana")
    page = show(run, **{"runs.words": True})
    page.text_area[0].set_value("It was worth it.").run()
    assert run.meta()["notes"] == "It was worth it."
    assert run.meta()["tags"] == ["old"]
    assert run.meta()["owner"] == "ana"


def test_the_search_box_narrows_the_list(show: Show, workspace: Workspace) -> None:
    for name in ("Leaves at noon", "Cats"):
        fake_run(workspace, "finished", recipe=eight_epochs().but(name=name))
    page = show()
    page.text_input(key="runs.search").set_value("leaves noon").run()
    assert page.dataframe[-1].value["name"].tolist() == ["Leaves at noon"]
    page.text_input(key="runs.search").set_value("dogs").run()
    assert "No run fits" in texts(page)


def test_the_log_shows_its_end_without_control_characters(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    run.log.write_bytes(b"x" * 60_000 + b"\nlast \x1b[31mline\x00\n")
    assert watch.log_tail(run.log) == "last [31mline\n"
    assert "last" in show(run, **{"runs.log": True}).code[0].value


# The cache


def test_nothing_new_costs_nothing(workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.5, identity=living())
    assert snapshot(run) is snapshot(run)


def test_new_lines_are_seen_at_once(workspace: Workspace) -> None:
    recipe = eight_epochs()
    plan = make_plan(recipe, N_TRAIN, 1)
    run = fake_run(workspace, "running", recipe=recipe, share=0.5, identity=living())
    before = snapshot(run)
    writer = EventWriter(run, 0)
    for step in range(before.steps_done + 1, before.steps_done + 40):
        grow(run, writer, plan, step)
    writer.close()
    after = snapshot(run)
    assert after.steps_done == before.steps_done + 39
    assert len(after.epochs) == len(before.epochs) + 1


def test_steps_that_were_only_told_of_are_on_the_curve(workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.25, identity=living())
    before = snapshot(run)
    writer = EventWriter(run, 0)  # steps are written in blocks: the file lags behind the events
    told = {"stage": 0, "epoch": 2, "global_epoch": 2, "size": 64, "loss": 0.5, "lr": 1e-3}
    writer.write("step", step=before.steps_done + 5, **told)
    assert snapshot(run).steps["loss"].iloc[-1] == pytest.approx(0.5)
    assert snapshot(run).steps_done == before.steps_done + 5


def test_what_a_later_attempt_redoes_is_shown_once(workspace: Workspace) -> None:
    recipe = eight_epochs()
    plan = make_plan(recipe, N_TRAIN, 1)
    run = fake_run(workspace, "running", recipe=recipe, share=0.5, identity=living())
    assert len(snapshot(run).epochs) == 4
    writer = EventWriter(run, 1)
    end = plan.epochs[1].last_step
    writer.write("resumed", step=end, epochs_done=2, stages_done=0)
    grow(run, writer, plan, end + 1)
    writer.close()
    assert len(snapshot(run).epochs) == 2
    assert snapshot(run).steps_done == end + 1


def test_most_step_events_are_let_go(workspace: Workspace) -> None:
    from lab.ui.run_cache import _watcher

    run = fake_run(workspace, "finished")
    snapshot(run)
    (events,) = _watcher(str(run.path))._reader.by_attempt.values()
    assert sum(event["kind"] == "step" for event in events) == 1


# The words


@pytest.mark.parametrize(
    ("expected", "took", "words"),
    [
        (41, 44, "Forecast 0:41, took 0:44: 7\u202f% over."),
        (100, 80, "Forecast 1:40, took 1:20: 20\u202f% under."),
        (50, 50, "Forecast 0:50, took 0:50: just so."),
        (50, None, "Forecast 0:50."),
        (None, 50, ""),
    ],
)
def test_a_forecast_is_held_against_what_came(
    expected: float | None, took: float | None, words: str
) -> None:
    assert watch.forecast_words(expected, took) == words


@pytest.mark.parametrize(
    ("meta", "words"),
    [
        ({}, ""),
        ({"prediction": {}}, ""),
        ({"prediction": {"progressive": 0.1, "fixed": 0.2}}, "10.0\u202f% wrong"),
        (
            {"prediction": {"progressive": 0.1, "fixed": 0.2}, "role": "baseline"},
            "20.0\u202f% wrong",
        ),
        ({"prediction": "it will win"}, "it will win"),
    ],
)
def test_a_guess_is_the_one_made_for_this_run(meta: dict[str, Any], words: str) -> None:
    assert watch.guess_words(meta) == words


def test_each_status_has_a_word_and_a_sentence(workspace: Workspace) -> None:
    seen = snapshot(fake_run(workspace, "finished"))
    for status in watch.LOOKS:
        assert watch.look(status)[0]
        assert watch.headline(StatusRow(status), seen).endswith(".")


def test_preparation_is_told_before_the_first_step(workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.0, identity=living())
    lines = (run.events / "0.jsonl").read_bytes().split(b"\n")
    (run.events / "0.jsonl").write_bytes(lines[0] + b"\n")  # before run_started
    done = watch.progress(snapshot(run), "running", time.time(), None)
    assert done.text == "Preparing pictures: 300 of 900"
    assert done.share == pytest.approx(1 / 3)


def test_baselines_are_matched_by_time_pixels_and_epochs(workspace: Workspace) -> None:
    seen = snapshot(fake_run(workspace, "finished"))
    found = {kind: recipe.total_epochs for kind, (_, recipe) in baselines_of(seen).items()}
    # Pixels: 4 x 64^2 + 2 x 96^2 + 2 x 128^2 = 4.1 epochs at 128. Time: 28.2 s at 6.3 s an epoch.
    # FixRes: all 8. Small only: 8 at 64 px.
    lengths = {"fixed-same-time": 4, "fixed-same-pixels": 4, "fixed-same-epochs": 8}
    assert found == {**lengths, "small-only": 8, "fixres": 8}


def test_exports_hold_numbers_and_safe_names(workspace: Workspace) -> None:
    from lab.runs.index import list_runs

    run = fake_run(workspace, "finished")
    assert plain_table(snapshot(run).epochs)["epoch"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert library_table(list_runs(workspace))["error"].iloc[0] == pytest.approx(9.33, abs=0.01)
