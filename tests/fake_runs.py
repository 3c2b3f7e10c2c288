"""Run folders as a worker leaves them, written in a blink: for screens and their tests.

run = fake_run(workspace, "finished", name="64 to 128", experiment="demo")
grow(run, writer, step)            # one more step of a run that "trains"
"""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from lab.analysis.metrics import scores
from lab.jobs.order import Job
from lab.jobs.queue import submit
from lab.recipe import Recipe, recipe_from
from lab.recipe.presets import preset_recipe
from lab.runs.events import EventWriter
from lab.runs.folder import RunFolder, create_run, process_identity
from lab.schedules.plan import Plan, make_plan
from lab.workspace import Workspace, write_json

CLASSES = ("blight", "healthy", "leaf_miner", "leaf_spot", "mosaic", "rust")
N_TRAIN, N_VALID = 828, 300
DATA = {
    "dataset_id": "leaves-fake", "name": "Leaves", "fingerprint": "f" * 8, "target": "disease",
    "classes": CLASSES, "n_train": N_TRAIN, "n_valid": N_VALID, "n_test": 72,
    "train_counts": [138] * 6, "short_px": [160, 160, 160], "aspect": 1.0, "bytes": 5_000_000,
}  # fmt: skip


def eight_epochs() -> Recipe:
    """4 epochs at 64 px, 2 at 96, 2 at 128: the demo, with counts that stay as they are."""
    values = preset_recipe("quick").dump()
    for stage, epochs in zip(values["stages"], (4, 2, 2)):
        stage["epochs"] = epochs
    return recipe_from(values)


def fake_run(
    workspace: Workspace,
    status: str,
    *,
    recipe: Recipe | None = None,
    share: float = 1.0,
    skill: float = 0.0,
    split: int = 0,
    message: str = "",
    fix: str = "",
    identity: dict[str, Any] | None = None,
    n_train: int = N_TRAIN,
    **meta: Any,
) -> RunFolder:
    """A run with `share` of its schedule done. `split` other than 0: scored on other images."""
    recipe = recipe or eight_epochs()
    run = create_run(workspace, recipe, meta)
    state = {"status": status, "attempt": 0, "device": "cpu", "heartbeat": time.time()}
    state |= identity or ({"pid": 2**22 + 7, "started": 1.0} if status == "running" else {})
    if status == "queued":
        submit(workspace, Job(run.id, "run", owner=meta.get("owner", "")))
        return run
    write_json(run.state_file, {**state, "message": message, "fix": fix})
    plan = make_plan(recipe, n_train, 1)
    writer = EventWriter(run, 0)
    _start(run, writer, plan, recipe)
    for step in range(1, round(share * plan.total_steps) + 1):
        grow(run, writer, plan, step, skill=skill, split=split)
    if status == "failed":
        writer.write("failed", message=message, fix=fix)
    if share == 1.0 and status == "finished":
        last = len(recipe.stages) - 1
        writer.write("finished", step=plan.total_steps, scores=run.scores(last)["final"], size=128)
    writer.close()
    return run


def living() -> dict[str, Any]:
    """This process as the worker of a run that is to count as alive."""
    return process_identity(os.getpid())


def _start(run: RunFolder, writer: EventWriter, plan: Plan, recipe: Recipe) -> None:
    reasons = {"device": "no GPU is here", "precision": "the recipe says so",
               "threads": "all 2 cores", "groups": "model.groups is 1"}  # fmt: skip
    resolved = {"device": "cpu", "precision": "fp32", "threads": 2, "groups": 1, "reasons": reasons}
    known = {"resolved": resolved, "recipe": recipe.identity(), "data": DATA["fingerprint"]}
    write_json(run.resolved_file, known)
    writer.write("progress", what="Preparing pictures", done=300, total=900)
    writer.write("run_started", **resolved, data=DATA | {"n_train": plan.epochs[0].images},
                 epochs=len(plan.epochs), steps=plan.total_steps, pixels=plan.total_pixels,
                 versions={"lab": "0.1.0", "torch": "2.10"}, host="here")  # fmt: skip


def grow(
    run: RunFolder,
    writer: EventWriter,
    plan: Plan,
    step: int,
    *,
    skill: float = 0.0,
    split: int = 0,
) -> None:
    """One step (from 1), and the epoch and stage that end with it."""
    row = plan.row_at(step - 1)
    done = step / plan.total_steps
    loss = 2.2 * np.exp(-3 * done) + 0.15 + 0.2 * np.sin(step * 1.7) * (1 - 0.7 * done)
    lr = plan.lrs(step - 1)[-1]
    size = row.height if row.height == row.width else [row.height, row.width]
    place = {"stage": row.stage, "epoch": row.epoch, "global_epoch": row.global_epoch}
    if step == row.first_step + 1 and row.epoch == 0:
        writer.write("stage_started", stage=row.stage, step=step - 1, size=size,
                     epochs=len(plan.of_stage(row.stage)), batch=row.batch)  # fmt: skip
    writer.step(step, loss, lr)
    speed = 2.4e6 / (row.height * row.width)
    pixels = sum(other.pixels for other in plan.epochs[: row.global_epoch + 1])
    if step % 3 == 1:
        writer.write("step", **place, step=step, size=size, loss=loss, train_loss=loss, lr=lr,
                     at=row.global_epoch, images_per_s=speed, pixels=pixels)  # fmt: skip
    if step != row.last_step:
        return
    error = max(0.02, 0.72 * np.exp(-2.6 * done) + 0.04 - skill)
    train_s = row.images / speed
    writer.write("epoch", **place, step=step, size=size, train_loss=loss,
                 valid_loss=2.3 * error + 0.1, accuracy=1 - error, error_rate=error,
                 seconds=train_s + 0.6, train_seconds=train_s, images_per_s=speed, lr=lr,
                 pixels=pixels, frozen=row.frozen)  # fmt: skip
    if row.global_epoch == plan.of_stage(row.stage)[-1].global_epoch:
        _end_stage(run, writer, plan, row.stage, step, error, split)


def _end_stage(
    run: RunFolder, writer: EventWriter, plan: Plan, stage: int, step: int, error: float, split: int
) -> None:
    own, final = plan.of_stage(stage)[-1], plan.epochs[-1]
    ends = {"own": (own, error), "final": (final, error * (1.0 if own == final else 1.8))}
    document: dict[str, Any] = {"stage": stage, "size": [own.height, own.width],
                                "final_size": [final.height, final.width], "weights": "raw",
                                "model": {"name": "resnet10t", "classes": CLASSES}}  # fmt: skip
    for name, (row, wrong) in ends.items():
        item, target, probs = _predictions(min(wrong, 0.9), split)
        document[name] = scores(probs, target)
        file = run.predictions / f"s{stage}-{row.height}x{row.width}.npz"
        np.savez(file, item=item, target=target, probs=probs)
    run.stage(stage).mkdir(parents=True, exist_ok=True)
    write_json(run.stage(stage) / "scores.json", document)
    writer.write("stage_finished", step=step, **document)


def _predictions(error: float, split: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(split)
    item = np.sort(rng.permutation(1200)[:N_VALID])
    target = rng.integers(0, len(CLASSES), N_VALID)
    wrong = rng.permutation(N_VALID)[: round(error * N_VALID)]
    said = target.copy()
    said[wrong] = (said[wrong] + 1) % len(CLASSES)
    probs = np.full((N_VALID, len(CLASSES)), 0.3 / (len(CLASSES) - 1), np.float32)
    probs[np.arange(N_VALID), said] = 0.7
    return item, target, probs
