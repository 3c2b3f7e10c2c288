"""Several runs as one: average, weighted average and stacking, scored on what nobody has seen.

    members = [read_member(run) for run in runs]        # predictions of validation and locked part
    found = assess(members)                             # rows, notes, how many images
    for row in found.rows: print(row.name, row.error, row.verdict)

Weights and stacker are fitted on validation predictions alone (combine.py); which member is the
best is decided there too. The locked part is only counted on, where every member keeps it locked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import reduce
from typing import Any

import numpy as np

from lab.analysis.combine import average, error_of, fit_stacked, fit_weighted, nested
from lab.analysis.members import Member, at, demand_same, demand_together, read_member, told_apart
from lab.analysis.metrics import scores
from lab.analysis.significance import Paired, error_difference, holm, rate_interval
from lab.errors import LabError

__all__ = ["Ensemble", "Row", "assess", "read_member"]
LEVEL = 0.05
LEAST_FIT = 40  # images: with fewer, weights are mostly noise
MEMBER, AVERAGE, WEIGHTED, STACKED = "member", "average", "weighted", "stacked"
NAMES = {AVERAGE: "Average", WEIGHTED: "Weighted average", STACKED: "Stacked (boosting)"}


@dataclass(frozen=True)
class Row:
    """A member or a combination. Rates are fractions; `difference` is the best member's error less
    this one's: above zero, this one is better. `p` is corrected for how many are compared."""

    name: str
    kind: str
    run: str = ""
    weight: float | None = None
    valid_error: float | None = None  # of the fitted ones: on images that they were not fitted on
    fitted_error: float | None = None  # on the very images that they were fitted on
    n: int = 0
    error: float | None = None
    low: float | None = None
    high: float | None = None
    log_loss: float | None = None
    balanced_error: float | None = None
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    p: float | None = None
    verdict: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class Ensemble:
    """All rows, members first. `best` is the run that did best in validation."""

    rows: tuple[Row, ...]
    best: str
    n_locked: int
    n_fit: int
    notes: tuple[str, ...]


def assess(members: Sequence[Member], *, stack: bool = True, seed: int = 0) -> Ensemble:
    """Score members and combinations on the locked images that every one of them keeps locked.

    Raises LabError where they do not belong together, where the locked part of one has not been
    scored, and where no image is locked for all.
    """
    members = told_apart(members)
    demand_together(members)
    probs, target, notes = _locked(members)
    fit, fit_target, words = _fitting(members)
    best = _best(members, fit, fit_target)
    ways, more = _combinations(fit, fit_target, stack, seed)
    rows = [_member_row(m, p, target, f, fit_target) for m, p, f in zip(members, probs, fit)]
    right = probs[best].argmax(axis=1) == target
    fitted = [_combined(way, combine, probs, target) for way, combine in ways]
    rows += _compared(fitted, right, members[best].name, seed)
    weights = next((combine.weights for way, combine in ways if way.kind == WEIGHTED), None)
    if weights is not None:
        rows = [replace(r, weight=float(w)) for r, w in zip(rows, weights)] + rows[len(members) :]
    chosen = f"{members[best].name} counts as the best member: chosen in validation, not here."
    return Ensemble(
        tuple(rows), members[best].run, len(target), fit.shape[1], (*notes, chosen, *words, *more)
    )


def _locked(members: Sequence[Member]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(probs (members, n, classes), target (n,), notes) of what every member keeps locked."""
    missing = [member.name for member in members if member.test is None]
    if missing:
        raise LabError(
            f"The locked test part was not scored by {', '.join(missing)}.", "Score it first."
        )
    tests = [member.test for member in members]
    met = reduce(np.union1d, [member.touched for member in members])
    shared = reduce(np.intersect1d, [test.item for test in tests])
    items = np.setdiff1d(shared, met)
    sizes = sorted({len(test.item) for test in tests})
    if not len(items):
        raise LabError(
            "These runs have no locked image in common: what one keeps locked, another was "
            "trained or chosen on.",
            "Train anew with one dataset.split.test_seed (and test_fraction) for all of them.",
            where="dataset.split.test_seed",
        )
    notes = []
    if len(items) < sizes[-1] or len(sizes) > 1:
        notes.append(
            f"Only {len(items)} images count: those that every member keeps locked (they lock "
            f"{' or '.join(map(str, sizes))} each)."
        )
    if gone := len(shared) - len(items):
        notes.append(f"{gone} locked images are left out: a member has met the same picture.")
    for member in members:
        if member.unsure:
            notes.append(
                f"{member.name} began with weights whose pictures cannot be looked up: whether "
                "those met locked images is not known."
            )
    chosen = [at(test, items) for test in tests]
    demand_same(members, [said.target for said in chosen])
    return np.stack([said.probs for said in chosen]).astype(np.float64), chosen[0].target, notes


def _fitting(members: Sequence[Member]) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(probs (members, n, classes), target, notes) of what every member validated on."""
    shared = reduce(np.intersect1d, [member.valid.item for member in members])
    items = np.setdiff1d(shared, reduce(np.union1d, [member.touched for member in members]))
    chosen = [at(member.valid, items) for member in members]
    demand_same(members, [said.target for said in chosen])
    probs = np.stack([said.probs for said in chosen]).astype(np.float64)
    most = max(len(member.valid.item) for member in members)
    words = []
    if LEAST_FIT <= len(items) < most:
        words.append(
            f"The members divide the pictures differently: weights are fitted on the {len(items)} "
            f"images that all of them validated on (of {most})."
        )
    return probs, chosen[0].target, words


def _best(members: Sequence[Member], fit: np.ndarray, target: np.ndarray) -> int:
    """The member with the lowest error in validation; of equal ones the lowest log loss."""

    def rank(at: int) -> tuple[float, float]:
        own = members[at].valid
        common = fit.shape[1] >= LEAST_FIT
        found = scores(fit[at], target) if common else scores(own.probs, own.target)
        return found["error_rate"], found["log_loss"]

    return min(range(len(members)), key=rank)


def _combinations(
    fit: np.ndarray, target: np.ndarray, stack: bool, seed: int
) -> tuple[list[tuple[Row, Any]], list[str]]:
    """(row so far, how it combines) per way, and notes. Fitted on validation images alone."""
    if fit.shape[1] < LEAST_FIT or len(np.unique(target)) < 2:
        plain = Row(NAMES[AVERAGE], AVERAGE)
        words = (
            f"No weights and no stacking: the members validated on only {fit.shape[1]} images in "
            f"common, and {LEAST_FIT} are needed. Runs that share one division have more."
        )
        return [(plain, average)], [words]
    mean_row = Row(NAMES[AVERAGE], AVERAGE, valid_error=error_of(average(fit), target))
    found: list[tuple[Row, Any]] = [(mean_row, average)]
    fits = {WEIGHTED: fit_weighted} | ({STACKED: fit_stacked} if stack else {})
    for kind, fitter in fits.items():
        combine = fitter(fit, target)
        apart = error_of(nested(fit, target, fitter, seed=seed), target)
        own = error_of(combine(fit), target)
        found.append((Row(NAMES[kind], kind, valid_error=apart, fitted_error=own), combine))
    return found, [stack_words(found[-1][0])] if stack else []


def stack_words(row: Row) -> str:
    """The warning that belongs to stacking, with its own numbers."""
    own, apart = (f"{100 * share:.1f}\u202f%" for share in (row.fitted_error, row.valid_error))
    return (
        f"Stacking over-fits easily and usually gains little. Here it is wrong on {own} of the "
        f"images that it was fitted on, and on {apart} of images held out from the fit: believe "
        "the second number."
    )


def _member_row(
    member: Member, probs: np.ndarray, target: np.ndarray, fit: np.ndarray, fit_target: np.ndarray
) -> Row:
    own = member.valid
    common = len(fit_target) >= LEAST_FIT
    valid = error_of(fit, fit_target) if common else error_of(own.probs, own.target)
    return _scored(Row(member.name, MEMBER, member.run, valid_error=valid), probs, target)


def _scored(row: Row, probs: np.ndarray, target: np.ndarray) -> Row:
    found = scores(probs, target)
    n, error = int(found["n"]), found["error_rate"]
    low, high = rate_interval(round(error * n), n)
    kept = {name: found[name] for name in ("log_loss", "balanced_error")}
    return replace(row, n=n, error=error, low=low, high=high, **kept)


def _combined(
    row: Row, combine: Any, probs: np.ndarray, target: np.ndarray
) -> tuple[Row, np.ndarray]:
    """(scored row, which answers are right)."""
    said = combine(probs)
    return _scored(row, said, target), said.argmax(axis=1) == target


def _compared(
    fitted: Sequence[tuple[Row, np.ndarray]], best: np.ndarray, name: str, seed: int
) -> list[Row]:
    """Each combination against the best member on the same images; p by Holm for all of them."""
    found = [error_difference(best, right, seed=seed) for _, right in fitted]
    corrected = holm([one.p for one in found])
    return [
        replace(
            row, difference=one.difference, difference_low=one.low, difference_high=one.high, p=p,
            verdict=verdict(row.name, name, replace(one, p=p)),
        )
        for (row, _), one, p in zip(fitted, found, corrected)
    ]  # fmt: skip


def verdict(name: str, best: str, found: Paired) -> str:
    """One plain sentence: a combination against the best member."""
    shown = "p below 0.001" if found.p < 0.001 else f"p\u00a0=\u00a0{found.p:.2g}"
    where = f"{found.n} locked images, {shown}"
    if found.p >= LEVEL:
        return f"{name}: not enough evidence that it differs from {best} ({where})."
    less = "fewer" if found.difference > 0 else "more"
    gap = f"{100 * abs(found.difference):.1f} points"
    return f"{name} makes {less} errors than {best}, by {gap} ({where})."
