"""What an export holds and whether it is there: read from its folder, nothing is exported here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.runs.folder import RunFolder
from lab.ui import format as fmt
from lab.workspace import Workspace, read_json

CONTENTS = {
    "timm/model.safetensors": "The weights. Loading them runs no code of anybody's.",
    "timm/config.json": "Architecture, picture size, crop and normalisation: what timm reads.",
    "predict.py": "A program that answers for picture files. Needs timm, torch and pillow only.",
    "labels.txt": "The class names, in the order of the outputs.",
    "README.md": "The model card: how it was made, what it scored, what it is not.",
    "requirements.txt": "The versions it was made with.",
    "recipe.json": "The whole recipe, to train it again.",
    "scores.json": "Its scores, and how closely the export was checked.",
}
SHELL = """\
unzip {name}
cd {folder}
pip install -r requirements.txt
python predict.py picture.jpg"""


@dataclass(frozen=True)
class Package:
    """A finished export on disk."""

    folder: Path
    zip: Path
    bytes: int
    card: str  # README.md
    parity: dict[str, Any]


def package(
    workspace: Workspace, run: RunFolder, stage: int, info: dict[str, Any]
) -> Package | None:
    """The export of just this stage's weights; None where there is none (any more)."""
    folder = workspace.exports / run.id
    packed = workspace.exports / f"{run.id}.zip"
    made = read_json(folder / "scores.json", {})
    same = made.get("stage") == stage and made.get("sha256") == info.get("sha256")
    try:
        card = (folder / "README.md").read_text(encoding="utf-8")
        size = packed.stat().st_size
    except OSError:
        return None
    return Package(folder, packed, size, card, made.get("parity", {})) if same else None


def second_words(info: dict[str, Any]) -> str:
    """What the model says of a second label, and how well; '' where it learnt one label."""
    model = info["model"]
    classes = model.get("second_classes") or []
    if not classes:
        return ""
    error = info.get("second_final", {}).get("error_rate")
    name = model.get("second_target") or "second label"
    wrong = f", {fmt.percent(error)} error" if error is not None else ""
    return (
        f"It answers for a second label too: {name}, {fmt.count(len(classes))} classes{wrong}. "
        f"Its outputs follow those of {model.get('target') or 'the first'}."
    )


def file_name(name: str, info: dict[str, Any]) -> str:
    """`quick-demo-128px.zip`."""
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "model"
    height, width = info["final_size"]
    return f"{slug}-{height if height == width else f'{height}x{width}'}px.zip"


def python_code(card: str) -> str:
    """The first block of Python of the model card: the card and the page never differ."""
    found = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    return found.group(1).rstrip() if found else ""


def card_text(card: str) -> str:
    """The model card without the header that is for machines."""
    return re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL)


def parity_words(parity: dict[str, Any]) -> str:
    """How closely the package was compared with the scored model, as Markdown."""
    if not parity.get("images"):
        return f"Not compared with the scored model. {parity.get('note', '')}".strip()
    worst = parity["max_difference"]
    close = "bit for bit the same" if worst == 0 else f"at most {worst:.1g} apart"
    return (
        "**Checked.** Loaded again with plain timm, it was asked about "
        f"{fmt.count(parity['images'])} validation pictures: its "
        f"probabilities are {close} from those that were scored."
    )
