"""Longer work besides training, each a function of (job, arguments) -> JSON value.

perform(workspace, task_id, device)      # what the worker process does with tasks/<id>/request.json
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lab.errors import LabError, Stopped
from lab.runs.events import EventWriter
from lab.runs.folder import RunFolder, find_run
from lab.workers.runner import DONE, FAILED, STOPPED, as_words
from lab.workers.state import Pulse
from lab.workspace import Workspace, read_json, write_json


@dataclass
class Job:
    """A task under way: where it works, how it tells its progress, whether it is to stop."""

    workspace: Workspace
    device: str
    writer: EventWriter
    pulse: Pulse
    folder: Path  # of the task: what it makes besides its value goes there
    _told: float = field(default=0.0)

    def progress(self, what: str, done: int, total: int) -> None:
        """At most four times a second; raises Stopped where somebody asked."""
        if self.pulse.stopping():
            raise Stopped
        if done >= total or time.monotonic() - self._told > 0.25:
            self._told = time.monotonic()
            self.writer.write("progress", what=what, done=done, total=total)


def perform(workspace: Workspace, task_id: str, device: str) -> int:
    """Do a task and write its result.json. Returns the worker's exit code."""
    folder = workspace.task(task_id)
    request = read_json(folder / "request.json", {})
    writer = EventWriter(RunFolder(folder), attempt=0)
    with Pulse(folder, attempt=0) as pulse:
        pulse.listen()
        pulse.set(status="running")
        job = Job(workspace, device, writer, pulse, folder)
        code, result = _outcome(job, request)
        write_json(folder / "result.json", result)
        problems = result.get("problems") or [{"what": "", "fix": ""}]
        status = {DONE: "finished", FAILED: "failed", STOPPED: "stopped"}[code]
        pulse.set(status=status, message=problems[0]["what"], fix=problems[0]["fix"])
    writer.close()
    return code


def _outcome(job: Job, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    try:
        kind = request.get("kind", "")
        if kind not in TASKS:
            raise LabError(f"There is no task {kind!r}.", f"There are {', '.join(TASKS)}.")
        return DONE, {"status": "finished", "value": TASKS[kind](job, request)}
    except Stopped:
        return STOPPED, {"status": "stopped"}
    except Exception as error:
        if not isinstance(error, LabError):
            traceback.print_exc()
        problems = [problem.as_dict() for problem in as_words(error).problems]
        return FAILED, {"status": "failed", "problems": problems}


def import_data(job: Job, request: dict[str, Any]) -> dict[str, Any]:
    """Import `path` (folder, zip, CSV), or the upload at `path` when `upload` is true."""
    from lab.data.catalog import import_path, import_upload

    def progress(done: int, total: int) -> None:
        job.progress("Reading pictures", done, total)

    path = Path(request["path"])
    if request.get("upload"):
        name = request.get("name") or path.name
        try:
            dataset = import_upload(job.workspace, path, name, progress)
        finally:
            path.unlink(missing_ok=True)  # it was a copy: imported, refused or no longer wanted
    else:
        dataset = import_path(job.workspace, path, request.get("name"), progress)
    return {"dataset": dataset.id, "name": dataset.name}


def draw_data(job: Job, request: dict[str, Any]) -> dict[str, Any]:
    """Draw the embedded set that `dataset` (a DataSpec) describes."""
    from lab.data.catalog import materialise
    from lab.recipe.base import parse
    from lab.recipe.dataset import DataSpec

    spec = parse(DataSpec, request["dataset"])
    dataset = materialise(
        job.workspace, spec, lambda done, total: job.progress("Drawing leaves", done, total)
    )
    return {"dataset": dataset.id, "name": dataset.name}


def calibrate(job: Job, request: dict[str, Any]) -> dict[str, Any]:
    """Time a few steps of `recipe` at each of its sizes, and remember the speeds."""
    from lab.recipe import recipe_from
    from lab.workers.calibrate import measure

    return measure(job.workspace, recipe_from(request["recipe"]), job.device, job.progress)


def lr_find(job: Job, request: dict[str, Any]) -> dict[str, Any]:
    """Search for the rate of a `stage` of `recipe`; a later one begins with weights of `run`."""
    from lab.recipe import recipe_from
    from lab.workers.finder import find_lr

    recipe, stage, run = recipe_from(request["recipe"]), request["stage"], request.get("run", "")
    return find_lr(job.workspace, recipe, int(stage), job.device, job.progress, run)


def tta(job: Job, request: dict[str, Any]) -> dict[str, Any]:
    """Test-time augmentation over the validation part of `run`, stored with the run."""
    from lab.scoring.inference import tta_run
    from lab.workers.resolve import pick_device

    run = find_run(job.workspace, request["run"])
    names = ("stage", "views", "beta", "size", "family", "average")
    options = {key: request[key] for key in names if key in request}
    options["device"] = pick_device(job.device)[0]

    def progress(done: int, total: int) -> None:
        job.progress("Looking at views", done, total)

    return tta_run(job.workspace, run, progress=progress, stop=job.pulse.stopping, **options)


def test_sizes(job: Job, request: dict[str, Any]) -> dict[str, Any]:
    """Score a stage of `run`, or each of `runs` ([{run, stage}]), at several `sizes`."""
    from lab.scoring.test_sizes import score_sizes
    from lab.workers.resolve import pick_device

    options = {"device": pick_device(job.device)[0], "stop": job.pulse.stopping}
    found = [
        score_sizes(job.workspace, run, stage, request.get("sizes", ()), progress=say, **options)
        for run, stage, say in _each_run(job, request)
    ]
    return {"runs": found}


def score_test(job: Job, request: dict[str, Any]) -> dict[str, Any]:
    """Predict the locked test part by a stage of `run`, or by each of `runs` ([{run, stage}])."""
    from lab.scoring.test_part import score_test
    from lab.workers.resolve import pick_device

    options = {"device": pick_device(job.device)[0], "stop": job.pulse.stopping}
    found = [
        score_test(job.workspace, run, stage, progress=say, **options)
        for run, stage, say in _each_run(job, request)
    ]
    return {"runs": found}


def _each_run(
    job: Job, request: dict[str, Any]
) -> Iterator[tuple[RunFolder, int | None, Callable[[str, int, int], None]]]:
    """Each run of a request with its stage and a progress that says which run it is."""
    wanted = request.get("runs") or [request]
    for at, one in enumerate(wanted):
        where = f" (run {at + 1} of {len(wanted)})" if len(wanted) > 1 else ""
        run = find_run(job.workspace, one["run"])
        yield run, one.get("stage"), lambda what, *n, where=where: job.progress(what + where, *n)


def predict(job: Job, request: dict[str, Any]) -> dict[str, Any]:
    """Answers of a stage of `run` for the pictures below `path`, kept in the task's folder.

    `upload`: the path is a copy that a browser sent, and is removed at the end.
    """
    from lab.scoring.many_pictures import predict_many
    from lab.workers.resolve import pick_device

    path, run = Path(request["path"]), find_run(job.workspace, request["run"])
    options = {"progress": job.progress, "device": pick_device(job.device)[0]}
    try:
        found = predict_many(
            run, path, job.folder, request.get("stage"), bool(request.get("tta")), **options
        )
    finally:
        if request.get("upload"):
            path.unlink(missing_ok=True)
    return {**found, "task": job.folder.name, "name": request.get("name") or path.name}


def export(job: Job, request: dict[str, Any]) -> dict[str, Any]:
    """Export a stage of `run` as a folder and a zip."""
    from lab.export.bundle import export_run

    run = find_run(job.workspace, request["run"])
    job.progress("Writing the export", 0, 1)
    to = job.workspace.exports / run.id
    found = export_run(job.workspace, run, request.get("stage"), to, request.get("format", "timm"))
    job.progress("Writing the export", 1, 1)
    return found


TASKS: dict[str, Callable[[Job, dict[str, Any]], dict[str, Any]]] = {
    "import": import_data,
    "draw": draw_data,
    "calibrate": calibrate,
    "lr-find": lr_find,
    "tta": tta,
    "test_sizes": test_sizes,
    "score_test": score_test,
    "predict": predict,
    "export": export,
}
