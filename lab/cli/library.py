"""The commands that keep runs in order: runs, tag, archive, delete, restore, trash, diff.

python -m lab runs --search "leaves tag:good status:failed"
python -m lab tag last +good -draft
python -m lab delete 20261120-2145-03-a1b2      # to the trash; `restore` takes it back
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict

import click

from lab.cli.setting import DONE, FAILED, Setting, common, run_of
from lab.cli.terminal import minutes, percent
from lab.errors import LabError
from lab.workspace import Workspace


@click.command()
@common
@click.option("--limit", type=int, help="Only the newest.")
@click.option(
    "--search", "words", default="", help='Words that all fit; also tag:x, status:failed, data:"y".'
)
@click.option("--tag", "tags", multiple=True, help="Only runs with this tag; several: with all.")
@click.option("--experiment", help="Only runs of the experiment of this id or name.")
@click.option("--archived", is_flag=True, help="The archived ones, too.")
@click.pass_obj
def runs(setting: Setting, limit, words, tags, experiment, archived) -> None:
    """List the runs, newest first."""
    from lab.runs.index import list_runs
    from lab.runs.references import experiment_names
    from lab.runs.search import search

    workspace, out = setting.workspace, setting.out
    names = experiment_names(workspace)
    rows = list_runs(workspace, archived=None if archived else False)
    wanted = {tag.casefold() for tag in tags}
    found = [row for row in rows if wanted <= {tag.casefold() for tag in row.tags}]
    if experiment is not None:
        asked = {one for one, name in names.items() if name == experiment} | {experiment}
        found = [row for row in found if row.experiment in asked]
    found = search(found, words, names)[:limit]
    for row in found:
        out.line({"run": row.id, **asdict(row)})
    if not found:
        first = "There are no runs here yet. Start one: python -m lab train --preset quick"
        out.say("No run fits." if rows else first)
        return
    head = ("run", "name", "status", "preset", "error", "time", "tags")
    out.table(head if any(row.tags for row in found) else head[:-1], map(_cells, found))


def _cells(row) -> tuple[str, ...]:
    shown = (row.id, row.name, row.status, row.preset, percent(row.error_rate))
    return (*shown, minutes(row.seconds), ", ".join(row.tags))


# A tag may look like an option (`-draft`): what this command does not know is an argument.
_LOOSE = {"ignore_unknown_options": True, "help_option_names": ["--help"]}


@click.command(context_settings=_LOOSE)
@common
@click.argument("run")
@click.argument("changes", nargs=-1, required=True, metavar="+TAG | -TAG ...")
@click.pass_obj
def tag(setting: Setting, run: str, changes: tuple[str, ...]) -> None:
    """Put tags on a run (+good) and take others off (-draft)."""
    from lab.runs.library import change_tags

    if wrong := [word for word in changes if word[:1] not in "+-" or not word[1:].strip()]:
        raise LabError(
            f"{wrong[0]!r} is no change of tags.", "Write +good to add, -good to remove."
        )
    found = run_of(setting.workspace, run)
    add, remove = ([word[1:] for word in changes if word[0] == sign] for sign in "+-")
    change_tags(setting.workspace, [found.id], add, remove)
    tags = found.meta()["tags"]
    setting.out.line({"run": found.id, "tags": tags})
    setting.out.say(f"{found.id}: {', '.join(tags) or 'no tags'}")


@click.command()
@common
@click.argument("names", nargs=-1, required=True, metavar="RUN ...")
@click.pass_obj
def archive(setting: Setting, names: tuple[str, ...]) -> None:
    """Take runs out of the usual list. Nothing is lost; `restore` brings them back."""
    from lab.runs import library

    ids = [run_of(setting.workspace, name).id for name in names]
    library.archive(setting.workspace, ids)
    for run_id in ids:
        setting.out.line({"run": run_id, "archived": True})
        setting.out.say(f"{run_id} is archived.")


@click.command()
@common
@click.argument("names", nargs=-1, required=True, metavar="RUN ...")
@click.pass_obj
def delete(setting: Setting, names: tuple[str, ...]) -> int:
    """Move runs to the trash. `restore` takes them back within 30 days."""
    from lab.runs.index import list_runs
    from lab.runs.library import delete_run
    from lab.runs.references import borrowed_by, reference_words

    workspace, out = setting.workspace, setting.out
    ids = list(dict.fromkeys(run_of(workspace, name).id for name in names))
    for words in reference_words(list_runs(workspace), ids, borrowed_by(workspace)):
        out.note(words)
    return _each(setting, ids, lambda run_id: delete_run(workspace, run_id), "deleted",
                 "is in the trash")  # fmt: skip


@click.command()
@common
@click.argument("names", nargs=-1, required=True, metavar="RUN ...")
@click.pass_obj
def restore(setting: Setting, names: tuple[str, ...]) -> int:
    """Bring runs back from the trash, or from the archive."""
    from lab.runs.library import restore_run, unarchive

    workspace = setting.workspace

    def back(run_id: str) -> None:
        if workspace.run(run_id).is_dir():
            unarchive(workspace, [run_id])
        else:
            restore_run(workspace, run_id)

    ids = [_hidden(workspace, name) for name in names]
    return _each(setting, ids, back, "restored", "is back")


def _hidden(workspace: Workspace, word: str) -> str:
    """The id of a run in the trash or in the archive: whole, or its beginning or end."""
    from lab.runs.index import list_runs
    from lab.runs.library import deleted_runs

    known = [one.id for one in deleted_runs(workspace)]
    known += [row.id for row in list_runs(workspace, archived=True)]
    if word == "last" and known:
        return known[0]  # the one deleted last
    exact = [one for one in known if one == word]
    fits = exact or [one for one in known if one.startswith(word) or one.endswith(word)]
    if not fits:
        raise LabError(
            f"No run in the trash or the archive is called {word!r}.",
            "See what is there: python -m lab trash, python -m lab runs --archived",
        )
    if len(fits) > 1:
        raise LabError(
            f"{word!r} fits {len(fits)} runs ({', '.join(fits[:4])}).", "Give more of it."
        )
    return fits[0]


@click.command()
@common
@click.option("--empty", is_flag=True, help="Remove everything in it for good.")
@click.pass_obj
def trash(setting: Setting, empty: bool) -> None:
    """List the deleted runs, the latest first."""
    from lab.runs.library import KEEP_DAYS, deleted_runs, empty_trash

    workspace, out = setting.workspace, setting.out
    if empty:
        count = empty_trash(workspace)
        out.line({"removed": count})
        out.say(f"{count} run{'' if count == 1 else 's'} removed for good.")
        return
    found = deleted_runs(workspace)
    for one in found:
        out.line({"run": one.id, "name": one.name, "deleted": one.deleted})
    if not found:
        out.say("The trash is empty.")
        return
    day = lambda t: time.strftime("%d %b %Y, %H:%M", time.localtime(t)) if t else "–"  # noqa: E731
    out.table(("run", "name", "deleted"), [(one.id, one.name, day(one.deleted)) for one in found])
    out.say(f"What was deleted more than {KEEP_DAYS} days ago is removed when the lab is opened.")


@click.command()
@common
@click.argument("before")
@click.argument("after")
@click.pass_obj
def diff(setting: Setting, before: str, after: str) -> None:
    """What changed from one run to another: settings, data, choices, versions, scores."""
    from lab.analysis.changes import changes, value_words

    workspace, out = setting.workspace, setting.out
    a, b = run_of(workspace, before), run_of(workspace, after)
    found = changes(a, b)
    for change in found:
        out.line({"a": a.id, "b": b.id, "part": change.part, "field": change.field,
                  "value_a": change.a, "value_b": change.b})  # fmt: skip
    if not found:
        out.say(f"{a.id} and {b.id} do not differ.")
        return
    cells = [(one.part, one.field, value_words(one.a), value_words(one.b)) for one in found]
    out.table(("part", "field", a.id, b.id), cells)


def _each(
    setting: Setting, ids: Sequence[str], work: Callable[[str], None], key: str, words: str
) -> int:
    """Do it to each; what cannot be done is said, and the others go on."""
    code = DONE
    for run_id in ids:
        try:
            work(run_id)
        except LabError as error:
            setting.out.error(error)
            code = FAILED
        else:
            setting.out.line({"run": run_id, key: True})
            setting.out.say(f"{run_id} {words}.")
    return code


COMMANDS = (runs, tag, archive, delete, restore, trash, diff)
