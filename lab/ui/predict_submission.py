"""A submission file from a template: upload the sample CSV, read what did not fit, take the file.

predict_submission.offer(found, key="predict.upload")
"""

from __future__ import annotations

import streamlit as st

from lab.analysis.predicted import Predicted
from lab.analysis.submission import Submission, Template, fill, read_template, targets_of
from lab.errors import LabError
from lab.ui import format as fmt
from lab.ui.messages import plain, show_error, show_problems


def offer(found: Predicted, key: str) -> None:
    """Folded away: few want one."""
    with st.expander(
        "A submission file from a template", icon=":material/table_view:", on_change="rerun",
        key=f"{key}.submission",
    ) as box:  # fmt: skip
        if box.open:
            _inside(found, key)


def _inside(found: Predicted, key: str) -> None:
    st.write(
        "Give the sample file of a competition or a form: a CSV with a column of picture names. A "
        "label column gets the class names; columns named like the classes get probabilities."
    )
    file = st.file_uploader(
        "Template", type=["csv", "tsv", "txt"], key=f"{key}.template", max_upload_size=100
    )
    if file is None:
        return
    try:
        template = read_template(file.getvalue(), file.name)
        made = _filled(found, template, key)
    except LabError as error:
        show_error(error)
        return
    _show(made, file.name, key)


def _filled(found: Predicted, template: Template, key: str) -> Submission:
    """Fill it; where the answer's column is a matter of choice, ask for it."""
    names, targets, unreadable = targets_of(found)
    try:
        return fill(template, names, targets, unreadable=unreadable)
    except LabError as error:
        if error.where != "label_column":
            raise
    columns = [str(name) for name in template.frame.columns]
    chosen = st.selectbox("Which column is for the answer?", columns, len(columns) - 1,
                          key=f"{key}.label")  # fmt: skip
    return fill(template, names, targets, unreadable=unreadable, label_column=chosen or columns[-1])


def _show(made: Submission, name: str, key: str) -> None:
    rows = len(made.frame)
    what = "probabilities" if made.kind == "probabilities" else "class names"
    columns = ", ".join(plain(column) for column in made.filled[:6])
    more = f" and {len(made.filled) - 6} more" if len(made.filled) > 6 else ""
    st.write(
        f"**{fmt.count(made.n_filled)} of {fmt.count(rows)} rows filled** with {what} in {columns}"
        f"{more}; pictures found by {plain(made.id_column)}."
    )
    show_problems(made.problems)
    st.dataframe(made.frame.head(8), hide_index=True)
    st.download_button(
        "Download the filled file", made.csv.encode("utf-8", errors="replace"),
        f"filled-{name[-80:]}", "text/csv", key=f"{key}.filled", on_click="ignore",
        icon=":material/download:",
        type="primary" if made.n_filled == rows else "secondary",
    )  # fmt: skip
