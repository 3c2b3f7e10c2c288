"""The model card of an export: what it is, how it was made, what it scored, what it is not.

    text = model_card(run, number, transform, parity)

Nothing here is claimed that a file of the run does not say.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from lab.analysis.curves import run_summary, size_label
from lab.analysis.significance import rate_interval
from lab.data.transform import TestTransform
from lab.recipe.facts import Resolved
from lab.recipe.model import Recipe
from lab.recipe.stage import Stage, hw
from lab.runs.events import read_events
from lab.runs.folder import RunFolder

SHOWN_CLASSES = 40

_HEAD = """\
---
library_name: timm
tags:
- image-classification
- timm
- progressive-resizing
---
"""

_USE = """\
```python
import timm
from PIL import Image
from timm.data import create_transform, resolve_model_data_config

model = timm.create_model("local-dir:timm", pretrained=True).eval()
transform = create_transform(**resolve_model_data_config(model), is_training=False)
picture = Image.open("picture.jpg").convert("RGB")
probabilities = model(transform(picture)[None]).softmax(dim=1)[0]
```

`python predict.py picture.jpg` does the same, and reads rotated, transparent and 16-bit pictures
the way the training did. `labels.txt` names the outputs in their order."""


def model_card(
    run: RunFolder, number: int, transform: TestTransform, parity: dict[str, Any]
) -> str:
    """README.md as text."""
    recipe, info, started = run.recipe(), run.scores(number), run_started(run)
    title = recipe.name or recipe.preset or run.id
    parts = [
        _HEAD + f"# {plain(title)}",
        _summary(recipe, number, info),
        "## Use",
        _USE,
        "## Input",
        _input(transform, info),
        "## Schedule",
        _schedule(recipe.stages[: number + 1], Resolved(**run.resolved()["resolved"])),
        "## Scores",
        _scores(info),
        "## Data",
        _data(recipe, info, started.get("data", {})),
        "## How it was made",
        _made(run, recipe, started),
        "## The export",
        _parity(parity),
        "## Limits",
        _limits(recipe, info),
        "## Licence",
        _licence(recipe),
    ]
    return "\n\n".join(parts) + "\n"


def run_started(run: RunFolder) -> dict[str, Any]:
    """The first word of a run: device, precision, versions, data; empty where it is lost."""
    return next((event for event in read_events(run) if event["kind"] == "run_started"), {})


def plain(text: Any) -> str:
    """Somebody's words as one line that Markdown and HTML leave alone."""
    words = " ".join(str(text).split())
    words = words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]|#" else letter for letter in words)


def table(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """A Markdown table."""
    head = list(head)
    lines = [head, ["---"] * len(head), *([plain(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _summary(recipe: Recipe, number: int, info: dict[str, Any]) -> str:
    sizes = " → ".join(stage.label for stage in recipe.stages[: number + 1])
    count = len(info["model"]["classes"])
    how = "one size" if number == 0 else "progressive resizing: small pictures first, larger later"
    return (
        f"`{info['model']['name']}` tells {count} classes apart. Trained at {sizes} px ({how}); "
        f"scored at {size_label(info['final_size'])} px."
    )


def _stage_row(number: int, stage: Stage, resolved: Resolved) -> list[Any]:
    """What was done in a stage: chosen rates and batches as they came out, epochs as they ran."""
    size = f"{stage.label} px"
    if stage.ramp_from is not None:
        height, width = hw(stage.ramp_from)
        size = f"{height if height == width else f'{height}×{width}'} to {size}"
    run = resolved.of_stage(number, "epochs")
    lr = resolved.of_stage(number, "lr") if stage.lr == "finder" else stage.lr
    batch = resolved.of_stage(number, "batch_size") if stage.batch_size == "auto" else None
    return [
        number, size, run - stage.frozen_epochs if run else stage.open_epochs, stage.frozen_epochs,
        stage.trainable, f"{lr:.3g}" if lr else "from the finder", stage.schedule,
        batch or stage.batch_size, stage.resize,
    ]  # fmt: skip


def _input(transform: TestTransform, info: dict[str, Any]) -> str:
    size = size_label((transform.height, transform.width))
    mean, std = ([round(float(v), 4) for v in info["model"][key]] for key in ("mean", "std"))
    return (
        f"RGB, {size} px (height × width where they differ), crop mode `{transform.resize}`, crop "
        f"share {transform.crop_pct:g}, {transform.interpolation} interpolation with antialiasing, "
        f"mean {mean}, deviation {std}. The configuration in `timm/config.json` says the same."
    )


def _schedule(stages: Iterable[Stage], resolved: Resolved) -> str:
    rows = [_stage_row(number, stage, resolved) for number, stage in enumerate(stages)]
    head = (
        "stage",
        "size",
        "epochs",
        "frozen first",
        "learns",
        "peak rate",
        "shape",
        "batch",
        "resize",
    )
    return table(head, rows)


def _scores(info: dict[str, Any]) -> str:
    pairs = [(info["final_size"], info["final"])]
    if info["size"] != info["final_size"]:
        pairs.append((info["size"], info["own"]))
    rows = [[f"{size_label(size)} px", *_score_cells(found)] for size, found in pairs]
    head = (
        "size",
        "images",
        "error rate",
        "95 % interval",
        "balanced error",
        "log loss",
        "Brier",
        "ECE",
    )
    return table(head, rows) + (
        "\n\nOn the validation part, which was also looked at while training. Intervals are "
        "Wilson's and cover the choice of images only, not the choice of the seed."
    )


def _score_cells(found: dict[str, Any]) -> list[str]:
    n = int(found["n"])
    low, high = rate_interval(round(found["error_rate"] * n), n)
    return [
        str(n),
        f"{100 * found['error_rate']:.1f} %",
        f"{100 * low:.1f} to {100 * high:.1f} %",
        f"{100 * found['balanced_error']:.1f} %",
        *(f"{found[key]:.3f}" for key in ("log_loss", "brier", "ece")),
    ]


def _data(recipe: Recipe, info: dict[str, Any], facts: dict[str, Any]) -> str:
    classes = info["model"]["classes"]
    shown = ", ".join(plain(name) for name in classes[:SHOWN_CLASSES])
    more = f" and {len(classes) - SHOWN_CLASSES} more" if len(classes) > SHOWN_CLASSES else ""
    lines = [f"- Classes ({len(classes)}): {shown}{more}"]
    if second := info["model"].get("second_classes"):
        names = ", ".join(plain(name) for name in second[:SHOWN_CLASSES])
        target = plain(info["model"]["second_target"])
        lines.append(f"- The outputs after those are a second target, {target}: {names}")
    if facts:
        lines += [
            f"- Data set: {plain(facts.get('name', 'unknown'))}, label "
            f"{plain(facts.get('target', ''))}, fingerprint `{str(facts.get('fingerprint'))[:16]}`",
            f"- {facts.get('n_train')} images trained on, {facts.get('n_valid')} validated on, "
            f"{facts.get('n_test')} locked away and never looked at during training",
        ]
    split = recipe.dataset.split
    return "\n".join([*lines, f"- Split: {split.method}, seed {split.seed}"])


def _made(run: RunFolder, recipe: Recipe, started: dict[str, Any]) -> str:
    summary = run_summary(run)
    versions = ", ".join(f"{name} {value}" for name, value in started.get("versions", {}).items())
    begin = {
        "none": "random",
        "hub": "timm's pretrained",
        "file": "a weights file",
        "small-body": "the lab's own small body, trained on drawn pictures",
        "run": f"those of run {recipe.model.run}",
    }
    return "\n".join(
        [
            f"- First weights: {begin[recipe.model.weights]}; seed {recipe.seed}",
            f"- {summary['device']} in {summary['precision']}, "
            f"{started.get('threads', '?')} threads; "
            f"{summary['train_seconds']:.0f} s of training for the whole run, "
            f"{summary['pixels'] / 1e6:.0f} million pixels",
            f"- Versions: {versions or 'not noted'}",
            f"- Run `{run.id}`; the whole recipe is in `recipe.json`",
        ]
    )


def _parity(parity: dict[str, Any]) -> str:
    if not parity.get("images"):
        return parity.get("note", "Not compared with the scored model.")
    return (
        f"Loaded again with plain timm, the exported model gave the stored probabilities of "
        f"{parity['images']} validation images to within {parity['max_difference']:.1g}."
    )


def _limits(recipe: Recipe, info: dict[str, Any]) -> str:
    n = int(info["final"]["n"])
    lines = [
        "- It always answers with one of its classes, whatever the picture shows.",
        "- Pictures that differ from the training pictures in camera, light or place will be "
        "answered worse than the scores say.",
        f"- {n} validation images: one image is {100 / n:.2g} points of error rate.",
        "- One run with one seed. Another seed gives another model and another score.",
    ]
    if recipe.dataset.source == "leaves":
        lines.append("- The leaves are drawn by a program. It knows nothing about real plants.")
    return "\n".join(lines)


def _licence(recipe: Recipe) -> str:
    words = "None is set: whoever publishes this model chooses one, as far as the pictures allow."
    if recipe.model.weights == "hub":
        words += f" The pretrained weights of `{recipe.model.name}` bring their own licence."
    if recipe.model.weights == "file":
        words += " The weights that it began with may bring their own licence."
    return words
