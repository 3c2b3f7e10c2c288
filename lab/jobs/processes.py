"""Processes of the lab: started in their own session, made polite, ended with their children."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil

import lab

ROOT = Path(lab.__file__).resolve().parent.parent  # where `python -m lab.worker` finds the lab
NICE = 10


def start_detached(argv: list[str], log: Path, stdin: int = subprocess.DEVNULL) -> subprocess.Popen:
    """Start a process in its own session and group, which outlives its starter. Output to `log`."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with open(log, "ab") as output:
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd=ROOT,
            env=environment,
        )


def module_argv(module: str, *arguments: str) -> list[str]:
    """The command line that runs a module of the lab with this Python."""
    return [sys.executable, "-m", module, *arguments]


def be_polite(pid: int) -> None:
    """Lower the priority of a session leader's whole group.

    By group, since niceness belongs to a thread on Linux: libraries start theirs while importing.
    """
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PGRP, pid, NICE)


def tell(pid: int, number: int) -> None:
    """Send a signal; a process that is gone is no error."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def end_group(pid: int) -> None:
    """Kill a session leader with all that it started. The caller knows that it is the leader."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def end_orphans(identity: dict[str, Any]) -> None:
    """Kill what a dead session leader left behind (loader processes would keep its locks).

    While such a process lives, the kernel gives the leader's number to nobody else; where another
    process has it, there are no orphans.
    """
    try:
        started = psutil.Process(identity["pid"]).create_time()  # a zombie still answers
    except psutil.NoSuchProcess:
        started = identity["started"]
    if abs(started - identity["started"]) < 1.0:
        end_group(identity["pid"])


def find_process(*words: str) -> psutil.Process | None:
    """A process that has all these words, one after the other, on its command line."""
    for process in psutil.process_iter(["cmdline"]):
        line = process.info["cmdline"] or []
        if any(tuple(line[i : i + len(words)]) == words for i in range(len(line))):
            return process
    return None


def rebooted_since(identity: dict[str, Any]) -> bool:
    """Whether the machine was started anew after this process; boot times wander by a second."""
    return "boot" in identity and abs(psutil.boot_time() - identity["boot"]) > 5
