"""What a report says of one run: from its own files alone, as plain JSON values.

    facts = run_facts(run)      # {"run": ..., "scores": {...}, "epochs": [...], "stages": [...]}

Nothing here is worked out anew: summaries, epochs and intervals are those of the Compare page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lab.analysis.compare import final_predictions
from lab.analysis.curves import epochs_frame, run_summary, size_label
from lab.analysis.methods import is_complete
from lab.analysis.significance import rate_interval
from lab.errors import LabError
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage, hw
from lab.runs.events import read_events
from lab.runs.folder import RunFolder
from lab.runs.status import standing

SUMMARY = (
    "run", "name", "preset", "status", "seed", "model", "sizes", "total_epochs",
    "seconds", "train_seconds", "pixels", "forecast_s", "forecast_error", "device", "precision",
)  # fmt: skip
EPOCH = (
    "global_epoch", "stage", "epoch", "label", "train_loss", "valid_loss", "error_rate", "lr",
    "seconds", "elapsed", "pixels", "flops", "energy_j",
)  # fmt: skip
COSTS = ("pixels", "flops", "energy_j")


def run_facts(run: RunFolder, host: bool = False) -> dict[str, Any]:
    """One run. `host`: also the name of the machine. LabError where its recipe is unreadable."""
    recipe, events, meta = run.recipe(), read_events(run), run.meta()
    summary, frame, now = run_summary(run), epochs_frame(events), standing(run)
    epochs = [{key: _plain(row[key]) for key in EPOCH} for _, row in frame.iterrows()]
    return {
        **{key: _plain(summary[key]) for key in SUMMARY},
        "message": f"{now.message} {now.fix}".strip(),
        "scored": is_complete(run),
        "scores": _with_interval(summary["scores"]),
        "final_size": _final_size(summary),
        "stages": [_stage_scores(stage) for stage in summary["stages"]],
        "schedule": schedule(recipe, run.resolved().get("resolved", {})),
        "cost": {key: _last(epochs, key) for key in COSTS},
        "epochs_done": summary["epochs"],
        "epochs": epochs,
        "guess": guess(meta),
        "notes": [str(words) for words in (recipe.notes, meta.get("notes")) if words],
        "tags": [str(tag) for tag in meta.get("tags") or ()],
        "experiment": str(meta.get("experiment") or ""),
        "arm": str(meta.get("arm") or ""),
        "baseline_of": str(meta.get("baseline_of") or ""),
        "times": _times(events, meta),
        "data": data_facts(recipe, events),
        "valid_counts": valid_counts(run),
        "environment": environment(run, events, host),
        "reasons": reasons(run, events),
        "weights": recipe.model.weights,
    }


def _with_interval(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Scores with Wilson's interval of the error rate, over images."""
    n = int(scores.get("n") or 0)
    if not n:
        return {}
    low, high = rate_interval(round(scores["error_rate"] * n), n)
    return {**{key: _plain(value) for key, value in scores.items()}, "low": low, "high": high}


def _stage_scores(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "stage": stage["stage"],
        "size": _label(stage["size"]),
        "final_size": _label(stage["final_size"]),
        "own": _with_interval(stage["own"]),
        "final": _with_interval(stage["final"]),
    }


def _final_size(summary: Mapping[str, Any]) -> str:
    return _label(summary["stages"][-1]["final_size"]) if summary["stages"] else ""


def _label(size: Any) -> str:
    return size_label(size) if size else ""


def schedule(recipe: Recipe, resolved: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages as they were run: what was chosen at the launch stands in for `auto`."""
    chosen = resolved.get("stages", {})
    return [_stage(n, stage, chosen.get(str(n), {})) for n, stage in enumerate(recipe.stages)]


def _stage(number: int, stage: Stage, chosen: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the stages table."""
    return {
        "stage": number,
        "size": stage.label,
        "from_size": _label(stage.ramp_from),
        "epochs": chosen.get("epochs") or stage.total_epochs,
        "frozen_epochs": stage.frozen_epochs,
        "steps": chosen.get("steps"),
        "trainable": stage.trainable,
        "lr": chosen.get("lr", stage.lr),
        "schedule": stage.schedule,
        "batch": chosen.get("batch_size", stage.batch_size),
        "resize": stage.resize,
        "augmented": not stage.augment.is_off,
        "side_px": float(np.sqrt(np.prod(hw(stage.size)))),
    }


def guess(meta: Mapping[str, Any]) -> float | str | None:
    """What was guessed for this run before the launch: an error rate, or words.

    One guess is stored with all runs of an experiment: {"progressive": rate, "fixed": rate}.
    """
    found = meta.get("prediction")
    if isinstance(found, Mapping):
        role = "fixed" if meta.get("role") == "baseline" else "progressive"
        found = found.get(role, found.get("words"))
    if isinstance(found, float | int) and not isinstance(found, bool):
        return float(found)
    return found.strip() if isinstance(found, str) and found.strip() else None


def _times(events: Sequence[Mapping[str, Any]], meta: Mapping[str, Any]) -> dict[str, Any]:
    """Seconds since 1970: asked for, begun, ended."""
    begun, ended = (
        [event["t"] for event in events if event["kind"] == kind]
        for kind in ("run_started", "finished")
    )
    return {
        "created": meta.get("created"),
        "started": begun[0] if begun else None,
        "finished": ended[-1] if ended else None,
    }


def data_facts(recipe: Recipe, events: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The data as the run found them: counts, split, fingerprint; empty before it began."""
    found = _started(events).get("data") or {}
    split = recipe.dataset.split
    if not found:
        return {}
    return {
        "name": str(found.get("name", "")),
        "source": recipe.dataset.source,
        "target": str(found.get("target", "")),
        "second_target": recipe.dataset.second_target,
        "fingerprint": str(found.get("fingerprint", "")),
        "classes": [str(name) for name in found.get("classes", ())],
        "train_counts": list(found.get("train_counts", ())),
        **{key: found.get(key) for key in ("n_train", "n_valid", "n_test")},
        "short_px": list(found.get("short_px", ())),
        "split": split.model_dump(mode="json"),
    }


def valid_counts(run: RunFolder) -> list[int]:
    """Validation images a class, from the stored predictions of them; empty before those."""
    try:
        found = final_predictions(run)
    except LabError:
        return []
    return np.bincount(found.target, minlength=len(found.classes)).tolist()


def reasons(run: RunFolder, events: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Why the program chose what it chose, by the name of the choice."""
    chosen = run.resolved().get("resolved", {}).get("reasons", {})
    found = {**_started(events).get("reasons", {}), **chosen}
    return {str(name): str(words) for name, words in found.items()}


def environment(run: RunFolder, events: Sequence[Mapping[str, Any]], host: bool) -> dict[str, Any]:
    """Device, precision, threads, versions."""
    begun, chosen = _started(events), run.resolved().get("resolved", {})
    found = {**chosen, **{key: begun[key] for key in ("device", "precision") if key in begun}}
    known = {
        "device": str(found.get("device", "")),
        "precision": str(found.get("precision", "")),
        "threads": begun.get("threads", found.get("threads")),
        "remedies": [str(one) for one in found.get("remedies") or ()],
        "versions": {str(k): str(v) for k, v in begun.get("versions", {}).items()},
    }
    return {**known, "host": str(begun.get("host", ""))} if host else known


def _started(events: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    return next((event for event in reversed(events) if event["kind"] == "run_started"), {})


def _last(epochs: Sequence[Mapping[str, Any]], key: str) -> float | None:
    return epochs[-1][key] if epochs else None


def _plain(value: Any) -> Any:
    """numpy and NaN as JSON knows them."""
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not np.isfinite(value) else value
