"""The report's numbers against the raw events and stored predictions of fake runs; its command.

Expected values come from the files that a worker leaves, by hand or from scipy.
"""

from __future__ import annotations

import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from fake_runs import eight_epochs, fake_run
from report_runs import SKILLS, Page, arms_by_name, experiment_numbers, make_experiment, told
from scipy.stats import ttest_rel

from lab.analysis import report
from lab.cli.commands import commands
from lab.errors import LabError
from lab.runs.folder import RunFolder
from lab.ui.report_button import file_name, report_file
from lab.workspace import Workspace, write_json


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "ws").create()


def _error_from_predictions(run: RunFolder) -> float:
    stored = np.load(max(run.predictions.glob("s*-128x128.npz")))
    return float(np.mean(stored["probs"].argmax(axis=1) != stored["target"]))


def _method(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(method for method in found["methods"] if method["name"] == name)


def test_every_epoch_is_the_one_of_thetold(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    (facts,) = report.numbers([run])["runs"]
    events = told(run, "epoch")
    assert len(events) == 8
    for row, event in zip(facts["epochs"], events, strict=True):
        for key in ("global_epoch", "train_loss", "valid_loss", "error_rate", "seconds", "pixels"):
            assert row[key] == event[key]


def test_cost_is_the_sum_of_thetold(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    (facts,) = report.numbers([run])["runs"]
    events = told(run, "epoch")
    assert facts["seconds"] == pytest.approx(sum(event["seconds"] for event in events))
    assert facts["pixels"] == events[-1]["pixels"]
    assert facts["cost"]["flops"] is None


def test_final_scores_are_those_of_the_stored_predictions(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished", skill=0.02)
    (facts,) = report.numbers([run])["runs"]
    assert facts["scores"]["error_rate"] == pytest.approx(_error_from_predictions(run))
    assert (
        facts["stages"][0]["own"]["error_rate"]
        == told(run, "stage_finished")[0]["own"]["error_rate"]
    )


def test_a_methods_mean_and_interval_are_over_its_seeds(workspace: Workspace) -> None:
    make_experiment(workspace, arms=2)
    runs, _ = report.wanted(workspace, ["exp-1"])
    errors = [_error_from_predictions(run) for run in runs if run.meta()["arm"] == "progressive"]
    means = _method(experiment_numbers(workspace), "progressive")["means"]
    assert means["error_rate"] == pytest.approx(mean(errors))
    # t(0.975, 2) = 4.30265, from a table.
    reach = 4.30265 * stdev(errors) / 3**0.5
    assert means["high"] - means["error_rate"] == pytest.approx(reach, rel=1e-4)


def test_a_verdict_over_seeds_has_the_p_of_scipys_paired_t_test(workspace: Workspace) -> None:
    make_experiment(workspace, arms=2)
    runs, _ = report.wanted(workspace, ["exp-1"])
    errors = {
        arm: [_error_from_predictions(run) for run in runs if run.meta()["arm"] == arm]
        for arm in ("progressive", "fixed")
    }
    found = experiment_numbers(workspace)
    row = next(row for row in found["verdicts"] if row["metric"] == "error_rate")
    assert row["p"] == pytest.approx(ttest_rel(errors["progressive"], errors["fixed"]).pvalue)
    assert found["answer"] == [row["verdict"]]


def test_the_band_spans_the_seeds_at_each_epoch(workspace: Workspace) -> None:
    runs = make_experiment(workspace, arms=1)
    curves = experiment_numbers(workspace)["methods"][0]["curves"]
    third = [told(run, "epoch")[2] for run in runs]
    errors = [event["error_rate"] for event in third]
    row = curves["mean"][2]
    assert (row["epoch"], row["n"]) == (3, 3)
    assert row["error_rate"] == pytest.approx(mean(errors))
    assert (row["error_rate_low"], row["error_rate_high"]) == (min(errors), max(errors))


def test_the_answer_sorts_the_others_by_the_corrected_tests(workspace: Workspace) -> None:
    make_experiment(workspace)
    found = experiment_numbers(workspace)
    clear = {
        row["name_b"] if row["name_a"] == "progressive" else row["name_a"]
        for row in found["verdicts"]
        if row["metric"] == "error_rate"
        and row["p_corrected"] < 0.05
        and "progressive" in (row["name_a"], row["name_b"])
    }
    first = found["answer"][0]
    beaten, _, rest = first.partition("; it cannot be told apart")
    assert clear
    assert all(name in beaten for name in clear)
    assert {name for name in SKILLS if name in rest} == set(SKILLS) - clear - {"progressive"}
    assert "corrected for 10 comparisons" in found["answer"][1]


def test_numbers_are_json_and_say_the_same_after_a_round_trip(workspace: Workspace) -> None:
    make_experiment(workspace, arms=3)
    found = experiment_numbers(workspace)
    again = json.loads(json.dumps(found, allow_nan=False))
    assert report.html(again) == report.html(found)


def test_one_run_is_no_evidence_and_says_so(workspace: Workspace) -> None:
    found = report.numbers([fake_run(workspace, "finished", skill=0.03)])
    assert found["answer"][0].startswith(
        "Quick demo makes 6.3\u202f% errors (300 validation images"
    )
    assert "One run alone" in found["answer"][1]
    assert found["verdicts"] == []


def test_the_recipes_table_shows_what_was_chosen_not_what_was_left_open(
    workspace: Workspace,
) -> None:
    recipe = eight_epochs()
    stages = [stage.but(lr="finder", batch_size="auto").model_dump() for stage in recipe.stages]
    run = fake_run(workspace, "finished", recipe=recipe.but(stages=stages[:1]), n_train=64)
    document = run.resolved()
    document["resolved"]["stages"] = {"0": {"lr": 0.0042, "batch_size": 48}}
    write_json(run.resolved_file, document)
    (stage,) = report.numbers([run])["methods"][0]["schedule"]
    assert (stage["lr"], stage["batch"]) == (0.0042, 48)


def test_differences_leave_out_the_seed(workspace: Workspace) -> None:
    make_experiment(workspace, arms=2)
    where = [row["where"] for row in experiment_numbers(workspace)["differences"]["rows"]]
    assert "stages.0.size" in where
    assert "seed" not in where


def test_guesses_stand_beside_what_came(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished", skill=0.03, prediction={"progressive": 0.1, "fixed": 0.2})
    text = Page(report.html(report.numbers([run]))).text
    assert "10.0\u202f% wrong; it came to 6.3\u202f%" in text.replace(" %", "\u202f%")


def test_hindsight_is_there_where_epochs_were_stored(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    target = np.arange(40) % 6
    for epoch, wrong in ((6, 2), (7, 10)):
        said = np.where(np.arange(40) < wrong, (target + 1) % 6, target)
        np.savez(run.predictions / f"e{epoch}-128x128.npz", item=np.arange(40), target=target,
                 probs=np.eye(6, dtype=np.float16)[said])  # fmt: skip
    (row,) = report.numbers([run])["hindsight"]
    assert (row["best"], row["last"]) == (7, 8)
    assert row["looked"] == pytest.approx(8 / 40)
    assert "+20.0" in Page(report.html(report.numbers([run]))).text


# What is not whole


def test_unfinished_and_failed_runs_are_said_and_the_rest_goes_on(workspace: Workspace) -> None:
    whole = fake_run(workspace, "finished")
    half = fake_run(workspace, "stopped", share=0.5)
    broken = fake_run(
        workspace, "failed", share=0.3, message="Out of memory.", fix="Smaller batch."
    )
    waiting = fake_run(workspace, "queued")
    found = report.numbers([whole, half, broken, waiting])
    assert {line["run"] for line in found["unfinished"]} == {half.id, broken.id, waiting.id}
    text = Page(report.html(found)).text
    assert "Out of memory. Smaller batch." in text
    done = len(told(half, "epoch"))
    assert 0 < done < 8
    assert f"stopped, {done} of 8 epochs done" in text


def test_a_failed_repeat_of_a_seed_does_not_hide_the_finished_run(workspace: Workspace) -> None:
    whole = fake_run(workspace, "finished")
    again = fake_run(workspace, "failed", share=0.3, message="Out of memory.")
    (method,) = report.numbers([whole, again])["methods"]
    assert [line["run"] for line in method["scored"]] == [whole.id]
    assert set(method["runs"]) == {whole.id, again.id}


def test_long_names_are_cut_alike_in_tables_and_verdicts_and_stay_apart(
    workspace: Workspace,
) -> None:
    arms = list(arms_by_name().values())[:2]
    for end, recipe in zip("ab", arms):
        fake_run(workspace, "finished", recipe=recipe, arm="W" * 299 + end, experiment="e")
    found = report.numbers(*report.wanted(workspace, ["e"]))
    names = [method["name"] for method in found["methods"]]
    assert len(set(names)) == 2
    assert max(map(len, names)) < 90
    assert all(name in found["verdicts"][0]["verdict"] for name in names)


def test_a_run_without_a_readable_recipe_is_named(workspace: Workspace) -> None:
    whole, bad = fake_run(workspace, "finished"), fake_run(workspace, "finished")
    bad.recipe_file.write_text("[]", encoding="utf-8")
    found = report.numbers([whole, bad])
    assert [line["status"] for line in found["unfinished"]] == ["unreadable"]
    assert bad.id in Page(report.html(found)).text


def test_damaged_predictions_leave_a_run_out_of_the_verdicts_only(workspace: Workspace) -> None:
    runs = make_experiment(workspace, arms=2, seeds=3)
    (runs[0].predictions / "s2-128x128.npz").write_bytes(b"no")
    found = experiment_numbers(workspace)
    assert [line["run"] for line in found["unreadable"]] == [runs[0].id]
    assert {row["seeds"] for row in found["verdicts"]} == {2}


def test_runs_on_other_images_are_not_compared_in_silence(workspace: Workspace) -> None:
    runs = [fake_run(workspace, "finished", recipe=recipe, split=split)
            for split, recipe in enumerate(list(arms_by_name().values())[:2])]  # fmt: skip
    found = report.numbers(runs)
    assert found["verdicts"][0]["difference"] is None
    assert "Not comparable" in Page(report.html(found)).text


def test_nothing_scored_yet_is_an_answer(workspace: Workspace) -> None:
    found = report.numbers([fake_run(workspace, "stopped", share=0.2)])
    assert "No run is finished" in found["answer"][0]
    report.html(found)


def test_an_experiment_is_found_by_id_and_by_name_and_an_old_one_by_its_runs(
    workspace: Workspace,
) -> None:
    make_experiment(workspace, arms=2, seeds=1)
    old = fake_run(workspace, "finished", experiment="demo-7")
    assert len(report.wanted(workspace, ["exp-1"])[0]) == 2
    assert len(report.wanted(workspace, ["Does growing help?"])[0]) == 2
    assert [run.id for run in report.wanted(workspace, ["demo-7"])[0]] == [old.id]
    assert report.wanted(workspace, [old.id])[1] is None
    with pytest.raises(LabError, match="No run is called"):
        report.wanted(workspace, ["nothing"])


def test_no_runs_are_no_report(workspace: Workspace) -> None:
    with pytest.raises(LabError, match="no run to report on"):
        report.numbers([])


# The file


def test_the_command_in_the_report_names_every_scored_run(workspace: Workspace) -> None:
    runs = make_experiment(workspace, arms=2, seeds=1)
    compare, again = experiment_numbers(workspace)["commands"]
    assert compare == f"python -m lab compare {' '.join(run.id for run in runs)} --json"
    assert again.startswith("python -m lab report exp-1 ")


def test_the_command_writes_the_page_and_its_numbers(workspace: Workspace, tmp_path: Path) -> None:
    make_experiment(workspace, arms=2, seeds=1)
    page, record = tmp_path / "out" / "r.html", tmp_path / "r.json"
    done = CliRunner().invoke(
        commands, ["report", "exp-1", "--to", str(page), "--numbers", str(record), "--json",
                   "--workspace", str(workspace.root)],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["runs"] == 2
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert len(json.loads(record.read_text(encoding="utf-8"))["runs"]) == 2


def test_the_button_makes_the_file_and_says_a_refusal_as_a_page(workspace: Workspace) -> None:
    run = fake_run(workspace, "finished")
    assert b"Final scores" in report_file(workspace, [run.id])
    refused = Page(report_file(workspace, ["<b>gone</b>"]).decode())
    assert "'<b>gone</b>'" in refused.text
    assert "b" not in {tag for tag, _ in refused.tags}
    assert file_name("Does growing help? <x>") == "report-does-growing-help-x.html"
    assert file_name("报告") == "report.html"


def test_a_pair_of_which_one_had_no_epoch_in_time_is_named(workspace: Workspace) -> None:
    make_experiment(workspace)
    found = experiment_numbers(workspace)
    words = "when the quicker one had ended, the other had no epoch behind it"
    found["saved"] = [
        {
            **dict.fromkeys(("difference", "low", "high", "p", "value_a", "value_b", "at")),
            "a": _first(found), "b": "slow", "metric": "error_at_equal_time", "n": 3,
            "kind": "saved", "verdict": words,
        }
    ]  # fmt: skip
    page = report.html(found)
    assert words in page
    assert "slow" in page


def _first(found: dict[str, Any]) -> str:
    return str(found["methods"][(found["reference"] or 1) - 1]["name"])
