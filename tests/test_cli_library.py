"""The commands that keep runs in order: runs, tag, archive, delete, restore, trash, diff."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from fake_runs import eight_epochs, fake_run, living

from lab.cli.commands import main
from lab.recipe import recipe_from
from lab.runs.folder import RunFolder
from lab.workspace import Workspace


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


def other_recipe() -> Any:
    values = eight_epochs().dump()
    return recipe_from({**values, "name": "Other", "stages": values["stages"][:2], "seed": 3})


def said(capsys: pytest.CaptureFixture[str], *words: str, workspace: Workspace) -> Any:
    """Exit code and JSON lines of a command."""
    capsys.readouterr()
    code = main(["--workspace", str(workspace.root), *words, "--json"])
    return code, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def pair(workspace: Workspace) -> tuple[RunFolder, RunFolder]:
    a = fake_run(workspace, "finished", experiment="e1", tags=["good"])
    return a, fake_run(workspace, "finished", recipe=other_recipe())


def test_runs_are_found_from_the_command_line(
    workspace: Workspace, pair: tuple[RunFolder, RunFolder], capsys: Any
) -> None:
    a, b = pair
    ways = [(["--search", "quick demo"], a), (["--tag", "GOOD"], a), (["--experiment", "e1"], a),
            (["--search", "name:other status:fin"], b)]  # fmt: skip
    for words, run in ways:
        code, lines = said(capsys, "runs", *words, workspace=workspace)
        assert (code, [line["run"] for line in lines]) == (0, [run.id])


def test_archived_runs_are_listed_only_when_asked_for(
    workspace: Workspace, pair: tuple[RunFolder, RunFolder], capsys: Any
) -> None:
    a, b = pair
    said(capsys, "archive", a.id, workspace=workspace)

    def ids(*more: str) -> set[str]:
        return {line["run"] for line in said(capsys, "runs", *more, workspace=workspace)[1]}

    assert (ids(), ids("--archived")) == ({b.id}, {a.id, b.id})
    said(capsys, "restore", a.id, workspace=workspace)
    assert ids() == {a.id, b.id}


def test_tags_that_look_like_options_are_tags(
    workspace: Workspace, pair: tuple[RunFolder, RunFolder], capsys: Any
) -> None:
    code, lines = said(capsys, "tag", pair[0].id, "+high", "+keep", "-good", workspace=workspace)
    assert (code, lines) == (0, [{"run": pair[0].id, "tags": ["high", "keep"]}])
    assert said(capsys, "tag", pair[0].id, "-high", workspace=workspace)[1][0]["tags"] == ["keep"]
    assert said(capsys, "tag", pair[0].id, "high", workspace=workspace)[0] == 1


def test_delete_goes_on_past_a_run_that_trains_and_restore_takes_back(
    workspace: Workspace, pair: tuple[RunFolder, RunFolder], capsys: Any
) -> None:
    live = fake_run(workspace, "running", share=0.2, identity=living())
    code, lines = said(capsys, "delete", live.id, pair[0].id, workspace=workspace)
    assert (code, [line.get("kind", line.get("run")) for line in lines]) == (
        1,
        ["error", pair[0].id],
    )
    assert said(capsys, "trash", workspace=workspace)[1][0]["run"] == pair[0].id
    assert said(capsys, "restore", pair[0].id[-4:], workspace=workspace)[0] == 0
    assert pair[0].exists()
    assert said(capsys, "trash", "--empty", workspace=workspace)[1] == [{"removed": 0}]


def test_diff_says_what_changed(
    workspace: Workspace, pair: tuple[RunFolder, RunFolder], capsys: Any
) -> None:
    code, lines = said(capsys, "diff", pair[0].id, pair[1].id, workspace=workspace)
    assert code == 0
    found = {(line["part"], line["field"]): (line["value_a"], line["value_b"]) for line in lines}
    assert found["recipe", "seed"] == (0, 3)
    assert found["result", "epochs"] == (8, 6)
