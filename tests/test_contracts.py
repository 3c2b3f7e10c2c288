"""The house's rules: who imports whom, no torch behind the screens, no long files."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parent.parent
PAGES = sorted((REPO / "pages").glob("*.py"))
CODE = sorted(p for folder in ("lab", "pages") for p in (REPO / folder).rglob("*.py"))
FOR_PAGES = {"recipe", "schedules", "data", "runs", "jobs", "analysis", "ui", "errors", "workspace"}


def test_the_import_table_holds():
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    done = subprocess.run(command, cwd=REPO, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-4000:]


def imported(path: Path) -> set[str]:
    """Modules that a file imports, dotted."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_imports_only_what_pages_may(page):
    rooms = {name.split(".")[1] for name in imported(page) if name.startswith("lab.")}
    assert rooms <= FOR_PAGES


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_holds_no_threads_and_no_sql(page):
    assert not imported(page) & {"threading", "multiprocessing", "sqlite3", "subprocess", "torch"}


_OPEN = """
import sys
from streamlit.testing.v1 import AppTest
app = AppTest.from_file("app.py", default_timeout=60).run()
if sys.argv[1] != "home":
    app.switch_page(f"pages/{sys.argv[1]}.py").run()
assert not app.exception, app.exception
heavy = sorted({name.split(".")[0] for name in sys.modules} & {"torch", "timm", "torchvision"})
print("HEAVY", heavy)
"""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_opens_in_a_fresh_interpreter_without_torch(page, tmp_path):
    import os

    done = subprocess.run(
        [sys.executable, "-c", _OPEN, page.stem],
        cwd=REPO,
        env={**os.environ, "LAB_WORKSPACE": str(tmp_path), "LAB_NO_PROCESSES": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "HEAVY []" in done.stdout, done.stdout[-2000:] + done.stderr[-2000:]


def test_the_engine_needs_no_streamlit():
    """GPU machines have torch and timm, and no package of the screens."""
    code = (
        "import sys\n"
        "for name in ('streamlit', 'plotly', 'starlette'): sys.modules[name] = None\n"
        "import lab.worker, lab.workers.runner, lab.workers.tasks, lab.cli, lab.helper_ops\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(REPO)))
def test_a_file_opens_with_what_it_is_and_stays_short(path):
    text = path.read_text(encoding="utf-8")
    assert ast.get_docstring(ast.parse(text)), "no docstring at the head"
    assert text.count("\n") <= 400


def functions_above(limit: int) -> list[str]:
    found = []
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                if length > limit:
                    found.append(f"{path.relative_to(REPO)}:{node.name} has {length} lines")
    return found


def test_no_function_is_longer_than_sixty_lines():
    assert functions_above(60) == []
