"""Divides a data set into train, validation and the locked test part.

    divided = parts(dataset, recipe.dataset.split, "")

Which part a picture falls into is decided by a hash of (seed, file name): the same on every machine
and with every version of numpy, and pictures added later hardly move the others. Pictures that are
byte for byte the same always fall into one part. With `test_seed` the locked part stays the same
whatever `seed` divides the rest by.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lab.data.dataset import Dataset
from lab.data.layout import PART, PARTS, TEST, TRAIN, VALID
from lab.errors import LabError
from lab.recipe.dataset import Split
from lab.recipe.facts import DataFacts

_WHERE = "dataset.split"


@dataclass(frozen=True, eq=False)
class Parts:
    """Item numbers, int32 and ascending, of three disjoint parts; labels of ALL items, int64."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray
    labels: np.ndarray  # -1: unlabelled, in no part
    classes: tuple[str, ...]
    target: str


def parts(dataset: Dataset, split: Split, target: str = "") -> Parts:
    """Divide. Raises LabError where nothing is left to train on or to validate with.

    auto: the parts that the data bring. Of those, a missing validation part is cut from the
    training part; a missing test part stays empty. Data that bring none are divided by `random`.
    """
    target = dataset.target(target)
    labels = dataset.labels(target)
    given = _given(dataset, split)
    usable = labels >= 0
    part = np.full(len(labels), "", dtype="<U5")
    if given is None:
        part[usable] = TRAIN
    else:
        part[usable] = given[usable]
    _cut(part, labels, dataset.items, split, given is not None)
    found = {name: np.flatnonzero(part == name).astype(np.int32) for name in PARTS}
    divided = Parts(**found, labels=labels, classes=dataset.targets[target], target=target)
    _check(divided)
    return divided


def data_facts(dataset: Dataset, divided: Parts) -> DataFacts:
    """What plans, forecasts and checks need to know about a divided data set."""
    used = np.concatenate([divided.train, divided.valid, divided.test])
    sides = dataset.items[["width", "height"]].to_numpy()[used]
    short, long = sides.min(axis=1), sides.max(axis=1)
    counts = np.bincount(divided.labels[divided.train], minlength=len(divided.classes))
    return DataFacts(
        dataset_id=dataset.id,
        name=dataset.name,
        fingerprint=dataset.fingerprint,
        target=divided.target,
        classes=divided.classes,
        n_train=len(divided.train),
        n_valid=len(divided.valid),
        n_test=len(divided.test),
        train_counts=tuple(counts.tolist()),
        short_px=(int(short.min()), int(np.median(short)), int(short.max())),
        aspect=round(float(np.median(long / short)), 4),
        bytes=int(dataset.items["bytes"].to_numpy()[used].sum()),
    )


def _given(dataset: Dataset, split: Split) -> np.ndarray | None:
    """The part that the data bring per item, "" for none; None where they are to be divided."""
    if split.method == "column":
        return _column(dataset.items, split.column)
    given = dataset.items["given"].to_numpy(dtype="<U5")
    whole = bool((given == TRAIN).any() and np.isin(given, (VALID, TEST)).any())
    if split.method == "folders" and not whole:
        raise LabError(
            f"{dataset.name} brings no train and valid or test folders.",
            "Use method = random, or name such folders.",
            where=f"{_WHERE}.method",
        )
    if split.method == "kfold" and (given == TEST).any() and whole:
        return np.where((given == VALID), TRAIN, given)  # the folds validate; test stays locked
    return given if whole and split.method in ("auto", "folders") else None


def _column(items: pd.DataFrame, column: str) -> np.ndarray:
    name = f"{PART}{column}"
    if name not in items.columns:
        known = [word.removeprefix(PART) for word in items.columns if word.startswith(PART)]
        fix = f"Use {', '.join(known)}." if known else "Use method = random or auto."
        raise LabError(
            f"There is no column {column!r} that says train, valid or test.",
            fix,
            where=f"{_WHERE}.column",
        )
    return items[name].to_numpy(dtype="<U5")


def _cut(
    part: np.ndarray, labels: np.ndarray, items: pd.DataFrame, split: Split, given: bool
) -> None:
    """Cut the test and validation parts that are still missing out of the training part."""
    if split.method == "kfold" and split.fold >= split.folds:
        raise LabError(
            f"fold is {split.fold}, but there are {split.folds} folds.",
            f"Folds count from 0 to {split.folds - 1}.",
            where=f"{_WHERE}.fold",
        )
    if not given and split.method != "kfold" and split.valid_fraction + split.test_fraction >= 1:
        raise LabError(
            f"Nothing is left to train on: {split.valid_fraction:g} of the pictures validate and "
            f"{split.test_fraction:g} are locked away.",
            "Make one of the fractions smaller.",
            where=f"{_WHERE}.valid_fraction",
        )
    order = _order(items, split.seed)
    groups = labels if split.stratified else np.where(labels >= 0, 0, -1)
    whole = np.bincount(groups[part == TRAIN], minlength=1)
    if not given and split.test_fraction:
        locked = order if split.test_seed is None else _order(items, split.test_seed)
        _take(part, groups, locked, TEST, _quotas(whole, split.test_fraction))
    if split.method == "kfold":
        _fold(part, groups, order, split)
    elif not (part == VALID).any():
        _take(part, groups, order, VALID, _quotas(whole, split.valid_fraction))
    _keep_copies_together(part, items, given)


def _order(items: pd.DataFrame, seed: int) -> np.ndarray:
    """All items in the random order of `seed`."""
    keys = [
        hashlib.blake2b(f"{seed}\0{file}".encode(), digest_size=8).digest()
        for file in items["file"]
    ]
    return np.argsort(np.frombuffer(b"".join(keys), dtype=">u8"), kind="stable")


def _quotas(sizes: np.ndarray, fraction: float) -> np.ndarray:
    """How many of each group: the shares rounded so that their sum is right too.

    A group of three or more gives at least one, and every group keeps at least one.
    """
    cumulated = np.floor(np.cumsum(sizes) * fraction + 0.5).astype(np.int64)
    quotas = np.diff(cumulated, prepend=0)
    quotas = np.where((quotas == 0) & (sizes >= 3), 1, quotas)
    return np.minimum(quotas, np.maximum(sizes - 1, 0))


def _take(
    part: np.ndarray, groups: np.ndarray, order: np.ndarray, name: str, quotas: np.ndarray
) -> None:
    """Move the first `quotas[g]` training items of each group, in random order, to a part."""
    free = order[part[order] == TRAIN]
    rank = _rank_in_group(groups[free])
    part[free[rank < quotas[groups[free]]]] = name


def _fold(part: np.ndarray, groups: np.ndarray, order: np.ndarray, split: Split) -> None:
    """Every `folds`-th training item validates; the groups start at different folds."""
    free = order[part[order] == TRAIN]
    place = _rank_in_group(groups[free]) + groups[free]
    part[free[place % split.folds == split.fold]] = VALID


def _rank_in_group(groups: np.ndarray) -> np.ndarray:
    """Position of each element among those of its group: [2, 1, 2, 2] -> [0, 0, 1, 2]."""
    by_group = np.argsort(groups, kind="stable")
    starts = np.r_[True, np.diff(groups[by_group]) != 0] if len(groups) else np.zeros(0, bool)
    positions = np.arange(len(groups))
    rank = np.empty(len(groups), dtype=np.int64)
    rank[by_group] = positions - np.maximum.accumulate(np.where(starts, positions, 0))
    return rank


def _keep_copies_together(part: np.ndarray, items: pd.DataFrame, given: bool) -> None:
    """Copies go where the first of them went, unless the data themselves say where they go."""
    if given:
        return
    used = np.flatnonzero(part != "")
    sha1 = items["sha1"].iloc[used]
    if not sha1.duplicated().any():
        return
    codes = sha1.factorize()[0]
    first = np.unique(codes, return_index=True)[1]
    part[used] = part[used][first[codes]]


def _check(divided: Parts) -> None:
    if not len(divided.train):
        raise LabError("No picture is left to train on.", "Change the split.", where=_WHERE)
    if not len(divided.valid):
        raise LabError(
            "No picture is left to validate with.", "Make valid_fraction larger.", where=_WHERE
        )
    if len(np.unique(divided.labels[divided.train])) < 2:
        raise LabError(
            "Only one class is left to train on.", "Change the split or the target.", where=_WHERE
        )
