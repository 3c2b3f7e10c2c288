"""Every method through the real trainer: each resumes exactly, and does what its name says."""

from __future__ import annotations

import copy
import functools

import numpy as np
import pytest
import torch
from small import small_recipe

from lab.recipe.facts import Resolved
from lab.schedules.plan import make_plan
from lab.train.model import build
from lab.train.moments import Chosen, EpochDone, StageDone, Step
from lab.train.trainer import Trainer
from lab.vision.rundata import RunData, open_run_data
from lab.workspace import Workspace

ONE = {"size": 32, "epochs": 2, "lr": 3e-3, "batch_size": 16}
TWO = {"size": 48, "epochs": 1, "lr": 2e-3, "batch_size": 16}

METHODS = {
    "ramp by batch": {"stages": [{**ONE, "size": 48, "ramp_from": 32, "ramp_by": "batch"}]},
    "ramp by epoch": {"stages": [{**ONE, "epochs": 3, "size": 64, "ramp_from": 32}]},
    "ramp of a network with position embeddings": {
        "model": {"name": "test_vit", "groups": 2},
        "stages": [{**ONE, "size": 64, "ramp_from": 32, "ramp_by": "batch", "ramp_multiple": 16}],
    },
    "restarts": {"stages": [{**ONE, "schedule": "restarts", "max_cycles": 2}, TWO]},
    "restarts until over-fitting": {
        "stages": [{**ONE, "schedule": "restarts", "max_cycles": 4, "cycle_patience": 1}, TWO]
    },
    "flat-cosine": {"stages": [{**ONE, "schedule": "flat-cosine"}]},
    "early stopping": {
        "stages": [{**ONE, "epochs": 5}, TWO], "rules": {"early_stop_epochs": 1},
    },
    "keep best": {"stages": [{**ONE, "epochs": 4, "lr": 0.02}, TWO], "rules": {"keep_best": True}},
    "average of weights": {"stages": [ONE, TWO], "ema_decay": 0.9},
    "mixup and cutmix": {"stages": [{**ONE, "augment": {"mixup": 0.4, "cutmix": 1.0}}]},
    "RandAugment": {"stages": [{**ONE, "augment": {"rand_magnitude": 9}}]},
    "label smoothing": {"stages": [{**ONE, "label_smoothing": 0.1}]},
    "weighted sampling": {"stages": [{**ONE, "sampling": "weighted"}]},
    "augmentation off at the end": {"stages": [{**ONE, "augment_off_epochs": 1}]},
    "dropout of its own": {"stages": [{**ONE, "dropout": 0.4}, TWO]},
    "SGD": {"stages": [ONE], "optimizer": {"name": "sgd", "beta1": 0.9}},
    "layer decay": {
        "stages": [{**ONE, "group_rates": "layer-decay"}],
        "model": {"name": "test_resnet", "groups": 5},
    },
    "cached activations": {
        "stages": [ONE, {**TWO, "trainable": "head", "cached_activations": True, "epochs": 2}]
    },
    "cached augmented views": {
        "stages": [
            {**ONE, "trainable": "head", "cached_activations": True, "cached_views": 2}, TWO,
        ]
    },
    "FixRes, the authors' form": {
        "stages": [ONE, {**TWO, "trainable": "last-norm-statistics+head", "resize": "as-test"}]
    },
    "rate from the finder": {"stages": [{**ONE, "lr": "finder"}, TWO]},
    "two targets": {
        "stages": [ONE],
        "dataset": {**small_recipe().dump()["dataset"], "second_target": "variety"},
    },
    "half precision": {"stages": [ONE], "precision": "fp16"},
    "bf16": {"stages": [ONE], "precision": "bf16"},
}  # fmt: skip


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    torch.set_num_threads(1)
    return Workspace(tmp_path_factory.mktemp("methods")).create()


def recipe_of(method: str):
    values = dict(METHODS[method])
    return small_recipe(values.pop("stages"), **values)


@functools.cache
def data_of(workspace: Workspace, recipe) -> RunData:
    data = open_run_data(workspace, recipe)
    data.build()
    return data


def trainer_of(workspace: Workspace, recipe, resolved: Resolved | None = None) -> Trainer:
    data = data_of(workspace, recipe)
    n = len(data.parts.classes) + len(data.second_classes)
    groups = recipe.model.groups
    network = build(recipe, n, groups, recipe.stages[0].hw)
    network.second_classes = len(data.second_classes)
    precision = "fp32" if recipe.precision == "auto" else recipe.precision
    resolved = resolved or Resolved(groups=network.groups, precision=precision)
    plan = make_plan(recipe, data.n_train, resolved.groups, resolved)
    return Trainer(recipe, plan, resolved, data, network)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    found = dict(trainer.model.state_dict())
    if trainer.ema:
        found |= {f"ema.{k}": v for k, v in trainer.ema.model.state_dict().items()}
    return {name: value.clone() for name, value in found.items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.slow
@pytest.mark.parametrize("method", METHODS)
def test_a_run_with_this_method_resumes_bit_for_bit(workspace, method):
    recipe = recipe_of(method)
    whole = trainer_of(workspace, recipe)
    events = list(whole.events())
    steps = [event.step for event in events if isinstance(event, Step)]
    first = trainer_of(workspace, recipe)
    for event in first.events():
        if isinstance(event, Step) and event.step == steps[len(steps) // 2]:
            break
    again = trainer_of(workspace, recipe, first.resolved)
    again.restore(copy.deepcopy(first.state()))
    told = list(again.events())
    assert same(weights(again), weights(whole))
    assert np.array_equal(events[-1].final.first, told[-1].final.first)


def test_a_run_with_the_finder_ends_where_one_at_the_found_rate_ends(workspace):
    searched = trainer_of(workspace, recipe_of("rate from the finder"))
    (chosen,) = [event for event in searched.events() if isinstance(event, Chosen)]
    assert (chosen.stage, chosen.name) == (0, "lr")
    told = small_recipe([{**ONE, "lr": chosen.value}, TWO])
    straight = trainer_of(workspace, told)
    list(straight.events())
    assert same(weights(searched), weights(straight))


def test_cycles_that_bring_nothing_end_the_stage_and_the_reason_is_told(workspace):
    stage = {**ONE, "lr": 1e-7, "schedule": "restarts", "max_cycles": 5, "cycle_patience": 1}
    trainer = trainer_of(workspace, small_recipe([stage, TWO]))
    events = list(trainer.events())
    (chosen,) = [event for event in events if isinstance(event, Chosen)]
    epochs = [event for event in events if isinstance(event, EpochDone) and event.row.stage == 0]
    assert (chosen.name, chosen.value) == ("epochs", len(epochs))
    assert len(epochs) < 5
    assert "no better error rate" in chosen.reason
    assert [event.stage for event in events if isinstance(event, StageDone)] == [0, 1]


def test_keep_best_scores_the_epoch_with_the_lowest_error(workspace):
    trainer = trainer_of(workspace, recipe_of("keep best"))
    events = list(trainer.events())
    (done, _) = [event for event in events if isinstance(event, StageDone)]
    epochs = [event for event in events if isinstance(event, EpochDone) and event.row.stage == 0]
    best = min(range(len(epochs)), key=lambda epoch: 1 - epochs[epoch].accuracy)
    assert done.kept == (None if best == len(epochs) - 1 else best)
    assert np.allclose(done.own.first, epochs[best].probs, atol=1e-5)


def test_the_average_of_the_weights_is_what_is_validated(workspace):
    trainer = trainer_of(workspace, recipe_of("average of weights"))
    (done, _) = [event for event in trainer.events() if isinstance(event, StageDone)]
    assert trainer.judged is trainer.ema.model
    raw = trainer._judge.of(trainer.model, trainer.data.final(), trainer._size, "fp32")
    averaged = trainer._judge.of(trainer.judged, trainer.data.final(), trainer._size, "fp32")
    assert not np.allclose(raw.first, averaged.first)
    assert done.final.first.shape == averaged.first.shape


def test_a_ramp_shows_the_network_every_size_of_its_plan(workspace):
    trainer = trainer_of(workspace, recipe_of("ramp by batch"))
    seen = []
    trainer.model.register_forward_pre_hook(
        lambda model, args: seen.append(tuple(args[0].shape[-2:])) if model.training else None
    )
    list(trainer.events())
    planned = [
        size[1:] for row in trainer.plan.epochs for size in row.sizes for _ in range(size[0])
    ]
    assert seen == planned
    assert len(set(seen)) > 2


def test_a_cached_stage_leaves_the_body_and_its_statistics_alone(workspace):
    trainer = trainer_of(workspace, recipe_of("cached activations"))
    before = None
    for event in trainer.events():
        if isinstance(event, StageDone) and event.stage == 0:
            before = weights(trainer)
    after = weights(trainer)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"fc.weight", "fc.bias"}


def test_the_authors_fixres_moves_the_last_norms_statistics_but_not_its_affine(workspace):
    trainer = trainer_of(workspace, recipe_of("FixRes, the authors' form"))
    for event in trainer.events():
        if isinstance(event, StageDone) and event.stage == 0:
            before = weights(trainer)
    after = weights(trainer)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    norm = {name for name in moved if not name.startswith("fc.")}
    assert {name.rsplit(".", 1)[1] for name in norm} == {
        "running_mean", "running_var", "num_batches_tracked",
    }  # fmt: skip
    assert moved - norm == {"fc.weight", "fc.bias"}


def test_both_targets_are_learnt_and_scored(workspace):
    trainer = trainer_of(workspace, recipe_of("two targets"))
    events = list(trainer.events())
    epoch = next(event for event in events if isinstance(event, EpochDone))
    done = events[-1]
    second = len(trainer.data.second_classes)
    assert done.final.second.shape == (len(trainer.data.final()), second)
    assert done.final.first.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert done.final.second.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert 0 <= epoch.second_accuracy <= 1


def test_an_unaugmented_epoch_sees_the_same_pictures_every_time(workspace):
    recipe = small_recipe([{**ONE, "epochs": 3, "augment_off_epochs": 2}])
    trainer = trainer_of(workspace, recipe)
    stage, rows = recipe.stages[0], trainer.plan.epochs
    pictures = trainer.data.train(0)

    def seen(row):
        found = {}
        for x, y in pictures.batches(stage, row, recipe.seed, 0, trainer.norm):
            for picture, label in zip(x, y):
                found[round(float(picture.double().sum()), 3)] = int(label)
        return found

    assert seen(rows[1]) == seen(rows[2])
    assert seen(rows[0]) != seen(rows[1])


def test_a_batch_that_does_not_fit_is_taken_in_parts_and_the_rest_of_the_run_too(workspace):
    recipe = small_recipe([{**ONE, "epochs": 1}], model={"name": "test_vit", "drop_rate": 0.0})
    whole = trainer_of(workspace, recipe)
    list(whole.events())
    short = trainer_of(workspace, recipe)

    def refuse(model, args):
        if model.training and len(args[0]) > 8:
            raise torch.OutOfMemoryError("tried to allocate more than there is")

    short.model.register_forward_pre_hook(refuse)
    events = list(short.events())
    (chosen,) = [event for event in events if isinstance(event, Chosen)]
    assert (chosen.name, chosen.value) == ("micro", 2)
    assert short.resolved.of_stage(0, "micro") == 2
    for name, value in weights(whole).items():
        assert torch.allclose(value, weights(short)[name], atol=2e-4), name
