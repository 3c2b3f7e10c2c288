"""Would another epoch have been better: what is looked at, what is honest, what the screen says."""

from __future__ import annotations

import csv
import textwrap
from pathlib import Path

import numpy as np
import pytest
from fake_epochs import keep_epochs, write
from fake_runs import eight_epochs, fake_run
from scipy.stats import binomtest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint
from streamlit.testing.v1 import AppTest

from lab.analysis.choosing import early_stop, halves
from lab.analysis.hindsight import hindsight, words
from lab.analysis.unpaired import bounds, choice_words, keras_example, published_choice
from lab.errors import LabError
from lab.recipe import recipe_from
from lab.runs.folder import RunFolder
from lab.workspace import Workspace

FLAT = [0.4, 0.3, 0.2, 0.12, 0.1, 0.1, 0.1, 0.1]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


def one_size(name: str = "Fixed"):
    """Eight epochs at 128 px, in one stage."""
    values = eight_epochs().dump()
    values["stages"] = [{**values["stages"][-1], "epochs": 8}]
    return recipe_from({**values, "name": name})


@pytest.fixture
def run(workspace: Workspace) -> RunFolder:
    return fake_run(workspace, "finished", recipe=one_size())


def error(run: RunFolder, name: str) -> float:
    """Straight from the file."""
    stored = np.load(run.predictions / name)
    return float((stored["probs"].argmax(1) != stored["target"]).mean())


# What is stored


def test_every_epoch_has_its_error_with_wilsons_interval(run):
    keep_epochs(run, FLAT)
    found = hindsight(run)
    assert [epoch.number for epoch in found.epochs] == list(range(8))
    third = found.epochs[3].valid
    assert third.error == pytest.approx(error(run, "e3-128x128.npz"))
    limits = proportion_confint(round(third.error * 300), 300, method="wilson")
    assert (third.low, third.high) == pytest.approx(limits)


def test_the_best_looking_epoch_is_the_first_of_the_lowest(run):
    for epoch, k in enumerate([30, 20, 9, 12, 9, 15, 11, 10]):
        write(run.predictions / f"e{epoch}-128x128.npz", np.arange(100) < k)
    found = hindsight(run)
    assert (found.best.number, found.last.number) == (2, 7)
    assert found.looked == pytest.approx(0.01)


def test_epochs_of_other_sizes_are_shown_and_not_chosen_from(workspace):
    run = fake_run(workspace, "finished")  # 4 epochs at 64 px, 2 at 96, 2 at 128
    for epoch, side in enumerate([64] * 4 + [96] * 2 + [128] * 2):
        wrong = np.arange(100) < (2 if epoch == 1 else 20 - epoch)
        write(run.predictions / f"e{epoch}-{side}x{side}.npz", wrong)
    found = hindsight(run)
    assert len(found.epochs) == 8
    assert found.best.number == 7
    assert found.epochs[1].size == (64, 64)
    assert "among the epochs of the last stage, all scored at 128 px" in words(found)


def test_a_run_without_epoch_predictions_has_no_hindsight(run):
    assert hindsight(run) is None


def test_a_damaged_epoch_is_named_with_its_remedy(run):
    keep_epochs(run, FLAT)
    (run.predictions / "e3-128x128.npz").write_bytes(b"no")
    with pytest.raises(LabError, match=r"e3-128x128\.npz"):
        hindsight(run)


def test_files_of_epochs_that_no_event_knows_are_left_alone(run):
    keep_epochs(run, FLAT)
    write(run.predictions / "e99-128x128.npz", np.zeros(300, bool))
    assert max(epoch.number for epoch in hindsight(run).epochs) == 7


# Early stopping


def test_early_stopping_ends_after_its_patience_and_keeps_the_best_until_then():
    # Best at 1, three epochs without a better one: it ends at 4 and never sees the last.
    assert early_stop([0.3, 0.2, 0.25, 0.24, 0.23, 0.1], patience=3) == (4, 1)


def test_early_stopping_that_never_stops_keeps_the_best_of_all():
    assert early_stop([0.3, 0.2, 0.25, 0.1, 0.2], patience=3) == (None, 3)


# The honest estimate


def test_halves_see_through_epochs_that_are_equally_good():
    # Twelve epochs of 10 % true error each: looking gains, choosing gives nothing.
    rng = np.random.default_rng(5)
    looked, honest = [], []
    for seed in range(60):
        wrong = rng.random((12, 200)) < 0.1
        looked.append(wrong[-1].mean() - wrong.mean(axis=1).min())
        honest.append(halves(wrong, range(12), repeats=200, seed=seed).gain)
    error_of_mean = np.std(honest, ddof=1) / np.sqrt(60)
    assert np.mean(looked) > 0.025
    assert abs(np.mean(honest)) < 3 * error_of_mean


def test_halves_give_what_the_choice_gives_on_fresh_images():
    # Five epochs of known error. The truth: choose on 150 fresh images, gain by the true rates.
    rates = np.array([0.16, 0.12, 0.10, 0.11, 0.14])
    rng = np.random.default_rng(8)
    chosen = (rng.random((4000, 5, 150)) < rates[:, None]).mean(axis=2).argmin(axis=1)
    truth = (rates[-1] - rates[chosen]).mean()
    estimates = [
        halves(rng.random((5, 300)) < rates[:, None], range(5), repeats=100, seed=seed).gain
        for seed in range(150)
    ]
    assert np.mean(estimates) == pytest.approx(
        truth, abs=3 * np.std(estimates, ddof=1) / np.sqrt(150)
    )


def test_an_epoch_that_is_really_better_keeps_its_gain():
    wrong = np.zeros((3, 200), bool)
    wrong[0, :60], wrong[1, :10], wrong[2, :50] = True, True, True
    found = halves(wrong, [4, 5, 6])
    assert found.chosen == {5: 1.0}
    assert found.gain == pytest.approx(0.2, abs=0.005)


def test_the_same_seed_gives_the_same_halves():
    wrong = np.random.default_rng(1).random((4, 101)) < 0.2
    assert halves(wrong, range(4), seed=3) == halves(wrong, range(4), seed=3)


def test_too_few_images_are_not_halved(run):
    for epoch in range(8):
        write(run.predictions / f"e{epoch}-128x128.npz", np.arange(12) < 3)
    found = hindsight(run)
    assert found.honest is None
    assert "too few to be halved" in words(found)


def test_the_optimism_is_what_halves_do_not_give(run):
    keep_epochs(run, FLAT)
    found = hindsight(run)
    assert found.optimism == pytest.approx(found.looked - found.honest.gain)
    assert found.optimism > 0


# The locked test part


def test_the_test_part_says_what_the_choice_really_gives(run):
    keep_epochs(run, FLAT, n_test=240, seed=3)
    found = hindsight(run)
    best, last = (
        error(run, f"e{number}-128x128-test.npz")
        for number in (found.best.number, found.last.number)
    )
    assert found.best.test.error == pytest.approx(best)
    assert found.tested.difference == pytest.approx(last - best)
    assert found.tested.n == 240
    assert "On the 240 images of the locked test part" in words(found)


def test_the_p_on_the_test_part_is_mcnemars(run):
    keep_epochs(run, [*FLAT[:-1], 0.25], n_test=240, seed=3)
    found = hindsight(run)
    stored = [
        np.load(run.predictions / f"e{number}-128x128-test.npz")
        for number in (found.last.number, found.best.number)
    ]
    last, best = (
        (one["probs"].argmax(1) != one["target"])[np.argsort(one["item"])] for one in stored
    )
    table = [[0, int((last & ~best).sum())], [int((~last & best).sum()), 0]]
    assert found.tested.p == pytest.approx(mcnemar(table).pvalue)


def test_without_test_predictions_nothing_is_said_of_them(run):
    keep_epochs(run, FLAT)
    found = hindsight(run)
    assert found.tested is None
    assert "test part" not in words(found)


def test_json_counts_epochs_from_one(run):
    keep_epochs(run, FLAT, n_test=100)
    found = hindsight(run).as_dict()
    assert found["last"] == 8
    assert found["epochs"][0]["number"] == 1
    assert sum(found["honest"]["chosen"].values()) == pytest.approx(1)


# A published table


def test_the_keras_table_is_the_published_one():
    choice, source = keras_example()
    file = Path(__file__).parents[1] / "lab/analysis/published/keras-fixres-baseline-224.csv"
    with open(file, newline="") as lines:
        printed = [float(row["accuracy"]) for row in csv.DictReader(lines)]
    assert list(choice.accuracy) == printed
    assert (choice.n, choice.last, choice.best) == (367, 29, 28)
    assert (printed[-1], printed[-2]) == (0.7139, 0.7820)
    assert "keras.io" in source.url


def test_the_intervals_of_the_keras_table_are_wilsons():
    choice, _ = keras_example()
    # 71.39 % of 367 are 262 right answers, 105 wrong ones.
    assert choice.wrong[-1] == 105
    assert choice.intervals[-1] == pytest.approx(proportion_confint(105, 367, method="wilson"))


def test_the_difference_is_bounded_by_what_the_disagreement_can_be():
    # 105 and 80 wrong of 367: nested, 25 against 0; as far apart as can be, 105 against 80.
    found = bounds(105, 80, 367)
    assert found.nested.p == pytest.approx(binomtest(25, 25).pvalue)
    assert found.apart.p == pytest.approx(binomtest(105, 185).pvalue)
    wide = 2 * 1.96 * np.sqrt(185 / 367 - (25 / 367) ** 2) / np.sqrt(367)
    assert found.apart.high - found.apart.low == pytest.approx(wide, rel=0.05)


def test_errors_of_more_than_half_must_overlap():
    # 8 and 6 wrong of 10: at least 4 are shared, so at most 4 against 2.
    assert bounds(8, 6, 10).apart.p == pytest.approx(binomtest(4, 6).pvalue)


def test_the_words_on_the_table_name_both_epochs_and_both_cases():
    said = choice_words(published_choice([0.5, 0.78, 0.70], 100))
    assert "70.00 % right at the last epoch, 78.00 % at epoch 2: 8.0 points apart" in said
    assert "as much as they can" in said
    assert "because it looked best" in said


# The screen

SCRIPT = """
    import os
    from pathlib import Path
    from lab.runs.index import list_runs
    from lab.ui import comparison
    from lab.ui.hindsight import panel
    from lab.workspace import Workspace

    workspace = Workspace(Path(os.environ["LAB_WORKSPACE"]))
    rows = {row.id: row for row in list_runs(workspace)}
    style = comparison.styles(list(rows), {})
    panel(comparison.entries(workspace.runs, list(rows), rows, style)[0])
"""


def shown(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace.root))
    return AppTest.from_string(textwrap.dedent(SCRIPT), default_timeout=30).run()


def texts(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption]
    return "\n".join(str(part.value) for part in parts).replace("\u202f", " ")


def test_the_section_shows_the_gain_it_shows_and_the_gain_on_other_images(
    workspace, run, monkeypatch
):
    keep_epochs(run, FLAT, n_test=200, seed=2)
    page = shown(workspace, monkeypatch)
    assert not page.exception
    table = page.dataframe[0].value
    found = hindsight(run)
    assert table.loc[0, "looks"] == pytest.approx(100 * found.looked, abs=0.051)
    assert table.loc[0, "test"] == pytest.approx(100 * found.tested.difference, abs=0.051)
    assert "Early stopping after 3 epochs" in texts(page)


def test_the_section_says_how_to_get_test_errors_where_there_are_none(workspace, run, monkeypatch):
    keep_epochs(run, FLAT)
    page = shown(workspace, monkeypatch)
    assert "test" not in page.dataframe[0].value
    assert "Test every epoch" in texts(page)


def test_the_section_without_epochs_says_so(workspace, run, monkeypatch):
    page = shown(workspace, monkeypatch)
    assert not page.exception
    assert "Nothing to look back on yet" in texts(page)


def test_a_damaged_epoch_does_not_hide_the_other_runs(workspace, run, monkeypatch):
    keep_epochs(run, FLAT)
    other = fake_run(workspace, "finished", recipe=one_size("Other"))
    keep_epochs(other, FLAT, seed=9)
    (run.predictions / "e0-128x128.npz").write_bytes(b"no")
    page = shown(workspace, monkeypatch)
    assert not page.exception
    assert len(page.dataframe[0].value) == 1
    assert "cannot be read" in str(page.error[0].value)


def test_a_hostile_name_never_becomes_markup_in_the_section(workspace, monkeypatch):
    run = fake_run(workspace, "finished", recipe=one_size("<img src=x> [a](http://b)"))
    keep_epochs(run, FLAT)
    page = shown(workspace, monkeypatch)
    assert not page.exception
    assert "<img" not in texts(page).replace("\\<", "")
