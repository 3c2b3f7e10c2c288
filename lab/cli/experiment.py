"""`lab experiment`: a reference, its opponents and k seeds, trained here one after the other.

python -m lab experiment --preset quick --arms fixed-same-epochs,fixed-same-time --seeds 3
python -m lab experiment --of RUN --vary stages.0.lr=0.001,0.003 --seeds 2
python -m lab experiment --resume ID          goes on with what is not finished
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lab.cli.setting import DONE, FAILED, STOPPED, Setting, common, run_of
from lab.cli.terminal import Terminal, minutes, percent
from lab.errors import LabError

if TYPE_CHECKING:  # everything slow is imported inside the command that needs it
    from lab.recipe.experiment import Arm, Design
    from lab.recipe.facts import Facts
    from lab.recipe.model import Recipe
    from lab.runs.experiments import Experiment, Member
    from lab.runs.folder import RunFolder
    from lab.workspace import Workspace


@click.command()
@common
@click.option("--preset", help="A preset: quick, fastbook-7, walkthrough-12, keras-fixres ...")
@click.option("--recipe", "file", type=Path, help="A recipe file (JSON).")
@click.option("--of", metavar="RUN", help="A finished run: it is the reference of its own seed.")
@click.option("--resume", metavar="ID", help="Go on with an experiment: what is not finished.")
@click.option("--data", type=Path, help="A folder of class folders, a zip of one, or a CSV.")
@click.option("--set", "settings", multiple=True, metavar="a.b=JSON", help="Change one setting.")
@click.option("--arms", default="", metavar="A,B", help="Baselines: fixed-same-epochs,small-only")
@click.option(
    "--vary", multiple=True, metavar="a.b=V,V", help="An arm a value; stages.*.lr is every stage."
)
@click.option("--grid", is_flag=True, help="With several --vary: an arm a combination.")
@click.option("--seeds", default=1, show_default=True, help="How many seeds each arm gets.")
@click.option("--seed", type=int, help="The first of them; else the recipe's.")
@click.option("--name", help="What to call the experiment.")
@click.option("--question", help="What it is to answer; else it is put into words for you.")
@click.option("--device", default="auto", show_default=True, help="cpu, cuda:1.")
@click.pass_obj
def experiment(setting: Setting, preset, file, of, resume, device, **options: Any) -> int:
    """Train a schedule and its opponents with several seeds, one after the other."""
    given = [option for option in (preset, file, of, resume) if option]
    if len(given) != 1:
        raise click.UsageError("Give one of --preset, --recipe, --of and --resume.")
    if resume:
        found = _found(setting.workspace, resume)
    else:
        source = run_of(setting.workspace, of) if of else None
        found = _new(setting, _recipe(preset, file, source, options), source, device, options)
    return _work(setting, found, device if device != "auto" else found.device)


def _recipe(
    preset: str | None, file: Path | None, source: RunFolder | None, options: dict[str, Any]
) -> Recipe:
    from lab.cli import training

    settings, data = options["settings"], options["data"]
    if source is None:
        recipe = training.recipe_of(preset, file, data, settings)
    elif settings or data:
        raise click.UsageError("--of takes the run's recipe as it is: vary it with --vary.")
    else:
        recipe = source.recipe()
    # The run's own seed comes first unless another is asked for: then it is the reference of none.
    return recipe if options["seed"] is None else recipe.but(seed=options["seed"])


def _found(workspace: Workspace, word: str) -> Experiment:
    """An experiment by its id, by a part of it that no other has, or `last`."""
    from lab.runs.experiments import list_experiments, read_experiment

    known = list_experiments(workspace)
    if word == "last" and known:
        return known[0]
    matches = [one for one in known if one.id == word] or [
        one for one in known if one.id.startswith(word) or one.id.endswith(word)
    ]
    if len(matches) > 1:
        names = ", ".join(one.id for one in matches[:4])
        raise LabError(f"{word!r} fits {len(matches)} experiments ({names}).", "Give more of it.")
    return matches[0] if matches else read_experiment(workspace, word)


def _new(
    setting: Setting,
    recipe: Recipe,
    source: RunFolder | None,
    device: str,
    options: dict[str, Any],
) -> Experiment:
    """Check, forecast, and write the experiment down with all its runs."""
    from lab.jobs.experiments import begin, make_runs
    from lab.recipe.experiment import Design, plain_name, suggested_question
    from lab.runs.experiments import members, missing, settled
    from lab.schedules.expected import arm_seconds, same_time_epochs, total_seconds

    workspace, out = setting.workspace, setting.out
    recipe = settled(workspace, recipe)
    arms, seeds = _arms(recipe, options), _seeds(recipe, options["seeds"])
    facts_of = _facts_of(workspace, out, device)
    design = Design(recipe, arms, seeds, same_time_epochs(recipe, facts_of(recipe)))
    _refuse(design, facts_of, out)
    each = arm_seconds(design, facts_of)
    made = begin(
        workspace,
        design,
        of=source,
        name=options["name"] or plain_name(recipe),
        question=options["question"] or suggested_question(design),
        device=device,
        forecast_s=total_seconds(design, each, done=int(source is not None)),
    )
    there = members(workspace, made)
    make_runs(workspace, made, missing(made, there), there, each, {})
    return made


def _arms(recipe: Recipe, options: dict[str, Any]) -> tuple[Arm, ...]:
    from lab.recipe.experiment import arms_of
    from lab.recipe.sweep import values_of

    vary = {}
    for line in options["vary"]:
        path, given, text = line.partition("=")
        if not given:
            raise LabError(f"--vary {line} has no '='.", "Write --vary stages.0.lr=0.001,0.003")
        vary[path.strip()] = values_of(text)
    kinds = [kind.strip() for kind in options["arms"].split(",") if kind.strip()]
    return arms_of(recipe, kinds, vary, options["grid"])


def _seeds(recipe: Recipe, count: int) -> tuple[int, ...]:
    if count < 1:
        raise click.UsageError("--seeds is 1 or more.")
    return tuple(range(recipe.seed, recipe.seed + count))


def _facts_of(workspace: Workspace, out: Terminal, device: str) -> Callable[[Recipe], Facts]:
    """Facts of data, network and device; the data are read (or drawn) if they are not here yet."""
    from lab.data.catalog import data_facts, materialise, parts
    from lab.recipe.facts import Facts
    from lab.recipe.models import shipped_model_facts
    from lab.runs.speeds import device_facts

    known: dict[str, Any] = {}
    where = "cpu" if device == "auto" else device

    def of(recipe: Recipe) -> Facts:
        spec = recipe.dataset
        key = spec.model_dump_json()
        if key not in known:
            told = lambda done, total: out.progress("Pictures", done, total)  # noqa: E731
            dataset = materialise(workspace, spec, told)
            known[key] = data_facts(
                dataset, parts(dataset, spec.split, dataset.target(spec.target))
            )
        model = shipped_model_facts(recipe.model.name)
        return Facts(known[key], model, device_facts(workspace, where))

    return of


def _refuse(design: Design, facts_of: Callable[[Recipe], Facts], out: Terminal) -> None:
    """Everything that forbids the launch, by arm; what is doubtful is told."""
    from lab.recipe.experiment import problems_of

    found = [
        (replace(problem, where=" ".join(filter(None, (arm, problem.where)))), problem.level)
        for arm, problem in problems_of(design, facts_of)
    ]
    if errors := [problem for problem, level in found if level == "error"]:
        raise LabError.of(errors)
    for problem, _ in found:
        out.note(f"Note. {problem}")


def _work(setting: Setting, found: Experiment, device: str) -> int:
    """Train what is not finished, in order; then say how each arm did."""
    from lab.runs.experiments import members

    workspace, out = setting.workspace, setting.out
    _announce(out, found, members(workspace, found))
    code, failed = DONE, set()
    for one in members(workspace, found):
        reference = str(one.run.meta().get("baseline_of") or "")
        if reference in failed:
            out.note(f"{one.run.id} is left out: it was to follow {reference}.")
            failed.add(one.run.id)
            continue
        ended = _train(workspace, one, device, out)
        if ended == STOPPED:
            out.note(f"Go on: python -m lab experiment --resume {found.id}")
            return STOPPED
        if ended != DONE:
            code = FAILED
            failed.add(one.run.id)
    _report(out, found, members(workspace, found))
    return code


def _train(workspace: Workspace, one: Member, device: str, out: Terminal) -> int:
    """One run from where it stands. A failure is told, and the next one follows."""
    from lab.cli import training
    from lab.runs.status import standing

    now = standing(one.run)
    if now.status == "finished":
        return DONE
    out.note(f"\n{one.arm}, seed {one.seed}")
    try:
        return training.go_on(workspace, one.run, out, device)
    except LabError as error:
        out.error(error)
        return FAILED


def _announce(out: Terminal, found: Experiment, runs: Sequence[Member]) -> None:
    out.line({
        "kind": "experiment", "experiment": found.id, "name": found.name,
        "question": found.question, "forecast_s": found.forecast_s,
        "runs": [{"run": one.run.id, "arm": one.arm, "seed": one.seed} for one in runs],
    })  # fmt: skip
    left = sum(one.row.status != "finished" for one in runs)
    time = minutes(found.forecast_s) if found.forecast_s else "not known: nothing was measured yet"
    out.note(f"Experiment {found.id}: {found.question}")
    out.note(f"{len(runs)} runs, {left} to do. Expected time of all: {time}.")


def _report(out: Terminal, found: Experiment, runs: Sequence[Member]) -> None:
    """A row an arm, a column a seed: error rates at the final size."""
    results = [
        {"run": one.run.id, "arm": one.arm, "seed": one.seed, "status": one.row.status,
         "error_rate": one.row.error_rate, "seconds": one.row.seconds}
        for one in runs
    ]  # fmt: skip
    out.line({"kind": "experiment_ended", "experiment": found.id, "results": results})
    seeds = sorted({one.seed for one in runs})
    rates = {(one.arm, one.seed): percent(one.row.error_rate) for one in runs}
    rows = [(arm.name, *(rates.get((arm.name, seed), "–") for seed in seeds)) for arm in found.arms]
    out.table(("error rate", *(f"seed {seed}" for seed in seeds)), rows)
    out.say(f"Compare: python -m lab compare {found.id}")
