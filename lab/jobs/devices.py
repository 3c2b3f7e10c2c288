"""Which devices there are, without torch; which slot a job may take.

One job at a time on a device; beside them one `light` slot for work that needs no device.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Collection, Mapping

LIGHT = "light"
LIGHT_TASKS = ("import", "download", "export")


def find_devices(environ: Mapping[str, str]) -> list[str]:
    """`cuda:0` ... as many as the driver lists and CUDA_VISIBLE_DEVICES shows, then `cpu`."""
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    count = _listed() if visible is None or visible.strip() else 0
    if count and visible:
        count = len([word for word in visible.split(",") if word.strip() not in ("", "-1")])
    return [*(f"cuda:{index}" for index in range(count)), "cpu"]


def _listed() -> int:
    """GPUs that nvidia-smi lists; importing torch to ask would take 4 s and 300 MB."""
    command = shutil.which("nvidia-smi")
    if not command:
        return 0
    try:
        found = subprocess.run([command, "-L"], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in found.stdout.splitlines())


def suitable(device: str, devices: Collection[str]) -> list[str]:
    """Slots that would do for a wanted device. `auto`: any GPU, or the CPU where there is none.

    Several at once, for one run (`cuda:0,cuda:1`, `cpu,cpu`, `cuda:all`), are one slot.
    """
    if device == LIGHT:
        return [LIGHT]
    gpus = [name for name in devices if name.startswith("cuda")]
    names = gpus if device == "cuda:all" else [name.strip() for name in device.split(",")]
    if device == "cuda:all" or len(names) > 1:
        return [",".join(names)] if names and set(names) <= set(devices) else []
    if device == "auto":
        return gpus or ["cpu"]
    if device == "cuda":
        return gpus
    return [name for name in devices if name == device]


def devices_of(slot: str) -> set[str]:
    """The devices that a slot takes."""
    return set(slot.split(","))
