"""Would epoch 9 have been better? What keeping the best-looking epoch gives, and really gives.

    found = hindsight(run)              # of the last stage's epochs; None where nothing is stored
    found.looked, found.honest.gain, found.tested       # gains against the last epoch, fractions
    print(words(found))

An epoch chosen because it looks best on some images looks better there than it is. Two honest
readings: choose on one half of the validation images and read on the other, many times; and the
locked test part, where every epoch's predictions of it were kept (evaluation.test_every_epoch).
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lab.analysis.choosing import PATIENCE, REPEATS, Honest, early_stop, halves
from lab.analysis.curves import size_label
from lab.analysis.significance import Paired, error_difference, rate_interval
from lab.errors import LabError
from lab.runs.arrays import DAMAGED
from lab.runs.events import read_events
from lab.runs.folder import RunFolder
from lab.schedules.rules import best_epoch

_FILE = re.compile(r"e(\d+)-(\d+)x(\d+)(-test)?\.npz")
Size = tuple[int, int]


@dataclass(frozen=True)
class Rate:
    """An error rate over n images, with Wilson's 95 % interval."""

    error: float
    low: float
    high: float
    n: int

    @classmethod
    def of(cls, wrong: np.ndarray) -> Rate:
        """From one boolean an image."""
        n = len(wrong)
        return cls(float(wrong.mean()), *rate_interval(int(wrong.sum()), n), n)


@dataclass(frozen=True)
class Epoch:
    """One epoch, at the size it was validated at. `number` counts from 0 over the run."""

    number: int
    stage: int
    size: Size
    valid: Rate
    test: Rate | None = None


@dataclass(frozen=True)
class Hindsight:
    """A run's epochs and what choosing among those of `stage` gives."""

    run: str
    name: str
    epochs: tuple[Epoch, ...]
    stage: int
    several: bool  # the run has other stages, whose epochs are not chosen from
    best: Epoch  # looks best on validation; of equals the first
    last: Epoch
    patience: int
    stopped: int | None  # the epoch after which early stopping ends; None: it never does
    kept: Epoch  # what early stopping would have kept: the best so far
    looked: float  # gains against the last epoch, fractions: what validation shows,
    honest: Honest | None  # what halves of it give (None: too few images),
    tested: Paired | None  # what the locked test part gives: last - best, paired

    @property
    def optimism(self) -> float | None:
        """How much of the gain that validation shows is an accident of looking."""
        return None if self.honest is None else self.looked - self.honest.gain

    def as_dict(self) -> dict[str, Any]:
        """Plain JSON values; epochs count from 1 there, as people do."""
        found = asdict(self) | {"kind": "hindsight", "optimism": self.optimism}
        found["epochs"] = [_plain(epoch) for epoch in self.epochs]
        for name in ("best", "last", "kept"):
            found[name] = getattr(self, name).number + 1
        found["stopped"] = None if self.stopped is None else self.stopped + 1
        if self.honest:
            chosen = {str(number + 1): share for number, share in self.honest.chosen.items()}
            found["honest"]["chosen"] = chosen
        return found | {"stage": self.stage + 1, "verdict": words(self)}


def _plain(epoch: Epoch) -> dict[str, Any]:
    found = asdict(epoch)
    return found | {"number": epoch.number + 1, "stage": epoch.stage + 1}


def hindsight(
    run: RunFolder,
    stage: int | None = None,
    patience: int = PATIENCE,
    repeats: int = REPEATS,
    seed: int = 0,
) -> Hindsight | None:
    """What choosing among a stage's epochs (the last one's by default) would have given.

    Epochs of other stages are at other sizes: they are listed, each at its own, but not chosen
    from. None with fewer than two epochs of the stage on disk. LabError for a damaged file.
    """
    stages = {
        int(event["global_epoch"]): int(event["stage"])
        for event in read_events(run)
        if event["kind"] == "epoch"
    }
    valid, test = _stored(run, stages)
    if not valid:
        return None
    stage = stages[max(valid)] if stage is None else stage
    chosen_from = [number for number in sorted(valid) if stages[number] == stage]
    if len(chosen_from) < 2:
        return None
    epochs = {number: _epoch(number, stages[number], valid, test) for number in sorted(valid)}
    wrong = np.array([valid[number][1] for number in chosen_from])
    mine = [epochs[number] for number in chosen_from]
    best = mine[best_epoch([epoch.valid.error for epoch in mine])]
    stopped, kept = early_stop([epoch.valid.error for epoch in mine], patience)
    return Hindsight(
        run.id, run.recipe().name or run.id, tuple(epochs.values()), stage,
        len(set(stages.values())) > 1, best, mine[-1], patience,
        None if stopped is None else chosen_from[stopped], mine[kept],
        mine[-1].valid.error - best.valid.error,
        halves(wrong, chosen_from, repeats, seed),
        _tested(test, mine[-1].number, best.number),
    )  # fmt: skip


Stored = dict[int, tuple[Size, np.ndarray]]  # epoch -> size, wrong (n,)


def _stored(run: RunFolder, stages: dict[int, int]) -> tuple[Stored, Stored]:
    """What was wrong at each epoch that the events know: on validation, on the locked test part."""
    valid: Stored = {}
    test: Stored = {}
    for file in sorted(run.predictions.glob("e*.npz")):
        found = _FILE.fullmatch(file.name)
        if found and int(found[1]) in stages:
            part = test if found[4] else valid
            part[int(found[1])] = ((int(found[2]), int(found[3])), _wrong(file))
    return _alike(valid), _alike(test)


def _wrong(file: Path) -> np.ndarray:
    try:
        with np.load(file, allow_pickle=False) as stored:
            order = np.argsort(stored["item"], kind="stable")
            return (stored["probs"].argmax(axis=1) != stored["target"])[order]
    except DAMAGED as error:
        raise LabError(
            f"The predictions of an epoch cannot be read ({file.name}).",
            "Delete that file; the other epochs are then shown without it.",
        ) from error


def _alike(found: Stored) -> Stored:
    """Only epochs scored on as many images as the last one: pairs need the same images."""
    if not found:
        return found
    n = len(found[max(found)][1])
    return {number: entry for number, entry in found.items() if len(entry[1]) == n}


def _epoch(number: int, stage: int, valid: Stored, test: Stored) -> Epoch:
    size, wrong = valid[number]
    locked = Rate.of(test[number][1]) if number in test else None
    return Epoch(number, stage, size, Rate.of(wrong), locked)


def _tested(test: Stored, last: int, best: int) -> Paired | None:
    if last not in test or best not in test:
        return None
    return error_difference(~test[last][1], ~test[best][1])


def words(found: Hindsight) -> str:
    """The answer in plain sentences."""
    last, parts = found.last, [_looked(found)]
    if found.honest:
        parts.append(
            "Chosen on one half of the images and read on the other, again and again, the choice "
            f"gives {_points(found.honest.gain)} than the last epoch"
            + (
                f": {_size(found.optimism)} of what one sees is optimism."
                if found.looked > 0 and (found.optimism or 0) > 0
                else "."
            )
        )
    else:
        parts.append(f"{last.valid.n} images are too few to be halved.")
    if found.tested:
        parts.append(_on_test(found, found.tested))
    if found.several:
        label = size_label(last.size)
        parts.append(f"The choice is among the epochs of the last stage, all scored at {label} px.")
    return " ".join(parts)


def _looked(found: Hindsight) -> str:
    best, last = found.best, found.last
    if best.number == last.number:
        return (
            f"No: the last epoch also looks best, with {_percent(last.valid.error)} errors on "
            f"{last.valid.n} validation images."
        )
    if found.looked == 0:
        return (
            f"No: epoch {best.number + 1} looks as good as the last, {_percent(last.valid.error)} "
            f"errors on {last.valid.n} validation images."
        )
    return (
        f"Epoch {best.number + 1} looks {_size(found.looked)} better than the last on "
        f"{last.valid.n} validation images ({_percent(best.valid.error)} against "
        f"{_percent(last.valid.error)} errors)."
    )


def _on_test(found: Hindsight, tested: Paired) -> str:
    if found.best.number == found.last.number:
        return f"On the locked test part it makes {_percent(_test(found.last))} errors."
    sure = "" if tested.p < 0.05 else ", which may as well be chance"
    rates = f"{_percent(_test(found.best))} against {_percent(_test(found.last))}"
    sign = -1 if tested.difference < 0 else 1  # the interval of the number that the words give
    low, high = sorted((100 * sign * tested.low, 100 * sign * tested.high))
    return (
        f"On the {tested.n} images of the locked test part that epoch gives "
        f"{_points(tested.difference)} ({rates}; 95 % interval {low:.1f} to {high:.1f}, "
        f"p = {tested.p:.2g}){sure}."
    )


def _test(epoch: Epoch) -> float:
    return epoch.test.error if epoch.test else float("nan")


def _points(gain: float) -> str:
    if round(100 * gain, 1) == 0:
        return "no fewer errors"
    return f"{_size(gain)} {'fewer' if gain > 0 else 'more'} errors"


def _size(gain: float | None) -> str:
    return f"{abs(100 * (gain or 0)):.1f} points"


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
