"""A report's numbers as one HTML file: no script, nothing loaded, readable on paper.

page = html(numbers)

The template escapes everything; what comes as Markup are the drawings of report_figures.py, made
of numbers and escaped words. The policy in the head forbids whatever might slip through anyway.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from lab.analysis import report_figures
from lab.analysis import report_words as words
from lab.errors import LabError, place

HERE = Path(__file__).parent
MOST_COLUMNS = 5  # methods side by side in a table: more are cut on paper
MOST_EPOCHS = 60  # rows of an epoch table: a longer one shows every k-th
METRICS = {"error_rate": "error rate", "log_loss": "log loss", "balanced_error": "balanced error"}
TRAINABLE = {"all": "everything", "head": "head", "last-norm+head": "last norm and head",
             "last-norm-statistics+head": "head; last norm follows"}  # fmt: skip
WEIGHTS = {"none": "random first weights", "hub": "timm's pretrained weights",
           "small-body": "the lab's own small body", "file": "weights from a file",
           "run": "weights of another run"}  # fmt: skip
# Nothing is loaded and nothing runs, whatever a name may hold.
POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "form-action 'none'"
)
Numbers = Mapping[str, Any]


def html(numbers: Numbers) -> str:
    """The whole file as text. Encode as UTF-8."""
    return _environment().get_template("report.html.j2").render(
        r=numbers,
        policy=POLICY,
        style=Markup((HERE / "report.css").read_text(encoding="utf-8")),
        curves=report_figures.curve_figures(numbers),
        costs=report_figures.cost_figures(numbers),
        runs={run["run"]: run for run in numbers["runs"]},
        several_methods=len(numbers["methods"]) > 1,
    )  # fmt: skip


def refusal(error: LabError) -> str:
    """A page that says why there is no report."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<title>No report</title></head><body><h1>No report</h1>"
        f"<p><strong>{escape(words.named(error.what, 1000))}</strong> "
        f"{escape(words.named(error.fix, 1000))}</p></body></html>"
    )


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    shown = ("minutes", "percent", "points", "decimal", "count", "rate", "p_value", "scaled",
             "day", "size", "named", "paragraph", "counted", "seconds")  # fmt: skip
    made.filters |= {name: getattr(words, name) for name in shown}
    made.filters |= {
        "place": place,
        "cell": cell,
        "several": several,
        "rates": lambda value: ", ".join(words.rate(one) for one in listed(value)),
        "blocks": blocks,
        "thinned": thinned,
        "swatch": report_figures.swatch,
        "chip": lambda stage, sides: report_figures.size_chip(
            stage["size"], stage["side_px"], sides
        ),
        "between": between,
        "involving": involving,
        "guesses": guesses,
        "gap": gap,
        "metric": lambda name: METRICS.get(name, name),
        "weights": lambda name: WEIGHTS.get(name, name),
        "trainable": lambda name: TRAINABLE.get(name, name),
    }
    return made


def cell(value: Any, where: str = "") -> str:
    """A recipe's value in a table. Of a path only its end: the rest tells of somebody's machine."""
    if value is None or value == "":
        return words.MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if where.endswith((".path", ".file")):
        return words.named(Path(str(value)).name)
    return f"{value:g}" if isinstance(value, float) else words.named(value)


def several(value: Any) -> str:
    """A choice, or the choices where seeds differ: `84`, `84, 86`."""
    return ", ".join(
        words.count(one) if isinstance(one, int) else str(one) for one in listed(value)
    )


def listed(value: Any) -> list[Any]:
    """A list of what is one or several; of nothing a dash."""
    return value if isinstance(value, list) else [words.MISSING if value is None else value]


def blocks(items: Sequence[Any], most: int = MOST_COLUMNS) -> Iterator[Sequence[Any]]:
    """A long row in even parts of at most `most`: (0, 5), (5, 9) ... as pairs of ends."""
    parts = -(-len(items) // most)
    size = -(-len(items) // parts) if parts else 1
    for start in range(0, len(items), size):
        yield (start, min(start + size, len(items)))


def thinned(rows: Sequence[Any], most: int = MOST_EPOCHS) -> list[Any]:
    """At most about `most` rows: every k-th, and the last."""
    stride = -(-len(rows) // most) or 1
    kept = list(rows[::stride])
    return [*kept, rows[-1]] if rows and kept[-1] is not rows[-1] else kept


def involving(rows: Sequence[Numbers], method: Numbers, wanted: bool) -> list[Numbers]:
    """The comparisons that this method is one of; or those that it is not."""
    mine = {method["name"], *method["runs"]}
    names = (("name_a", "name_b"), ("a", "b"))
    return [
        row for row in rows if wanted == any(row.get(key) in mine for pair in names for key in pair)
    ]


def guesses(numbers: Numbers) -> list[dict[str, Any]]:
    """Each guess once, with what its runs came to."""
    runs = {run["run"]: run for run in numbers["runs"]}
    found: dict[tuple[int, Any], list[float]] = {}
    for method in numbers["methods"]:
        for run in (runs[run_id] for run_id in method["runs"]):
            if run["guess"] is not None:
                came = found.setdefault((method["number"], run["guess"]), [])
                came += [run["scores"]["error_rate"]] if run["scored"] else []
    return [{"number": n, "guess": guess, "came": came} for (n, guess), came in found.items()]


def between(found: Numbers) -> str:
    """`4.1 to 9.7 %`: an interval of an error rate."""
    low, high = found.get("low"), found.get("high")
    if words.missing(low) or words.missing(high):
        return words.MISSING
    if low == high:
        return "no spread"
    return f"{words.decimal(100 * max(low, 0.0), 1)} to {words.percent(high)}"


def gap(row: Numbers, key: str) -> str:
    """A difference in the unit of its score: points of error, or plain."""
    value = row[key]
    if words.missing(value):
        return words.MISSING
    if row["metric"] == "log_loss":
        text = words.decimal(value)
        return text if text.startswith("−") else f"+{text}"
    return words.points(value)
