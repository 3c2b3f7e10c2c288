"""Experiments of fake runs for the tests of the report, hostile ones too; a page taken to pieces.

runs = make_experiment(workspace, arms=2);  found = experiment_numbers(workspace)
"""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

import fake_runs
import pytest
from fake_runs import eight_epochs, fake_run

from lab.analysis import report
from lab.recipe.baselines import fixed_same_epochs, fixed_same_pixels
from lab.runs.folder import RunFolder
from lab.workspace import Workspace, write_json

HOSTILE = (
    "<script>document.title='hit'</script>",
    '"><img src=x onerror="document.title=\'hit\'">',
    "$\\frac{1}{0}$ {{ 7*7 }} {% raw %}",
    "\u202eright to left\u2066 \u200f",
    "]]></style><style>body{display:none}</style>",
    "W" * 300,
    "a\x00b\x1b[31m",
)
SKILLS = {
    "progressive": 0.03,
    "fixed": 0.0,
    "pixels": -0.03,
    "growing, dropout": 0.025,
    "slow": -0.05,
}
SHAKE = (0.0, 0.004, -0.003)  # what chance does to the skill


def arms_by_name() -> dict[str, Any]:
    growing = eight_epochs().but(name="Growing")
    other = growing.but(model=growing.model.but(drop_rate=0.2).model_dump())
    slow = growing.but(optimizer=growing.optimizer.but(weight_decay=0.1).model_dump())
    fixed, pixels = fixed_same_epochs(growing), fixed_same_pixels(growing)
    return dict(zip(SKILLS, (growing, fixed, pixels, other, slow), strict=True))


def make_experiment(
    workspace: Workspace,
    name: str = "Does growing help?",
    arms: int = 5,
    seeds: int = 3,
    **meta: Any,
) -> list[RunFolder]:
    """Arms x seeds, and the experiment's file, as the lab writes them."""
    folder = workspace.root / "experiments" / "exp-1"
    folder.mkdir(parents=True)
    chosen = dict(list(arms_by_name().items())[:arms])
    document = {"id": "exp-1", "name": name, "question": f"Is it true? {name}", "created": 1e9,
                "owner": "Secret Owner", "seeds": list(range(seeds)), "forecast_s": 300,
                "arms": [{"name": arm, "kind": "own", "words": ""} for arm in chosen]}  # fmt: skip
    write_json(folder / "experiment.json", document)
    runs, references = [], {}
    for seed in range(seeds):
        for number, (arm, recipe) in enumerate(chosen.items()):
            about = {
                "experiment": "exp-1",
                "arm": arm,
                "baseline_of": references.get(seed, ""),
                **meta,
            }
            run = fake_run(workspace, "finished", recipe=recipe.but(seed=seed),
                           skill=SKILLS[arm] + SHAKE[(seed + number) % 3], **about)  # fmt: skip
            references.setdefault(seed, run.id)
            runs.append(run)
    return runs


def experiment_numbers(workspace: Workspace) -> dict[str, Any]:
    return report.numbers(*report.wanted(workspace, ["exp-1"]), now=0.0)


def told(run: RunFolder, kind: str) -> list[dict[str, Any]]:
    lines = (run.events / "0.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for line in lines if (event := json.loads(line))["kind"] == kind]


class Page(HTMLParser):
    """Tags with their attributes, and the text outside style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def hostile_numbers(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Hostile words wherever somebody can type some."""
    classes = tuple(HOSTILE[:6])
    monkeypatch.setattr(fake_runs, "CLASSES", classes)
    monkeypatch.setitem(fake_runs.DATA, "classes", classes)
    monkeypatch.setitem(fake_runs.DATA, "name", HOSTILE[0] + HOSTILE[5])
    monkeypatch.setitem(fake_runs.DATA, "target", HOSTILE[1])
    runs = []
    for number, words in enumerate(HOSTILE):
        recipe = list(arms_by_name().values())[number % 5]
        recipe = recipe.but(name=words[:120], notes=words + "\n" + words, seed=number // 5)
        status, share = ("finished", 1.0) if number < 6 else ("failed", 0.4)
        runs.append(fake_run(
            workspace, status, recipe=recipe, share=share, skill=0.01 * number, message=words,
            fix=words, arm=words, notes=words, tags=[words], prediction=words, experiment="exp-1",
        ))  # fmt: skip
    folder = workspace.root / "experiments" / "exp-1"
    folder.mkdir(parents=True)
    words = " ".join(HOSTILE)
    write_json(folder / "experiment.json", {"id": "exp-1", "name": HOSTILE[0], "question": words,
               "created": 1e9, "owner": words, "seeds": [0], "arms": []})  # fmt: skip
    return report.numbers(*report.wanted(workspace, ["exp-1"]))
