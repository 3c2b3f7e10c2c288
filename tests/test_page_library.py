"""The library on the Runs page: search, filters, pages, chosen runs, the trash, what changed."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from browser import ROOT, open_page, serve, settle
from fake_runs import eight_epochs, fake_run, living
from runs_page import Show, buttons, markdown, opener, texts

from lab.analysis.changes import changes
from lab.recipe import recipe_from
from lab.runs import library as store
from lab.runs.index import RunRow, list_runs
from lab.ui import library
from lab.ui.library_diff import partner, table_of
from lab.ui.run_list import exported, library_table, shown_columns
from lab.workspace import Workspace

HOSTILE = "<img src=x onerror=alert(1)> [a](http://b) **c** :red[x] `z`"


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path).create()


@pytest.fixture
def show(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Show:
    return opener(workspace, monkeypatch)


def named(workspace: Workspace, name: str, **meta: Any) -> Any:
    return fake_run(workspace, "finished", recipe=eight_epochs().but(name=name), **meta)


def many(workspace: Workspace, count: int) -> None:
    """Copies of one run; the highest number is the newest."""
    template = named(workspace, "Template")
    for n in range(count):
        to = workspace.runs / f"20261120-0000-00-run-{n:04d}"
        for part in ("recipe.json", "meta.json", "state.json"):
            to.mkdir(exist_ok=True)
            shutil.copy(template.path / part, to / part)
    shutil.rmtree(template.path)


def listed(page: Any) -> list[str]:
    return page.dataframe[-1].value["name"].tolist()


# -- the list -------------------------------------------------------------------------------------


def test_a_list_is_sent_fifty_rows_at_a_time(show: Show, workspace: Workspace) -> None:
    many(workspace, 120)
    page = show()
    assert not page.exception
    assert "120 runs. Click one to open it" in texts(page)
    assert len(page.dataframe[-1].value) == 50
    (pages,) = page.get("pagination")
    assert pages.num_pages == 3
    pages.set_value(3).run()
    assert len(page.dataframe[-1].value) == 20


def test_the_select_box_offers_the_newest_and_the_one_that_is_open(
    show: Show, workspace: Workspace
) -> None:
    many(workspace, 230)
    page = show("20261120-0000-00-run-0003")
    box = page.selectbox(key="runs.run")
    assert (len(box.options), box.value) == (201, "20261120-0000-00-run-0003")


def test_filters_and_the_order_narrow_the_list(show: Show, workspace: Workspace) -> None:
    named(workspace, "Leaves", experiment="e1", tags=["good"], owner="ana")
    named(workspace, "Cats", experiment="e1", tags=["good", "night"], owner="ben")
    named(workspace, "Dogs")
    page = show()
    page.selectbox(key="runs.order").set_value("name").run()
    assert listed(page) == ["Cats", "Dogs", "Leaves"]
    page.selectbox(key="runs.by.experiment").set_value("e1").run()
    assert listed(page) == ["Cats", "Leaves"]
    page.multiselect(key="runs.by.tags").set_value(["good", "night"]).run()
    assert listed(page) == ["Cats"]
    page.selectbox(key="runs.by.owner").set_value("ana").run()
    assert "No run fits" in texts(page)
    buttons(page)["Show all runs"].click().run()
    assert listed(page) == ["Cats", "Dogs", "Leaves"]


def test_an_archived_run_is_shown_by_a_switch(show: Show, workspace: Workspace) -> None:
    run = named(workspace, "Old one")
    named(workspace, "New one")
    page = show(run)
    page.button(key="library.archive.top").click().run()
    assert listed(page) == ["New one"]
    page.toggle(key="runs.archived").set_value(True).run()
    assert sorted(listed(page)) == ["New one", "Old one"]


def test_where_all_runs_are_archived_the_page_still_shows_one(
    show: Show, workspace: Workspace
) -> None:
    run = named(workspace, "Only one")
    store.archive(workspace, [run.id])
    page = show()
    assert not page.exception
    assert "All runs are archived" in texts(page)
    assert page.selectbox(key="runs.run").value == run.id


def test_a_column_that_says_nothing_is_left_out(workspace: Workspace) -> None:
    rows = [RunRow("a", tags=("x", "y")), RunRow("b")]
    table = library_table(rows)
    assert not {"run", "owner", "notes", "experiment", "archived"} & set(shown_columns(table))
    assert {"name", "tags", "error"} <= set(shown_columns(table))
    assert exported(table)["tags"].tolist() == ["x; y", ""]


def test_a_wanted_run_is_offered_though_it_is_archived() -> None:
    rows = [RunRow("c"), RunRow("b", archived=True), RunRow("a", archived=True)]
    assert [row.id for row in library.offered(rows, ["a", None])] == ["c", "a"]


# -- deleting -------------------------------------------------------------------------------------


def test_a_deleted_run_is_taken_back_by_undo(show: Show, workspace: Workspace) -> None:
    run = named(workspace, "Mistake")
    page = show(run)
    page.button(key="library.delete.top").click().run()
    assert "No run yet" in page.info[0].value
    assert "The run is in the trash, for 30 days." in texts(page)
    buttons(page)["Undo"].click().run()
    assert not page.exception
    assert page.selectbox(key="runs.run").value == run.id
    assert "in the trash" not in texts(page)


def test_a_run_that_others_refer_to_is_deleted_only_after_that_is_said(
    show: Show, workspace: Workspace
) -> None:
    run = named(workspace, "Reference")
    named(workspace, "Baseline", baseline_of=run.id)
    page = show(run)
    assert "Reference is what Baseline is compared with." in texts(page)
    assert "Move to trash all the same" in buttons(page)


def test_a_run_that_trains_is_offered_neither_archive_nor_trash(
    show: Show, workspace: Workspace
) -> None:
    page = show(fake_run(workspace, "running", share=0.3, identity=living()))
    assert not {"Archive", "Move to trash"} & set(buttons(page))


def test_the_trash_gives_back_and_can_be_emptied(show: Show, workspace: Workspace) -> None:
    kept, gone = named(workspace, "Keep"), named(workspace, "Gone")
    for run in (kept, gone):
        store.delete_run(workspace, run.id)
    page = show(**{"library.trash.box": True})
    page.multiselect(key="library.trash.pick").set_value([kept.id]).run()
    buttons(page)["Restore"].click().run()
    assert [row.id for row in list_runs(workspace)] == [kept.id]
    assert "This removes 1 run for good" in texts(page)
    buttons(page)["Remove for good"].click().run()
    assert not page.exception
    assert store.deleted_runs(workspace) == []


def test_an_undo_that_comes_too_late_says_so(show: Show, workspace: Workspace) -> None:
    run = named(workspace, "Mistake")
    page = show(run)
    page.button(key="library.delete.top").click().run()
    undo = buttons(page)["Undo"]
    store.empty_trash(workspace)
    undo.click().run()
    assert "is not in the trash" in texts(page)


# -- words ----------------------------------------------------------------------------------------


def test_tags_are_changed_in_place(show: Show, workspace: Workspace) -> None:
    run = named(workspace, "One", tags=["draft"])
    page = show(run, **{"runs.words": True})
    page.multiselect(key=f"runs.tags.{run.id}").set_value([]).run()
    assert run.meta()["tags"] == []
    assert list_runs(workspace)[0].tags == ()


def test_hostile_words_never_become_markup(show: Show, workspace: Workspace) -> None:
    run = named(workspace, HOSTILE, tags=[HOSTILE], notes=f"{HOSTILE}\n# {HOSTILE}")
    named(workspace, HOSTILE, baseline_of=run.id, experiment="e1")
    store.delete_run(workspace, named(workspace, HOSTILE).id)
    page = show(run, **{"runs.words": True, "runs.diff": True, "library.trash.box": True})
    assert not page.exception
    escaped = markdown(page)
    for sign in ("<img", "[a]", "**c**", ":red["):
        assert sign not in escaped.replace(f"\\{sign[0]}", "").replace("\\*", "")
    assert all("<img" not in button.label.replace("\\<", "") for button in page.button)


# -- what changed ---------------------------------------------------------------------------------


def test_what_changed_is_said_in_the_words_of_the_forms(workspace: Workspace) -> None:
    a = fake_run(workspace, "finished")
    values = eight_epochs().dump()
    values["stages"][1] |= {
        "lr": 0.0015,
        "size": 80,
        "frozen_epochs": 1,
        "resize": "random-resized-crop",
    }
    b = fake_run(workspace, "finished", recipe=recipe_from(values))
    table = table_of(changes(a, b), "One", "A name that goes on and on and on")
    first, second = table.columns[2:]
    assert (first, second) == ("One (earlier)", "A name that goes on and on … (later)")
    said = {what: (left, right) for _, what, left, right in table.itertuples(index=False)}
    assert said["Stage 2, size"] == ("96\u202fpx", "80\u202fpx")
    assert said["Stage 2, learning rate (peak)"] == ("3e-3", "1.5e-3")
    assert said["Stage 2, frozen epochs first"] == ("0", "1")
    assert said["Stage 2, resize by"][1] == "random resized crop"
    assert said["Time"][0] == "0:28"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (RunRow("d", refers=(("baseline_of", "a"),), experiment="e"), "a"),
        (RunRow("d", refers=(("baseline_of", "gone"),), experiment="e"), "b"),
        (RunRow("d"), "c"),
        (RunRow("0"), "c"),  # the oldest of all
    ],
)
def test_a_run_is_set_beside_the_one_it_was_made_for(own: RunRow, expected: str) -> None:
    others = [RunRow("c"), RunRow("b", experiment="e"), RunRow("a")]
    assert partner(own, others) == expected


def test_the_panel_shows_what_changed_since_the_run_before(
    show: Show, workspace: Workspace
) -> None:
    run = named(workspace, "Before")
    after = fake_run(workspace, "finished", recipe=eight_epochs().but(name="After", seed=5),
                     baseline_of=run.id)  # fmt: skip
    page = show(after, **{"runs.diff": True})
    assert "1 difference. All else that is noted is the same." in texts(page)
    tables = [table.value for table in page.dataframe if "what" in table.value]
    assert tables[0].to_numpy().tolist() == [["settings", "Seed", "0", "5"]]


# -- in a browser ---------------------------------------------------------------------------------


def _tick(page: Any, row: int, x_px: int = 16) -> None:
    """Tick the box of a row; further right, click its name."""
    table = page.locator("[data-testid='stDataFrame']").last
    table.scroll_into_view_if_needed()
    box = table.bounding_box()
    page.mouse.click(box["x"] + x_px, box["y"] + 35 + 35 * row + 17)
    page.wait_for_timeout(300)
    settle(page)


@pytest.mark.slow
def test_runs_are_chosen_tagged_deleted_and_taken_back_in_a_browser(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    monkeypatch.setenv("LAB_NO_PROCESSES", "1")
    runs = {run.id: run for run in (named(workspace, name) for name in ("One", "Two", "Three"))}
    newest = [runs[key] for key in sorted(runs, reverse=True)]
    with (
        sync_api.sync_playwright() as playwright,
        serve(ROOT / "app.py", workspace.root) as url,
        open_page(playwright, f"{url}/runs?run={newest[0].id}") as page,
    ):
        page.get_by_text("3 runs. Click one to open it").wait_for()
        settle(page)
        _tick(page, 1, x_px=90)  # the name of the second row: it opens
        page.wait_for_url(f"**run={newest[1].id}")
        for row in (1, 2):
            _tick(page, row)
        page.get_by_text("2 chosen").wait_for()
        page.get_by_role("button", name="Tag", exact=True).click()
        page.get_by_role("combobox", name="Add").fill("good")
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")  # closes the list of known tags, which lies over the button
        page.get_by_role("button", name="Apply").click()
        page.get_by_text("Tags of 2 runs changed.").wait_for()
        assert [run.meta().get("tags", []) for run in newest] == [[], ["good"], ["good"]]
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Move to trash").last.click()
        page.get_by_text("2 runs are in the trash, for 30 days.").wait_for()
        assert [run.exists() for run in newest] == [True, False, False]
        page.get_by_role("button", name="Undo").click()
        page.get_by_text("3 runs. Click one to open it").wait_for()
        assert all(run.exists() for run in newest)
