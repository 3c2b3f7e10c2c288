"""Ends whatever a test's workspace left running: supervisor, spare, helper, workers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil


def processes_of(workspace: Path) -> list[psutil.Process]:
    """Processes whose command line or working environment names this workspace."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            words = process.cmdline()
            if any(str(workspace) in word for word in words):
                found.append(process)
                found += process.children(recursive=True)
    return found


@contextlib.contextmanager
def reaped(workspace: Path) -> Iterator[Path]:
    """The workspace; at the end nothing that works on it is left alive."""
    try:
        yield workspace
    finally:
        doomed = processes_of(workspace)
        for process in doomed:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(doomed, timeout=5)
