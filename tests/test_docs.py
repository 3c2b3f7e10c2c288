"""The README is checked, not trusted: its tree, its commands, its links and its presets."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from lab.recipe.model import load_recipe
from lab.recipe.presets import PRESETS

REPO = Path(__file__).parent.parent
README = (REPO / "README.md").read_text(encoding="utf-8")


def test_every_room_stands_in_the_tree_and_the_other_way_round():
    rooms = {path.parent.name for path in (REPO / "lab").glob("*/__init__.py")}
    assert set(re.findall(r"^    lab/(\w+)/", README, re.M)) == rooms


def test_every_linked_file_is_there():
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert [link for link in links if not (REPO / link).exists()] == []


def test_every_preset_is_named():
    assert [name for name in PRESETS if f"`{name}`" not in README] == []


def test_every_make_target_that_is_named_exists():
    targets = set(re.findall(r"^([a-z-]+):", (REPO / "Makefile").read_text(), re.M))
    assert set(re.findall(r"make ([a-z][a-z-]+)", README)) <= targets


@pytest.mark.parametrize(
    "command", sorted(set(re.findall(r"python -m lab ([a-z-]+)", README)) - {"python"})
)
def test_every_command_that_is_named_answers(command):
    done = subprocess.run(
        [sys.executable, "-m", "lab", command, "--help"], cwd=REPO, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_example_is_a_recipe():
    for path in sorted((REPO / "examples").glob("*.json")):
        assert load_recipe(path).stages


def test_requirements_have_floors_and_upper_bounds():
    lines = (REPO / "requirements.txt").read_text().splitlines()
    loose = [x for x in lines if x and x[0] not in "#-" and not re.search(r">=[^,]+,<", x)]
    assert loose == ["python-multipart>=0.0.26"]  # below 1.0 its versions promise nothing
