"""Where a run is wrong: against scikit-learn and statsmodels, by hand, and on planted labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from mistaken_runs import HOSTILE, mistaken_run
from sklearn.metrics import (
    confusion_matrix,
    precision_recall_fscore_support,
    top_k_accuracy_score,
)
from statsmodels.stats.proportion import proportion_confint

from lab.analysis.metrics import confusion
from lab.analysis.mistakes import (
    Answers,
    Moment,
    at_threshold,
    class_table,
    confused_pairs,
    coverage_curve,
    mean_scores,
    moments,
    most_confused,
    pair_words,
    read_answers,
    top_k,
)
from lab.analysis.suspects import (
    Voice,
    class_thresholds,
    stands_against,
    suspects,
    voices,
    words,
)
from lab.cli.commands import main
from lab.errors import LabError
from lab.workspace import Workspace

NAMES = ("ant", "bee", "cat", "dog", "elk")
# Rows: true. Bee is called cat 5 times and cat bee 2 times; dog is never answered; no elk is there.
TABLE = np.array([
    [9, 1, 0, 0, 0], [0, 4, 5, 0, 1], [3, 2, 5, 0, 0], [2, 0, 0, 0, 0], [0, 0, 0, 0, 0],
])  # fmt: skip


def _labels() -> tuple[np.ndarray, np.ndarray]:
    """The same as pairs of true and answered class."""
    cells = np.repeat(np.arange(25), TABLE.ravel())
    return cells // 5, cells % 5


def _random(n: int = 400, classes: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.dirichlet(np.ones(classes), n), rng.integers(0, classes, n)


# By class


def test_precision_recall_f1_and_support_are_those_of_scikit_learn():
    true, said = _labels()
    found = class_table(TABLE, NAMES)
    expected = precision_recall_fscore_support(true, said, labels=range(5), zero_division=np.nan)
    for name, values in zip(("precision", "recall", "f1", "support"), expected):
        np.testing.assert_allclose(found[name].to_numpy(float), values.astype(float))


def test_macro_means_are_those_of_scikit_learn_over_the_classes_that_are_there():
    true, said = _labels()
    found = mean_scores(class_table(TABLE, NAMES))
    expected = precision_recall_fscore_support(
        true, said, labels=range(4), average="macro", zero_division=0
    )
    assert list(found.values()) == pytest.approx(expected[:3])


def test_the_matrix_is_that_of_scikit_learn():
    probs, target = _random()
    np.testing.assert_array_equal(
        confusion(probs, target), confusion_matrix(target, probs.argmax(axis=1))
    )


def test_the_interval_of_recall_is_wilsons():
    found = class_table(TABLE, NAMES).iloc[0]
    assert (found["low"], found["high"]) == pytest.approx(
        proportion_confint(9, 10, method="wilson")
    )


def test_a_class_without_images_has_no_recall():
    assert np.isnan(class_table(TABLE, NAMES)["recall"].iloc[4])


# Pairs


def test_pairs_are_unordered_and_the_most_frequent_comes_first():
    found = confused_pairs(TABLE, NAMES)
    counts = [(row.a, row.b, row.mistakes, row.a_as_b, row.b_as_a) for row in found.itertuples()]
    assert counts == [
        ("bee", "cat", 7, 5, 2), ("cat", "ant", 3, 3, 0), ("dog", "ant", 2, 2, 0),
        ("ant", "bee", 1, 1, 0), ("bee", "elk", 1, 1, 0),
    ]  # fmt: skip


def test_a_pair_is_said_in_a_sentence():
    pair = next(confused_pairs(TABLE, NAMES).itertuples())
    assert pair_words(pair, 14) == (
        "bee and cat: 7 of 14 mistakes. 5 times bee was taken for cat, twice cat for bee."
    )


def test_a_mistake_made_once_begins_its_sentence_as_a_word():
    pair = list(confused_pairs(TABLE, NAMES).itertuples())[3]
    assert pair_words(pair, 14) == "ant and bee: 1 of 14 mistakes. Once ant was taken for bee."


def test_without_mistakes_there_are_no_pairs():
    assert not len(confused_pairs(np.diag([3, 4]), ("a", "b")))


def test_of_many_classes_those_of_the_worst_pairs_are_kept_in_their_order():
    assert most_confused(TABLE, 3) == [0, 1, 2]
    assert most_confused(TABLE, 2) == [1, 2]


def test_room_that_pairs_leave_goes_to_the_largest_classes():
    assert most_confused(np.diag([1, 9, 5, 7]), 2) == [1, 3]


# How sure


def test_top_k_is_that_of_scikit_learn():
    probs, target = _random()
    found = top_k(probs, target)
    expected = {k: top_k_accuracy_score(target, probs, k=k, labels=range(7)) for k in range(1, 6)}
    assert found == pytest.approx(expected)


def test_of_equal_probabilities_the_first_class_wins_in_top_k_too():
    assert top_k(np.full((2, 3), 1 / 3), np.array([0, 2])) == {1: 0.5, 2: 0.5}


def test_the_coverage_curve_by_hand():
    probs = np.array([[0.9, 0.1], [0.2, 0.8], [0.8, 0.2], [0.4, 0.6]])
    found = coverage_curve(probs, np.array([0, 1, 1, 1]))
    assert found["threshold"].tolist() == [0.9, 0.8, 0.6]
    assert found["coverage"].tolist() == [0.25, 0.75, 1.0]
    assert found["accuracy"].tolist() == pytest.approx([1.0, 2 / 3, 0.75])


def test_a_threshold_says_what_is_answered_and_how_rightly():
    probs, target = _random()
    found = at_threshold(probs, target, 0.5)
    answered = probs[probs.max(axis=1) >= 0.5].argmax(axis=1) == target[probs.max(axis=1) >= 0.5]
    assert (found["n"], found["right"]) == (len(answered), answered.sum())
    assert (found["low"], found["high"]) == pytest.approx(
        proportion_confint(answered.sum(), len(answered), method="wilson")
    )


def test_a_threshold_that_nothing_reaches_has_no_accuracy():
    assert at_threshold(*_random(), 1.0)["accuracy"] is None


# What is stored


def test_moments_are_all_epochs_and_then_the_stage_at_the_final_size(tmp_path: Path):
    run = mistaken_run(Workspace(tmp_path / "ws").create(), tmp_path)
    found = moments(run, 2)
    assert [one.epoch for one in found] == [*range(8), None]
    assert [one.size for one in found] == [(64, 64)] * 4 + [(96, 96)] * 2 + [(128, 128)] * 3


def test_an_earlier_stage_knows_no_later_epoch(tmp_path: Path):
    run = mistaken_run(Workspace(tmp_path / "ws").create(), tmp_path)
    assert [one.epoch for one in moments(run, 0)] == [0, 1, 2, 3, None]


def test_images_whose_second_label_nobody_knows_do_not_count(tmp_path: Path):
    run = mistaken_run(Workspace(tmp_path / "ws").create(), tmp_path, second=True)
    found = read_answers(moments(run, 2, second=True)[-1])
    assert len(found.item) == 120 - 18  # every seventh of 120
    assert found.probs.shape[1] == 2


def test_a_damaged_file_is_an_error_in_words(tmp_path: Path):
    (tmp_path / "e0-8x8.npz").write_bytes(b"PK nonsense")
    with pytest.raises(LabError, match="cannot be read"):
        read_answers(Moment(0, (8, 8), tmp_path / "e0-8x8.npz", 0))


# Label suspects


def _voice(probs: list[list[float]], target: list[int], stage: int = 0, epoch: int = 0) -> Voice:
    n = len(target)
    answers = Answers(np.arange(100, 100 + n), np.array(target), np.array(probs, float))
    return Voice(Moment(stage, (8, 8), Path(), epoch), answers)


SURE = [[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.2, 0.8], [0.05, 0.95]]
LABELS = [0, 0, 1, 1, 0]  # the last one is doubtful


def test_a_class_threshold_is_the_mean_of_its_own_images():
    found = class_thresholds(np.array(SURE), np.array(LABELS))
    assert found == pytest.approx([(0.9 + 0.7 + 0.05) / 3, (0.9 + 0.8) / 2])


def test_only_a_confident_other_class_stands_against_a_label():
    timid = [*SURE[:4], [0.4, 0.6]]
    assert stands_against(np.array(SURE), np.array(LABELS)).tolist() == [-1, -1, -1, -1, 1]
    assert stands_against(np.array(timid), np.array(LABELS)).tolist() == [-1] * 5


def test_a_suspect_is_named_with_its_numbers():
    found = suspects([_voice(SURE, LABELS), _voice(SURE, LABELS, stage=1)], ("ant", "bee"))
    row = found.iloc[0]
    assert len(found) == 1
    assert (row["item"], row["label"], row["suggested"]) == (104, "ant", "bee")
    assert (row["confidence"], row["label_probability"]) == pytest.approx((0.95, 0.05))
    assert (row["agree"], row["asked"], row["stages"]) == (2, 2, 2)


def test_a_label_that_one_stage_never_contradicts_is_no_suspect():
    fine = [*SURE[:4], [0.9, 0.1]]
    asked = [_voice(SURE, LABELS, epoch=epoch) for epoch in range(5)]
    assert len(suspects(asked, "ab"))
    assert not len(suspects([*asked, _voice(fine, LABELS, stage=1)], "ab"))


def test_a_label_that_keeps_some_probability_is_no_suspect():
    asked = [_voice(SURE, LABELS)]
    assert not len(suspects(asked, "ab", label_below=0.05))


def test_two_voices_that_suggest_different_classes_do_not_agree():
    labels = [0, 1, 2, 0]
    one = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 1, 0]]
    other = [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    asked = [_voice(one, labels), _voice(other, labels)]
    assert not len(suspects(asked, "abc", agree=0.75))


def _world(flipped: int, seed: int) -> tuple[list[Voice], set[int]]:
    """Nine noisy voices of three stages about 600 images; every stage finds its own images hard.
    `flipped` labels are wrong."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 5, 600)
    target = true.copy()
    rows = rng.permutation(600)[:flipped]
    target[rows] = (true[rows] + rng.integers(1, 5, flipped)) % 5
    asked = []
    for stage in range(3):
        hard = rng.normal(0, 1.0, (600, 5))
        for epoch in range(3):
            logits = hard + rng.normal(0, 0.7, (600, 5)) + 3.5 * np.eye(5)[true]
            probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
            moment = Moment(stage, (8, 8), Path(), epoch)
            asked.append(Voice(moment, Answers(np.arange(600), target, probs)))
    return asked, set(rows.tolist())


@pytest.mark.parametrize("seed", range(3))
def test_about_half_of_planted_wrong_labels_are_named_and_few_others(seed: int):
    asked, planted = _world(30, seed)
    found = set(suspects(asked, range(5))["item"])
    assert len(found & planted) >= 12
    assert len(found - planted) <= 2


@pytest.mark.parametrize("seed", range(3))
def test_right_labels_are_left_alone(seed: int):
    asked, _ = _world(0, seed)
    assert len(suspects(asked, range(5))) <= 2


def test_the_last_three_epochs_of_every_stage_are_asked(tmp_path: Path):
    run = mistaken_run(Workspace(tmp_path / "ws").create(), tmp_path)
    assert [one.moment.epoch for one in voices(run, 2)] == [1, 2, 3, 4, 5, 6, 7]


def test_a_second_label_is_asked_of_the_ends_of_the_stages(tmp_path: Path):
    run = mistaken_run(Workspace(tmp_path / "ws").create(), tmp_path, second=True)
    assert [one.moment.size for one in voices(run, 2, second=True)] == [
        (64, 64), (96, 96), (128, 128),
    ]  # fmt: skip


def test_flipped_labels_of_a_run_are_its_suspects(tmp_path: Path):
    run = mistaken_run(Workspace(tmp_path / "ws").create(), tmp_path, flips=[3, 27, 118])
    found = suspects(voices(run, 2), list("abcdef"))
    assert sorted(found["item"]) == [3, 27, 118]


def test_the_words_about_suspects_claim_no_more_than_a_question():
    asked = [_voice(SURE, LABELS)]
    said = words(suspects(asked, "ab"), asked)
    assert "1 label is contradicted, of 5 validation images" in said
    assert "a question, not an answer" in said


# The command


def test_the_command_gives_classes_pairs_suspects_and_a_summary(tmp_path: Path, capsys):
    workspace = Workspace(tmp_path / "ws").create()
    run = mistaken_run(workspace, tmp_path, flips=[27])
    assert main(["mistakes", run.id, "--workspace", str(workspace.root), "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = {kind: [line for line in lines if line["kind"] == kind] for kind in
             ("class", "pair", "suspect", "summary")}  # fmt: skip
    assert [line["support"] for line in kinds["class"]] == [20, 19, 20, 20, 21, 20]
    assert [line["mistakes"] for line in kinds["pair"]] == [4, 2, 1]
    assert kinds["suspect"][0]["file"] == "class 01/007.jpg"
    assert kinds["summary"][0]["wrong"] == 7


def test_the_command_takes_the_second_label_by_its_name(tmp_path: Path, capsys):
    workspace = Workspace(tmp_path / "ws").create()
    run = mistaken_run(workspace, tmp_path, second=True)
    place = ["--workspace", str(workspace.root), "--json"]
    assert main(["mistakes", run.id, "--target", "parity", *place]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["class"] for line in lines if line["kind"] == "class"] == ["even", "odd"]
    assert main(["mistakes", run.id, "--target", "colour", *place]) == 1


def test_the_command_speaks_in_words_without_json(tmp_path: Path, capsys):
    workspace = Workspace(tmp_path / "ws").create()
    run = mistaken_run(workspace, tmp_path)
    assert main(["mistakes", run.id, "--workspace", str(workspace.root)]) == 0
    said = capsys.readouterr().out
    assert "120 validation images at 128 px: 6 wrong (5.0 %)" in said
    assert f"{HOSTILE} and class 01: 4 of 6 mistakes" in said
