"""The embedded set of leaves: what is promised about its pictures, labels and folders."""

import csv
import hashlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from lab.data import leaves
from lab.data.leaves import (
    CLASSES,
    FINE_PAIRS,
    VARIETIES,
    LeafSet,
    class_counts,
    draw_image,
    draw_leaf,
    draw_set,
)
from lab.errors import LabError

SMALL = LeafSet(n=100, size_px=64, seed=5)
TRAINING_PX = 160  # the demo's pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("leaves") / "set"
    draw_set(SMALL, target, processes=1)
    return target


@pytest.fixture(scope="module")
def twins() -> dict[tuple[str, str], list[tuple[Image.Image, Image.Image]]]:
    """For each fine pair, the same leaves with one disease and with the other."""
    spec = LeafSet(n=100, size_px=TRAINING_PX, seed=8)
    return {
        pair: [
            tuple(draw_leaf(spec, index, disease, VARIETIES[index % 3]) for disease in pair)
            for index in range(24)
        ]
        for pair in FINE_PAIRS
    }


def digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    parts = (str(path.relative_to(folder)).encode() + path.read_bytes() for path in files)
    return hashlib.sha256(b"".join(parts)).hexdigest()


def rows(folder: Path) -> list[dict[str, str]]:
    with open(folder / "labels.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def shrunk(image: Image.Image, size_px: int) -> np.ndarray:
    return np.asarray(image.resize((size_px, size_px), Image.Resampling.BILINEAR), float)


def distance(pair: tuple[Image.Image, Image.Image], size_px: int) -> float:
    """Root mean square difference of the two at a size: what any classifier has to go by."""
    one, other = (shrunk(image, size_px) for image in pair)
    return float(np.sqrt(np.mean((one - other) ** 2)))


def test_pictures_are_the_same_bytes_however_many_processes_draw_them(folder, tmp_path):
    draw_set(SMALL, tmp_path / "two", processes=2)
    assert digest(tmp_path / "two") == digest(folder)


def test_a_picture_does_not_depend_on_those_drawn_before_it():
    first, _, _ = draw_image(SMALL, 7)
    draw_image(SMALL, 3)
    again, _, _ = draw_image(SMALL, 7)
    assert first.tobytes() == again.tobytes()


def test_another_seed_draws_another_picture():
    one = draw_leaf(SMALL, 0, "rust", VARIETIES[0])
    other = draw_leaf(LeafSet(n=100, size_px=64, seed=6), 0, "rust", VARIETIES[0])
    assert one.tobytes() != other.tobytes()


def test_labels_csv_names_every_picture_once(folder):
    on_disk = {str(path.relative_to(folder)) for path in folder.rglob("*.jpg")}
    named = [row["file"] for row in rows(folder)]
    assert sorted(named) == sorted(on_disk)


def test_labels_csv_agrees_with_the_class_folders(folder):
    assert all(Path(row["file"]).parts[:2] == ("images", row["disease"]) for row in rows(folder))


def test_labels_csv_says_what_draw_image_says(folder):
    drawn = [draw_image(SMALL, index)[1:] for index in range(0, SMALL.n, 10)]
    assert drawn == [(row["disease"], row["variety"]) for row in rows(folder)[::10]]


def test_pictures_have_the_size_that_was_asked_for(folder):
    assert {Image.open(path).size for path in folder.rglob("*.jpg")} == {(64, 64)}


@pytest.mark.parametrize("n", [100, 101, 1500, 5000])
def test_class_counts_add_up(n):
    assert sum(class_counts(n).values()) == n


def test_the_largest_class_is_about_four_times_the_smallest():
    counts = class_counts(5000).values()
    assert 3.5 < max(counts) / min(counts) < 4.5


def test_every_class_has_a_handful_in_the_smallest_set():
    assert min(class_counts(100).values()) >= 5


def test_classes_are_shuffled_over_the_indices():
    diseases = [row[0] for row in (draw_image(SMALL, index)[1:] for index in range(30))]
    assert len(set(diseases)) >= 5


def test_every_variety_occurs_with_every_disease():
    labels = leaves.spec.labels(LeafSet(n=1500))
    assert len(Counter(labels)) == len(CLASSES) * len(VARIETIES)


def test_labels_do_not_depend_on_the_size_of_the_pictures():
    small, large = LeafSet(n=100, size_px=64), LeafSet(n=100, size_px=200)
    assert [draw_image(small, i)[1:] for i in range(5)] == [
        draw_image(large, i)[1:] for i in range(5)
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("n", 99),
        ("n", 5001),
        ("n", 150.5),
        ("size_px", 63),
        ("size_px", 513),
        ("fine_scale", 0.2),
        ("fine_scale", float("nan")),
        ("form", "easy"),
        ("seed", -1),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(field, value):
    with pytest.raises(LabError) as caught:
        LeafSet(**{field: value})
    assert [problem.where for problem in caught.value.problems] == [field]


def test_all_bad_values_are_named_at_once():
    with pytest.raises(LabError) as caught:
        LeafSet(n=1, size_px=1, form="x")
    assert [problem.where for problem in caught.value.problems] == ["n", "size_px", "form"]


def test_the_key_tells_apart_whatever_changes_the_pictures():
    specs = [
        LeafSet(),
        LeafSet(n=1501),
        LeafSet(size_px=160),
        LeafSet(form="hard"),
        LeafSet(seed=1),
    ]
    assert len({spec.key() for spec in specs}) == len(specs)


def test_a_form_is_a_name_for_its_scale():
    demo = LeafSet(form="demo")
    assert LeafSet(form="hard", fine_scale=demo.period).key() == demo.key()


@pytest.mark.parametrize("pair", FINE_PAIRS, ids="/".join)
def test_twins_of_a_fine_pair_have_the_same_mean_colour(twins, pair):
    means = np.array(
        [[np.asarray(image, float).mean((0, 1)) for image in both] for both in twins[pair]]
    )
    gaps = means[:, 0] - means[:, 1]
    spread = means[:, 0].std(axis=0)  # between leaves: 15 to 40 grey levels
    assert (np.abs(gaps.mean(axis=0)) < 0.05 * spread).all()


@pytest.mark.parametrize("pair", FINE_PAIRS, ids="/".join)
def test_twins_of_a_fine_pair_make_files_of_about_the_same_size(twins, pair, tmp_path):
    def bytes_of(image: Image.Image) -> int:
        image.save(tmp_path / "leaf.jpg", quality=90)
        return (tmp_path / "leaf.jpg").stat().st_size

    sizes = np.array([[bytes_of(image) for image in both] for both in twins[pair]], float)
    assert abs(sizes[:, 0].mean() / sizes[:, 1].mean() - 1) < 0.06


@pytest.mark.parametrize("pair", FINE_PAIRS, ids="/".join)
def test_twins_of_a_fine_pair_differ_far_less_when_shrunk(twins, pair):
    full = np.mean([distance(both, TRAINING_PX) for both in twins[pair]])
    small = np.mean([distance(both, 40) for both in twins[pair]])
    assert small < 0.3 * full


def test_the_hard_form_hides_more_at_96_px_than_the_demo_does():
    def gap(form: str) -> float:
        spec = LeafSet(n=100, size_px=256, form=form, seed=8)
        twins = [[draw_leaf(spec, i, d, VARIETIES[i % 3]) for d in FINE_PAIRS[0]] for i in range(8)]
        return float(np.mean([distance(both, 96) for both in twins]))

    assert gap("hard") < 0.7 * gap("demo")


@pytest.mark.parametrize("disease", CLASSES)
def test_the_background_is_the_same_whatever_the_disease(disease):
    """The corners lie off the blade for this leaf, and differ at most by the shadow's rim."""
    spec = LeafSet(n=100, size_px=64, seed=5)
    healthy, ill = (
        np.asarray(draw_leaf(spec, 1, d, "lanceleaf"), int) for d in ("healthy", disease)
    )
    same = (np.abs(healthy - ill).max(axis=2) <= 1).mean()
    assert same > 0.4


def test_a_drawing_that_fails_leaves_no_folder(tmp_path):
    def fail(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        draw_set(SMALL, tmp_path / "set", processes=2, progress=fail)
    assert list(tmp_path.iterdir()) == []


def test_a_drawing_that_is_killed_leaves_no_set_and_no_process(tmp_path):
    code = (
        "from pathlib import Path; from lab.data.leaves import LeafSet, draw_set;"
        "draw_set(LeafSet(n=5000, size_px=64), Path('set').resolve(), 2,"
        " lambda done, n: print(done, flush=True))"
    )
    env = {**os.environ, "PYTHONPATH": str(Path(leaves.__file__).parents[3])}
    drawing = subprocess.Popen(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, stdout=subprocess.PIPE, text=True
    )
    drawing.stdout.readline()
    children = psutil.Process(drawing.pid).children()
    drawing.kill()
    drawing.communicate()
    gone, alive = psutil.wait_procs(children, timeout=5)
    assert len(gone) == 2
    assert not alive
    assert not (tmp_path / "set").exists()


def test_a_process_that_dies_fails_the_drawing_and_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(leaves.write.sys, "executable", "false")
    with pytest.raises(RuntimeError):
        draw_set(SMALL, tmp_path / "set", processes=2)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_use_is_not_touched(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(LabError):
        draw_set(SMALL, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_progress_ends_at_the_number_of_pictures(tmp_path):
    seen = []
    draw_set(SMALL, tmp_path / "set", processes=2, progress=lambda done, n: seen.append((done, n)))
    assert seen[-1] == (100, 100)
    assert seen == sorted(seen)
