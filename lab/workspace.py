"""Where things live on disk: `Workspace(path)`. Passed as an argument, never a module constant."""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.errors import LabError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True)
class Workspace:
    """A folder that holds data sets, stores, runs, tasks and the index of them."""

    root: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "root", Path(self.root).expanduser().resolve())

    datasets = property(lambda self: self.root / "datasets")
    stores = property(lambda self: self.root / "stores")
    runs = property(lambda self: self.root / "runs")
    tasks = property(lambda self: self.root / "tasks")
    exports = property(lambda self: self.root / "exports")
    uploads = property(lambda self: self.root / "uploads")
    locks = property(lambda self: self.root / "locks")
    facts = property(lambda self: self.root / "facts")
    database = property(lambda self: self.root / "lab.db")

    def create(self) -> Workspace:
        """Make the folders. Raises LabError where the place cannot be written."""
        try:
            for folder in (self.datasets, self.stores, self.runs, self.tasks, self.exports):
                folder.mkdir(parents=True, exist_ok=True)
            for folder in (self.uploads, self.locks, self.facts):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LabError(
                f"The workspace {self.root} cannot be written ({error.strerror}).",
                "Choose another folder with --workspace or LAB_WORKSPACE.",
            ) from error
        return self

    def run(self, run_id: str) -> Path:
        """The folder of a run, whether or not it exists."""
        return self.runs / checked_name(run_id)

    def task(self, task_id: str) -> Path:
        """The folder of a task, whether or not it exists."""
        return self.tasks / checked_name(task_id)

    def dataset(self, dataset_id: str) -> Path:
        """The folder of an imported data set, whether or not it exists."""
        return self.datasets / checked_name(dataset_id)


def workspace_from(path: str | Path | None, environ: dict[str, str]) -> Workspace:
    """`--workspace`, else LAB_WORKSPACE, else ./workspace."""
    return Workspace(Path(path or environ.get("LAB_WORKSPACE") or "workspace"))


def checked_name(name: str) -> str:
    """A name that is safe as one path component, or LabError: no separators, no `..`."""
    if not _NAME.fullmatch(name):
        raise LabError(f"{name!r} is not the name of anything here.", "Names hold A-Z, 0-9, . _ -")
    return name


def new_id(hint: str, now: float | None = None) -> str:
    """A fresh id that sorts by time: `20261120-2145-03-hint-a1b2`."""
    slug = re.sub(r"[^a-z0-9]+", "-", hint.lower()).strip("-")[:24].strip("-") or "run"
    stamp = time.strftime("%Y%m%d-%H%M-%S", time.localtime(now))
    return f"{stamp}-{slug}-{secrets.token_hex(2)}"


def new_folder(place: Callable[[str], Path], hint: str) -> Path:
    """Make and return `place(a fresh id)`; two processes never get the same one."""
    while True:
        path = place(new_id(hint))
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            path.mkdir()
        except FileExistsError:
            continue  # four hexadecimal digits do meet within a second
        return path


def write_json(path: Path, value: Any) -> None:
    """Write JSON so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(3)}.tmp")
    try:
        with open(temporary, "x", encoding="utf-8") as file:
            json.dump(value, file, ensure_ascii=False, indent=1)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path, default: Any = None) -> Any:
    """The JSON in a file; `default` where there is no file or it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return default
