"""What a training leaves on disk: events, steps, checkpoints, weights, scores, predictions."""

from __future__ import annotations

import io
import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from lab.analysis.metrics import scores
from lab.data.transform import TestTransform
from lab.errors import Stopped
from lab.runs.folder import STOP, STOP_AFTER_STAGE
from lab.runs.speeds import note_speed
from lab.schedules.budget import speed_key, valid_key
from lab.train import checkpoint
from lab.train.moments import Chosen, EpochDone, Event, StageDone, StageStarted, Step, Warned
from lab.train.trainer import Trainer
from lab.vision.draws import drawn_counts
from lab.vision.loader import TestPictures
from lab.vision.rundata import RunData
from lab.workers.context import Work
from lab.workers.spent import Spent
from lab.workspace import write_json

TELL_S = 0.5  # step events: two a second
AFTER_EPOCH_S, WITHIN_EPOCH_S = 20.0, 60.0  # work at risk before a checkpoint is due
KEEP = 2


class Recorder:
    """Consumes a trainer's events and writes the run folder."""

    def __init__(self, work: Work, trainer: Trainer, data: RunData, device: str):
        self.work, self.trainer, self.data = work, trainer, data
        self.device = device  # of the run: with several, the trainer knows its own alone
        self.run, self.saved, self.told = work.run, time.monotonic(), 0.0
        self.window: list[tuple[float, int]] = []  # (time, images) of recent steps
        self.waiting: list[Step] = []  # whose losses were not read yet
        self.spent = Spent(work.run, trainer, device)

    def record(self) -> None:
        """Train to the end. Raises Stopped, after a checkpoint, where somebody asked."""
        try:
            for event in self.trainer.events():
                self.work.step = self.trainer.step
                self._take(event)
                if self._ends_here(event):
                    raise Stopped
        except Stopped:
            if self.trainer.step:
                self._save()
            raise
        self._finished()

    def _ends_here(self, event: Event) -> bool:
        """Whether somebody wants it to stop now. Several processes of a run ask each other."""
        trainer, pulse = self.trainer, self.work.pulse
        if isinstance(event, StageDone) and event.stage < len(trainer.recipe.stages) - 1:
            return trainer.team.agree(pulse.wish() in (STOP, STOP_AFTER_STAGE))
        return trainer.stopping()

    def _take(self, event: Event) -> None:
        match event:
            case Step():
                self._step(event)
            case StageStarted():
                self._stage_started(event)
            case EpochDone():
                self._epoch(event)
            case StageDone():
                self._stage(event)
            case Chosen():
                self._chosen(event)
            case Warned():
                self.work.tell("warning", message=event.message)

    def _chosen(self, event: Chosen) -> None:
        """On disk before the run goes on: a resume and the baselines read it there."""
        document = self.run.resolved()
        chosen = replace(self.trainer.resolved, device=self.device)
        document["resolved"] = chosen.as_dict()
        write_json(self.run.resolved_file, document)
        self.work.tell(
            "chosen", stage=event.stage, name=event.name, value=event.value, reason=event.reason
        )

    def _stage_started(self, event: StageStarted) -> None:
        row = event.row
        self.work.tell(
            "stage_started",
            stage=event.stage,
            step=event.step,
            size=_size(row.height, row.width),
            epochs=len(self.trainer.plan.of_stage(event.stage)),
            batch=row.batch,
        )

    def _step(self, event: Step) -> None:
        now = time.monotonic()
        self.waiting.append(event)
        self.window = [*self.window[-50:], (now, event.row.batch)]
        if now - self.told >= TELL_S:
            self.told = now
            loss = self._write_steps()
            self.work.tell("step", **self._step_values(event, loss))
            self.work.pulse.set(step=event.step)
        if now - self.saved >= WITHIN_EPOCH_S:
            self._save()

    def _write_steps(self) -> float:
        """Read the losses of the steps since the last time, in one go: on a GPU each read waits.
        Returns the last."""
        losses = torch.stack([event.loss.float() for event in self.waiting]).tolist()
        for event, loss in zip(self.waiting, losses):
            self.work.writer.step(event.step, loss, event.lr)
        self.waiting = []
        return losses[-1]

    def _step_values(self, event: Step, loss: float) -> dict[str, Any]:
        row, trainer = event.row, self.trainer
        smooth = trainer.meter.value()
        return {
            "stage": row.stage,
            "epoch": row.epoch,
            "global_epoch": row.global_epoch,
            "step": event.step,
            "size": _size(*row.size_at(event.step - row.first_step - 1)),
            "at": row.global_epoch + (event.step - row.first_step) / row.steps,
            "loss": loss if np.isfinite(loss) else None,
            "train_loss": smooth if np.isfinite(smooth) else None,
            "lr": event.lr,
            "images_per_s": self._speed(),
            "pixels": trainer.pixels,
        }

    def _speed(self) -> float | None:
        if len(self.window) < 2:
            return None
        seconds = self.window[-1][0] - self.window[0][0]
        return sum(images for _, images in self.window[1:]) / seconds if seconds else None

    def _epoch(self, event: EpochDone) -> None:
        row = event.row
        if self.waiting:
            self._write_steps()
        pictures = self.data.valid(row.stage)
        name = f"e{row.global_epoch}-{event.size[0]}x{event.size[1]}"
        self._predictions(name, pictures, event.probs.astype(np.float16))
        if event.test_probs is not None:
            locked = self.data.locked(row.stage)
            self._predictions(f"{name}-test", locked, event.test_probs.astype(np.float16))
        drawn = self._drawn(event)
        more = {**self.spent.by(row), **({"drawn": drawn} if drawn else {})}
        self.work.tell("epoch", **epoch_values(event), **more)
        self._note_speeds(event)
        self.window = []
        if time.monotonic() - self.saved >= AFTER_EPOCH_S:
            self._save()

    def _drawn(self, event: EpochDone) -> list[int] | None:
        """Images per class that a weighted epoch drew; None where each was drawn once."""
        row, recipe = event.row, self.trainer.recipe
        stage = recipe.stages[row.stage]
        if stage.sampling == "all":
            return None
        return drawn_counts(stage, row, recipe.seed, self.data.train(row.stage).labels)

    def _note_speeds(self, event: EpochDone) -> None:
        """Forecasts of later runs read these."""
        row, resolved = event.row, self.trainer.resolved
        if row.runs or row.cached or (row.height, row.width) != event.size:
            return  # a mixture of sizes, or no pass through the body: no speed of one size
        name, precision = self.trainer.recipe.model.name, resolved.precision
        key = speed_key(name, row.height, row.width, row.batch, precision)
        place = (self.work.workspace, self.device)
        if event.train_seconds > 0:
            note_speed(*place, "speeds", key, row.images / event.train_seconds)
        valid = event.seconds - event.train_seconds
        if valid > 0:
            key = valid_key(name, row.height, row.width, precision)
            note_speed(*place, "valid_speeds", key, len(event.probs) / valid)

    def _stage(self, event: StageDone) -> None:
        own, final = self.data.valid(event.stage), self.data.final()
        folder = self.run.stage(event.stage)
        folder.mkdir(exist_ok=True)
        for pictures, said in ((own, event.own), (final, event.final)):
            name = f"s{event.stage}-{pictures.hw[0]}x{pictures.hw[1]}"
            self._predictions(name, pictures, said.first, said.second)
        digest = self._weights(folder / "model.safetensors")
        document = self._scores(event, own, final) | {"sha256": digest}
        write_json(folder / "scores.json", document)
        self.work.tell(
            "stage_finished",
            stage=event.stage,
            step=event.step,
            size=_size(*own.hw),
            final_size=_size(*final.hw),
            own=document["own"],
            final=document["final"],
        )
        self._save()

    def _scores(self, event: StageDone, own: TestPictures, final: TestPictures) -> dict[str, Any]:
        stage = self.trainer.recipe.stages[event.stage]
        return {
            "stage": event.stage,
            "weights": "ema" if self.trainer.ema else "raw",
            "kept_epoch": event.kept,
            "size": list(own.hw),
            "final_size": list(final.hw),
            "own": scores(event.own.first, own.labels),
            "final": scores(event.final.first, final.labels),
            **self._second_scores(event, own, final),
            "transform": _transform(self.data.transform(stage)),
            "final_transform": _transform(self.data.last()),
            "model": self._model(),
        }

    def _second_scores(
        self, event: StageDone, own: TestPictures, final: TestPictures
    ) -> dict[str, Any]:
        """The second target's scores, over the pictures that have that label."""
        if event.own.second is None:
            return {}
        pairs = {"second_own": (event.own, own), "second_final": (event.final, final)}
        found = {}
        for name, (said, pictures) in pairs.items():
            known = pictures.second >= 0
            if known.any():
                found[name] = scores(said.second[known], pictures.second[known])
        return found

    def _model(self) -> dict[str, Any]:
        network = self.trainer.network
        facts = self.data.facts()
        return {
            "name": network.spec.name,
            "num_classes": network.n_classes,
            "classes": list(self.data.parts.classes),
            "target": facts.target,
            "second_target": self.trainer.recipe.dataset.second_target,
            "second_classes": list(self.data.second_classes),
            "mean": list(network.mean),
            "std": list(network.std),
            "interpolation": network.interpolation,
        }

    def _weights(self, path: Path) -> str:
        """Write the weights whole or not at all, with what they need to be used elsewhere; returns
        their sha256. Tensors that a network ties are written twice: safetensors shares none."""
        temporary, seen = path.with_suffix(".tmp"), set()
        state = {
            k: v.detach().cpu().contiguous() for k, v in self.trainer.judged.state_dict().items()
        }
        for name, tensor in state.items():
            if tensor.data_ptr() in seen:
                state[name] = tensor.clone()
            seen.add(tensor.data_ptr())
        model = self._model()
        about = {key: model[key] for key in ("mean", "std", "classes")}
        # One key: safetensors writes several in a random order, and the digest would be random too.
        about = json.dumps({"architecture": model["name"], **about})
        save_file(state, temporary, metadata={"lab": about})
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        return checkpoint.sha256(path)

    def _predictions(
        self,
        name: str,
        pictures: TestPictures,
        probs: np.ndarray,
        second: np.ndarray | None = None,
    ) -> None:
        """predictions/<name>.npz: item, target int64; probs (n, classes); the second target's
        second_target, second_probs where one is learnt."""
        buffer = io.BytesIO()
        more = {} if second is None else {"second_target": pictures.second, "second_probs": second}
        np.savez(buffer, item=pictures.items, target=pictures.labels, probs=probs, **more)
        temporary = self.run.predictions / f".{name}.tmp"
        temporary.write_bytes(buffer.getvalue())
        os.replace(temporary, self.run.predictions / f"{name}.npz")

    def _save(self) -> None:
        """A checkpoint of just here. Events and steps come to the disk first."""
        if self.waiting:
            self._write_steps()
        self.work.writer.flush()
        trainer = self.trainer
        name = f"step-{trainer.step:08d}-{trainer.epochs_done:04d}-{trainer.stages_done:02d}"
        about = {"step": self.trainer.step, "attempt": self.work.attempt}
        checkpoint.save(self.run.checkpoints, name, self.trainer.state(), about, KEEP)
        self.saved = time.monotonic()
        self.work.tell("checkpoint", step=self.trainer.step, name=name)

    def _finished(self) -> None:
        if self.waiting:
            self._write_steps()
        last = len(self.trainer.recipe.stages) - 1
        self.work.tell(
            "finished",
            step=self.trainer.step,
            scores=self.run.scores(last)["final"],
            size=_size(*self.data.final().hw),
        )
        self.work.writer.flush()


def epoch_values(event: EpochDone) -> dict[str, Any]:
    """The epoch event, as the command line prints it."""
    row = event.row
    return {
        "stage": row.stage,
        "epoch": row.epoch,
        "global_epoch": row.global_epoch,
        "step": event.step,
        "size": _size(row.height, row.width),
        "train_loss": event.train_loss if np.isfinite(event.train_loss) else None,
        "valid_loss": event.valid_loss,
        "accuracy": event.accuracy,
        "error_rate": 1 - event.accuracy,
        "seconds": event.seconds,
        "train_seconds": event.train_seconds,
        "images_per_s": row.images / event.train_seconds if event.train_seconds else None,
        "lr": event.lr,
        "pixels": event.pixels,
        "frozen": row.frozen,
        "valid_size": _size(*event.size),
        **({} if event.second_accuracy is None else {"second_accuracy": event.second_accuracy}),
    }


def _size(height: int, width: int) -> int | list[int]:
    return height if height == width else [height, width]


def _transform(transform: TestTransform) -> dict[str, Any]:
    return transform.as_dict()
