"""Pictures from the clipboard: Ctrl+V anywhere on the page, outside of a text field.

    for name, data in pasted("predict.paste"): ...      # in the run that the paste causes

Streamlit 1.67 takes a paste only in `st.chat_input`, which asks to be sent; its uploader does not.
"""

from __future__ import annotations

import base64
import binascii
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

MOST_BYTES = 40_000_000  # of one paste; it travels through the page's connection


def pasted(key: str) -> list[tuple[str, bytes]]:
    """(name, bytes) of pictures pasted just now; [] in all other runs."""
    result = _component()(key=key, data={"most": MOST_BYTES}, on_pasted_change=_nothing)
    return decoded(result.pasted)


def decoded(value: Any) -> list[tuple[str, bytes]]:
    """What the browser sent: [{name, data}]; anything that is not of this shape is left out."""
    found = []
    for one in value if isinstance(value, list) else ():
        name, data = (one.get(key) if isinstance(one, dict) else None for key in ("name", "data"))
        if isinstance(name, str) and isinstance(data, str) and len(data) <= 2 * MOST_BYTES:
            try:
                found.append((name, base64.b64decode(data, validate=True)))
            except binascii.Error:
                continue
    return found


def _nothing() -> None:
    """Streamlit wants a callback for each value that comes back."""


@functools.cache
def _component() -> Callable[..., Any]:
    script = Path(__file__).with_suffix(".js").read_text(encoding="utf-8")
    return st.components.v2.component("lab_predict_paste", js=script, css=_CSS)


_CSS = """
.paste { padding: 10px 14px; border: 1px dashed var(--st-border-color); border-radius: 6px;
  color: var(--st-text-color); font: 0.9rem/1.45 var(--st-font); }
.paste:focus-visible { outline: 2px solid var(--st-primary-color); outline-offset: 1px; }
.paste kbd { font: 0.85em var(--st-code-font); padding: 1px 5px; border-radius: 4px;
  background: var(--st-secondary-background-color); border: 1px solid var(--st-border-color); }
.paste span { opacity: 0.8; }
"""
