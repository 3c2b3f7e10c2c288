"""Speeds measured on this machine, kept in the workspace so that forecasts can read them.

note_speed(workspace, "cpu", "speeds", key, images_per_s)
facts = device_facts(workspace, "cpu")
"""

from __future__ import annotations

import os
from typing import Any

import psutil
from filelock import FileLock

from lab.recipe.facts import DeviceFacts
from lab.workspace import Workspace, read_json, write_json

FRESH = 0.5  # weight of a new measurement beside the stored one: machines drift


def note_speed(workspace: Workspace, device: str, kind: str, key: str, value: float) -> None:
    """Remember a measured speed, averaged with the one known. kind: speeds | valid_speeds."""
    note_speeds(workspace, device, {kind: {key: value}})


def note_speeds(workspace: Workspace, device: str, found: dict[str, Any]) -> None:
    """Remember several: {"speeds": {...}, "valid_speeds": {...}, "gmacs_per_s": x}."""
    with FileLock(str(workspace.locks / "speeds.lock"), timeout=10):
        known = read_json(workspace.facts / "speeds.json", {})
        mine = known.setdefault(device, {})
        for kind in ("speeds", "valid_speeds"):
            table = mine.setdefault(kind, {})
            for key, value in found.get(kind, {}).items():
                table[key] = FRESH * value + (1 - FRESH) * table.get(key, value)
        if found.get("gmacs_per_s"):
            mine["gmacs_per_s"] = found["gmacs_per_s"]
        write_json(workspace.facts / "speeds.json", known)


def device_facts(workspace: Workspace, device: str = "cpu") -> DeviceFacts:
    """What is known of a device without asking torch."""
    known = read_json(workspace.facts / "speeds.json", {}).get(device, {})
    return DeviceFacts(
        name="this machine's CPU" if device == "cpu" else device,
        kind=device.split(":")[0],
        threads=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1,
        memory_mb=psutil.virtual_memory().total >> 20,
        gmacs_per_s=known.get("gmacs_per_s", 0.0),
        speeds=known.get("speeds", {}),
        valid_speeds=known.get("valid_speeds", {}),
    )
