"""Calls the warm helper process (lab/helper.py), and starts it where it is not running.

values, blobs = call(workspace, "ping", {"words": "hello"}, timeout=30)
start(workspace)          # on a page load: have it warm by the time it is needed
"""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from lab.errors import LabError, Problem
from lab.jobs.frames import REPLY_BYTES, REQUEST_BYTES, Closed, receive, send
from lab.jobs.processes import module_argv, start_detached
from lab.runs.folder import is_alive, process_identity
from lab.workspace import Workspace, read_json, write_json

IDENTITY, LOCK = "helper.json", "helper.lock"  # in the workspace's locks folder
PATH_BYTES = 100  # a socket's path may have 108 bytes on Linux, 104 on macOS
POLL_S = 0.05


def call(
    workspace: Workspace,
    op: str,
    arguments: dict[str, Any] | None = None,
    timeout: float = 60.0,
    *,
    blobs: Sequence[bytes] = (),
) -> tuple[dict[str, Any], list[bytes]]:
    """Have the helper do `op`. Its problems are raised as LabError; so is taking too long.

    A helper that died is started again, and asked once more. `blobs` reach the operation as
    `arguments["blobs"]`.
    """
    if sum(map(len, blobs)) > REQUEST_BYTES:
        raise LabError(
            f"More than {REQUEST_BYTES // 2**20} MB at once are too much for the helper.",
            "Send fewer or smaller pictures.",
        )
    deadline = time.monotonic() + timeout
    request = {"op": op, "arguments": arguments or {}, "timeout": timeout}
    try:
        for _ in range(2):
            try:
                return _ask(_connect(workspace, deadline), request, blobs, deadline)
            except (Closed, ConnectionError, BrokenPipeError):
                continue
    except TimeoutError:
        raise LabError(
            f"{op} took longer than {timeout:g} s.",
            "Try again; while a run trains everything takes longer.",
        ) from None
    raise LabError(
        f"The helper process died over {op}, twice.", "See helper.log; perhaps memory ran out."
    )


def start(workspace: Workspace, *arguments: str) -> None:
    """Start the helper unless it runs. Does not wait for it."""
    if helper_alive(workspace):
        return
    workspace.create()
    try:
        with FileLock(workspace.locks / "helper-start.lock", timeout=10):
            if not helper_alive(workspace):
                argv = module_argv("lab.helper", "--workspace", str(workspace.root), *arguments)
                process = start_detached(argv, workspace.root / "helper.log")
                write_json(workspace.locks / IDENTITY, process_identity(process.pid))
    except (OSError, Timeout) as error:
        raise LabError(f"The helper could not be started ({error}).", "See helper.log.") from error


def is_warm(workspace: Workspace) -> bool:
    """Whether the helper runs and has imported its libraries. Starts nothing."""
    if not helper_alive(workspace):
        return False
    try:
        deadline = time.monotonic() + 1.0
        values, _ = _ask(_open(workspace), {"op": "status"}, (), deadline)
        return bool(values["warm"])
    except (OSError, Closed, LabError):
        return False


def helper_alive(workspace: Workspace) -> bool:
    """Whether a helper runs, or is about to."""
    return is_alive(read_json(workspace.locks / IDENTITY, {}))


def socket_path(workspace: Workspace) -> Path:
    """Where the helper listens: among the locks, or, if that path is too long, in a private folder.

    Raises LabError where that folder belongs to somebody else or is open to others.
    """
    near = workspace.locks / "helper.sock"
    if len(os.fsencode(near)) <= PATH_BYTES:
        return near
    folder = Path(tempfile.gettempdir()) / f"resizing-lab-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    private = stat.S_ISDIR(found.st_mode) and not stat.S_IMODE(found.st_mode) & 0o077
    if not private or found.st_uid != os.getuid():
        raise LabError(
            f"{folder} is not yours alone.", "Remove it or shorten the workspace's path."
        )
    return folder / f"{hashlib.sha256(os.fsencode(near)).hexdigest()[:24]}.sock"


def _connect(workspace: Workspace, deadline: float) -> socket.socket:
    """A connection to the helper, started if need be. Raises TimeoutError."""
    while True:
        start(workspace)
        try:
            return _open(workspace)
        except OSError:  # not listening yet, or not any more
            if time.monotonic() > deadline:
                raise TimeoutError from None
            time.sleep(POLL_S)


def _open(workspace: Workspace) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(5.0)
        connection.connect(str(socket_path(workspace)))
        return connection
    except BaseException:
        connection.close()
        raise


def _ask(
    connection: socket.socket, request: dict[str, Any], blobs: Sequence[bytes], deadline: float
) -> tuple[dict[str, Any], list[bytes]]:
    with connection:
        connection.settimeout(max(0.001, deadline - time.monotonic()))
        send(connection, request, blobs)
        header, replies = receive(connection, REPLY_BYTES, deadline)
    if "problems" in header:
        raise LabError.of(Problem(**problem) for problem in header["problems"])
    return header["values"], replies
