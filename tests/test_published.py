"""The published epoch tables: numbers copied by hand from the texts that tell of them."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lab.analysis.curves import epochs_frame
from lab.analysis.published import (
    FOLDER,
    PublishedRun,
    is_published,
    plan_of,
    published_run,
    published_runs,
    recipe_of,
)
from lab.errors import LabError

ROOT = Path(__file__).resolve().parents[1]
RUNS = published_runs()
IDS = [run.id for run in RUNS]


def run_of(name: str) -> PublishedRun:
    return published_run(f"published:{name}")


def test_these_five_are_there() -> None:
    assert IDS == [
        "published:fastbook-7",
        "published:fastbook-7-baseline",
        "published:keras-fixres",
        "published:keras-fixres-baseline",
        "published:easy-steps",
    ]


@pytest.mark.parametrize(
    ("name", "rows", "stages"),
    [
        ("fastbook-7", 10, [(128, 4), (224, 6)]),
        ("fastbook-7-baseline", 5, [(224, 5)]),
        ("keras-fixres", 40, [(128, 30), (224, 10)]),
        ("keras-fixres-baseline", 30, [(224, 30)]),
        ("easy-steps", 15, [(224, 45)]),
    ],
)
def test_each_has_its_rows_and_its_sizes(
    name: str, rows: int, stages: list[tuple[int, int]]
) -> None:
    run = run_of(name)
    assert len(run.epochs) == rows
    assert [(stage.size, stage.epochs) for stage in run.stages] == stages


@pytest.mark.parametrize(
    ("name", "accuracy"),
    [
        ("fastbook-7", 0.8633),
        ("fastbook-7-baseline", 0.8245),
        ("keras-fixres", 0.7520),
        ("keras-fixres-baseline", 0.7139),
        ("easy-steps", 0.8330),
    ],
)
def test_the_last_accuracy_is_the_one_that_is_quoted(name: str, accuracy: float) -> None:
    last = run_of(name).epochs.iloc[-1]
    assert last["accuracy"] == pytest.approx(accuracy, abs=5e-5)
    assert last["error_rate"] == pytest.approx(1 - accuracy, abs=5e-5)


def test_the_books_two_parts_took_2_00_and_6_39() -> None:
    epochs = run_of("fastbook-7").epochs
    assert epochs["accuracy"].iloc[3] == pytest.approx(0.7980, abs=5e-5)
    assert epochs["elapsed"].iloc[3] == 2 * 60
    assert epochs["elapsed"].iloc[-1] == 2 * 60 + 6 * 60 + 39


def test_the_books_baseline_has_its_accuracies_and_its_whole_length_alone() -> None:
    run = run_of("fastbook-7-baseline")
    assert run.epochs["accuracy"].tolist() == [0.3913, 0.5172, 0.6572, 0.7718, 0.8245]
    assert run.seconds == 5 * 60 + 19
    assert not run.timed
    assert run.epochs["elapsed"].isna().sum() == 4
    assert run.epochs[["seconds", "train_loss", "valid_loss"]].isna().all(axis=None)


def test_keras_fixres_goes_from_75_48_to_75_20_percent() -> None:
    accuracy = run_of("keras-fixres").epochs["accuracy"]
    assert (accuracy[29], accuracy[39]) == (0.7548, 0.7520)


def test_the_keras_baseline_was_at_78_20_one_epoch_before_its_end() -> None:
    assert run_of("keras-fixres-baseline").epochs["accuracy"].iloc[-2] == 0.7820


def test_keras_took_4_seconds_an_epoch_small_and_10_large() -> None:
    assert run_of("keras-fixres").epochs["seconds"].iloc[:30].median() == 4
    assert run_of("keras-fixres-baseline").epochs["seconds"].median() == 10


@pytest.mark.parametrize(
    ("name", "n", "digits"),
    [
        ("fastbook-7", 2678, 6),  # a fifth of 9,469 + 3,925, not the 3,925 of the folder
        ("keras-fixres", 367, 4),
        ("keras-fixres-baseline", 367, 4),
        ("easy-steps", 37920, 6),
    ],
)
def test_accuracies_are_counts_of_the_images_that_validate(name: str, n: int, digits: int) -> None:
    run = run_of(name)
    right = run.epochs["accuracy"] * n
    assert run.n_valid == n
    assert (right - right.round()).abs().max() <= 0.52 * 10**-digits * n  # as far as it is printed


def test_the_books_accuracies_are_no_counts_of_the_validation_folder() -> None:
    right = run_of("fastbook-7").epochs["accuracy"] * 3925
    assert (right - right.round()).abs().max() > 0.4
    assert run_of("fastbook-7").n_train + 2678 == 9469 + 3925


def test_the_forum_table_begins_after_30_epochs_that_are_not_told() -> None:
    run = run_of("easy-steps")
    assert run.epochs["global_epoch"].tolist() == list(range(30, 45))
    assert run.seconds is None
    assert run.epochs["pixels"].isna().all()


def test_a_second_part_counts_on_from_the_first() -> None:
    epochs = run_of("keras-fixres").epochs
    assert epochs["global_epoch"].tolist() == list(range(40))
    assert epochs["stage"].tolist() == [0] * 30 + [1] * 10
    assert epochs["epoch"].tolist() == [*range(30), *range(10)]


def test_pixels_are_images_times_size_times_size() -> None:
    pixels = run_of("fastbook-7").epochs["pixels"]
    assert pixels[0] == 10716 * 128 * 128
    assert pixels[4] == 10716 * (4 * 128 * 128 + 224 * 224)


@pytest.mark.parametrize("run", RUNS, ids=IDS)
def test_the_columns_are_those_of_our_own_runs(run: PublishedRun) -> None:
    assert list(run.epochs.columns) == list(epochs_frame([]).columns)


@pytest.mark.parametrize("run", RUNS, ids=IDS)
def test_nothing_is_made_up_for_what_was_not_published(run: PublishedRun) -> None:
    unknown = ["train_seconds", "images_per_s", "step", "flops", "energy_j"]
    assert run.epochs[unknown].isna().all(axis=None)
    assert run.epochs["accuracy"].between(0.2, 0.9).all()


@pytest.mark.parametrize("run", RUNS, ids=IDS)
def test_each_names_what_it_is_and_where_it_is_from(run: PublishedRun) -> None:
    words = (run.name, run.source.title, run.words, run.dataset, run.network, run.hardware)
    assert all(words)
    assert is_published(run.id)


@pytest.mark.parametrize("run", RUNS, ids=IDS)
def test_the_plan_has_the_published_sizes_epoch_by_epoch(run: PublishedRun) -> None:
    plan = plan_of(run)
    assert len(plan.epochs) == sum(stage.epochs for stage in run.stages)
    for row in run.epochs.itertuples():
        planned = plan.epochs[row.global_epoch]
        assert (planned.stage, planned.height) == (row.stage, row.height)


def test_the_plan_keeps_the_rates_of_the_book() -> None:
    plan = plan_of(run_of("fastbook-7"))
    assert [row.batch for row in plan.epochs] == [128] * 4 + [64] * 6
    assert [row.peak_lrs[-1] for row in plan.epochs] == [3e-3] * 4 + [1e-3] + [5e-4] * 5


def test_the_recipe_of_a_baseline_has_one_size_from_scratch() -> None:
    (stage,) = recipe_of(run_of("fastbook-7-baseline")).stages
    assert (stage.size, stage.epochs, stage.batch_size, stage.lr) == (224, 5, 64, 3e-3)


def test_an_unknown_name_says_which_there_are() -> None:
    with pytest.raises(LabError) as caught:
        published_run("published:imagenet")
    assert "published:fastbook-7" in caught.value.problems[0].fix


def test_every_file_is_used_and_every_column_explained() -> None:
    index = json.loads((FOLDER / "index.json").read_text(encoding="utf-8"))
    used = {stage["file"] for run in index["runs"] for stage in run["stages"]}
    assert used == {file.name for file in FOLDER.glob("*.csv")}
    heads = {
        name
        for file in FOLDER.glob("*.csv")
        for name in file.read_text(encoding="utf-8").splitlines()[0].split(",")
    }
    assert heads == set(index["columns"])


def test_the_tables_are_found_from_anywhere(tmp_path: Path) -> None:
    code = "from lab.analysis.published import published_runs as p; print(len(p()))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=False,
    )  # fmt: skip
    assert done.stdout.strip() == "5", done.stderr


def test_elapsed_is_the_sum_of_the_seconds() -> None:
    epochs = run_of("keras-fixres-baseline").epochs
    assert epochs["elapsed"].iloc[-1] == 58 + 29 * 10
    assert not math.isnan(np.asarray(epochs["elapsed"]).sum())
