"""What can be done with chosen runs: compare, tag, archive, move to the trash; for one or for many.

bar(chosen, rows)                  # under the table
tidy(row, rows, status)            # buttons of the run that is open
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import streamlit as st

from lab.errors import LabError
from lab.runs import library
from lab.runs.index import RunRow
from lab.runs.references import borrowed_by, reference_words
from lab.ui import format as fmt
from lab.ui import library_trash, state, watch
from lab.ui.comparison import MOST
from lab.ui.library_trash import LIST, TOP
from lab.ui.messages import plain
from lab.ui.run_actions import PICKED, open_run

_ROUND = "library.round"  # a new one forgets what was ticked


def round_number() -> int:
    """Part of the table's key."""
    return st.session_state.get(_ROUND, 0)


def forget_choice() -> None:
    """Untick all rows: after this they would be other runs."""
    st.session_state[_ROUND] = round_number() + 1


def bar(chosen: Sequence[RunRow], rows: Sequence[RunRow]) -> None:
    """The buttons for the ticked runs; nothing while none is ticked."""
    if not chosen:
        return
    ids = [row.id for row in chosen]
    with st.container(horizontal=True, vertical_alignment="center", key="library.bar"):
        st.markdown(f"**{fmt.count(len(ids))} chosen**", width="content")
        if len(ids) == 1 and st.button("Open", key="library.open", icon=":material/monitoring:"):
            open_run(ids[0])
            st.rerun()
        _compare(ids)
        _tags(chosen, rows)
        _archive(chosen, LIST)
        _trash_button(chosen, rows, LIST)
        st.button("Choose none", key="library.none", type="tertiary", on_click=forget_choice)


def tidy(row: RunRow, rows: Sequence[RunRow], status: str) -> None:
    """Archive and trash for the run that is open; nothing while it trains or waits."""
    if status in (*watch.LIVE, *watch.WAITING):
        return
    _archive([row], TOP)
    _trash_button([row], rows, TOP)


def _compare(ids: Sequence[str]) -> None:
    if not 2 <= len(ids) <= MOST:
        return
    if st.button("Compare", key="library.compare", icon=":material/balance:"):
        st.session_state[PICKED] = list(ids)
        st.query_params.clear()
        st.switch_page("pages/compare.py")


def _tags(chosen: Sequence[RunRow], rows: Sequence[RunRow]) -> None:
    known = sorted({tag for row in rows for tag in row.tags}, key=str.casefold)
    theirs = sorted({tag for row in chosen for tag in row.tags}, key=str.casefold)
    with st.popover("Tag", icon=":material/sell:", key="library.tag"):
        add = st.multiselect("Add", known, accept_new_options=True, key="library.tag.add",
                             placeholder="Choose or write tags")  # fmt: skip
        off = st.multiselect("Take off", theirs, key="library.tag.off") if theirs else []
        if st.button("Apply", key="library.tag.go", disabled=not (add or off)):
            ids = [row.id for row in chosen]
            if _done(lambda: library.change_tags(state.workspace(), ids, add, off), LIST):
                st.toast(f"Tags of {_runs(len(ids))} changed.")
            st.rerun()


def _archive(chosen: Sequence[RunRow], where: str) -> None:
    """Away from the usual list, or back where all are away already."""
    back = all(row.archived for row in chosen)
    words, icon = ("Back to the list", "unarchive") if back else ("Archive", "archive")
    says = "Out of the usual list; nothing is lost. “Filter and sort” shows archived runs."
    if st.button(words, key=f"library.archive.{where}", icon=f":material/{icon}:",
                 help=None if back else says):  # fmt: skip
        ids = [row.id for row in chosen]
        work = library.unarchive if back else library.archive
        if _done(lambda: work(state.workspace(), ids), where):
            st.toast(f"{_runs(len(ids))} {'back in the list' if back else 'archived'}.")
        forget_choice()
        st.rerun()


def _trash_button(chosen: Sequence[RunRow], rows: Sequence[RunRow], where: str) -> None:
    """One click where no run refers to these: it can be undone. Else it is said first."""
    ids, key = [row.id for row in chosen], f"library.delete.{where}"
    refer = reference_words(rows, set(ids), borrowed_by(state.workspace()))
    if not refer:
        st.button(
            "Move to trash", key=key, icon=":material/delete:", on_click=_throw, args=(ids, where)
        )
        return
    with st.popover("Move to trash", icon=":material/delete:", key=f"{key}.why"):
        st.markdown("Other runs refer to what you are about to delete:")
        st.markdown("\n".join(f"- {plain(words)}" for words in refer))
        st.markdown("They keep their own results, and deleting can be undone.")
        st.button("Move to trash all the same", key=key, on_click=_throw, args=(ids, where))


def _throw(ids: Sequence[str], where: str) -> None:
    library_trash.throw_away(ids, where)
    forget_choice()


def _done(work: Callable[[], None], where: str) -> bool:
    """Whether it could be done; else the reason is kept for the next drawing of the page."""
    try:
        work()
    except LabError as error:
        library_trash.say([error], where)
        return False
    return True


def _runs(count: int) -> str:
    return f"{fmt.count(count)} run{'' if count == 1 else 's'}"
