"""How a run stands, in words and numbers: no Streamlit, so that each sentence can be tested.

headline(status, seen)        # ("Training", "Stage 2 of 3 at 96 px, epoch 5 of 8.")
forecast_words(41, 44)        # "Forecast 0:41, took 0:44: 7 % over."
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lab.analysis.curves import eta_seconds
from lab.jobs.client import StatusRow
from lab.recipe.stage import hw
from lab.ui import format as fmt
from lab.ui.run_cache import Snapshot

WAITING, LIVE = ("queued", "blocked"), ("starting", "running")
RESUMABLE = ("stopped", "failed", "lost", "cancelled")
LOG_BYTES = 48_000

# status -> word, colour of its badge, icon
LOOKS = {
    "queued": ("Waiting", "blue", ":material/schedule:"),
    "blocked": ("Waiting", "blue", ":material/schedule:"),
    "starting": ("Starting", "blue", ":material/hourglass_top:"),
    "running": ("Training", "blue", ":material/play_arrow:"),
    "finished": ("Finished", "green", ":material/check:"),
    "stopped": ("Stopped", "orange", ":material/pause:"),
    "failed": ("Failed", "red", ":material/error:"),
    "lost": ("Lost", "red", ":material/link_off:"),
    "cancelled": ("Taken out", "gray", ":material/close:"),
}


def look(status: str) -> tuple[str, str, str]:
    """(word, badge colour, icon) of a status."""
    return LOOKS.get(status, (status or "Unknown", "gray", ":material/help:"))


@dataclass(frozen=True)
class Progress:
    """How far a run is. None: not known yet."""

    share: float
    text: str
    elapsed_s: float | None
    left_s: float | None
    images_per_s: float | None


def headline(status: StatusRow, seen: Snapshot, expected_s: float | None = None) -> str:
    """One sentence: where the run stands."""
    match status.status:
        case "queued" | "blocked":
            return _waiting_words(status, expected_s)
        case "starting" if seen.preparing:
            return "It is getting the pictures ready; then it trains."
        case "starting":
            return "A worker is starting; it needs a few seconds to load."
        case "running":
            return _running_words(seen)
        case "finished":
            return finished_words(seen)
        case "cancelled":
            return "It was taken out of the queue before it began."
    done = f"after {_epochs_done(seen)}"
    kept = " It goes on from its last save; nothing before that is lost." if _saved(seen) else ""
    return f"It ended {done}.{kept}"


def _waiting_words(status: StatusRow, expected_s: float | None) -> str:
    turn = (
        "It is next." if status.position == 1 else f"It is number {status.position} in the queue."
    )
    if status.position == 0:
        turn = "It waits for its turn."
    when = f" Expected to start in about {fmt.minutes(expected_s)}." if expected_s else ""
    return turn + when


def _running_words(seen: Snapshot) -> str:
    if not seen.latest and not len(seen.epochs):
        if seen.begun >= 0:
            return _beginning_words(seen, seen.begun)
        return "It is preparing; the curves move as soon as the first step is done."
    at = seen.latest or seen.epochs.iloc[-1].to_dict()
    total, stages = seen.total_epochs, len(seen.recipe.stages)
    if seen.begun > int(at["stage"]):
        return _beginning_words(seen, seen.begun)
    epoch = min(max(int(at["global_epoch"]), len(seen.epochs)) + 1, total)
    size = fmt.size(*hw(at["size"]))
    return f"Stage {int(at['stage']) + 1} of {stages} at {size}, epoch {epoch} of {total}."


def _beginning_words(seen: Snapshot, number: int) -> str:
    """A stage that has begun and not made a step yet: what it is busy with."""
    stage, stages = seen.recipe.stages[number], len(seen.recipe.stages)
    place = f"Stage {number + 1} of {stages} at {fmt.size(*stage.hw)} begins"
    if seen.preparing:
        return f"{place}: {str(seen.preparing.get('what', 'preparing')).lower()}."
    if waits_for_finder(seen):
        return f"{place}: the finder tries out a hundred rates, then puts everything back."
    return f"{place}."


def waits_for_finder(seen: Snapshot) -> bool:
    """Whether the stage under way has begun and its rate is still being searched."""
    if seen.begun < 0 or seen.recipe.stages[seen.begun].lr != "finder":
        return False
    known = (
        str(seen.begun) in seen.started.get("stages", {})
        and "lr" in (seen.started["stages"][str(seen.begun)])
    )
    told = any((e["stage"], e["name"]) == (seen.begun, "lr") for e in seen.chosen)
    trained = bool(seen.latest) and int(seen.latest["stage"]) >= seen.begun
    return not (known or told or trained)


def finished_words(seen: Snapshot) -> str:
    """What a finished run came to, in one sentence."""
    took = fmt.minutes(float(seen.epochs["seconds"].sum()))
    if not seen.stages:
        return f"It took {took}."
    last = seen.stages[-1]
    size, final = fmt.size(*hw(last["final_size"])), last.get("final", {})
    low_high = f"{fmt.percent(final.get('error_rate'))} of {fmt.count(final.get('n'))} pictures"
    return f"It took {took} and gets {low_high} wrong at {size}."


def _epochs_done(seen: Snapshot) -> str:
    done, total = len(seen.epochs), seen.total_epochs
    return f"{done} of {total} epochs" if done else "no whole epoch"


def _saved(seen: Snapshot) -> bool:
    return any(seen.run.checkpoints.glob("*.json")) if seen.run.checkpoints.is_dir() else False


def progress(seen: Snapshot, status: str, now: float, forecast_s: float | None) -> Progress:
    """How far, how long, how fast."""
    if seen.plan is None:
        return _preparation(seen, forecast_s)
    total = seen.plan.total_steps
    step = max(seen.steps_done, int(seen.epochs["step"].max()) if len(seen.epochs) else 0)
    elapsed = elapsed_s(seen, now if status == "running" else None)
    left = None if status not in LIVE else eta_seconds(seen.plan, seen.epochs, step)
    if left is None and status in LIVE and forecast_s:
        left = max(0.0, forecast_s - elapsed)
    share = seen.share_done(step) if status != "finished" else 1.0
    speed = seen.latest.get("images_per_s") or None
    if len(seen.epochs) and (status not in LIVE or speed is None):
        speed = float(seen.epochs["images_per_s"].iloc[-1])
    text = f"Step {fmt.count(step)} of {fmt.count(total)}"
    if status in LIVE and seen.preparing:
        text += f". {preparing_words(seen.preparing)}"
    return Progress(share, text, elapsed, left, speed)


def _preparation(seen: Snapshot, forecast_s: float | None) -> Progress:
    found = seen.preparing
    if not found:
        return Progress(0.0, "Nothing to show yet", None, forecast_s, None)
    done, total = int(found.get("done") or 0), max(int(found.get("total") or 0), 1)
    words = preparing_words(found)
    return Progress(min(done / total, 1.0), words, None, forecast_s, None)


def preparing_words(event: Mapping[str, Any]) -> str:
    """`Caching activations: 64 of 372`; without numbers where there is one thing to do."""
    done, total = int(event.get("done") or 0), int(event.get("total") or 0)
    what = str(event.get("what", "Preparing"))
    return f"{what}: {fmt.count(done)} of {fmt.count(total)}" if total > 1 else f"{what} …"


def elapsed_s(seen: Snapshot, now: float | None) -> float:
    """Seconds at work: the epochs done, and the one under way (until `now`, or its last word)."""
    done = float(seen.epochs["seconds"].sum())
    until = now if now is not None else float(seen.latest.get("t", 0.0))
    return done + max(0.0, until - seen.mark_t) if seen.mark_t else done


def forecast_words(expected_s: float | None, actual_s: float | None) -> str:
    """`Forecast 0:41, took 0:44: 7 % over.`; '' where there was no forecast."""
    if not expected_s:
        return ""
    if not actual_s:
        return f"Forecast {fmt.minutes(expected_s)}."
    gap = round(100 * (actual_s - expected_s) / expected_s)
    verdict = "just so" if gap == 0 else f"{abs(gap)}{fmt.SPACE}% {'over' if gap > 0 else 'under'}"
    return f"Forecast {fmt.minutes(expected_s)}, took {fmt.minutes(actual_s)}: {verdict}."


def guess_words(meta: Mapping[str, Any]) -> str:
    """`10.0 % wrong`: the guess made for this run before the launch; '' where none was made.

    One guess is stored with all runs of an experiment: {"progressive": rate, "fixed": rate}.
    """
    guess = meta.get("prediction")
    if isinstance(guess, Mapping):
        role = "fixed" if meta.get("role") == "baseline" else "progressive"
        guess = guess.get(role, guess.get("words"))
    if isinstance(guess, float | int) and not isinstance(guess, bool):
        return f"{fmt.percent(float(guess))} wrong"
    return " ".join(guess.split())[:200] if isinstance(guess, str) else ""


def log_tail(file: Path, most_bytes: int = LOG_BYTES) -> str:
    """The end of a log as plain text; '' where there is none."""
    try:
        with open(file, "rb") as log:
            log.seek(0, 2)
            start = max(0, log.tell() - most_bytes)
            log.seek(start)
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return ""
    if start:
        text = text.partition("\n")[2]
    return "".join(c for c in text if c in "\n\t" or c.isprintable())
