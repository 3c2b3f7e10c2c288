"""Compare: did it help? Curves, final scores, cost and a verdict in words for the chosen runs."""

import pandas as pd
import streamlit as st

from lab.data.csvsafe import safe_csv
from lab.runs.index import list_runs
from lab.ui import comparison, state
from lab.ui.epoch_table import epoch_table, plain_table
from lab.ui.live_chart import live_chart
from lab.ui.messages import guard, plain, show_error
from lab.ui.run_actions import PICKED, WATCHED


def wanted() -> list[str]:
    """The runs in the address; else the experiment watched last, else the newest."""
    asked = [run_id for run_id in st.query_params.get("runs", "").split(",") if run_id in rows]
    usual = comparison.usual_choice(list(rows.values()), st.session_state.get(WATCHED))
    return asked or [run_id for run_id in usual if run_id in rows]


def csv(table: pd.DataFrame, name: str, index: bool = False) -> None:
    """A button that takes a table home."""
    st.download_button(
        "CSV", safe_csv(table, index=index), f"{name}.csv", "text/csv", key=f"compare.csv.{name}",
        on_click="ignore", icon=":material/download:", type="tertiary",
    )  # fmt: skip


st.title("Did it help?")
with guard():
    rows = {row.id: row for row in list_runs(state.workspace())}
if not any(row.epochs for row in rows.values()):
    st.info(
        "**Nothing to compare yet.** The demo trains one network on growing pictures and one on "
        "large pictures from the start; here you then see which was better, and at what cost.",
        icon=":material/info:",
    )
    if st.button("Go to the demo", type="primary", key="compare.demo"):
        st.switch_page("pages/home.py")
    st.stop()

choice = [run_id for run_id, row in rows.items() if row.epochs]
picked = st.session_state.get(PICKED)  # set by the page one comes from, or by the widget below
picked = wanted() if picked is None else picked
st.session_state[PICKED] = [run_id for run_id in picked if run_id in choice]
names = {row.id: comparison.short_label(row, list(rows.values())) for row in rows.values()}
chosen = st.multiselect(
    "Runs", choice, key=PICKED,
    format_func=lambda run_id: names.get(run_id, run_id),
    max_selections=comparison.MOST, placeholder="Choose two or more runs",
)  # fmt: skip
if st.query_params.get("runs", "") != ",".join(chosen):
    st.query_params["runs"] = ",".join(chosen)  # the address is a link to this comparison
by_age = sorted(chosen, key=lambda run_id: rows[run_id].created)
st.session_state[comparison.STYLES] = comparison.styles(
    by_age, st.session_state.get(comparison.STYLES, {})
)
found, broken = comparison.entries(
    state.workspace().runs, chosen, rows, st.session_state[comparison.STYLES]
)
for error in broken:
    show_error(error)
if not found:
    st.caption("Choose at least one run above; two make a comparison.")
    st.stop()

for line in comparison.answer(found):
    st.markdown(line)
if len(found) == 1:
    st.info(
        "**One run alone answers nothing.** Add its fixed-size baseline: open the run and press "
        "“Run the fixed-size baseline”.",
        icon=":material/info:",
    )
    if st.button("Open the run", type="primary", key="compare.open"):
        st.session_state[WATCHED] = found[0].run.id
        st.switch_page("pages/runs.py")

with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
    x = st.segmented_control(
        "Along", list(comparison.AXES), format_func=comparison.AXES.get, key="compare.x",
        default="epoch", bind="query-params", required=True,
    )  # fmt: skip
    y = st.segmented_control(
        "Curve", list(comparison.MEASURES), format_func=comparison.MEASURES.get, key="compare.y",
        default="error", bind="query-params", required=True,
    )  # fmt: skip
    log_y = st.toggle("Logarithmic scale", key="compare.log_y", bind="query-params")
live_chart(comparison.curves(found, x, y, log_y), key="compare.curves", height=400)
st.caption(
    "A line is a run; the filling of a mark is the size of that epoch. Error rates on the way are "
    "at each epoch's own size: only the final scores below are at the same size."
)

st.subheader("Final scores")
scores = comparison.scores_table(found)
st.dataframe(
    scores, hide_index=True, key="compare.scores", placeholder="–",
    column_config=comparison.NUMBERS,
)  # fmt: skip
csv(scores.drop(columns="line"), "scores")

left, right = st.columns([6, 5], gap="medium")
with left:
    st.subheader("Error against cost")
    cost = "pixels" if x == "pixels" else "time"
    live_chart(comparison.cost_figure(found, cost), key="compare.cost", height=360)
    st.caption("Lower and further left is better; bars are 95 % intervals, squares are baselines.")
with right:
    st.subheader("What each stage reached")
    stages = comparison.stage_table(found)
    if len(stages):
        st.dataframe(stages, hide_index=True, key="compare.stages", placeholder="–",
                     column_config=comparison.NUMBERS)  # fmt: skip
        csv(stages.drop(columns="line"), "stages")
    else:
        st.caption("No stage is finished yet.")

if len(found) > 1:
    st.subheader("Is it more than luck?")
    with guard():
        pairs = comparison.verdicts(found)
    for row in pairs[:8]:
        st.markdown(f"- {plain(row.verdict)}")
    if pairs:
        table = comparison.verdict_table(pairs, found)
        with st.expander("All pairs in numbers"):
            st.dataframe(table.drop(columns="verdict"), hide_index=True, key="compare.pairs")
            csv(table, "pairs")

    st.subheader("What was different")
    differences = comparison.differences(found)
    if len(differences):
        st.dataframe(differences, key="compare.recipes")
        csv(differences, "recipes", index=True)
    else:
        st.caption("Nothing: these runs have the same recipe.")

tables = st.expander("Epoch by epoch", on_change="rerun", key="compare.epochs")
if tables.open:
    with tables:
        for at, (entry, column) in enumerate(zip(found, st.columns(2) * len(found))):
            with column:
                st.markdown(f"**{plain(entry.label)}**")
                sides = comparison.all_sides(found)
                epoch_table(entry.seen.epochs, sides, key=f"compare.epochs.{at}")
                csv(plain_table(entry.seen.epochs), f"{entry.run.id}-epochs")

if best := comparison.best(found):
    st.subheader("And now?")
    with st.container(horizontal=True):
        for words, to in (("Look inside the better one", "inspect"), ("Take it home", "export")):
            if st.button(words, key=f"compare.{to}"):
                st.session_state[WATCHED] = best.run.id
                st.switch_page(f"pages/{to}.py")
