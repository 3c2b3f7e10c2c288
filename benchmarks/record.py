"""A record of a measurement: numbers with the machine, the versions, the date and the command.

save("leaves-by-size", {"rows": [...]}, command="python -m benchmarks.leaves_by_size")
"""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lab.workspace import write_json

RECORDS = Path(__file__).parent / "records"
PACKAGES = ("torch", "torchvision", "timm", "streamlit", "pillow", "numpy")


def machine() -> dict[str, Any]:
    """The processor by name, its cores, the versions."""
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def save(name: str, found: dict[str, Any], command: str) -> Path:
    """Write benchmarks/records/<date>-<name>.json; returns its path."""
    RECORDS.mkdir(exist_ok=True)
    date = time.strftime("%Y-%m-%d")
    path = RECORDS / f"{date}-{name}.json"
    write_json(path, {"date": date, "command": command, "machine": machine(), **found})
    return path


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
