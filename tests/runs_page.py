"""The Runs page opened in a test, and what it says and offers.

show = opener(workspace, monkeypatch)
page = show(run);  texts(page), buttons(page), primary(page)
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from lab.runs.folder import RunFolder
from lab.workspace import Workspace

PAGE = Path(__file__).resolve().parents[1] / "pages" / "runs.py"
Show = Callable[..., AppTest]


def opener(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Show:
    """Opens the page, at a run if wanted; nothing is started in the background."""
    monkeypatch.setenv("LAB_WORKSPACE", str(workspace.root))
    for module in ("client", "status"):
        monkeypatch.setattr(f"lab.jobs.{module}.ensure_supervisor", lambda *_: None)

    def opened(run: RunFolder | str | None = None, **state: Any) -> AppTest:
        page = AppTest.from_file(str(PAGE), default_timeout=30)
        if run is not None:
            page.query_params["run"] = run if isinstance(run, str) else run.id
        for key, value in state.items():
            page.session_state[key] = value
        return page.run()

    return opened


def markdown(page: AppTest) -> str:
    """Everything said, as it is written."""
    parts = [*page.markdown, *page.caption, *page.error, *page.warning, *page.info]
    return "\n".join(str(part.value) for part in parts)


def texts(page: AppTest) -> str:
    """Everything said, as it reads: without the escapes that keep it plain text."""
    return markdown(page).replace("\\", "")


def buttons(page: AppTest) -> dict[str, Any]:
    """By label."""
    return {button.label: button for button in page.button}


def primary(page: AppTest) -> list[str]:
    """Labels of the buttons that stand out."""
    return [button.label for button in page.button if button.proto.type == "primary"]
