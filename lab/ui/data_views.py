"""What the Data page shows of a data set: its list line, division, classes, sizes, files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st
from PIL import Image, ImageOps

from lab.data.audit import counts, split_problems
from lab.data.dataset import Dataset, Summary
from lab.data.layout import PART, TRAIN, VALID
from lab.data.split import Parts, parts
from lab.errors import Problem
from lab.recipe.base import parse
from lab.recipe.dataset import Split
from lab.ui import charts, crops, pictures, state
from lab.ui import format as fmt
from lab.ui.charts.sizes import short_sides
from lab.ui.choose import told_apart
from lab.ui.gallery import Group, Thumb, gallery
from lab.ui.live_chart import live_chart
from lab.ui.messages import plain, sentence
from lab.ui.palette import size_colour

METHODS = {
    "auto": "As the data come",
    "random": "At random",
    "folders": "By its train, valid and test folders",
    "column": "By a column of the table",
    "kfold": "One of n folds validates",
}
CLASSES_SHOWN, EACH_CLASS = 12, 8
_SHOWN_PX = (64, 96, 128, 160, 224)  # of one picture at several sizes, side by side


@dataclass(frozen=True, eq=False)
class Divided:
    """A data set under a split: pictures per class and part, and what is wrong with it."""

    parts: Parts
    table: pd.DataFrame
    problems: list[Problem]


@st.cache_resource(max_entries=16, show_spinner=False)
def divided(dataset_id: str, stamp: float, split: str, target: str) -> Divided:
    """Shared by all sessions, not to be changed. `split` as JSON. Raises LabError."""
    dataset = state.opened(dataset_id, stamp)
    found = parts(dataset, parse(Split, json.loads(split)), target)
    return Divided(found, counts(dataset, found), split_problems(dataset, found))


def names_of(lines: Iterable[Summary]) -> dict[str, str]:
    """id -> name as Markdown; sets of one name also say how many pictures they have."""
    lines = list(lines)
    often = Counter(line.name for line in lines)
    labels = {
        line.id: line.name
        if often[line.name] == 1
        else f"{line.name}, {fmt.count(line.n)} pictures"
        for line in lines
    }
    return {key: plain(label) for key, label in told_apart(labels).items()}


def line_words(line: Summary, now: float) -> str:
    """`1 200 pictures, 10 classes, 9 MB, drawn at 160 px, 3 min ago`."""
    facts = [f"{fmt.count(line.n)} pictures", f"{fmt.count(line.classes)} classes"]
    facts += [fmt.bytes_of(line.bytes), source_words(line.source), fmt.ago(line.created, now)]
    return ", ".join(fact for fact in facts if fact)


def findings(problems: Iterable[Problem]) -> None:
    """What the audit found, one message for all of it; or a word that it found nothing."""
    lines = [sentence(replace(problem, where="")) for problem in problems]
    if not lines:
        st.caption("Looked through: every file can be read, and no picture lies in two parts.")
        return
    text = lines[0] if len(lines) == 1 else "\n".join(f"- {line}" for line in lines)
    st.warning(text, icon=":material/warning:")


def source_words(source: dict[str, Any]) -> str:
    """Where a set came from: `drawn at 160 px (demo, seed 0)`, `uploaded`, `from /data/pets`."""
    kind = source.get("kind", "")
    if kind == "leaves":
        return f"drawn at {source['size_px']} px ({source['form']}, seed {source['seed']})"
    if kind == "upload":
        return f"uploaded as {source.get('filename', '')}"
    return f"from {source['path']}" if source.get("path") else ""


def split_form(dataset: Dataset, now: Split, key: str) -> dict[str, Any]:
    """Widgets of the split, filled from `now`; returns the split's values."""
    columns = [n.removeprefix(PART) for n in dataset.items.columns if n.startswith(PART)]
    brought = set(dataset.items["given"]) - {""}
    divided_already = TRAIN in brought and len(brought) > 1
    methods = [
        method for method in METHODS
        if method in ("random", "kfold", now.method)
        or (method == "auto" and divided_already) or (method == "column" and columns)
    ]  # fmt: skip
    if not divided_already:
        methods = [method for method in methods if method != "auto"]  # the same as at random
    method = st.selectbox(
        "Method", methods, methods.index(now.method if now.method in methods else methods[0]),
        format_func=METHODS.get, key=f"{key}.method", help=_help("method"),
    )  # fmt: skip
    values: dict[str, Any] = {**now.model_dump(), "method": method}
    if method == "column":
        values["column"] = st.selectbox(
            "Column", columns, key=f"{key}.column", help=_help("column")
        )
    if method == "kfold":
        left, right = st.columns(2)
        values["folds"] = left.number_input("Folds", 2, 50, now.folds, key=f"{key}.folds")
        last = values["folds"] - 1
        fold = right.number_input("Fold, from 0", 0, last, min(now.fold, last), key=f"{key}.fold")
        values["fold"] = fold
    as_brought = method in ("auto", "folders", "column")
    if method == "random" or (as_brought and VALID not in brought):
        values["valid_fraction"] = _share("Validation", "valid_fraction", now, f"{key}.valid")
    if method in ("random", "kfold"):
        values["test_fraction"] = _share("Locked test", "test_fraction", now, f"{key}.test")
        values["seed"] = st.number_input(
            "Seed of the split", 0, value=now.seed, key=f"{key}.seed", help=_help("seed")
        )
        values["stratified"] = st.toggle(
            "Same class shares in each part", now.stratified, key=f"{key}.stratified",
            help=_help("stratified"),
        )  # fmt: skip
    return values


def _share(label: str, field: str, now: Split, key: str) -> float:
    low = 1 if field == "valid_fraction" else 0
    value = round(100 * getattr(now, field))
    shown = st.slider(label, low, 60, min(max(value, low), 60), format="%d %%", key=key,
                      help=_help(field))  # fmt: skip
    return shown / 100


def class_chart(table: pd.DataFrame, key: str) -> None:
    """Pictures per class, the commonest on top, by part."""
    table = table.loc[table.sum(axis=1).sort_values(ascending=False, kind="stable").index]
    columns = {"train": "train", "valid": "validation", "test": "test, locked"}
    columns = {part: name for part, name in columns.items() if table[part].any()}
    shown = {name: table[part].to_numpy() for part, name in columns.items()}
    chart = charts.class_counts(list(table.index), shown)
    height = 26 * len(table) + 84
    with st.container(height=min(height, 560) + 12 if height > 560 else "content", border=False):
        live_chart(chart, key=key, height=height)


def uneven_words(table: pd.DataFrame) -> str:
    """How uneven the classes are in training, in a sentence; '' where they are even."""
    train = table["train"][table["train"] > 0]
    if train.empty or train.max() < 1.5 * train.min():
        return "All classes have about the same number of pictures."
    ratio = train.max() / train.min()
    words = f"The commonest class has {fmt.decimal(ratio, 1)} times as many pictures as the rarest."
    if ratio < 3:
        return words
    return f"{words} Throw none away for that; the balanced error counts every class alike."


def samples(
    dataset: Dataset, stamp: float, labels: np.ndarray, names: list[str], roll: int, first: int
) -> None:
    """A row of random pictures for some of the classes."""
    numbers = list(range(first, min(first + CLASSES_SHOWN, len(names))))
    found = pictures.some_of_each(labels, numbers, EACH_CLASS, roll)
    items = tuple(item for row in found.values() for item in row)
    sources = dict(zip(items, pictures.thumbnails(dataset.id, stamp, items)))
    files = dataset.items["file"]
    groups = [
        Group(
            names[number],
            [Thumb(i, sources[i], alt=f"{names[number]}: {files.iat[i]}") for i in row],
            f"{fmt.count(int((labels == number).sum()))} pictures",
        )
        for number, row in found.items()
    ]
    gallery(groups, key="data.samples")


def size_words(dataset: Dataset) -> str:
    """Up to which size there is something to see."""
    low, middle, high = dataset.audit.short_px
    if low == high:
        return (
            f"All pictures are **{fmt.size(low, low)}** on their short side. Training at a larger "
            "size costs time and shows the network nothing new."
        )
    return (
        f"Short sides go from {fmt.size(low, low)} to {fmt.size(high, high)}; half of the pictures "
        f"have **{fmt.size(middle, middle)}** or more. Above {fmt.size(high, high)} no picture "
        "holds any more detail: a larger training size costs time and gains nothing."
    )


def size_chart(dataset: Dataset, key: str) -> None:
    """Short sides as a histogram, where they differ enough for one."""
    if len(dataset.audit.short_histogram) > 1:
        live_chart(short_sides(dataset.audit.short_histogram), key=key, height=210)


def one_at_sizes(dataset: Dataset, roll: int, key: str) -> None:
    """One picture as small and as large as a network may see it, at true relative size."""
    item = int(np.random.default_rng(roll).integers(len(dataset)))
    picture = _picture(dataset.id, pictures.stamp_of(dataset.id), item)
    if picture is None:
        return
    longest = max(dataset.audit.short_px[1], _SHOWN_PX[0])
    sides = [side for side in _SHOWN_PX if side <= longest]
    crops.true_size_row(
        [
            crops.Crop(
                ImageOps.fit(picture, (side, side), Image.Resampling.LANCZOS),
                fmt.size(side, side), size_colour(side, sides), f"One picture at {side} pixels",
            )
            for side in sides
        ],
        key=key,
    )  # fmt: skip


@st.cache_data(max_entries=32, show_spinner=False)
def _picture(dataset_id: str, stamp: float, item: int) -> Image.Image | None:
    found = pictures.original(state.opened(dataset_id, stamp), item, short_px=2 * _SHOWN_PX[-1])
    if found is not None:
        found.thumbnail((4 * _SHOWN_PX[-1], 4 * _SHOWN_PX[-1]))
    return found


def files_table(dataset: Dataset) -> None:
    """Everything the import noted about the files, as tables."""
    audit = dataset.audit
    kinds = {**(audit.formats or {}), **{f"mode {k}": n for k, n in (audit.modes or {}).items()}}
    st.write(
        f"Long sides: {', '.join(fmt.count(side) for side in audit.long_px)} px (smallest, median, "
        f"largest). " + ", ".join(f"{fmt.count(n)} {name}" for name, n in kinds.items()) + "."
    )
    if audit.unreadable:
        st.write(f"**Unreadable, left out: {fmt.count(len(audit.unreadable))}**")
        bad = pd.DataFrame(audit.unreadable, columns=["file", "reason"])
        st.dataframe(bad, hide_index=True, key="data.unreadable")
    for words, groups, key in (
        ("Same bytes, other labels", audit.conflicting, "data.conflicts"),
        ("Same bytes more than once", audit.duplicates, "data.duplicates"),
    ):
        if groups:
            st.write(f"**{words}: {fmt.count(len(groups))} groups**")
            files = [{"files": ",  ".join(group)} for group in groups]
            st.dataframe(pd.DataFrame(files), hide_index=True, key=key)
    if not (audit.unreadable or audit.duplicates):
        st.write("All files can be read, and no two are the same.")


def _help(name: str) -> str | None:
    return Split.model_fields[name].description
