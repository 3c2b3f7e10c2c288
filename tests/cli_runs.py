"""A tiny run trained through the command line, once for all tests that need one; and `lab(...)`.

workspace = trained(tmp_path_factory);  done = lab("runs", workspace=workspace);  done.lines
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
TINY = {
    "name": "tiny",
    "preset": "test",
    "dataset": {
        "leaves": {"n": 100, "size_px": 64},
        "split": {"method": "random", "valid_fraction": 0.3, "test_fraction": 0.1},
    },
    "model": {"name": "test_resnet"},
    "threads": 1,
    "precision": "fp32",
    "stages": [
        {"size": 32, "epochs": 1, "batch_size": 16, "resize": "squish"},
        {"size": 48, "epochs": 1, "batch_size": 16, "resize": "crop"},
    ],
    "evaluation": {"size": 64, "resize": "center", "crop_pct": 0.9},
}
_WORKSPACES: list[Path] = []


@dataclass
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The JSON lines of standard output."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def last(self) -> dict[str, Any]:
        return self.lines[-1]


def lab(*words: object, workspace: Path, as_json: bool = True) -> Done:
    """Run `python -m lab` as anybody would."""
    end = [*map(str, words), "--workspace", str(workspace), *(["--json"] if as_json else [])]
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "lab", *end],
        cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment(),
    )  # fmt: skip
    return Done(done.returncode, done.stdout, done.stderr)


def environment() -> dict[str, str]:
    """Ours, without a workspace of somebody's."""
    return {key: value for key, value in os.environ.items() if key != "LAB_WORKSPACE"}


def recipe_file(folder: Path, **changes: Any) -> Path:
    """The tiny recipe, changed, as a file."""
    file = folder / "recipe.json"
    file.write_text(json.dumps({**TINY, **changes}))
    return file


def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with two finished runs of the tiny recipe; their seeds are 0 and 1."""
    if not _WORKSPACES:
        folder = tmp_path_factory.mktemp("trained")
        file = recipe_file(folder)
        for seed in (0, 1):
            done = lab("train", "--recipe", file, "--seed", seed, workspace=folder / "ws")
            assert done.code == 0, done.err
            (folder / f"events-{seed}.jsonl").write_text(done.out)
        _WORKSPACES.append(folder / "ws")
    return _WORKSPACES[0]
