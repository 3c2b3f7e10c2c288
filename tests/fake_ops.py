"""Operations for the tests of the helper process: they need no torch, and some misbehave."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

from lab.errors import LabError, Problem
from lab.workspace import Workspace

BUSY = threading.Lock()


def echo(arguments: dict[str, Any], workspace: Workspace) -> tuple[dict[str, Any], list[bytes]]:
    blobs = arguments.pop("blobs", [])
    return arguments, blobs


def alone(arguments: dict[str, Any], workspace: Workspace) -> tuple[dict[str, Any], list[bytes]]:
    """Whether no other operation was at work meanwhile."""
    free = BUSY.acquire(blocking=False)
    time.sleep(0.05)
    if free:
        BUSY.release()
    return {"alone": free}, []


def sleep(arguments: dict[str, Any], workspace: Workspace) -> tuple[dict[str, Any], list[bytes]]:
    time.sleep(arguments["seconds"])
    return {}, []


def refuse(arguments: dict[str, Any], workspace: Workspace) -> tuple[dict[str, Any], list[bytes]]:
    raise LabError.of([Problem("a.b", "It is bad.", "Mend it."), Problem("c", "So is this.", "")])


def blunder(arguments: dict[str, Any], workspace: Workspace) -> tuple[dict[str, Any], list[bytes]]:
    raise ValueError("a fault of the lab")


def die(arguments: dict[str, Any], workspace: Workspace) -> tuple[dict[str, Any], list[bytes]]:
    os._exit(1)


OPS = {
    "echo": echo, "alone": alone, "sleep": sleep, "refuse": refuse, "blunder": blunder, "die": die,
}  # fmt: skip
