"""The button that takes a report home: one HTML file, made when it is pressed and not before.

report_button(workspace, runs, key="compare.report")                 # of the chosen runs
report_button(workspace, [experiment.id], key="experiment.report")   # of a whole experiment

With the browser's print it becomes a PDF.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

import streamlit as st

from lab.errors import LabError
from lab.workspace import Workspace

HELP = (
    "One file with everything on this page: it opens in any browser, without a network. Print it "
    "there to get a PDF."
)


def report_button(
    workspace: Workspace, names: Sequence[str], *, key: str, title: str = "report"
) -> None:
    """names: the ids of runs, or the id of one experiment. `title` becomes the file's name."""
    st.download_button(
        "Report", partial(report_file, workspace, tuple(names)), file_name(title), "text/html",
        key=key, on_click="ignore", icon=":material/description:", help=HELP, disabled=not names,
    )  # fmt: skip


def report_file(workspace: Workspace, names: Sequence[str]) -> bytes:
    """The file. What is wrong comes as a page too: nobody waits for an error message here."""
    from lab.analysis import report  # a page is opened far more often than a report is made

    try:
        runs, experiment = report.wanted(workspace, names)
        text = report.html(report.numbers(runs, experiment))
    except LabError as error:
        text = report.refusal(error)
    return text.encode("utf-8", errors="replace")


def file_name(title: str) -> str:
    """`report-does-growing-help.html`."""
    slug = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-")
    return f"report-{slug}.html" if slug not in ("", "report") else "report.html"
