"""Every number that `compare --json` prints, computed again from raw event lines and predictions.

Nothing of the lab's analysis is used here on the other side: json, numpy, scipy and statsmodels.
"""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import numpy as np
import pytest
from fake_epochs import keep_epochs
from fake_runs import eight_epochs, fake_run
from scipy.stats import binomtest, ttest_rel
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from lab.cli.commands import main
from lab.recipe.baselines import fixed_same_epochs
from lab.workspace import Workspace

SKILLS = ((0.031, 0.0), (0.026, -0.005), (0.034, -0.006))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    """An experiment of two arms and three seeds, with the predictions of every epoch."""
    place = Workspace(tmp_path_factory.mktemp("json")).create()
    grown = eight_epochs().but(name="Growing")
    for seed, skills in enumerate(SKILLS):
        arms = {"growing": grown, "fixed": fixed_same_epochs(grown).but(name="Fixed")}
        for (arm, recipe), skill in zip(arms.items(), skills):
            recipe = recipe.but(seed=seed)
            run = fake_run(place, "finished", recipe=recipe, skill=skill, experiment="e", arm=arm)
            keep_epochs(run, [0.5, 0.4, 0.3, 0.2, 0.15, 0.12, 0.1, 0.1], n_test=90, seed=seed)
    return place


@pytest.fixture(scope="module")
def rows(workspace) -> list[dict[str, Any]]:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert main(["compare", "e", "--workspace", str(workspace.root), "--json"]) == 0
    return [json.loads(line, parse_constant=_no_nan) for line in out.getvalue().splitlines()]


def _no_nan(word: str) -> float:
    raise AssertionError(f"{word} is no JSON")


def of_kind(rows: list[dict[str, Any]], kind: str, **fields: Any) -> list[dict[str, Any]]:
    found = [row for row in rows if row["kind"] == kind]
    return [row for row in found if all(row[key] == value for key, value in fields.items())]


def raw_epochs(workspace: Workspace, run: str) -> list[dict[str, Any]]:
    lines = (workspace.runs / run / "events" / "0.jsonl").read_text().splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == "epoch"]


def raw_scores(workspace: Workspace, run: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """probs, target, wrong of the final predictions, by item."""
    stages = sorted((workspace.runs / run / "stages").iterdir())
    stored = np.load(workspace.runs / run / "predictions" / f"s{stages[-1].name}-128x128.npz")
    order = np.argsort(stored["item"])
    probs, target = stored["probs"][order].astype(float), stored["target"][order]
    return probs, target, probs.argmax(1) != target


def log_loss(probs: np.ndarray, target: np.ndarray) -> float:
    return float(-np.log(probs[np.arange(len(target)), target]).mean())


def balanced(wrong: np.ndarray, target: np.ndarray) -> float:
    return float(np.mean([wrong[target == k].mean() for k in np.unique(target)]))


def test_pairs_come_first_and_keep_their_keys(rows):
    keys = {"a", "b", "metric", "difference", "low", "high", "p", "n", "verdict"}
    pairs = of_kind(rows, "models")
    assert rows[: len(pairs)] == pairs
    assert len(pairs) == 3 * 15
    assert all(keys < set(row) for row in pairs)


def test_differences_of_pairs_are_those_of_the_predictions(rows, workspace):
    measures = {
        "error_rate": lambda probs, target, wrong: wrong.mean(),
        "log_loss": lambda probs, target, wrong: log_loss(probs, target),
        "balanced_error": lambda probs, target, wrong: balanced(wrong, target),
    }
    for row in of_kind(rows, "models"):
        a, b = (measures[row["metric"]](*raw_scores(workspace, row[name])) for name in "ab")
        assert row["difference"] == pytest.approx(a - b, abs=1e-9)
        assert (row["value_a"], row["value_b"]) == pytest.approx((a, b))


def test_ps_of_pairs_are_mcnemars_and_corrected_by_holm(rows, workspace):
    pairs, ps = of_kind(rows, "models", metric="error_rate"), []
    for row in pairs:
        a, b = (raw_scores(workspace, row[name])[2] for name in "ab")
        k, m = int((a & ~b).sum()), int((a != b).sum())
        assert row["only_a"] == k
        ps.append(binomtest(k, m).pvalue if m else 1.0)
    assert [row["p"] for row in pairs] == pytest.approx(ps)
    method = {run: found["key"] for found in of_kind(rows, "group") for run in found["runs"]}
    across = [at for at, row in enumerate(pairs) if method[row["a"]] != method[row["b"]]]
    assert len(across) == 9
    corrected = multipletests([ps[at] for at in across], method="holm")[1]
    assert [pairs[at]["p_corrected"] for at in across] == pytest.approx(corrected)


def test_the_method_is_compared_by_the_t_test_over_seeds(rows, workspace):
    (row,) = of_kind(rows, "method", metric="error_rate")
    groups = {found["name"]: found["runs"] for found in of_kind(rows, "group")}
    errors = [[raw_scores(workspace, run)[2].mean() for run in groups[row[name]]] for name in "ab"]
    found = ttest_rel(*errors)
    interval = found.confidence_interval(0.95)
    assert row["difference"] == pytest.approx(np.mean(errors[0]) - np.mean(errors[1]))
    assert row["p"] == pytest.approx(found.pvalue)
    assert (row["low"], row["high"]) == pytest.approx((interval.low, interval.high))


def test_seconds_pixels_and_errors_of_runs_are_those_of_the_events(rows, workspace):
    found = of_kind(rows, "run")
    assert len(found) == 6
    for row in found:
        epochs, wrong = raw_epochs(workspace, row["run"]), raw_scores(workspace, row["run"])[2]
        assert row["seconds"] == pytest.approx(sum(epoch["seconds"] for epoch in epochs))
        assert row["pixels"] == epochs[-1]["pixels"]
        assert row["error_rate"] == pytest.approx(wrong.mean())
        limits = proportion_confint(int(wrong.sum()), len(wrong), method="wilson")
        assert (row["error_low"], row["error_high"]) == pytest.approx(limits)


def test_epochs_are_those_of_the_events(rows, workspace):
    run = of_kind(rows, "run")[0]["run"]
    printed, raw = of_kind(rows, "epoch", run=run), raw_epochs(workspace, run)
    assert len(printed) == len(raw) == 8
    for mine, theirs in zip(printed, raw):
        for name in ("error_rate", "valid_loss", "train_loss", "lr", "pixels", "seconds"):
            assert mine[name] == pytest.approx(theirs[name])
    assert printed[-1]["elapsed"] == pytest.approx(sum(epoch["seconds"] for epoch in raw))


def test_groups_say_mean_error_seconds_and_pixels(rows, workspace):
    for row in of_kind(rows, "group"):
        epochs = [raw_epochs(workspace, run) for run in row["runs"]]
        errors = [raw_scores(workspace, run)[2].mean() for run in row["runs"]]
        assert row["error_rate"] == pytest.approx(np.mean(errors))
        assert row["sd"] == pytest.approx(np.std(errors, ddof=1))
        assert row["seconds"] == pytest.approx(
            np.mean([sum(epoch["seconds"] for epoch in run) for run in epochs])
        )
        assert row["pixels"] == pytest.approx(np.mean([run[-1]["pixels"] for run in epochs]))


def test_saved_seconds_are_those_of_the_events(rows, workspace):
    (row,) = of_kind(rows, "saved", metric="seconds_to_equal_error")
    groups = {found["name"]: found["runs"] for found in of_kind(rows, "group")}
    gaps = []
    for pair in zip(groups[row["a"]], groups[row["b"]]):
        curves = [raw_epochs(workspace, run) for run in pair]
        worse = max(run[-1]["error_rate"] for run in curves)
        spent = []
        for run in curves:
            first = next(at for at, epoch in enumerate(run) if epoch["error_rate"] <= worse)
            spent.append(sum(epoch["seconds"] for epoch in run[: first + 1]))
        gaps.append(spent[0] - spent[1])
    assert row["difference"] == pytest.approx(np.mean(gaps))


def test_hindsight_is_that_of_the_epochs_predictions(rows, workspace):
    found = of_kind(rows, "hindsight")
    assert len(found) == 6
    for row in found:
        for epoch in row["epochs"]:
            name = f"e{epoch['number'] - 1}-{epoch['size'][0]}x{epoch['size'][1]}"
            for part, suffix in (("valid", ""), ("test", "-test")):
                file = workspace.runs / row["run"] / "predictions" / f"{name}{suffix}.npz"
                stored = np.load(file)
                wrong = stored["probs"].argmax(1) != stored["target"]
                assert epoch[part]["error"] == pytest.approx(wrong.mean())
        last = [epoch for epoch in row["epochs"] if epoch["stage"] == row["stage"]]
        errors = [epoch["valid"]["error"] for epoch in last]
        assert row["best"] == last[int(np.argmin(errors))]["number"]
        assert row["looked"] == pytest.approx(errors[-1] - min(errors))


def test_fields_that_differ_are_listed_by_run(rows):
    (row,) = of_kind(rows, "recipe", field="seed")
    assert sorted(row["values"].values()) == [0, 0, 1, 1, 2, 2]


def test_the_front_is_what_no_other_run_beats(rows):
    runs = of_kind(rows, "run")
    (front,) = of_kind(rows, "front", cost="seconds")
    best = {
        row["run"]
        for row in runs
        if not any(
            other["seconds"] <= row["seconds"]
            and other["error_rate"] <= row["error_rate"]
            and (other["seconds"], other["error_rate"]) != (row["seconds"], row["error_rate"])
            for other in runs
        )
    }
    assert set(front["runs"]) == best


def test_words_are_short_and_about_the_methods_first(workspace, capsys):
    assert main(["compare", "e", "--workspace", str(workspace.root)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("error_rate: growing makes fewer errors than fixed as a method")
    assert len(lines) < 20


def test_an_experiment_with_one_finished_run_is_an_error_in_words(tmp_path, capsys):
    place = Workspace(tmp_path).create()
    for status, share in (("finished", 1.0), ("stopped", 0.5)):
        fake_run(place, status, share=share, experiment="half")
    assert main(["compare", "half", "--workspace", str(place.root)]) == 1
    assert "1 finished of 2 runs" in capsys.readouterr().err


def test_runs_of_other_images_are_refused_and_the_exit_code_says_so(tmp_path, capsys):
    place = Workspace(tmp_path).create()
    for split in (0, 7):
        fake_run(place, "finished", split=split, experiment="apart")
    assert main(["compare", "apart", "--workspace", str(place.root), "--json"]) == 1
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert first["difference"] is None
    assert "do not hold" in first["verdict"]
