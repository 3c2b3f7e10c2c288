"""The workspace's data sets: import, open, list, delete.

dataset = import_path(workspace, Path("photos"))        a folder, a zip, a CSV or TSV
dataset = materialise(workspace, recipe.dataset)        whatever a recipe asks for
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import asdict
from pathlib import Path
from typing import BinaryIO

from lab.data import leaves
from lab.data.archive import unpack
from lab.data.audit import listed
from lab.data.dataset import Dataset, Summary, load, read_header, summary
from lab.data.folders import held, remove
from lab.data.importing import LOCK, SHAPE, Import, copy_files, run_import
from lab.data.listing import TABLE_ENDINGS, Listing, list_folder
from lab.data.parallel import Progress
from lab.data.split import Parts, data_facts, parts
from lab.errors import LabError
from lab.recipe.dataset import DataSpec, Leaves
from lab.workspace import Workspace

__all__ = [
    "Dataset",
    "Parts",
    "Summary",
    "checked_source",
    "data_facts",
    "delete_dataset",
    "import_path",
    "import_upload",
    "list_datasets",
    "materialise",
    "open_dataset",
    "parts",
]


def open_dataset(workspace: Workspace, dataset_id: str) -> Dataset:
    """A data set of the workspace. Raises LabError where it is missing or damaged."""
    return load(workspace.dataset(dataset_id))


def list_datasets(workspace: Workspace) -> list[Summary]:
    """One line per data set, newest first. Broken folders are left out."""
    if not workspace.datasets.is_dir():
        return []
    folders = [path for path in workspace.datasets.iterdir() if not path.name.startswith(".")]
    found = [line for path in folders if (line := summary(path))]
    return sorted(found, key=lambda line: (-line.created, line.id))


def delete_dataset(workspace: Workspace, dataset_id: str) -> None:
    """Remove a data set; pictures in a folder of the server stay. LabError where there is none."""
    folder = workspace.dataset(dataset_id)
    if not folder.is_dir():
        raise LabError(f"There is no data set {dataset_id!r} here.", "Reload the list.")
    with held(workspace, LOCK + dataset_id):
        remove(folder)


def materialise(workspace: Workspace, spec: DataSpec, progress: Progress | None = None) -> Dataset:
    """The data set that a recipe names: drawn, imported or opened; at once if it is unchanged.

    Raises LabError for what cannot be used, and for more unreadable files than a run may skip.
    """
    if spec.source == "leaves":
        return _drawn(workspace, spec.leaves, progress)
    if spec.source == "path":
        if not spec.path:
            raise LabError(
                "No path is given.", "Name a folder, a zip or a CSV.", where="dataset.path"
            )
        dataset = import_path(workspace, Path(spec.path), progress=progress)
    else:
        dataset = _imported(workspace, spec.id, progress)
    if dataset.audit.too_many_unreadable:
        bad = dataset.audit.unreadable
        raise LabError(
            f"{len(bad)} of {len(bad) + len(dataset)} files of {dataset.name} cannot be read: "
            f"{listed(bad)}.",
            "Mend or remove them; a run skips at most 1 %.",
        )
    return dataset


def import_path(
    workspace: Workspace,
    path: Path,
    name: str | None = None,
    progress: Progress | None = None,
    copy: bool = False,
) -> Dataset:
    """Import a folder of class folders (also below train/valid/test), a zip of one, or a table.

    A folder stays where it is and is read again when it has changed, only what has changed; with
    `copy` its pictures are copied. A zip is unpacked. A table names files relative to its folder.
    """
    path = checked_source(path)
    kind = _kind(path)
    dataset_id = _id_of(path.stem, f"{kind}\0{path}\0{copy}")
    before = read_header(workspace.dataset(dataset_id)) or {}
    name = name or before.get("name") or path.stem or str(path)
    source = {"kind": kind, "path": str(path), "copy": copy, "name": name}
    if kind == "zip":
        facts = path.stat()
        signature = f"{facts.st_size}-{facts.st_mtime_ns}"
        job = Import(
            dataset_id, name, source, signature,
            fill=lambda folder, progress: unpack(path, folder, progress=progress),
        )  # fmt: skip
        return run_import(workspace, job, progress)
    root = path if kind == "folder" else path.parent
    listing = list_folder(root, progress)
    job = Import(
        dataset_id, name, source, listing.signature(),
        fill=lambda folder, progress: copy_files(listing, folder, progress) if copy else listing,
        in_place=None if copy else root,
        table=path.name if kind == "table" else None,
    )  # fmt: skip
    return run_import(workspace, job, progress)


def import_upload(
    workspace: Workspace,
    file: BinaryIO | Path,
    filename: str,
    progress: Progress | None = None,
) -> Dataset:
    """Import a zip that a browser sent. The same bytes under the same name are one data set."""
    digest = _sha256(file)
    name = Path(filename.replace("\\", "/")).stem[:100] or "upload"
    job = Import(
        id=_id_of(name, f"upload\0{name}\0{digest}"),
        name=name,
        source={"kind": "upload", "filename": filename[:300], "sha256": digest},
        signature=digest,
        fill=lambda folder, progress: unpack(file, folder, progress=progress),
    )
    return run_import(workspace, job, progress)


def checked_source(path: Path | str, roots: tuple[Path, ...] | None = None) -> Path:
    """The resolved path of a folder, zip or table, inside one of `roots` where they are given.

    Network paths are refused before any file call. Raises LabError for what is not there.
    """
    text = str(path)
    if text.startswith(("\\\\", "//")):
        raise LabError("Network paths are not read.", "Mount the share and name its folder.")
    try:
        found = Path(text).expanduser().resolve()
        inside = roots is None or any(found.is_relative_to(root.resolve()) for root in roots)
        if inside and found.exists():
            return found
    except (OSError, RuntimeError, ValueError) as error:
        raise LabError(f"{text!r} is no path that can be read.", "Check the path.") from error
    if not inside:
        raise LabError(f"{text} is not in a folder that this lab may read.", "Ask whoever runs it.")
    raise LabError(f"There is no {text}.", "Check the path.", where="dataset.path")


def _kind(path: Path) -> str:
    if path.is_dir():
        return "folder"
    if path.suffix.lower() == ".zip":
        return "zip"
    if path.suffix.lower() in TABLE_ENDINGS:
        return "table"
    raise LabError(f"{path.name} is neither a folder nor a zip, CSV or TSV.", SHAPE)


def _imported(workspace: Workspace, dataset_id: str, progress: Progress | None) -> Dataset:
    """An imported set; one whose pictures stay on the server is looked at for changes."""
    header = read_header(workspace.dataset(dataset_id)) if dataset_id else None
    if header is None:
        raise LabError(
            f"There is no data set {dataset_id!r} here.", "Import it first.", where="dataset.id"
        )
    source = header["source"]
    if not header["root"]:
        return open_dataset(workspace, dataset_id)
    return import_path(workspace, Path(source["path"]), source["name"], progress)


def _drawn(workspace: Workspace, spec: Leaves, progress: Progress | None) -> Dataset:
    wanted = leaves.LeafSet(**spec.model_dump())
    key = wanted.key()

    def fill(folder: Path, progress: Progress | None) -> Listing:
        leaves.draw_set(wanted, folder, None, progress)
        return list_folder(folder)

    job = Import(key, "Leaves", {"kind": "leaves", **asdict(wanted)}, key, fill, table="labels.csv")
    return run_import(workspace, job, progress)


def _id_of(name: str, key: str) -> str:
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].strip("-") or "data"
    return f"{slug}-{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def _sha256(file: BinaryIO | Path) -> str:
    if isinstance(file, Path | str):
        with open(file, "rb") as opened:
            return hashlib.file_digest(opened, "sha256").hexdigest()
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest()
