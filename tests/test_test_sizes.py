"""The FixRes curve: sizes worth scoring, what is predicted, what the best one is worth."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from fake_runs import fake_run
from scipy.stats import binomtest

from lab.analysis.metrics import scores
from lab.analysis.test_sizes import (
    best_row,
    choice_words,
    chosen_error,
    expected_seconds,
    grid,
    predicted_side,
    size_curve,
    size_table,
    suggested_sizes,
)
from lab.errors import LabError
from lab.recipe import Recipe, recipe_from
from lab.recipe.facts import ModelFacts
from lab.recipe.models import shipped_model_facts
from lab.runs.folder import RunFolder
from lab.runs.locked import look_words, looks, note_look
from lab.workspace import Workspace, read_json, write_json

N = 300


def recipe(size: int | tuple[int, int] = 128, **stage: object) -> Recipe:
    return recipe_from({"stages": [{"size": size, "epochs": 1, **stage}]})


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A finished run of 64, 96 and 128 px, scored at 128 and by its stages at their own sizes."""
    return fake_run(Workspace(tmp_path).create(), "finished", name="fake")


def score(run: RunFolder, stage: int, side: int, wrong: int, **row: object) -> None:
    """Leave behind what the task leaves: predictions with the first `wrong` of 300 wrong."""
    with np.load(next(run.predictions.glob(f"s{stage}-*.npz"))) as known:
        item, target = known["item"], known["target"]
    said = np.where(np.arange(N) < wrong, (target + 1) % 6, target)
    probs = np.full((N, 6), 0.1, np.float32)
    probs[np.arange(N), said] = 0.5
    name = f"s{stage}-{side}x{side}.npz"
    np.savez(run.predictions / name, item=item, target=target, probs=probs)
    file = run.stage(stage) / "test_sizes.json"
    known = read_json(file, {"weights": run.scores(stage).get("sha256"), "sizes": {}})
    known["sizes"][f"{side}x{side}"] = {"size": side, **scores(probs, target), **row}
    write_json(file, known)


def test_without_any_scoring_the_curve_has_the_own_and_the_final_size(run):
    curve = size_curve(run, 0)
    assert [point.size for point in curve.points] == [(64, 64), (128, 128)]
    assert [point.error for point in curve.points] == [
        run.scores(0)["own"]["error_rate"], run.scores(0)["final"]["error_rate"],
    ]  # fmt: skip


def test_scored_sizes_come_in_between_with_wilson_intervals(run):
    score(run, 0, 96, wrong=60)
    point = size_curve(run, 0).points[1]
    expected = binomtest(60, 300).proportion_ci(method="wilson")
    assert (point.size, point.error) == ((96, 96), pytest.approx(0.2))
    assert (point.low, point.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_scores_of_other_weights_do_not_count(run):
    score(run, 0, 96, wrong=60)
    file = run.stage(0) / "test_sizes.json"
    write_json(file, {**read_json(file), "weights": "of another training"})
    assert [point.size for point in size_curve(run, 0).points] == [(64, 64), (128, 128)]


def test_a_refused_size_is_kept_with_its_reason_and_has_no_error(run):
    write_json(run.stage(0) / "test_sizes.json", {
        "weights": run.scores(0).get("sha256"),
        "sizes": {"72x72": {"size": 72, "refused": "vit refuses 72", "fix": ""}},
    })  # fmt: skip
    curve = size_curve(run, 0)
    assert curve.points[1].refused == "vit refuses 72"
    assert [point.size for point in curve.scored] == [(64, 64), (128, 128)]


def test_the_best_size_is_compared_with_the_training_size_image_by_image(run):
    """At 64 px the first 100 are wrong, at 96 px the first 60: 40 images speak for 96, none
    against, and two other sizes were tried."""
    score(run, 0, 64, wrong=100)
    score(run, 0, 96, wrong=60)
    score(run, 0, 128, wrong=90)
    choice = size_curve(run, 0).choice
    assert (choice.best, choice.own, choice.tried) == ((96, 96), (64, 64), 3)
    assert choice.found.difference == pytest.approx(40 / 300)
    assert choice.found.p == pytest.approx(2 * 0.5**40)
    assert choice.p == pytest.approx(2 * 2 * 0.5**40)
    assert choice.chosen_error == pytest.approx(0.2)


def test_the_words_say_that_the_best_of_several_is_optimistic(run):
    score(run, 0, 64, wrong=100)
    score(run, 0, 96, wrong=98)
    words = choice_words(size_curve(run, 0).choice)
    assert words.startswith("Not enough evidence that 96\u202fpx is better")
    assert "a little optimistic" in words
    assert "32.7\u202f% against 33.3\u202f% wrong on the same 300 images" in words


def test_a_training_size_that_is_not_beaten_is_said_plainly(run):
    for side in (64, 96, 128):
        score(run, 0, side, wrong=50)
    words = choice_words(size_curve(run, 0).choice)
    assert "None of 3 sizes made fewer errors than the training size, 64\u202fpx." in words


def test_choosing_among_useless_sizes_is_worth_what_they_are_worth_on_average():
    """Ten coins, 2,000 times: the luckiest looks better than half, what choosing gives is half."""
    rng = np.random.default_rng(0)
    coins = [rng.random((10, 100)) < 0.5 for _ in range(2000)]
    assert np.mean([1 - right[best_row(right)].mean() for right in coins]) < 0.44
    assert np.mean([chosen_error(right) for right in coins]) == pytest.approx(0.5, abs=0.01)


def test_of_equally_good_sizes_the_training_size_is_kept():
    right = np.ones((3, 10), bool)
    assert best_row(right, own=1) == 1


def test_the_prediction_is_the_published_one_for_the_usual_crops():
    """FixRes: crops of 8 to 100 % of the area and a centre crop of 0.875 match 1.235 times."""
    stage = {"resize": "random-resized-crop", "min_scale": 0.08, "valid_crop_pct": 0.875}
    known = recipe(224, **stage)
    assert predicted_side(known, known.stages[0]) / 224 == pytest.approx(1.235, abs=0.001)


def test_without_random_crops_the_training_size_is_predicted():
    known = recipe(128, resize="squish")
    assert predicted_side(known, known.stages[0]) == pytest.approx(128)


def test_a_stage_that_trains_as_it_is_tested_matches_its_own_size():
    known = recipe(128, resize="as-test", min_scale=0.08, valid_crop_pct=0.875)
    assert predicted_side(known, known.stages[0]) == pytest.approx(128)


def test_suggestions_reach_from_half_to_twice_the_training_size():
    known = recipe(128)
    sides = [height for height, _ in suggested_sizes(known, known.stages[0])]
    assert (min(sides), max(sides)) == (64, 256)
    assert 128 in sides
    assert all(side % 16 == 0 for side in sides)
    assert 7 <= len(sides) <= 12


def test_nothing_above_the_originals_is_suggested():
    known = recipe(128)
    sides = [height for height, _ in suggested_sizes(known, known.stages[0], None, 160)]
    assert max(sides) == 160


def test_a_centre_crop_needs_larger_originals():
    known = recipe(128, valid_crop_pct=0.8)
    assert (160, 160) not in suggested_sizes(known, known.stages[0], None, 160)
    assert (160, 160) in suggested_sizes(known, known.stages[0], None, 200)


def test_suggestions_are_multiples_of_what_the_network_takes():
    known = recipe(224)
    vit = shipped_model_facts("vit_tiny_patch16_224")
    sizes = suggested_sizes(known, known.stages[0], vit)
    assert all(height % vit.step_px == 0 for height, _ in sizes)


def test_a_network_of_one_size_gets_no_others_suggested():
    fixed = ModelFacts("halonet", 1, "fixed", 1, 128, 128, 1.0, 2, False)
    known = recipe(128)
    assert suggested_sizes(known, known.stages[0], fixed) == [(128, 128)]


def test_rectangles_keep_their_shape():
    known = recipe((256, 192))
    sizes = suggested_sizes(known, known.stages[0])
    assert (256, 192) in sizes
    assert all(abs(height / width - 4 / 3) < 0.1 for height, width in sizes)


def test_expected_seconds_scale_the_nearest_measured_size_by_pixels():
    speeds = {"net|64x64|fp32": 400.0, "other|64x64|fp32": 1.0}
    assert expected_seconds([(64, 64), (128, 128)], 800, "net", speeds) == pytest.approx(2 + 8)
    assert expected_seconds([(64, 64)], 800, "unknown", speeds) is None


def test_an_exact_fp32_speed_goes_before_a_bf16_one():
    speeds = {"net|64x64|bf16": 800.0, "net|64x64|fp32": 400.0}
    assert expected_seconds([(64, 64)], 800, "net", speeds) == pytest.approx(2)


def test_the_grid_has_a_row_a_stage_and_a_gap_where_nothing_was_scored(run):
    score(run, 0, 96, wrong=60)
    table = grid([size_curve(run, 0), size_curve(run, 2)])
    assert list(table.columns) == [(64, 64), (96, 96), (128, 128)]
    assert table.iloc[0].tolist()[1] == pytest.approx(0.2)
    assert math.isnan(table.iloc[1, 0])


def test_the_table_of_sizes_has_every_point_of_every_curve(run):
    table = size_table([size_curve(run, 0), size_curve(run, 1)])
    assert table[["stage", "train_size", "test_size"]].values.tolist() == [
        [0, "64", "64"], [0, "64", "128"], [1, "96", "96"], [1, "96", "128"],
    ]  # fmt: skip


def test_an_unfinished_stage_has_no_curve(tmp_path):
    half = fake_run(Workspace(tmp_path).create(), "stopped", share=0.2)
    with pytest.raises(LabError, match="not finished"):
        size_curve(half, 0)


def test_a_look_at_the_locked_part_counts_once_a_question(run):
    assert looks(run) == []
    assert "Nobody has looked" in look_words([run])
    assert note_look(run, "scores of stage 2") == 1
    assert note_look(run, "scores of stage 2") == 1
    assert note_look(run, "an ensemble of a, b") == 2
    assert "2 different questions" in look_words([run])
