"""The report on a stage's confidence: what views and temperature do to it, in words and as rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_runs import fake_run
from scipy.special import softmax
from sklearn import metrics as sk
from test_calibration import honest

from lab.analysis.calibrated import (
    PLAIN,
    TEMPERED,
    Report,
    Row,
    read_answers,
    report,
    report_rows,
    stage_reports,
)
from lab.analysis.calibration import Chance, Interval, Scored, fit_temperature
from lab.analysis.calibration_words import (
    chance_words,
    outcome,
    sure_words,
    tamed_words,
    temperature_words,
)
from lab.cli.commands import main
from lab.errors import LabError
from lab.workspace import Workspace

# With views, in words


def _scored(gap: tuple[float, float, float], distance: tuple[float, float, float]) -> Scored:
    none, chance = Interval(0, 0, 0), Chance(0.03, 0.05, 0.5)
    against = {"distance": Interval(*distance), "log_loss": none}
    return Scored(341, {"gap": Interval(*gap), "ece": Interval(0.07, 0, 1)}, against, chance)


SURE = _scored((0.061, 0.023, 0.099), (0, 0, 0))
OUTCOMES = [
    (SURE, (0.012, -0.030, 0.052), (-0.049, -0.06, -0.02), "tames", "does tame it"),
    (SURE, (0.04, 0.01, 0.07), (-0.021, -0.03, -0.01), "partly", "stays too sure"),
    (SURE, (-0.04, -0.07, -0.01), (-0.021, -0.03, -0.01), "too far", "goes too far"),
    (SURE, (0.09, 0.05, 0.13), (0.03, 0.01, 0.05), "worse", "does not tame it** but makes"),
    (SURE, (0.061, 0.023, 0.099), (0.0, 0.0, 0.0), "nothing", "does not tame it"),
    (SURE, (0.05, 0.01, 0.09), (-0.011, -0.03, 0.01), "cannot tell", "cannot be told"),
    (_scored((0.01, -0.03, 0.05), (0, 0, 0)), (0.0, -0.04, 0.04), (-0.01, -0.03, 0.01),
     "no reason", "whether it is too sure at all **cannot be told**"),
    (_scored((-0.05, -0.09, -0.01), (0, 0, 0)), (-0.08, -0.12, -0.04), (0.03, 0.01, 0.05),
     "not too sure", "no over-confidence to tame"),
]  # fmt: skip


def _told(before: Scored, after: Scored) -> Report:
    empty = np.empty(0)
    rows = (
        Row(PLAIN, "plain", empty, empty, before),
        Row("fastai", "4 views", empty, empty, after),
    )
    return Report(rows, 341, 4, "fastai")


@pytest.mark.parametrize(("before", "gap", "distance", "verdict", "words"), OUTCOMES)
def test_the_claim_that_looking_again_tames_is_judged(
    before: Scored, gap: tuple, distance: tuple, verdict: str, words: str
) -> None:
    after = _scored(gap, distance)
    assert outcome(before, after) == verdict
    assert words in tamed_words(_told(before, after))


def test_the_sentence_says_both_gaps_with_their_intervals() -> None:
    after = _scored((0.012, -0.030, 0.052), (-0.049, -0.06, -0.02))
    said = tamed_words(_told(SURE, after)).replace("\u202f", " ")
    assert said.startswith(
        "Without TTA it is 6.1 points too sure (95 % 2.3 to 9.9), with 4 views 1.2 points too sure "
        "(95 % −3.0 to 5.2): on these 341 images looking again **does tame it**: its confidence "
        "comes 4.9 points nearer to its accuracy (95 % 2.0 to 6.0, the same images)."
    )


def test_a_gap_below_zero_is_told_from_its_other_side() -> None:
    said = sure_words(Interval(-0.012, -0.05, 0.03)).replace("\u202f", " ")
    assert said == "1.2 points not sure enough (95 % −3.0 to 5.0)"


def test_views_that_contradict_each_other_tame_an_over_confident_network() -> None:
    logits, target = honest(600, seed=1)
    rng = np.random.default_rng(2)
    noisy = [softmax(2 * logits + rng.normal(0, 2.5, logits.shape), axis=1) for _ in range(5)]
    found = report(noisy[0], target, np.stack(noisy[1:], axis=1), beta=0.2)
    assert found.average is not None
    assert outcome(found.row(PLAIN).scored, found.average.scored) in ("tames", "partly", "too far")
    assert found.average.scored.against["gap"].high < 0


def test_views_that_are_all_alike_tame_nothing() -> None:
    logits, target = honest(300, seed=1)
    probs = softmax(3 * logits, axis=1)
    found = report(probs, target, np.stack([probs] * 3, axis=1))
    assert "does not tame it**: it changes nothing" in tamed_words(found)


def test_a_report_has_every_average_and_both_with_a_temperature() -> None:
    logits, target = honest(80)
    views = softmax(honest(80, seed=1)[0][:, None] + logits[:, None], axis=2)
    keys = [row.key for row in report(softmax(logits, axis=1), target, views, way="mean").rows]
    assert keys[:4] == [PLAIN, "mean", TEMPERED, "mean+temperature"]
    assert set(keys[4:]) == {"fastai", "geometric", "max"}


def test_a_mean_of_logits_has_no_twin_beside_it() -> None:
    logits, target = honest(80)
    probs = softmax(logits, axis=1)
    keys = {row.key for row in report(probs, target, probs[:, None], way="logits").rows}
    assert "logits" in keys
    assert "geometric" not in keys


def test_the_temperature_of_an_average_is_fitted_after_averaging() -> None:
    logits, target = honest(200)
    probs = softmax(2 * logits, axis=1)
    views = softmax(2 * logits + honest(200, 3)[0], axis=1)[:, None]
    average = (probs + views[:, 0]) / 2
    found = report(probs, target, views, way="mean").row("mean+temperature")
    assert found.temperature == fit_temperature(average, target)


def test_temperature_is_compared_with_views_on_the_same_images() -> None:
    logits, target = honest(500, seed=1)
    probs = softmax(4 * logits, axis=1)
    found = report(probs, target, probs[:, None])  # looking again changes nothing
    said = temperature_words(found)
    assert "above 1: it was too sure" in said
    assert "Its log loss is lower than that of 1 view" in said


def test_the_words_on_chance_name_what_a_perfect_network_would_show() -> None:
    logits, target = honest(300, seed=1)
    bad = chance_words(report(softmax(4 * logits, axis=1), target))
    assert "off by more than chance explains" in bad
    assert "nothing is shown to be wrong" in chance_words(report(softmax(logits, axis=1), target))


# From run folders, and from the command line


def test_answers_are_read_with_their_views(tmp_path: Path) -> None:
    run = fake_run(Workspace(tmp_path).create(), "finished")
    plain = read_answers(run)
    assert plain.views is None
    views = np.stack([plain.plain, plain.plain], axis=1)
    np.savez(run.predictions / "s2-128x128-tta.npz", item=np.arange(300), target=plain.target,
             plain=plain.plain, views=views, beta=0.5)  # fmt: skip
    again = read_answers(run, 2)
    assert (again.views.shape, again.beta, again.size) == ((300, 2, 6), 0.5, (128, 128))


def test_half_a_file_is_said_in_words(tmp_path: Path) -> None:
    run = fake_run(Workspace(tmp_path).create(), "finished")
    for file in run.predictions.glob("s2*.npz"):
        file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(LabError, match="cannot be read"):
        read_answers(run)
    assert set(stage_reports(run)) == {0, 1}


def test_a_stage_that_is_not_finished_is_refused(tmp_path: Path) -> None:
    run = fake_run(Workspace(tmp_path).create(), "finished")
    with pytest.raises(LabError, match="not finished"):
        read_answers(run, 7)


def test_rows_for_programs_carry_every_score_with_its_interval() -> None:
    logits, target = honest(60)
    for row in report_rows(report(softmax(logits, axis=1), target)):
        for key in ("accuracy", "log_loss", "brier", "ece", "adaptive_ece", "gap"):
            assert row[f"{key}_low"] <= row[key] <= row[f"{key}_high"]


def test_the_command_gives_the_numbers_of_the_stored_predictions(tmp_path, capsys) -> None:
    run = fake_run(Workspace(tmp_path).create(), "finished")
    assert (
        main(["calibration", run.id, "--stage", "1", "--json", "--workspace", str(tmp_path)]) == 0
    )
    *rows, summary = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    with np.load(run.predictions / "s1-128x128.npz") as stored:
        target, probs = stored["target"], stored["probs"]
    assert [row["way"] for row in rows] == [PLAIN, TEMPERED]
    assert rows[0]["log_loss"] == pytest.approx(sk.log_loss(target, probs, labels=range(6)))
    assert rows[1]["accuracy"] == sk.accuracy_score(target, probs.argmax(1))
    assert "points" in summary["words"][0]


def test_the_command_says_it_in_words(tmp_path, capsys) -> None:
    fake_run(Workspace(tmp_path).create(), "finished")
    assert main(["calibration", "last", "--workspace", str(tmp_path)]) == 0
    shown = capsys.readouterr()
    assert "plain, temperature" in shown.out
    assert "**" not in shown.out
    assert "Look again: python -m lab tta" in shown.err


def test_views_of_another_family_are_read_from_their_own_file(tmp_path: Path) -> None:
    run = fake_run(Workspace(tmp_path).create(), "finished")
    plain = read_answers(run)
    np.savez(run.predictions / "s2-128x128-tta-d4.npz", item=np.arange(300), target=plain.target,
             plain=plain.plain, views=np.stack([plain.plain] * 7, axis=1))  # fmt: skip
    assert read_answers(run, family="d4").views.shape == (300, 7, 6)
    assert read_answers(run).views is None


def test_an_unknown_average_is_refused_with_the_known_ones(tmp_path, capsys) -> None:
    fake_run(Workspace(tmp_path).create(), "finished")
    asked = ["calibration", "last", "--average", "median", "--workspace", str(tmp_path)]
    assert main(asked) == 2
    assert "'geometric'" in capsys.readouterr().err
