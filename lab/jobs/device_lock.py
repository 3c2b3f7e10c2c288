"""One training per device, whoever started it: supervisor's worker or `lab train` in a terminal.

    with device_lock(workspace, "cpu", holder="Run 20261120-quick"): ...

The kernel's file lock decides, and goes with its process; the JSON beside it says who holds it.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from lab.errors import LabError
from lab.runs.folder import is_alive, process_identity
from lab.workspace import Workspace, read_json, write_json

POLL_S = 0.1


@contextlib.contextmanager
def device_lock(
    workspace: Workspace, device: str, timeout: float = 10.0, *, holder: str = ""
) -> Iterator[None]:
    """Hold a device. Raises LabError with the holder's words if it is not free in `timeout` s."""
    workspace.locks.mkdir(parents=True, exist_ok=True)
    lock = FileLock(_lock_file(workspace, device))
    try:
        lock.acquire(timeout=timeout, poll_interval=POLL_S)
    except Timeout:
        raise _busy(workspace, device) from None
    try:
        note = {**process_identity(), "what": holder, "since": time.time()}
        write_json(_note_file(workspace, device), note)
        yield
    finally:
        _note_file(workspace, device).unlink(missing_ok=True)
        lock.release()


def device_holder(workspace: Workspace, device: str) -> str:
    """Who holds a device, in words; '' when nobody does.

    Looks at the note only: trying the lock would, for a moment, take it from somebody who wants it.
    """
    note = read_json(_note_file(workspace, device), {})
    if not is_alive(note):
        return ""
    return note.get("what") or f"process {note['pid']}"


def _busy(workspace: Workspace, device: str) -> LabError:
    who = device_holder(workspace, device) or "another process"
    return LabError(
        f"The device {device} is in use by {who}.",
        "Wait until that has ended, stop it, or choose another device.",
    )


def _lock_file(workspace: Workspace, device: str) -> Path:
    return workspace.locks / f"device-{device.replace(':', '-')}.lock"


def _note_file(workspace: Workspace, device: str) -> Path:
    return _lock_file(workspace, device).with_suffix(".json")
