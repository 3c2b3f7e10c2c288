"""A real server and a real browser for tests and screenshots.

with serve(ROOT / "app.py", workspace) as url, sync_playwright() as playwright:
    with open_page(playwright, url, width=390, dark=True) as page:
        page.get_by_role("heading").first.wait_for()
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A browser that is there already, before one that Playwright would have to download.
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
_QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip

# Makes a test's own script serve Plotly.js as app.py does; the page goes under `else:`.
APP_HEADER = """
import streamlit as st
from lab.ui import assets
if __name__ != "__main__":
    app = st.App(__file__, routes=assets.routes())
"""


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def serve(
    script: Path,
    workspace: Path | None = None,
    env: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
    wait_s: float = 60,
) -> Iterator[str]:
    """`streamlit run script` on a free port; yields its address; ended by its own process id."""
    port = free_port()
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
    if workspace is not None:
        variables["LAB_WORKSPACE"] = str(workspace)
    command = [sys.executable, "-m", "streamlit", "run", str(script)]
    command += ["--server.port", str(port), "--server.headless", "true", *options]
    log = script.with_suffix(".log") if script.parent != ROOT else Path(os.devnull)
    with open(log, "w", encoding="utf-8") as output:
        server = subprocess.Popen(command, env=variables, cwd=ROOT, stdout=output, stderr=output)
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_until_up(server, f"{url}/_stcore/health", wait_s)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@contextmanager
def open_page(
    playwright: Any, url: str, width: int = 1280, dark: bool = False, height: int = 900
) -> Iterator[Any]:
    """A page of a fresh browser, light or dark. Skips the test where there is no browser."""
    try:
        browser = playwright.chromium.launch(executable_path=CHROMIUM or None, args=list(_QUIET))
    except Exception as error:
        pytest.skip(f"no browser: {str(error).splitlines()[0]}")
    try:
        context = browser.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light"
        )
        page = context.new_page()
        page.goto(url)
        yield page
    finally:
        browser.close()


# No skeleton is left, every component is mounted, every visible chart is drawn. A component's style
# comes before its node: without the test for the node, one look in four came too early.
_DRAWN = """() => {
  const all = (name) => [...document.querySelectorAll(name)]
  return !document.querySelector("[data-testid='stSkeleton']")
    && all("[data-testid='stBidiComponentRegular']").every((box) => box.querySelector("*")
      && (!box.innerHTML.includes("lab-chart") || box.querySelector(".lab-chart-plot")))
    && all(".lab-chart-plot").every((plot) => !plot.clientWidth || plot._fullLayout)
}"""


def settle(page: Any, timeout_s: float = 30) -> None:
    """Wait until Streamlit has finished a run and all charts are drawn."""
    done = page.locator("[data-testid='stApp'][data-test-script-state='notRunning']")
    done.wait_for(timeout=timeout_s * 1000)
    page.locator("[data-testid='stElementContainer']").first.wait_for(timeout=timeout_s * 1000)
    page.wait_for_function(_DRAWN, timeout=timeout_s * 1000)


def _wait_until_up(server: subprocess.Popen[bytes], url: str, wait_s: float) -> None:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        assert server.poll() is None, f"the server ended with {server.returncode}"
        try:
            with urllib.request.urlopen(url, timeout=1):
                return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url} within {wait_s:g} s")
