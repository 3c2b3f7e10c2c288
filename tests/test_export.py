"""An export is the model that was scored: proven by plain timm in a process that knows no lab."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from cli_runs import environment, trained
from PIL import Image

from lab.data.images import open_rgb
from lab.errors import LabError
from lab.export import predict as standalone
from lab.export.bundle import export_run, shareable
from lab.export.card import plain
from lab.recipe import recipe_from
from lab.runs.folder import RunFolder, find_run
from lab.scoring.stages import load_stage, open_run
from lab.workspace import Workspace

slow = pytest.mark.slow


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    return Workspace(trained(tmp_path_factory))


@pytest.fixture(scope="module")
def run(workspace) -> RunFolder:
    return find_run(workspace, "last")


@pytest.fixture(scope="module")
def exported(workspace, run, tmp_path_factory) -> Path:
    to = tmp_path_factory.mktemp("exports") / "leaves"
    return Path(export_run(workspace, run, None, to)["folder"])


@pytest.fixture
def damaged(run, tmp_path) -> RunFolder:
    """A copy of the run with one bit of its last weights flipped."""
    shutil.copytree(run.path, tmp_path / run.id)
    copy = RunFolder(tmp_path / run.id)
    file = copy.stage(1) / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-10] ^= 4
    file.write_bytes(data)
    return copy


def outside(*words: object, cwd: Path) -> subprocess.CompletedProcess:
    """Python in isolated mode: no lab on its path, whatever the current folder is."""
    return subprocess.run(
        [sys.executable, "-I", "-W", "ignore", *map(str, words)],
        cwd=cwd, capture_output=True, text=True, timeout=300, env=environment(),
    )  # fmt: skip


@slow
def test_the_exported_script_reproduces_the_stored_probabilities_without_the_lab(
    workspace, run, exported
):
    stored = np.load(run.predictions / "s1-64x64.npz")
    data = open_run(workspace, load_stage(run))
    files = [data.dataset.path(int(item)) for item in stored["item"][:8]]
    done = outside(exported / "predict.py", *files, cwd=exported)
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    found = np.array([list(answer["probabilities"].values()) for answer in answers])
    assert np.abs(found - stored["probs"][:8]).max() < 1e-4


@slow
def test_the_lab_cannot_be_imported_where_the_export_is_tried(exported):
    assert outside("-c", "import lab", cwd=exported).returncode != 0


@slow
def test_the_exported_configuration_says_the_scored_size_and_transform(exported):
    config = json.loads((exported / "timm" / "config.json").read_text())["pretrained_cfg"]
    shown = {key: config[key] for key in ("input_size", "test_input_size", "crop_mode", "crop_pct")}
    size = [3, 64, 64]
    assert shown == {
        "input_size": size, "test_input_size": size, "crop_mode": "center", "crop_pct": 0.9,
    }  # fmt: skip


@slow
def test_the_export_claims_no_licence_that_is_not_its_own(exported):
    config = json.loads((exported / "timm" / "config.json").read_text())["pretrained_cfg"]
    assert not {"license", "tag", "paper_ids"} & set(config)


@slow
def test_the_script_answers_the_other_pictures_when_one_is_bad(exported, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    Image.new("RGB", (70, 50), (90, 160, 60)).save(tmp_path / "good.png")
    names = [tmp_path / "bad.jpg", tmp_path / "good.png"]
    done = outside(exported / "predict.py", *names, cwd=tmp_path)
    bad, good = (json.loads(line) for line in done.stdout.splitlines())
    assert (done.returncode, "error" in bad, "label" in good) == (1, True, True)


@slow
def test_the_card_tells_scores_with_their_number_of_images_and_interval(exported):
    card = (exported / "README.md").read_text()
    assert "95 % interval" in card
    assert "30 validation images" in card


@slow
def test_the_card_records_how_near_the_exported_model_is(exported):
    parity = json.loads((exported / "scores.json").read_text())["parity"]
    assert parity["images"] == 16
    assert parity["max_difference"] < 1e-4


@slow
def test_an_export_holds_everything_that_its_card_names(exported):
    names = {"README.md", "labels.txt", "predict.py", "recipe.json", "requirements.txt"}
    assert names | {"scores.json", "timm"} == {path.name for path in exported.iterdir()}


@slow
def test_the_same_stage_gives_the_same_zip(workspace, run, tmp_path):
    packed = []
    for place in ("one", "two"):
        (tmp_path / place).mkdir()
        found = export_run(workspace, run, 0, tmp_path / place / "leaves")
        packed.append(Path(found["zip"]).read_bytes())
    assert packed[0] == packed[1]


@slow
def test_the_zip_holds_one_folder_with_every_file(exported):
    with zipfile.ZipFile(exported.with_name("leaves.zip")) as packed:
        names = set(packed.namelist())
    files = {path for path in exported.rglob("*") if path.is_file()}
    assert names == {f"leaves/{path.relative_to(exported).as_posix()}" for path in files}


@slow
def test_a_flipped_bit_in_the_weights_is_refused(workspace, damaged, tmp_path):
    with pytest.raises(LabError, match="damaged"):
        export_run(workspace, damaged, 1, tmp_path / "out")


@slow
def test_nothing_is_written_when_an_export_is_refused(workspace, damaged, tmp_path):
    with pytest.raises(LabError):
        export_run(workspace, damaged, 1, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@slow
def test_a_folder_with_other_files_is_left_alone(workspace, run, tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(LabError, match="holds other files"):
        export_run(workspace, run, None, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


@slow
def test_onnx_is_refused_in_words(workspace, run, tmp_path):
    with pytest.raises(LabError, match="ONNX"):
        export_run(workspace, run, None, tmp_path / "out", "onnx")


def test_places_on_this_machine_stay_out_of_the_shared_recipe():
    recipe = recipe_from(
        {"dataset": {"source": "path", "path": "/home/ana/photos"}, "stages": [{"size": 64}]}
    )
    assert shareable(recipe)["dataset"]["path"] == "photos"


def test_a_class_name_cannot_write_markdown_into_the_card():
    assert plain("a|b<script>\n# c") == "a\\|b&lt;script&gt; \\# c"


def picture(mode: str, kind: str, **options) -> bytes:
    """A picture with something to see in every channel."""
    rng = np.random.default_rng(0)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (20, 30), dtype=np.uint16))
    else:
        image = Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).convert(mode)
    if mode == "RGBA":
        image.putalpha(Image.fromarray(rng.integers(0, 256, (20, 30), dtype=np.uint8)))
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return picture("RGB", "JPEG", exif=exif)


@pytest.mark.parametrize(
    "data",
    [
        *(pytest.param(turned(number), id=f"orientation {number}") for number in range(1, 9)),
        pytest.param(picture("I;16", "PNG"), id="16-bit grey"),
        pytest.param(picture("F", "TIFF"), id="32-bit grey"),
        pytest.param(picture("RGBA", "PNG"), id="alpha"),
        pytest.param(picture("P", "PNG"), id="palette"),
        pytest.param(picture("P", "GIF", transparency=3), id="transparent palette"),
        pytest.param(picture("CMYK", "JPEG"), id="CMYK"),
        pytest.param(picture("1", "PNG"), id="black and white"),
    ],
)
def test_the_exported_script_reads_pictures_as_the_lab_does(data, tmp_path):
    (tmp_path / "picture").write_bytes(data)
    ours = np.asarray(open_rgb(data))
    assert np.array_equal(np.asarray(standalone.read_rgb(tmp_path / "picture")), ours)
