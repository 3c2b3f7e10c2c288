"""What every command shares: --workspace and --json, the RUN argument, scores in words."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import click

from lab.cli.terminal import Terminal, decimal, percent, size_words
from lab.workspace import Workspace, workspace_from

DONE, FAILED, WRONG, STOPPED = 0, 1, 2, 75


@dataclass
class Setting:
    """What --workspace and --json said, wherever they stood."""

    place: str | None = None
    out: Terminal = field(default_factory=Terminal)

    @property
    def workspace(self) -> Workspace:
        """The workspace, its folders made."""
        return workspace_from(self.place, dict(os.environ)).create()


def _remember(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    setting = ctx.ensure_object(Setting)
    if param.name == "workspace" and value:
        setting.place = value
    if param.name == "json" and value:
        setting.out.as_json = True


def common(command: Callable) -> Callable:
    """--workspace and --json, on every command and on the group."""
    command = click.option(
        "--workspace", metavar="DIR", expose_value=False, callback=_remember, is_eager=True,
        help="Where runs and data lie. Else LAB_WORKSPACE, else ./workspace.",
    )(command)  # fmt: skip
    return click.option(
        "--json", is_flag=True, expose_value=False, callback=_remember, is_eager=True,
        help="JSON lines on standard output; progress goes to standard error.",
    )(command)  # fmt: skip


def run_of(workspace: Workspace, word: str):
    from lab.runs.folder import find_run

    return find_run(workspace, word)


def show_scores(out: Terminal, found: dict[str, Any], title: str) -> None:
    """Scores in words: one line of rates, one of losses."""
    rates = (
        f"error rate {percent(found['error_rate'])}, balanced {percent(found['balanced_error'])}"
    )
    losses = ", ".join(f"{key} {decimal(found[key], 3)}" for key in ("log_loss", "brier", "ece"))
    where = f" at {size_words(found['size'])}" if "size" in found else ""
    out.say(f"{title}{where}, {found['n']} images: {rates}; {losses}")
