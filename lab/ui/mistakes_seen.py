"""Inspect, Mistakes: what all of its views look at: one target, one way to answer, its moments.

seen = Seen.of(looked, second=False, averaged=True, dataset_id=dataset_id)
seen.answers;  seen.at(seen.moments[0])
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st

from lab.analysis.mistakes import (
    Answers,
    Moment,
    moments,
    read_answers,
    target_classes,
    target_names,
)
from lab.errors import LabError
from lab.runs.folder import RunFolder
from lab.ui import format as fmt
from lab.ui import pictures, state
from lab.ui.inspected import Looked


@dataclass(frozen=True, eq=False)
class Seen:
    """`key` goes into widget keys: another run, stage or target is another widget."""

    looked: Looked
    second: bool
    name: str  # of the target, a user's words
    classes: tuple[str, ...]
    answers: Answers  # at the stage's end
    averaged: bool  # whether these are averages over views
    moments: tuple[Moment, ...]
    dataset_id: str  # "" where the pictures are gone

    @property
    def key(self) -> str:
        return f"{self.looked.here}.{int(self.second)}"

    @property
    def file(self) -> str:
        """The beginning of the names of files to take home."""
        return f"{self.looked.run.id}-stage-{self.looked.stage + 1}"

    @classmethod
    def of(cls, looked: Looked, second: bool, averaged: bool, dataset_id: str) -> Seen:
        """LabError where the second target's answers are not there."""
        folder = looked.run.predictions
        found = _moments(str(looked.run.path), looked.stage, second, changed(folder))
        said = looked.said
        if second:
            answers = _answers(found[-1], changed(found[-1].path))
        else:
            probs = said.average(said.beta) if averaged else said.plain
            answers = Answers(said.item, said.target, np.asarray(probs, np.float64))
        name = target_names(looked.info)[second]
        classes = target_classes(looked.info, second)
        return cls(
            looked, second, name, classes, answers, averaged and not second, found, dataset_id
        )

    def at(self, moment: Moment) -> Answers:
        """The answers of a moment; of the last, the stage's end, as they were asked for."""
        if moment == self.moments[-1]:
            return self.answers
        return _answers(moment, changed(moment.path))

    def words(self, moment: Moment) -> str:
        """`Epoch 5, stage 1, at 64 px`."""
        where = f"at {fmt.size(*moment.size)}"
        if moment.epoch is not None:
            return f"Epoch {moment.epoch + 1}, stage {moment.stage + 1}, {where}"
        how = ", with views" if self.averaged and moment == self.moments[-1] else ""
        return f"End of stage {moment.stage + 1}, {where}{how}"

    def file_names(self) -> dict[int, str]:
        """Item -> the file's name as people know it; empty where the data set is gone."""
        if not self.dataset_id:
            return {}
        try:
            dataset = state.opened(self.dataset_id, pictures.stamp_of(self.dataset_id))
        except LabError:
            return {}
        known = [int(item) for item in self.answers.item if int(item) < len(dataset)]
        return dict(zip(known, dataset.items["file"].iloc[known]))


def changed(path: Path) -> int:
    """When a file or folder was last written; 0 where it is not there."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


@st.cache_data(max_entries=32, show_spinner=False)
def _moments(path: str, stage: int, second: bool, stamp: int) -> tuple[Moment, ...]:
    return tuple(moments(RunFolder(Path(path)), stage, second))


@st.cache_resource(max_entries=16, show_spinner=False)
def _answers(moment: Moment, stamp: int) -> Answers:
    """Shared by all sessions, and never written to."""
    return read_answers(moment)
