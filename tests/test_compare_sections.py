"""The tables and figures of the Compare page, held against the raw events of the runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import pytest
from fake_runs import eight_epochs, fake_run

from lab.recipe.baselines import fixed_same_epochs
from lab.runs.folder import RunFolder
from lab.runs.index import list_runs
from lab.ui import compare_cost, compare_lines, compare_saved, compare_tables, comparison
from lab.ui.compare_answer import answer, cost_words, guess_lines
from lab.ui.compare_apart import apart_words, comparable_sets
from lab.ui.compare_lines import View
from lab.ui.compare_recipes import differences
from lab.ui.compare_verdict import verdicts
from lab.workspace import Workspace

T_OF_2 = 4.3027  # Student's t, two degrees of freedom, 97.5 %
VIEW = View("epoch", "error", 0.0, log_y=False, seeds="range", sizes=True)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


def _pair(workspace: Workspace, **of_second: Any) -> tuple[RunFolder, RunFolder]:
    recipe = eight_epochs().but(name="Growing")
    fixed = fixed_same_epochs(recipe).but(name="Fixed")
    first = fake_run(workspace, "finished", recipe=recipe, experiment="e", skill=0.03)
    return first, fake_run(workspace, "finished", recipe=fixed, experiment="e", **of_second)


def _seeds(workspace: Workspace) -> list[RunFolder]:
    """Three seeds of growing and of fixed sizes."""
    recipe, runs = eight_epochs(), []
    for arm, one, skill in (("growing", recipe, 0.03), ("fixed", fixed_same_epochs(recipe), 0.0)):
        for seed in range(3):
            named = one.but(seed=seed, name=f"{arm} seed {seed}")
            luck = 0.005 * seed * (1 if arm == "fixed" else -1)
            runs.append(fake_run(workspace, "finished", recipe=named, skill=skill + luck, arm=arm))
    return runs


def _entries(workspace: Workspace, runs: Sequence[RunFolder]) -> list[comparison.Entry]:
    rows = {row.id: row for row in list_runs(workspace)}
    ids = [run.id for run in runs]
    return comparison.entries(workspace.runs, ids, rows, comparison.styles(ids, {}))[0]


def _methods(workspace: Workspace, runs: Sequence[RunFolder]) -> list[comparison.Method]:
    return comparison.methods(_entries(workspace, runs), {})[0]


def _told(run: RunFolder, kind: str) -> list[dict[str, Any]]:
    """A run's events of one kind, straight from its file."""
    lines = (run.events / "0.jsonl").read_text(encoding="utf-8").splitlines()
    return [event for event in map(json.loads, lines) if event["kind"] == kind]


def _count(run: RunFolder, **numbers: float) -> None:
    """Write numbers that grow with the pixels into a run's epochs, as newer workers do."""
    file = run.events / "0.jsonl"
    events = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for event in events:
        if event["kind"] == "epoch":
            event |= {name: each * event["pixels"] for name, each in numbers.items()}
    file.write_text("".join(json.dumps(event) + "\n" for event in events), encoding="utf-8")


# Methods, styles, names


def test_hiding_a_run_leaves_the_styles_of_the_others() -> None:
    all_three = comparison.styles(["a", "b", "c"], {})
    assert all_three == {"a": 0, "b": 1, "c": 2}
    without = comparison.styles(["a", "c"], all_three)
    assert without == {"a": 0, "c": 2}
    assert comparison.styles(["a", "c", "d"], without) == {"a": 0, "c": 2, "d": 1}


def test_seeds_of_a_method_share_its_style_and_stand_together(workspace: Workspace) -> None:
    growing, fixed = _methods(workspace, _seeds(workspace))
    assert (growing.name, growing.n, growing.words) == ("growing", 3, "growing (n = 3)")
    assert [entry.style for entry in growing.entries] == [0, 0, 0]
    assert [entry.style for entry in fixed.entries] == [1, 1, 1]
    assert [entry.seen.recipe.seed for entry in growing.entries] == [0, 1, 2]


def test_a_published_run_takes_a_style_that_no_method_has(workspace: Workspace) -> None:
    found, style = comparison.methods(_entries(workspace, _seeds(workspace)), {}, ["published:x"])
    assert style["published:x"] not in {method.style for method in found}


def test_two_runs_of_one_name_get_names_of_their_own(workspace: Workspace) -> None:
    runs = [fake_run(workspace, "finished") for _ in range(2)]
    labels = [entry.label for entry in _entries(workspace, runs)]
    assert len(set(labels)) == 2


def test_runs_of_one_name_are_told_apart_by_their_seed(workspace: Workspace) -> None:
    runs = [
        fake_run(workspace, "stopped", share=0.1, recipe=eight_epochs().but(name="A", seed=seed))
        for seed in (0, 5)
    ]
    assert {e.label for e in _entries(workspace, runs)} == {"A, seed 0", "A, seed 5"}


def test_a_swatch_is_a_picture_without_anything_of_the_users() -> None:
    assert comparison.swatch(0).startswith("data:image/svg+xml;utf8,")
    assert comparison.swatch(0) != comparison.swatch(1)


# Curves


def _drawn(workspace: Workspace, runs: Sequence[RunFolder], view: View, hidden: set[str]) -> Any:
    lines = compare_lines.lines_of(_methods(workspace, runs), [])
    tables = {line.id: compare_lines.table_of(line, view) for line in lines}
    return lines, tables, compare_lines.draw(lines, tables, view, hidden)


def _by_hover(figure: dict[str, Any]) -> dict[str, Any]:
    return {
        trace["hovertemplate"]: (list(trace["x"]), list(trace["y"]), trace["line"])
        for trace in figure["data"]
        if trace["type"] == "scatter" and "hovertemplate" in trace
    }


def test_a_curve_is_what_the_events_say(workspace: Workspace) -> None:
    runs = _pair(workspace)
    view = replace(VIEW, x="pixels")
    _, tables, figure = _drawn(workspace, runs, view, set())
    for run in runs:
        told = _told(run, "epoch")
        assert tables[run.id]["x"].tolist() == [event["pixels"] for event in told]
        assert tables[run.id]["value"].tolist() == [event["error_rate"] for event in told]
    (growing,) = [t for t in figure["data"] if t.get("name") == "Growing (n = 1)"]
    last = _told(runs[0], "epoch")[-1]["error_rate"]
    assert list(growing["y"])[-1] == pytest.approx(100 * last)


def test_marks_are_filled_with_the_size_and_ringed_with_the_method(workspace: Workspace) -> None:
    *_, figure = _drawn(workspace, _pair(workspace), VIEW, set())
    growing, fixed = [t for t in figure["data"] if "marker" in t and t["type"] == "scatter"]
    assert len(set(growing["marker"]["color"])) == 3
    assert len(set(fixed["marker"]["color"])) == 1
    assert growing["marker"]["color"][-1] == fixed["marker"]["color"][-1]
    assert growing["marker"]["line"]["color"] == growing["line"]["color"]


@pytest.mark.parametrize("y", ["error", "train_loss", "lr"])
def test_hiding_changes_neither_axes_nor_other_lines(workspace: Workspace, y: str) -> None:
    runs = _seeds(workspace)
    view = replace(VIEW, y=y, x="time", smoothing=0.5)
    *_, whole = _drawn(workspace, runs, view, set())
    gone = {run.id for run in runs[3:]} | {runs[0].id}
    *_, part = _drawn(workspace, runs, view, gone)
    for axis in ("xaxis", "yaxis", "yaxis2"):
        assert part["layout"][axis] == whole["layout"][axis]
    all_lines, fewer = _by_hover(whole), _by_hover(part)
    assert len(fewer) == 3  # two seeds of growing and the mean of all three
    assert all(all_lines[name] == line for name, line in fewer.items())


def test_smoothing_comes_before_thinning(workspace: Workspace) -> None:
    (run,) = [fake_run(workspace, "finished", n_train=40_000)]
    view = replace(VIEW, x="step", y="train_loss", smoothing=0.9)
    _, tables, figure = _drawn(workspace, [run], view, set())
    whole = tables[run.id]
    drawn = next(t for t in figure["data"] if "hovertemplate" in t and t["type"] == "scatter")
    assert len(drawn["x"]) < len(whole)
    at = whole.set_index("x")["smooth"]
    assert list(drawn["y"]) == pytest.approx(at.loc[list(drawn["x"])].tolist())
    raw = next(t for t in figure["data"] if t.get("hoverinfo") == "skip")
    assert raw["line"]["width"] == 1


def test_a_csv_holds_every_step_and_the_means(workspace: Workspace) -> None:
    runs = _seeds(workspace)
    view = replace(VIEW, x="step", y="train_loss", smoothing=0.9)
    lines, tables, _ = _drawn(workspace, runs, view, set())
    table = compare_lines.numbers(lines, tables, view)
    steps = _told(runs[0], "run_started")[0]["steps"]
    assert (table["run"] == runs[0].id).sum() == steps
    means = table[table["what"] == "mean of 3, smallest to largest"]
    assert len(means) == steps + _told(runs[3], "run_started")[0]["steps"]
    assert set(means["n"]) == {3}


def test_the_strips_below_the_curves_say_who_used_which_size_when(workspace: Workspace) -> None:
    *_, figure = _drawn(workspace, _pair(workspace), VIEW, set())
    growing, fixed = [trace for trace in figure["data"] if trace["type"] == "bar"]
    assert (growing["base"], growing["x"]) == ([0, 4, 6], [4, 2, 2])
    assert (fixed["base"], fixed["x"]) == ([0], [8])
    assert len(figure["layout"]["yaxis2"]["tickvals"]) == 2


# Cost


def _points(workspace: Workspace, runs: Sequence[RunFolder], x: str) -> dict[str, Any]:
    methods = _methods(workspace, runs)
    sets = comparable_sets(comparison.of_methods(methods))
    return {point.method.name: point for point in compare_cost.points_of(methods, x, sets)}


def test_a_method_stands_at_the_means_of_its_seeds_with_a_t_interval(workspace: Workspace) -> None:
    runs = _seeds(workspace)
    point = _points(workspace, runs, "time")["growing"]
    errors = [_told(run, "finished")[0]["scores"]["error_rate"] for run in runs[:3]]
    seconds = [sum(e["seconds"] for e in _told(run, "epoch")) for run in runs[:3]]
    assert point.error == pytest.approx(mean(errors))
    assert point.cost == pytest.approx(mean(seconds))
    reach = T_OF_2 * stdev(errors) / 3**0.5
    assert point.low == pytest.approx(mean(errors) - reach, abs=1e-5)
    assert point.high == pytest.approx(mean(errors) + reach, abs=1e-5)
    assert point.about == "mean of 3 seeds, 95 % t interval over seeds"


def test_a_single_run_stands_with_its_interval_over_images(workspace: Workspace) -> None:
    point = _points(workspace, _pair(workspace), "pixels")["Growing"]
    # Wilson's interval of 19 in 300, from its formula by hand.
    assert (point.low, point.high) == pytest.approx((0.0409, 0.0968), abs=5e-4)
    assert "Wilson" in point.about


def test_operations_and_energy_are_costs_where_they_were_counted(workspace: Workspace) -> None:
    counted, older = _pair(workspace)
    _count(counted, flops=1800.0, energy_j=1e-6)
    pixels = _told(counted, "epoch")[-1]["pixels"]
    points = _points(workspace, [counted, older], "flops")
    assert list(points) == ["Growing"]
    assert points["Growing"].cost == pytest.approx(1800.0 * pixels)
    points = _points(workspace, [counted, older], "energy")
    assert points["Growing"].cost == pytest.approx(1e-6 * pixels)


def test_what_is_better_in_both_is_on_the_front_and_the_other_is_not(workspace: Workspace) -> None:
    points = _points(workspace, _pair(workspace), "time")
    assert (points["Growing"].front, points["Fixed"].front) == (0, None)


def test_runs_of_other_images_make_no_front_together(workspace: Workspace) -> None:
    points = _points(workspace, _pair(workspace, split=7), "time")
    assert [point.front for point in points.values()] == [None, None]


def test_hiding_a_method_moves_neither_axes_nor_front(workspace: Workspace) -> None:
    runs = _pair(workspace)
    points = list(_points(workspace, runs, "time").values())
    whole = compare_cost.draw(points, "time", set())
    part = compare_cost.draw(points, "time", {runs[1].id})
    assert part["layout"] == whole["layout"] | {"meta": part["layout"]["meta"]}
    front = [[list(figure["data"][0][name]) for name in "xy"] for figure in (whole, part)]
    assert front[0] == front[1]
    assert whole["data"][0]["line"]["dash"] == "dot"


# Tables and words


def test_scores_carry_an_interval_and_the_cost(workspace: Workspace) -> None:
    table = compare_tables.scores_table(_entries(workspace, _pair(workspace))).set_index("run")
    assert table.loc["Growing", "error"] == pytest.approx(6.33, abs=0.01)
    # Wilson's interval of 19 in 300, from its formula by hand.
    assert table.loc["Growing", "95 % from"] == pytest.approx(4.1, abs=0.05)
    assert table.loc["Growing", "to"] == pytest.approx(9.7, abs=0.05)
    assert table.loc["Growing", "time"] == "0:28"


def test_each_stage_is_scored_at_its_own_and_the_final_size(workspace: Workspace) -> None:
    table = compare_tables.stage_table(_entries(workspace, _pair(workspace)))
    assert table["size"].tolist() == [f"{side}\u202fpx" for side in (64, 96, 128, 128)]
    assert table["error, final size"].iloc[0] > table["error, own size"].iloc[0]


def test_the_epoch_table_reads_as_in_the_book(workspace: Workspace) -> None:
    run, _ = _pair(workspace)
    (line, _) = compare_lines.lines_of(_methods(workspace, _runs(workspace)), [])
    table = compare_tables.book_table(line, line.sides)
    heads = ["epoch", "size", "train_loss", "valid_loss", "error_rate", "time"]
    assert [table.index(f">{head}<") for head in heads] == sorted(
        table.index(f">{head}<") for head in heads
    )
    first = _told(run, "epoch")[0]
    for name in ("train_loss", "valid_loss", "error_rate"):
        assert f"<td>{first[name]:.6f}</td>" in table
    assert table.count("<tr>") == 9


def _runs(workspace: Workspace) -> list[RunFolder]:
    rows = sorted(list_runs(workspace), key=lambda row: row.created)
    return [RunFolder(workspace.run(row.id)) for row in rows]


def test_differences_name_places_in_words_and_leave_out_what_only_comes_along(
    workspace: Workspace,
) -> None:
    table = differences(_methods(workspace, _pair(workspace)))
    assert "Stage 1, size" in table.index
    assert "Stage 2, lr" in table.index
    assert "Stage 2, schedule" not in table.index
    assert not any("name" in str(index) for index in table.index)


def test_the_guess_stands_beside_the_result(workspace: Workspace) -> None:
    guess = {"progressive": 0.1, "fixed": 0.2}
    run = fake_run(workspace, "finished", prediction=guess, skill=0.03)
    (line,) = guess_lines(_entries(workspace, [run]))
    assert line == "Quick demo: 10.0\u202f% wrong, came to 6.3\u202f%"


def test_cost_words_are_about_means_over_seeds(workspace: Workspace) -> None:
    growing, fixed = _methods(workspace, _seeds(workspace))
    # 28 s against 50 s for every seed; 56 of 109 megapixels.
    assert cost_words(growing, fixed).startswith("growing took 44\u202f% less time (0:28 against")
    assert cost_words(growing, fixed).endswith("with 52\u202f% of the pixels.")


def test_runs_of_other_images_are_sets_of_their_own_and_get_no_common_answer(
    workspace: Workspace,
) -> None:
    methods = _methods(workspace, _pair(workspace, split=7))
    sets = comparable_sets(comparison.of_methods(methods))
    assert [[entry.label for entry in one] for one in sets] == [["Growing"], ["Fixed"]]
    assert answer(methods, sets) == []
    _, line = apart_words(sets, methods)
    assert "different images" in line


def test_an_unfinished_run_joins_the_runs_of_its_data(workspace: Workspace) -> None:
    runs = [*_pair(workspace), fake_run(workspace, "stopped", share=0.2)]
    assert len(comparable_sets(_entries(workspace, runs))) == 1


def test_a_method_with_seeds_is_compared_over_them(workspace: Workspace) -> None:
    rows = verdicts(_methods(workspace, _seeds(workspace)))
    assert [(row.kind, row.metric, row.seeds) for row in rows] == [
        ("method", "error_rate", 3), ("method", "log_loss", 3), ("method", "balanced_error", 3),
    ]  # fmt: skip


def test_what_was_saved_is_a_row_a_pair_and_question(workspace: Workspace) -> None:
    methods = _methods(workspace, _pair(workspace))
    rows = compare_saved._saved(*methods)
    table = compare_saved.saved_table(rows)
    assert table["question"].tolist() == ["time until equal error", "error after equal time"]
    assert table["first"].tolist() == ["Growing", "Growing"]
