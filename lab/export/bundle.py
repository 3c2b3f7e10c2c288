"""An export: a folder and a zip of it with everything that the model's next user needs.

    export_run(workspace, run, stage=None, to=Path("leaves"), format="timm")
    leaves/timm/  README.md  predict.py  requirements.txt  labels.txt  recipe.json  scores.json
    leaves.zip

The folder appears whole or not at all; the same stage gives the same bytes again.
"""

from __future__ import annotations

import os
import shutil
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lab.errors import LabError
from lab.export import card, timm_directory
from lab.recipe.model import Recipe
from lab.runs.folder import RunFolder
from lab.scoring.stages import LoadedStage, load_stage
from lab.workspace import Workspace, write_json

FORMATS = ("timm", "onnx", "all")
NEEDS = ("timm", "torch", "torchvision", "pillow", "numpy", "safetensors")
EPOCH = (1980, 1, 1, 0, 0, 0)  # of every zip entry: the same stage gives the same zip
ONNX = "ONNX export is not part of this version."


def export_run(
    workspace: Workspace,
    run: RunFolder,
    stage: int | None,
    to: Path,
    format: str = "timm",
) -> dict[str, Any]:
    """Export a finished stage (None: the last) into the folder `to`, and into `to`.zip.

    Returns folder, zip, timm and files (paths as text), stage, size, parity, left_out. An earlier
    export at `to` is replaced; anything else that lies there makes it a LabError, as do damaged
    weights and an export that does not reproduce the stored probabilities.
    """
    _check_format(format)
    to = to.expanduser().resolve()
    _check_place(to)
    loaded = load_stage(run, stage)
    transform = loaded.transform()
    staging = to.with_name(f".{to.name}.{os.getpid()}.tmp")
    try:
        _make(staging)
        timm_directory.write_timm(loaded, staging / "timm", transform)
        parity = timm_directory.parity(workspace, loaded, staging / "timm", transform)
        _write_rest(loaded, staging, parity)
        packed = _zip(staging, to.with_name(f"{to.name}.zip"), top=to.name)
        _swap(staging, to)
    except OSError as error:
        raise LabError(f"{to} cannot be written ({error.strerror}).", "Choose another.") from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return {
        "run": run.id,
        "stage": loaded.number,
        "size": [transform.height, transform.width],
        "folder": str(to),
        "zip": str(packed),
        "timm": str(to / "timm"),
        "files": sorted(str(path.relative_to(to)) for path in to.rglob("*") if path.is_file()),
        "parity": parity,
        "left_out": [ONNX] if format == "all" else [],
    }


def _check_format(format: str) -> None:
    if format not in FORMATS:
        raise LabError(f"There is no format {format!r}.", f"Use {', '.join(FORMATS)}.")
    if format == "onnx":
        raise LabError(ONNX, "Use the format timm.", where="format")


def _check_place(to: Path) -> None:
    """An export may replace an export, never anything else."""
    if to.is_dir():
        ours = (to / "timm" / "config.json").is_file() and (to / "recipe.json").is_file()
        if not ours and any(to.iterdir()):
            raise LabError(f"{to} holds other files.", "Name a new or an empty folder.", where="to")
    elif to.exists():
        raise LabError(f"{to} is a file.", "Name a new or an empty folder.", where="to")


def _make(staging: Path) -> None:
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)


def _write_rest(loaded: LoadedStage, folder: Path, parity: dict[str, Any]) -> None:
    run, transform = loaded.run, loaded.transform()
    names = [*loaded.classes, *loaded.second_classes]
    shutil.copyfile(Path(__file__).with_name("predict.py"), folder / "predict.py")
    _text(folder / "README.md", card.model_card(run, loaded.number, transform, parity))
    _text(folder / "requirements.txt", "".join(f"{name}=={_version(name)}\n" for name in NEEDS))
    _text(folder / "labels.txt", "".join(f"{' '.join(name.split())}\n" for name in names))
    write_json(folder / "recipe.json", shareable(run.recipe()))
    write_json(folder / "scores.json", {**loaded.info, "parity": parity, "run": run.id})


def shareable(recipe: Recipe) -> dict[str, Any]:
    """The recipe without the places where this machine keeps its files."""
    values = recipe.dump()
    for part, key in ((values["dataset"], "path"), (values["model"], "file")):
        part[key] = Path(part[key]).name if part[key] else ""
    return values


def _version(package: str) -> str:
    return version(package).partition("+")[0]  # `2.10.0+cpu` is in no public index


def _text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _zip(folder: Path, path: Path, top: str) -> Path:
    """A zip whose bytes depend on the files alone."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as packed:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                entry = zipfile.ZipInfo(f"{top}/{file.relative_to(folder).as_posix()}", EPOCH)
                entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
                with open(file, "rb") as source, packed.open(entry, "w") as target:
                    shutil.copyfileobj(source, target, 1 << 20)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _swap(staging: Path, to: Path) -> None:
    """The new folder in place of the old one."""
    if not to.exists():
        os.replace(staging, to)
        return
    old = to.with_name(f".{to.name}.{os.getpid()}.old")
    os.replace(to, old)
    os.replace(staging, to)
    shutil.rmtree(old, ignore_errors=True)
