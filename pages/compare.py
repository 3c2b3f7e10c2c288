"""Compare: did it help? An answer in words; curves, cost, verdict and more for the chosen runs."""

import streamlit as st

from lab.analysis.published import published_runs
from lab.runs.index import list_runs
from lab.ui import (
    compare_cost,
    compare_curves,
    compare_recipes,
    compare_tables,
    compare_verdict,
    comparison,
    ensembles,
    hindsight,
    state,
    test_sizes,
)
from lab.ui.compare_answer import answer
from lab.ui.compare_apart import apart_words, comparable_sets
from lab.ui.compare_choice import choose, many
from lab.ui.compare_legend import legend
from lab.ui.messages import guard, plain, show_error
from lab.ui.report_button import report_button
from lab.ui.run_actions import WATCHED

SECTIONS = {
    "curves": "Curves", "cost": "Cost", "verdict": "Verdict", "tables": "Epoch tables",
    "hindsight": "In hindsight", "sizes": "Test sizes", "ensembles": "Ensembles",
    "recipes": "Recipes",
}  # fmt: skip
WITH_LEGEND = ("curves", "cost")

st.title("Did it help?")
with guard():
    rows = {row.id: row for row in list_runs(state.workspace())}
if not any(row.epochs for row in rows.values()) and "published:" not in st.query_params.get(
    "runs", ""
):
    st.info(
        "**Nothing to compare yet.** The demo trains one network on growing pictures and one on "
        "large pictures from the start; here you then see which was better, and at what cost.",
        icon=":material/info:",
    )
    if st.button("Go to the demo", type="primary", key="compare.demo"):
        st.switch_page("pages/home.py")
    st.stop()

chosen = choose(state.workspace(), rows)
runs = [run_id for run_id in chosen if run_id in rows]
found, broken = comparison.entries(state.workspace().runs, runs, rows, dict.fromkeys(runs, 0))
references = [run for run in published_runs() if run.id in chosen]
with guard():
    methods, style = comparison.methods(
        found, st.session_state.get(comparison.STYLES, {}), [run.id for run in references]
    )
st.session_state[comparison.STYLES] = style
found = comparison.of_methods(methods)
published = [(run, style[run.id]) for run in references]
for error in broken:
    show_error(error)
if not found and not published:
    st.caption("Choose at least one run above; two make a comparison.")
    st.stop()

sets = comparable_sets(found)
counts = [many(len(found), "run"), many(len(methods), "method")]
counts += [many(len(published), "published run")] if published else []
with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
    st.caption(
        f"{', '.join(counts)}. The address of this page is a link to this view.", width="content"
    )
    report_button(state.workspace(), runs, key="compare.report")
for line in answer(methods, sets):
    st.markdown(line)
if apart := apart_words(sets, methods):
    st.warning("\n\n".join(apart), icon=":material/warning:")
if published:
    st.info(
        "Published runs are read-only: others trained them, on other data and machines. They stand "
        "in Curves and Epoch tables, and take no part in verdicts, costs or anything else here.",
        icon=":material/menu_book:",
    )
if len(found) == 1 and not published:
    st.info(
        "**One run alone answers nothing.** Add its fixed-size baseline: open the run and press "
        "“Run the fixed-size baseline”.",
        icon=":material/info:",
    )
    if st.button("Open the run", type="primary", key="compare.open"):
        st.session_state[WATCHED] = found[0].run.id
        st.switch_page("pages/runs.py")

section = st.segmented_control(
    "Section", list(SECTIONS), format_func=SECTIONS.get, key="compare.section", default="curves",
    bind="query-params", required=True, label_visibility="collapsed", wrap=True,
)  # fmt: skip
hidden = legend(methods, published, key="compare.legend") if section in WITH_LEGEND else set()
with guard():
    match section:
        case "curves":
            compare_curves.panel(methods, published, hidden)
        case "tables":
            compare_tables.panel(methods, published)
        case _ if not found:
            st.caption("Only runs of your own are shown here. Choose some above.")
        case "cost":
            compare_cost.panel(methods, sets, hidden)
        case "verdict":
            compare_verdict.panel(methods)
        case "recipes":
            compare_recipes.panel(methods)
        case "hindsight":
            hindsight.panel(found)
        case "sizes":
            test_sizes.panel(found)
        case "ensembles":
            ensembles.panel(found)

if len(sets) == 1 and (best := comparison.best(found)):
    st.divider()
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"The run with the lowest error: **{plain(best.label)}**", width="content")
        for words, to in (("Look inside", "inspect"), ("Take it home", "export")):
            if st.button(words, key=f"compare.{to}"):
                st.session_state[WATCHED] = best.run.id
                st.switch_page(f"pages/{to}.py")
