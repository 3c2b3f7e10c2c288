"""A finished run that is wrong in known places, with pictures of its own: for Inspect, Mistakes.

    run = mistaken_run(workspace, tmp_path, classes=6, flips=[3, 7])

A picture of class c is answered rightly with 0.85, but every fifth of class 0 is taken for class 1,
and every tenth of class 2 for class 0, with 0.6. `flips` are rows whose label is wrong: every
epoch of every stage knows better.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from fake_runs import eight_epochs, fake_run
from pictures import class_folders

from lab.analysis.metrics import scores
from lab.data.catalog import import_path
from lab.recipe.stage import hw
from lab.runs.events import read_events
from lab.runs.folder import RunFolder
from lab.workspace import Workspace, write_json

HOSTILE = "=2+3<b>"  # a class name that must stay words everywhere; the first by its letters


def mistaken_run(
    workspace: Workspace,
    folder: Path,
    classes: int = 6,
    each: int = 20,
    flips: Sequence[int] = (),
    second: bool = False,
    views: bool = False,
) -> RunFolder:
    """Rows are images in the order of the items; row r is of class r // each, before any flip."""
    names = [HOSTILE, *(f"class {number:02d}" for number in range(1, classes))]
    dataset = import_path(
        workspace, class_folders(folder / "set", dict.fromkeys(names, each), height=32, width=32)
    )
    order = tuple(dataset.targets[dataset.target()])
    run = fake_run(workspace, "finished", recipe=eight_epochs(), name="mistaken")
    write_json(run.resolved_file, run.resolved() | {"data": dataset.fingerprint})
    true = dataset.labels()
    target = true.copy()
    target[list(flips)] = (target[list(flips)] + 3) % classes
    for file in run.predictions.glob("*.npz"):
        file.unlink()
    for event in read_events(run):
        if event["kind"] == "epoch":
            height, width = hw(event["size"])
            share = 0.55 + 0.3 * (event["global_epoch"] + 1) / 8
            name = f"e{event['global_epoch']}-{height}x{width}.npz"
            probs = answers(true, classes, share).astype(np.float16)
            np.savez(run.predictions / name, item=np.arange(len(true)), target=target, probs=probs)
    for stage in run.finished_stages():
        _stage(run, stage, true, target, order, second)
    if views:
        _views(run, true, target, classes)
    return run


def answers(true: np.ndarray, classes: int, share: float = 0.85) -> np.ndarray:
    """What is said of images of these true classes: the mistakes above, the rest right."""
    said, sure = true.copy(), np.full(len(true), share)
    for of, every, taken_for in ((0, 5, 1), (2, 10, 0)):
        rows = np.flatnonzero(true == of)[::every]
        said[rows], sure[rows] = taken_for, 0.6
    probs = np.repeat(((1 - sure) / (classes - 1))[:, None], classes, axis=1)
    probs[np.arange(len(true)), said] = sure
    return probs.astype(np.float32)


def _stage(
    run: RunFolder, stage: int, true: np.ndarray, target: np.ndarray, names: Sequence[str],
    second: bool,
) -> None:  # fmt: skip
    info = run.scores(stage)
    info["model"] |= {"classes": list(names), "target": "kind"}
    probs = answers(true, len(names))
    more = {}
    if second:
        info["model"] |= {"second_target": "parity", "second_classes": ["even", "odd"]}
        other = np.arange(len(true)) % 2
        other[::7] = -1  # nobody knows
        odd = np.where(np.arange(len(true)) % 6 == 3, 0.3, np.arange(len(true)) % 2 * 0.8 + 0.1)
        both = np.stack([1 - odd, odd], axis=1).astype(np.float32)
        more = {"second_target": other, "second_probs": both}
    for which in ("size", "final_size"):
        height, width = hw(info[which])
        np.savez(run.predictions / f"s{stage}-{height}x{width}.npz",
                 item=np.arange(len(true)), target=target, probs=probs, **more)  # fmt: skip
    info["own"] = info["final"] = scores(probs, target)
    write_json(run.stage(stage) / "scores.json", info)


def _views(run: RunFolder, true: np.ndarray, target: np.ndarray, classes: int) -> None:
    """Views that know every answer: what is left are the flipped labels."""
    stage = run.finished_stages()[-1]
    height, width = hw(run.scores(stage)["final_size"])
    plain = answers(true, classes)
    sure = np.full((len(true), classes), 0.02, np.float32)
    sure[np.arange(len(true)), true] = 1 - 0.02 * (classes - 1)
    seen = np.repeat(sure[:, None], 2, axis=1)
    average = 0.25 * plain + 0.75 * seen.mean(axis=1)
    np.savez(run.predictions / f"s{stage}-{height}x{width}-tta.npz", item=np.arange(len(true)),
             target=target, plain=plain, views=seen, average=average, beta=0.25)  # fmt: skip
