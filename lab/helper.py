"""One warm process for short work of all sessions: previews, predictions on uploads, model facts.

    python -m lab.helper --workspace DIR [--idle-minutes 20]

It listens on a local socket that only its owner can open. A thread per connection, one request per
connection, and one lock around the work. lab/jobs/helper_client.py starts it and talks to it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import socket
import threading
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

import psutil
from filelock import FileLock, Timeout

from lab.errors import LabError, Problem
from lab.jobs.frames import REQUEST_BYTES, Closed, receive, send
from lab.jobs.helper_client import IDENTITY, LOCK, socket_path
from lab.runs.folder import process_identity
from lab.workspace import Workspace, read_json, write_json

CONNECTIONS = 64
REQUEST_S = 30.0  # for a request to arrive whole
STUCK_S = 600.0  # an operation of this length will never end; the process leaves in its place


class Helper:
    """Serves until idle for long."""

    def __init__(self, workspace: Workspace, ops: str, idle_s: float) -> None:
        self._workspace, self._idle_s = workspace, idle_s
        self._ops_name, self._ops = ops, None
        self._warm = threading.Event()
        self._work = threading.Lock()  # torch's threads fight when two operations run at once
        self._count = threading.Lock()
        self._open = 0
        self._last, self._began = time.monotonic(), None

    def serve(self) -> None:
        """Listen, warm up beside that, answer."""
        path = socket_path(self._workspace)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            _bind(listener, path)
            threading.Thread(target=self._warm_up, daemon=True).start()
            listener.settimeout(0.5)
            while not self._over():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()
                self._entered(1)
            path.unlink(missing_ok=True)

    def _warm_up(self) -> None:
        try:
            self._ops = importlib.import_module(self._ops_name)
            getattr(self._ops, "warm_up", lambda: None)()
        except BaseException:
            traceback.print_exc()
            os._exit(1)  # without its libraries it is of no use; the next call starts another
        self._last = time.monotonic()
        self._warm.set()

    def _over(self) -> bool:
        """Whether to leave: idle for long, replaced by another, or stuck."""
        now = time.monotonic()
        if self._began is not None and now - self._began > STUCK_S:
            print("an operation does not end; leaving", flush=True)
            os._exit(1)
        return not self._open and self._warm.is_set() and now - self._last > self._idle_s

    def _entered(self, change: int) -> None:
        with self._count:
            self._open += change
            self._last = time.monotonic()

    def _answer(self, connection: socket.socket) -> None:
        try:
            with connection:
                header, blobs = self._reply(connection)
                connection.settimeout(60.0)
                send(connection, header, blobs)
        except (OSError, Closed):
            pass  # the client did not wait
        finally:
            self._entered(-1)

    def _reply(self, connection: socket.socket) -> tuple[dict[str, Any], list[bytes]]:
        """The answer to one request; errors travel as problems."""
        try:
            request, blobs = receive(connection, REQUEST_BYTES, time.monotonic() + REQUEST_S)
            values, replies = self._perform(request, blobs)
            return {"values": values}, replies
        except LabError as error:
            return {"problems": [problem.as_dict() for problem in error.problems]}, []
        except (OSError, Closed):
            raise
        except Exception as error:
            traceback.print_exc()
            words = f"The lab made a mistake: {type(error).__name__}: {error}."
            return {"problems": [Problem("", words, "helper.log has more.").as_dict()]}, []

    def _perform(self, request: dict[str, Any], blobs: list[bytes]) -> tuple[dict, list[bytes]]:
        if request["op"] == "status":
            return self._status(), []
        if self._open > CONNECTIONS:
            raise LabError("The helper has too much to do.", "Try again in a moment.")
        patience = float(request.get("timeout", 60.0))
        if not self._warm.wait(patience) or not self._work.acquire(timeout=patience):
            raise LabError("The helper has been busy all the time.", "Try again in a moment.")
        try:
            self._began = time.monotonic()
            return self._operation(request["op"], self._ops)(
                {**request.get("arguments", {}), **({"blobs": blobs} if blobs else {})},
                self._workspace,
            )
        finally:
            self._began = None
            self._work.release()

    @staticmethod
    def _operation(name: str, ops: ModuleType) -> Any:
        if name not in ops.OPS:
            known = ", ".join(sorted(ops.OPS))
            raise LabError(f"The helper knows no {name!r}.", f"It knows: {known}.")
        return ops.OPS[name]

    def _status(self) -> dict[str, Any]:
        memory_mb = psutil.Process().memory_info().rss // 2**20
        return {"warm": self._warm.is_set(), "pid": os.getpid(), "memory_mb": memory_mb}


def _bind(listener: socket.socket, path: Path) -> None:
    """Listen where only the owner can connect. We hold the lock: a socket found there is dead."""
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(CONNECTIONS)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Does short work for the lab's pages.")
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--idle-minutes", type=float, default=20.0)
    parser.add_argument("--ops", default="lab.helper_ops", help="the module that holds OPS")
    options = parser.parse_args()
    workspace = Workspace(options.workspace).create()
    try:
        # Some patience, as the one before may just be leaving.
        with FileLock(workspace.locks / LOCK, timeout=2.0):
            write_json(workspace.locks / IDENTITY, process_identity())
            Helper(workspace, options.ops, options.idle_minutes * 60).serve()
            _sign_out(workspace)
    except Timeout:
        print("another helper is at work here", flush=True)


def _sign_out(workspace: Workspace) -> None:
    """Let the next call start another at once, rather than wait until this process is gone."""
    if read_json(workspace.locks / IDENTITY, {}).get("pid") == os.getpid():
        (workspace.locks / IDENTITY).unlink(missing_ok=True)


if __name__ == "__main__":
    main()
