"""The Runs page: what the lab chose, early ends, what was drawn, second labels; training on."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from fake_runs import N_TRAIN, eight_epochs, fake_run, grow, living
from runs_page import Show, buttons, opener, primary, texts
from streamlit.testing.v1 import AppTest

from lab.jobs.client import StatusRow
from lab.recipe import Recipe, recipe_from
from lab.recipe.facts import Resolved
from lab.runs.events import EventWriter
from lab.runs.folder import RunFolder
from lab.schedules.plan import make_plan
from lab.ui import charts, watch
from lab.ui.choice_words import choice_rows
from lab.ui.epoch_table import plain_table, second_head
from lab.ui.experiment_more import baselines_of
from lab.ui.run_actions import trained_on
from lab.ui.run_cache import snapshot
from lab.workspace import Workspace, write_json


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


@pytest.fixture
def show(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Show:
    return opener(workspace, monkeypatch)


def reads(page: AppTest) -> str:
    """Everything said, without escapes and bold type."""
    return texts(page).replace("**", "")


# Choices, rules, sampling, two labels


def told(run: RunFolder, kind: str, **values: Any) -> None:
    """One more event of the first attempt."""
    writer = EventWriter(run, 0)
    writer.write(kind, **values)
    writer.close()


def changed_stage(index: int, **changes: Any) -> Recipe:
    values = eight_epochs().dump()
    values["stages"][index] |= changes
    return recipe_from(values)


def ended_early(workspace: Workspace) -> RunFolder:
    """4 + 2 + 2 epochs, of which a rule has let the first stage run 2; all others are done."""
    recipe = eight_epochs()
    resolved = Resolved().with_choice(0, "epochs", 2, "")
    plan = make_plan(recipe, N_TRAIN, 1, resolved)
    run = fake_run(workspace, "running", recipe=recipe, share=0.0, identity=living())
    writer = EventWriter(run, 0)
    for step in range(1, plan.total_steps + 1):
        if step == plan.epochs[1].last_step + 1:
            reason = "the last epoch brought no better error rate"
            writer.write("chosen", stage=0, name="epochs", value=2, reason=reason)
        grow(run, writer, plan, step)
    writer.close()
    return run


def test_an_early_end_is_said_with_its_reason(show: Show, workspace: Workspace) -> None:
    words = "Stage 1 ended after 2 of 4 epochs: the last epoch brought no better error rate."
    assert words in reads(show(ended_early(workspace)))


def test_a_run_that_a_rule_ended_early_is_whole(workspace: Workspace) -> None:
    seen = snapshot(ended_early(workspace))
    assert (seen.total_epochs, len(seen.epochs), seen.ended_early) == (6, 6, True)
    done = watch.progress(seen, "running", time.time(), 100.0)
    assert done.share == pytest.approx(1.0)
    assert done.left_s == 0.0
    assert "epoch 6 of 6" in watch.headline(StatusRow("running"), seen)


def test_baselines_of_a_run_that_ended_early_are_as_long_as_it_was(workspace: Workspace) -> None:
    found = baselines_of(snapshot(ended_early(workspace)))
    lengths = {kind: recipe.total_epochs for kind, (_, recipe) in found.items()}
    # Pixels: 2 x 64^2 + 2 x 96^2 + 2 x 128^2 = 3.6 epochs at 128.
    assert (lengths["fixed-same-epochs"], lengths["fixed-same-pixels"]) == (6, 4)


def test_a_rate_from_the_finder_is_said_with_its_reason(show: Show, workspace: Workspace) -> None:
    recipe = changed_stage(0, lr="finder")
    run = fake_run(workspace, "running", recipe=recipe, share=0.3, identity=living())
    told(run, "chosen", stage=0, name="lr", value=0.0042, reason="the finder's valley")
    assert "Stage 1: rate 4.2e-3 (the finder's valley)." in reads(show(run))


def test_of_two_choices_of_one_thing_the_last_is_shown(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.3, identity=living())
    for parts in (16, 8):
        told(run, "chosen", stage=0, name="micro", value=parts, reason="memory ran out")
    said = reads(show(run))
    assert "taken in parts of 8 (memory ran out)" in said
    assert "parts of 16" not in said


def test_while_the_finder_searches_the_headline_says_so(workspace: Workspace) -> None:
    recipe = changed_stage(1, lr="finder")
    run = fake_run(workspace, "running", recipe=recipe, share=0.0, identity=living())
    told(run, "stage_started", stage=1, step=0, size=96, epochs=2, batch=32)
    said = watch.headline(StatusRow("running"), snapshot(run))
    assert said.startswith("Stage 2 of 3 at 96\u202fpx begins: the finder tries out")


def test_caching_in_the_middle_of_a_run_keeps_its_bar_and_time(workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.5, identity=living())
    told(run, "stage_started", stage=1, step=104, size=96, epochs=2, batch=32)
    told(run, "progress", what="Caching activations", done=64, total=372)
    seen = snapshot(run)
    done = watch.progress(seen, "running", time.time(), None)
    assert done.text.endswith("Caching activations: 64 of 372")
    assert 0.2 < done.share < 0.5
    assert done.elapsed_s > 0
    assert watch.headline(StatusRow("running"), seen).endswith("begins: caching activations.")


def test_one_thing_to_prepare_is_told_without_numbers() -> None:
    event = {"what": "Choosing precision and batch", "done": 0, "total": 1}
    assert watch.preparing_words(event) == "Choosing precision and batch …"


def test_what_a_run_was_started_with_is_said_once(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.3, identity=living())
    file = run.events / "0.jsonl"
    more = '"weights": "random, from the seed 0", "stages": {"0": {"batch_size": 48}}, "device"'
    file.write_text(file.read_text().replace('"device"', more, 1))
    said = reads(show(run))
    words = "On cpu in fp32; 2 threads; first weights: random, from the seed 0; "
    assert said.count(f"{words}batch by memory: 48 in stage 1.") == 1


def test_every_choice_is_in_the_table_with_its_reason(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.3, identity=living())
    told(run, "chosen", stage=1, name="lr", value=0.0042, reason="the valley")
    rows = {row["what"]: (row["choice"], row["reason"]) for row in choice_rows(snapshot(run))}
    assert rows["stage 2, rate"] == ("4.2e-3", "the valley")
    assert rows["device"] == ("cpu", "no GPU is here")
    assert "4.2e-3" in show(run, **{"runs.why": True}).table[0].value["choice"].tolist()


def test_weighted_sampling_shows_what_it_drew_beside_what_there_is(
    show: Show, workspace: Workspace
) -> None:
    run = fake_run(workspace, "running", share=0.3, identity=living())
    assert not [box for box in show(run).expander if "weighted" in box.label]
    epoch = {"stage": 0, "epoch": 2, "global_epoch": 2, "step": 78, "size": 64, "seconds": 2.0}
    for drawn in ([10, 20, 30, 40, 50, 60], [20, 20, 30, 40, 50, 80]):
        told(run, "epoch", **epoch, drawn=drawn, error_rate=0.5, accuracy=0.5)
    assert snapshot(run).drawn[0].tolist() == [15, 20, 30, 40, 50, 70]
    assert [box for box in show(run).expander if "weighted" in box.label]


def test_the_chart_of_draws_says_both_numbers_of_each_class() -> None:
    chart = charts.drawn_counts(["cat", "dog"], [90, 10], [51.0, 49.0])
    assert "cat 90 and 51, dog 10 and 49" in charts.describe(chart)


def with_scores(workspace: Workspace, **more: Any) -> RunFolder:
    """A finished run whose last stage's scores say more."""
    recipe = eight_epochs()
    recipe = recipe.but(dataset=recipe.dataset.but(second_target="variety").model_dump())
    run = fake_run(workspace, "finished", recipe=recipe.but(ema_decay=0.99))
    file = run.events / "0.jsonl"
    kept = [line for line in file.read_text().splitlines() if '"stage_finished"' not in line]
    file.write_text("\n".join(kept) + "\n")
    write_json(run.stage(2) / "scores.json", {**run.scores(2), **more})
    scores = {"own": {"error_rate": 0.1}, "final": {"error_rate": 0.1, "balanced_error": 0.25}}
    told(run, "stage_finished", stage=2, step=208, size=128, final_size=128, **scores)
    return run


def test_the_balanced_error_stands_beside_the_error(show: Show, workspace: Workspace) -> None:
    said = reads(show(with_scores(workspace)))
    assert "With every class counted alike (balanced error): 25.0\u202f%." in said


def test_the_second_labels_score_is_said(show: Show, workspace: Workspace) -> None:
    run = with_scores(workspace, second_own={"error_rate": 0.3}, second_final={"error_rate": 0.3})
    assert "Variety: 30.0\u202f% wrong." in reads(show(run))


def test_averaged_weights_and_a_kept_epoch_are_said(show: Show, workspace: Workspace) -> None:
    said = reads(show(with_scores(workspace, weights="ema", kept_epoch=0)))
    assert "Weights of epoch 1 of 2, chosen on these images: the score is too good." in said
    assert "Scored: the running average of the weights (0.99 of the old one kept" in said


def test_the_second_labels_accuracy_has_a_column_of_its_own(workspace: Workspace) -> None:
    recipe = eight_epochs()
    recipe = recipe.but(dataset=recipe.dataset.but(second_target="variety").model_dump())
    run = fake_run(workspace, "running", recipe=recipe, share=0.0, identity=living())
    epoch = {"stage": 0, "epoch": 0, "global_epoch": 0, "step": 26, "size": 64, "seconds": 2.0}
    told(run, "epoch", **epoch, accuracy=0.5, error_rate=0.5, second_accuracy=0.75, lr=1e-3)
    epochs = snapshot(run).epochs
    assert second_head(epochs) == "variety: accuracy"
    assert plain_table(epochs)["second_accuracy"].tolist() == [0.75]


def test_a_run_of_one_label_has_no_column_for_a_second(workspace: Workspace) -> None:
    epochs = snapshot(fake_run(workspace, "finished")).epochs
    assert second_head(epochs) == ""
    assert "second_accuracy" not in plain_table(epochs)


# Training on


def test_train_on_makes_a_draft_with_these_weights_at_a_quarter_of_the_rate(
    workspace: Workspace,
) -> None:
    run = fake_run(workspace, "finished", recipe=changed_stage(2, lr=2e-3, frozen_epochs=1))
    draft = trained_on(run)
    (stage,) = draft.stages
    assert (draft.model.weights, draft.model.run, draft.model.run_stage) == ("run", run.id, None)
    assert (stage.size, stage.lr, stage.epochs, stage.frozen_epochs) == (128, 5e-4, 2, 0)
    assert draft.dataset == run.recipe().dataset


def test_train_on_takes_a_quarter_of_what_the_finder_chose(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished", recipe=changed_stage(2, lr="finder"))
    document = run.resolved()
    document["resolved"]["stages"] = {"2": {"lr": 0.004}}
    write_json(run.resolved_file, document)
    assert trained_on(run).stages[0].lr == pytest.approx(0.001)


def test_only_a_finished_run_offers_to_train_on(show: Show, workspace: Workspace) -> None:
    assert "Train on" in buttons(show(fake_run(workspace, "finished")))
    assert "Train on" not in buttons(show(fake_run(workspace, "failed", share=0.3)))


def test_a_diverged_run_is_changed_before_it_is_continued(show: Show, workspace: Workspace) -> None:
    words = {"message": "Training diverged.", "fix": "Lower the stage's learning rate."}
    assert primary(show(fake_run(workspace, "failed", share=0.3, **words))) == ["Clone and change"]


def test_a_finished_run_lists_the_epochs_that_it_ran(workspace: Workspace) -> None:
    from lab.runs.index import list_runs
    from lab.ui.run_list import epochs_words

    fake_run(workspace, "finished")
    (row,) = list_runs(workspace)
    assert epochs_words(row) == "8"


def test_warnings_of_the_run_are_shown_once_each(show: Show, workspace: Workspace) -> None:
    run = fake_run(workspace, "running", share=0.3, identity=living())
    for _ in range(2):
        told(run, "warning", message="The finder gave no rate.")
    assert [warning.value for warning in show(run).warning] == ["The finder gave no rate."]
