"""The commands about runs, and the entry of the command line: `main(["runs", "--json"])`.

Everything slow is imported inside the command that needs it: `--help` answers at once.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

import click

from lab.cli import calibration, experiment, finder, library, mistakes, models, report, scoring
from lab.cli.setting import DONE, FAILED, STOPPED, WRONG, Setting, common, run_of
from lab.cli.terminal import Terminal
from lab.errors import LabError, Stopped


def main(arguments: Sequence[str]) -> int:
    """Run a command; every failure as words and an exit code."""
    out = Terminal("--json" in arguments)
    try:
        code = commands(list(arguments), prog_name="python -m lab", standalone_mode=False)
        return code if isinstance(code, int) else DONE
    except click.ClickException as error:
        error.show()
        problem = {
            "where": "",
            "what": error.format_message(),
            "fix": "See --help.",
            "level": "error",
        }
        out.line({"kind": "error", "problems": [problem]})
        return WRONG
    except LabError as error:
        out.error(error)
        return FAILED
    except (Stopped, KeyboardInterrupt, click.Abort):
        out.note("Stopped. Nothing was lost.")
        return STOPPED
    except BrokenPipeError:
        sys.stdout = None  # whoever read has left: nothing more to flush at the exit
        return DONE
    except Exception as error:
        traceback.print_exc()
        what = f"The lab failed: {type(error).__name__}: {error}"
        out.error(LabError(what, "This is a fault of the lab; the lines above say where."))
        return FAILED


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@common
def commands() -> None:
    """Progressive resizing: train on small pictures first, larger ones later.

    RUN is a run's id, a part of it that no other has, or `last`.
    """


@commands.command()
@common
@click.option("--port", default=8501, show_default=True, help="Where the browser finds it.")
@click.option("--address", default="127.0.0.1", show_default=True, help="Who may reach it.")
@click.option("--behind-proxy", is_flag=True, help="A proxy with a login stands in front.")
@click.pass_obj
def serve(setting: Setting, port: int, address: str, behind_proxy: bool) -> None:
    """Open the lab in a browser."""
    if address not in ("127.0.0.1", "localhost", "::1") and not behind_proxy:
        raise LabError(
            f"{address} lets everyone on the network start trainings and read the data: the lab "
            "has no login.",
            "Keep 127.0.0.1; or put a proxy with a login in front and add --behind-proxy.",
        )
    app = Path(__file__).resolve().parents[2] / "app.py"
    if not app.is_file():
        raise LabError(f"{app.name} is not beside the lab.", "Run it from the whole repository.")
    os.environ["LAB_WORKSPACE"] = str(setting.workspace.root)
    options = {"server.port": port, "server.address": address, "server.headless": "true"}
    extra = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    setting.out.note(f"The lab is at http://{address}:{port}. Ctrl-C ends it; trainings go on.")
    os.chdir(app.parent)  # Streamlit reads .streamlit/config.toml from the current folder
    os.execv(sys.executable, [sys.executable, "-m", "streamlit", "run", str(app), *extra])


@commands.command()
@common
@click.option("--preset", help="A preset: quick, fastbook-7, walkthrough-12, keras-fixres ...")
@click.option("--recipe", "file", type=Path, help="A recipe file (JSON).")
@click.option(
    "--baseline", help="A matched baseline of --of: fixed-same-epochs, fixed-same-time ..."
)
@click.option("--of", metavar="RUN", help="The run that the baseline is of.")
@click.option("--data", type=Path, help="A folder of class folders, a zip of one, or a CSV.")
@click.option("--set", "settings", multiple=True, metavar="a.b=JSON", help="Change one setting.")
@click.option("--name", help="What to call the run.")
@click.option("--seed", type=int, help="Decides first weights, order and augmentation.")
@click.option(
    "--device",
    default="auto",
    show_default=True,
    help="cpu, cuda:1; several share the run: cuda:0,cuda:1 or cuda:all.",
)
@click.pass_obj
def train(setting: Setting, preset, file, baseline, of, data, settings, name, seed, device) -> int:
    """Train here and now. Ctrl-C stops at a checkpoint, and `resume` goes on."""
    given = [option for option in (preset, file, baseline) if option]
    if len(given) != 1:
        raise click.UsageError("Give one of --preset, --recipe and --baseline.")
    if bool(baseline) != bool(of):
        raise click.UsageError("--baseline and --of go together.")
    from lab.cli import training

    workspace, reference = setting.workspace, None
    if baseline:
        reference = run_of(workspace, of)
        recipe = training.changed(
            training.baseline_of(baseline, reference), data, settings, name, seed
        )
    else:
        recipe = training.recipe_of(preset, file, data, settings, name, seed)
    return training.start(workspace, recipe, setting.out, device, reference)


@commands.command()
@common
@click.argument("run")
@click.option("--device", default="auto", show_default=True)
@click.pass_obj
def resume(setting: Setting, run: str, device: str) -> int:
    """Go on with a run that was stopped, lost or failed; it ends as if undisturbed."""
    from lab.cli import training

    workspace = setting.workspace
    return training.go_on(workspace, run_of(workspace, run), setting.out, device)


@commands.command()
@common
@click.argument("run")
@click.option("--after-stage", is_flag=True, help="Let it end its stage first.")
@click.pass_obj
def stop(setting: Setting, run: str, after_stage: bool) -> None:
    """Ask a run to save and stop, wherever it was started."""
    from lab.jobs import client
    from lab.runs.folder import ALIVE, STOP, STOP_AFTER_STAGE
    from lab.runs.status import standing, supervision

    workspace = setting.workspace
    found = run_of(workspace, run)
    if supervision(found):
        ask = client.stop_after_stage if after_stage else client.stop_run
        words = ask(workspace, found.id)
    elif standing(found).status in ALIVE:
        found.ask(STOP_AFTER_STAGE if after_stage else STOP)
        words = f"{found.id} stops after this stage." if after_stage else f"{found.id} stops."
    else:
        words = f"{found.id} is not running ({standing(found).status})."
    setting.out.line({"run": found.id, "status": standing(found).status, "message": words})
    setting.out.say(words)


@commands.command()
@common
@click.pass_obj
def rebuild(setting: Setting) -> None:
    """Make the index of runs anew from their folders."""
    from lab.runs.index import rebuild as rebuild_index

    count = rebuild_index(setting.workspace)
    setting.out.line({"runs": count})
    setting.out.say(f"The index holds {count} runs.")


for command in (models.data, models.evaluate, models.tta, models.compare, models.predict):
    commands.add_command(command)
commands.add_command(models.export)
commands.add_command(experiment.experiment)
commands.add_command(finder.lr_find)
commands.add_command(mistakes.mistakes)
commands.add_command(report.report)
commands.add_command(calibration.calibration)
for command in (scoring.test_sizes, scoring.ensemble):
    commands.add_command(command)
for command in library.COMMANDS:
    commands.add_command(command)
