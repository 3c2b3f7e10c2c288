"""What the lab chose for a run, and what a run's stages came to, in words: no Streamlit.

chosen_words(seen)    # choices made while it ran: a rate, an early end, a batch in parts
choice_rows(seen)     # all choices as rows of what, choice, reason
stage_words(seen)     # what each finished stage came to
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from lab.recipe.stage import hw
from lab.ui import format as fmt
from lab.ui.run_cache import Snapshot

_PARTS = {"train": "to train on", "valid": "to validate with", "test": "locked away"}
_NAMES = {"lr": "rate", "batch_size": "batch", "micro": "parts of a batch", "epochs": "epochs run",
          "steps": "steps, for the same time"}  # fmt: skip
# Below this, error and balanced error say the same.
_APART = 0.005


def chosen_words(seen: Snapshot) -> list[str]:
    """One sentence for each choice made while it ran; empty where none was."""
    return [_sentence(seen, event) for event in seen.chosen]


def _sentence(seen: Snapshot, event: Mapping[str, Any]) -> str:
    number, value, reason = event["stage"], event["value"], str(event.get("reason", ""))
    stage = seen.recipe.stages[number]
    place = f"Stage {number + 1}"
    match event["name"]:
        case "lr":
            return f"{place}: rate {fmt.rate(value)} ({reason})."
        case "epochs":
            return f"{place} ended after {value} of {stage.total_epochs} epochs: {reason}."
        case "micro":
            return f"{place}: each batch is taken in parts of {value} ({reason})."
        case "batch_size":
            return f"{place}: batch {value} ({reason})."
    return f"{place}: {str(event['name']).replace('_', ' ')} {value} ({reason})."


def choice_rows(seen: Snapshot) -> list[dict[str, str]]:
    """What the program chose for this run, and why: rows of what, choice, reason."""
    begun = seen.started
    reasons = begun.get("reasons", {})
    names = {"device": "device", "precision": "precision", "threads": "CPU threads",
             "groups": "parameter groups"}  # fmt: skip
    rows = [
        {"what": words, "choice": str(begun[key]), "reason": str(reasons.get(key, ""))}
        for key, words in names.items()
        if key in begun
    ]
    if begun.get("weights"):
        rows.append(_row("first weights", begun["weights"], ""))
    if begun.get("remedies"):
        words = str(reasons.get("remedies", "faster here, by timing a few steps"))
        rows.append(_row("faster operators", ", ".join(begun["remedies"]), words))
    rows += _stage_rows(seen)
    data = begun.get("data", {})
    if data:
        parts = [f"{fmt.count(data[f'n_{part}'])} {word}" for part, word in _PARTS.items()]
        rows.append(_row("pictures", data["name"], ", ".join(parts)))
    versions = ", ".join(f"{name} {number}" for name, number in begun.get("versions", {}).items())
    if versions:
        rows.append(_row("versions", versions, begun.get("host", "")))
    return rows


def _stage_rows(seen: Snapshot) -> Iterator[dict[str, str]]:
    """What was chosen for single stages, before the first step and since."""
    reasons = seen.started.get("reasons", {})
    for number, choices in sorted(seen.started.get("stages", {}).items(), key=_number):
        for name, value in choices.items():
            reason = reasons.get(f"stages.{number}.{name}", "")
            yield _stage_row(int(number), name, value, reason)
    for event in seen.chosen:
        yield _stage_row(event["stage"], event["name"], event["value"], event.get("reason", ""))


def _number(entry: tuple[str, Any]) -> int:
    return int(entry[0])


def _stage_row(number: int, name: str, value: Any, reason: str) -> dict[str, str]:
    shown = fmt.rate(value) if name == "lr" else str(value)
    return _row(f"stage {number + 1}, {_NAMES.get(name, name)}", shown, reason)


def _row(what: str, choice: Any, reason: Any) -> dict[str, str]:
    return {"what": what, "choice": str(choice), "reason": str(reason)}


def start_words(seen: Snapshot) -> str:
    """`On cpu in bf16, 2 threads, from random weights.`: what it runs on, once it has begun."""
    begun = seen.started
    if not begun.get("device"):
        return ""
    parts = [f"On {begun['device']}"]
    if begun.get("precision"):
        parts[0] += f" in {begun['precision']}"
    if begun.get("threads") and begun["device"] == "cpu":
        parts.append(f"{begun['threads']} thread{'' if begun['threads'] == 1 else 's'}")
    if begun.get("weights"):
        parts.append(f"first weights: {begun['weights']}")
    sizes = [
        f"{choices['batch_size']} in stage {int(number) + 1}"
        for number, choices in sorted(begun.get("stages", {}).items(), key=_number)
        if "batch_size" in choices
    ]
    if sizes:
        parts.append(f"batch by memory: {', '.join(sizes)}")
    return f"{'; '.join(parts)}."


def stage_words(seen: Snapshot) -> list[str]:
    """What each finished stage came to, a line each; a last line where averages were scored."""
    lines = [_stage_line(seen, entry) for entry in seen.stages]
    if any(entry.get("weights") == "ema" for entry in seen.stages):
        lines.append(
            f"Scored: the running average of the weights ({seen.recipe.ema_decay:g} of the old "
            "one kept a step)."
        )
    return lines


def _stage_line(seen: Snapshot, entry: Mapping[str, Any]) -> str:
    """`Stage 1: 31.0 % wrong at 64 px, 51.3 % at the final 128 px.`"""
    own, final = hw(entry["size"]), hw(entry["final_size"])
    line = f"Stage {entry['stage'] + 1}: {_wrong(entry, 'own')} at {fmt.size(*own)}"
    if own != final:
        line += f", {_wrong(entry, 'final', '')} at the final {fmt.size(*final)}"
    line += "."
    balanced = entry.get("final", {}).get("balanced_error")
    plain_error = entry.get("final", {}).get("error_rate")
    if balanced is not None and abs(balanced - plain_error) >= _APART:
        line += f" With every class counted alike (balanced error): {fmt.percent(balanced)}."
    if entry.get("second_own"):
        name = seen.recipe.dataset.second_target or "second label"
        line += f" {name.capitalize()}: {_wrong(entry, 'second_own')}"
        line += f", {_wrong(entry, 'second_final', '')} at the final size." if own != final else "."
    kept = entry.get("kept_epoch")
    if kept is not None:
        total = len(seen.plan.of_stage(entry["stage"])) if seen.plan else 0
        of = f" of {total}" if total else ""
        line += f" Weights of epoch {kept + 1}{of}, chosen on these images: the score is too good."
    return line


def _wrong(entry: Mapping[str, Any], name: str, word: str = " wrong") -> str:
    return f"{fmt.percent(entry.get(name, {}).get('error_rate'))}{word}"
