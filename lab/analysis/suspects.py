"""Label suspects: images whose label a run contradicts, confidently and all the way through.

    asked = voices(run, stage)                  # whose word counts: see there
    table = suspects(asked, classes, label_below=0.25, agree=0.6)
    print(words(table, asked))

A *voice* is what the weights of one moment say of all validation images: the last three epochs of
every stage, each at its stage's size (for a second target, whose epochs are not stored, the end of
every stage). In a voice, class j *stands against* an image labelled i when j is its top answer, is
not i, and gets at least the probability t_j that the voice gives class j on average to the images
labelled j: the class's own threshold of confident learning (Northcutt, Jiang and Chuang 2021,
"Confident Learning", JAIR 70, eq. 2), so that a class that is always predicted timidly is not
overlooked, nor a class that is always predicted loudly always blamed.

A suspect: the same j stands against the label in at least the share `agree` of the voices, and in
at least one of every stage; and the mean probability of the label over the voices is below
`label_below`. Ranked by mean probability of j less that of the label.

A suspect is a question to whoever knows the pictures, not an answer: a network is also confident
and consistent about a rare look of a class that it has learnt wrongly. Strict on purpose: of 30
labels made wrong among 600, with voices that are right 94 times in 100, it names about half and
hardly any other (tests/test_mistakes.py). Only validation images are
asked about: of images that it was trained on, a network repeats the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lab.analysis.mistakes import Answers, Moment, epoch_ends, read_answers, stage_ends
from lab.errors import LabError
from lab.runs.folder import RunFolder

LAST_EPOCHS = 3  # of every stage
LABEL_BELOW, AGREE = 0.25, 0.6
COLUMNS = ("item", "label", "suggested", "confidence", "label_probability", "agree", "asked",
           "stages", "margin")  # fmt: skip


@dataclass(frozen=True, eq=False)
class Voice:
    """What one moment says. All voices of a list are about the same images in the same order."""

    moment: Moment
    answers: Answers


def voices(run: RunFolder, stage: int, second: bool = False) -> list[Voice]:
    """The moments up to a stage whose word counts. Empty where nothing is stored."""
    by_stage: dict[int, list[Moment]] = {}
    if not second:
        for moment in epoch_ends(run, stage):
            by_stage.setdefault(moment.stage, []).append(moment)
    for moment in stage_ends(run, stage, second):
        by_stage.setdefault(moment.stage, [moment])  # of a run without stored epochs
    kept = [one for _, own in sorted(by_stage.items()) for one in own[-LAST_EPOCHS:]]
    return _alike([voice for moment in kept if (voice := _voice(moment)) is not None])


def _voice(moment: Moment) -> Voice | None:
    """None for a damaged file: the others still have something to say."""
    try:
        return Voice(moment, read_answers(moment))
    except LabError:
        return None


def _alike(found: list[Voice]) -> list[Voice]:
    """Only voices about the same images with the same labels as the last one."""
    if not found:
        return found
    last = found[-1].answers
    return [
        voice
        for voice in found
        if np.array_equal(voice.answers.item, last.item)
        and np.array_equal(voice.answers.target, last.target)
        and voice.answers.probs.shape == last.probs.shape
    ]


def class_thresholds(probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """t_j (classes,): mean probability of class j over the images labelled j; inf without any."""
    classes = probs.shape[1]
    n = np.bincount(target, minlength=classes)
    own = probs[np.arange(len(target)), target]
    total = np.bincount(target, weights=own, minlength=classes)
    return np.where(n > 0, total / np.maximum(n, 1), np.inf)


def stands_against(probs: np.ndarray, target: np.ndarray) -> np.ndarray:
    """(n,): the class that stands against each label in one voice; -1 where none does."""
    top = probs.argmax(axis=1)
    # Less a rounding error: the mean of equal numbers need not be that number.
    loud = probs[np.arange(len(top)), top] >= class_thresholds(probs, target)[top] - 1e-9
    return np.where(loud & (top != target), top, -1)


def suspects(
    asked: Sequence[Voice],
    classes: Sequence[str],
    label_below: float = LABEL_BELOW,
    agree: float = AGREE,
) -> pd.DataFrame:
    """A row a suspect, the clearest first: item, label and suggested (names), confidence (mean
    probability of the suggestion), label_probability (mean), agree of asked voices, margin."""
    if not asked:
        return pd.DataFrame(columns=list(COLUMNS))
    item, target = asked[-1].answers.item, asked[-1].answers.target
    mean = np.mean([voice.answers.probs for voice in asked], axis=0)
    against = np.stack([stands_against(*voice.answers.pair) for voice in asked])  # (voices, n)
    stages = np.array([voice.moment.stage for voice in asked])
    rows = np.arange(len(target))
    other, count = _most_often(against)
    same = (against == other) & (other >= 0)
    everywhere = np.all([same[stages == stage].any(axis=0) for stage in np.unique(stages)], axis=0)
    doubted = mean[rows, target] < label_below
    kept = rows[everywhere & doubted & (count >= agree * len(asked) - 1e-9)]
    found = pd.DataFrame({
        "item": item[kept].astype(int),
        "label": [classes[number] for number in target[kept]],
        "suggested": [classes[number] for number in other[kept]],
        "confidence": mean[kept, other[kept]],
        "label_probability": mean[kept, target[kept]],
        "agree": count[kept],
        "asked": len(asked),
        "stages": len(np.unique(stages)),
    })  # fmt: skip
    found["margin"] = found["confidence"] - found["label_probability"]
    return found.sort_values("margin", ascending=False, kind="stable", ignore_index=True)


def _most_often(against: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per image (column) the class that stands there most often, -1 for none, and how often."""
    n = against.shape[1]
    best, often = np.full(n, -1), np.zeros(n, int)
    for number in np.unique(against[against >= 0]):
        count = (against == number).sum(axis=0)
        more = count > often
        best[more], often[more] = number, count[more]
    return best, often


def whom(asked: Sequence[Voice]) -> str:
    """`9 answers: the last 3 epochs of 3 stages`."""
    stages = len({voice.moment.stage for voice in asked})
    ends = all(voice.moment.epoch is None for voice in asked)
    places = "1 stage" if stages == 1 else f"{stages} stages"
    some = "" if len(asked) == stages * LAST_EPOCHS else "up to "
    each = "the end" if ends else f"the last {some}{LAST_EPOCHS} epochs"
    n = f"{len(asked)} answers" if len(asked) != 1 else "1 answer"
    return f"{n}: {each} of {places}"


def words(table: pd.DataFrame, asked: Sequence[Voice]) -> str:
    """How many there are, in a sentence or two that claim no more than that."""
    if not asked:
        return "No answers are stored that could be asked."
    n = len(asked[-1].answers.item)
    if not len(table):
        return f"No label of {n} validation images is contradicted that firmly ({whom(asked)})."
    some = "1 label is" if len(table) == 1 else f"{len(table)} labels are"
    return (
        f"{some} contradicted, of {n} validation images ({whom(asked)}). Each is a question, not "
        "an answer: look at the picture before you change a label."
    )
