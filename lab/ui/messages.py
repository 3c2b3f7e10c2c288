"""Problems and errors as words on the page: what is wrong, and what to do.

with guard():
    recipe = recipe_from(values)      # a LabError becomes a message, and the page stops there
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import streamlit as st

from lab.errors import LabError, Problem, place

# Characters that start Markdown: emphasis, code, links, pictures, formulas, HTML, :directives[].
# File names and class names come from users; nothing of theirs may become markup or load a picture.
_MARKUP = re.compile(r"[\\`*\[\]<>$~|&#{}:]|(?<!\w)_|_(?!\w)")

# All but those that hold a number and its unit together.
_SPACES = re.compile(r"[^\S\u00a0\u202f]+")


def plain(text: str) -> str:
    """Text as Markdown that shows exactly this text, on one line."""
    return _MARKUP.sub(lambda found: "\\" + found.group(), _SPACES.sub(" ", str(text)).strip())


def sentence(problem: Problem) -> str:
    """One problem as Markdown: where, what (bold), fix."""
    where = f"{plain(place(problem.where))}: " if problem.where else ""
    return f"{where}**{plain(problem.what)}** {plain(problem.fix)}".strip()


def show_problems(problems: Iterable[Problem]) -> None:
    """One message per problem: errors first, then warnings."""
    ordered = sorted(problems, key=lambda problem: problem.level != "error")
    for problem in ordered:
        if problem.level == "error":
            st.error(sentence(problem), icon=":material/error:")
        else:
            st.warning(sentence(problem), icon=":material/warning:")


def show_error(error: LabError) -> None:
    """All problems of an error."""
    show_problems(error.problems)


@contextmanager
def guard() -> Iterator[None]:
    """Turn a LabError into messages and end the page there. Faults of the lab pass through."""
    try:
        yield
    except LabError as error:
        show_error(error)
        st.stop()
