"""The trainer, in process and on real pictures: exact resume, freezing, FixRes, divergence."""

import math

import numpy as np
import pytest
import torch
from small import small_recipe

from lab.errors import LabError
from lab.recipe.facts import Resolved
from lab.schedules.plan import make_plan
from lab.train.model import build
from lab.train.moments import EpochDone, StageDone, Step
from lab.train.trainer import Trainer
from lab.vision.rundata import open_run_data
from lab.workspace import Workspace


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Pictures of the small recipe, built once."""
    torch.set_num_threads(1)
    workspace = Workspace(tmp_path_factory.mktemp("trainer")).create()
    found = open_run_data(workspace, small_recipe())
    found.build()
    return found


def trainer_of(data, recipe=None) -> Trainer:
    recipe = recipe or small_recipe()
    network = build(recipe, len(data.parts.classes), recipe.model.groups, recipe.stages[0].hw)
    plan = make_plan(recipe, data.n_train, recipe.model.groups)
    resolved = Resolved(groups=recipe.model.groups)
    return Trainer(recipe, plan, resolved, data, network)


def finish(trainer: Trainer) -> dict[str, torch.Tensor]:
    for _ in trainer.events():
        pass
    return {name: value.clone() for name, value in trainer.model.state_dict().items()}


def copied(state):
    """As a checkpoint would keep it: later training must not change it."""
    if isinstance(state, torch.Tensor):
        return state.clone()
    if isinstance(state, dict):
        return {key: copied(value) for key, value in state.items()}
    if isinstance(state, list):
        return [copied(value) for value in state]
    return state


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def undisturbed(data):
    return finish(trainer_of(data))


def steps_per_epoch(data) -> int:
    return make_plan(small_recipe(), data.n_train, 2).epochs[0].steps


@pytest.mark.parametrize(
    "place", ["first step", "mid-epoch", "last batch", "epoch end", "stage end", "next stage"]
)
def test_a_run_resumed_anywhere_ends_bit_for_bit_the_same(data, undisturbed, place):
    n = steps_per_epoch(data)
    stops = {
        "first step": lambda e: isinstance(e, Step) and e.step == 1,
        "mid-epoch": lambda e: isinstance(e, Step) and e.step == n + n // 2,
        "last batch": lambda e: isinstance(e, Step) and e.step == n,
        "epoch end": lambda e: isinstance(e, EpochDone) and e.step == n,
        "stage end": lambda e: isinstance(e, StageDone) and e.stage == 0,
        "next stage": lambda e: isinstance(e, Step) and e.step == 2 * n + 1,
    }
    first = trainer_of(data)
    for event in first.events():
        if stops[place](event):
            break
    again = trainer_of(data)
    again.restore(copied(first.state()))
    assert same(finish(again), undisturbed)


def test_a_state_taken_right_after_a_restore_is_as_good(data, undisturbed):
    first = trainer_of(data)
    for event in first.events():
        if isinstance(event, StageDone):
            break
    second = trainer_of(data)
    second.restore(copied(first.state()))
    third = trainer_of(data)
    third.restore(copied(second.state()))
    assert same(finish(third), undisturbed)


def test_with_two_threads_a_resumed_run_ends_bit_for_bit_the_same_too(data):
    torch.set_num_threads(2)
    try:
        whole, first = finish(trainer_of(data)), trainer_of(data)
        for event in first.events():
            if isinstance(event, Step) and event.step == steps_per_epoch(data) + 2:
                break
        again = trainer_of(data)
        again.restore(copied(first.state()))
        assert same(finish(again), whole)
    finally:
        torch.set_num_threads(1)


def test_another_seed_ends_elsewhere(data, undisturbed):
    assert not same(finish(trainer_of(data, small_recipe(seed=1))), undisturbed)


def test_a_frozen_body_moves_only_its_norms_and_its_head(data):
    stage = {"size": 32, "epochs": 0, "frozen_epochs": 1, "lr": 1e-2, "batch_size": 16}
    trainer = trainer_of(data, small_recipe([stage]))
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    finish(trainer)
    moved = {n for n, p in trainer.model.named_parameters() if not torch.equal(p, before[n])}
    assert moved == trainer.steps.trainable(trainer.recipe.stages[0], frozen=True)
    assert any(before[name].ndim == 4 for name in before.keys() - moved)


def test_with_one_group_a_frozen_epoch_trains_all(data):
    stage = {"size": 32, "epochs": 0, "frozen_epochs": 1, "lr": 1e-2, "batch_size": 16}
    model = {"name": "test_resnet", "groups": 1}
    trainer = trainer_of(data, small_recipe([stage], model=model))
    assert len(trainer.steps.trainable(trainer.recipe.stages[0], frozen=True)) == len(
        list(trainer.model.parameters())
    )


def test_fixres_moves_only_the_last_norm_and_the_head(data):
    stage = {"size": 48, "epochs": 1, "lr": 1e-2, "batch_size": 16, "trainable": "last-norm+head"}
    trainer = trainer_of(data, small_recipe([stage]))
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    finish(trainer)
    after = trainer.model.state_dict()
    moved = {
        name.rsplit(".", 1)[0] for name in before if not torch.equal(before[name], after[name])
    }
    norms = [name for name, module in trainer.model.named_modules() if "bn" in name.rsplit(".")[-1]]
    assert moved == {"fc", norms[-1]}


def test_each_stage_is_scored_at_its_own_and_at_the_final_size(data):
    done = [event for event in trainer_of(data).events() if isinstance(event, StageDone)]
    assert [event.stage for event in done] == [0, 1]
    assert done[0].own.first.shape == done[0].final.first.shape
    assert not np.allclose(done[0].own.first, done[0].final.first)


def test_probabilities_sum_to_one(data):
    last = [event for event in trainer_of(data).events() if isinstance(event, StageDone)][-1]
    assert last.final.first.sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_pixels_are_counted_as_planned(data):
    trainer = trainer_of(data)
    finish(trainer)
    assert trainer.pixels == trainer.plan.total_pixels


def test_a_diverging_rate_is_named_with_its_stage_and_a_remedy(data):
    trainer = trainer_of(data)
    with torch.no_grad():
        next(trainer.model.parameters()).fill_(math.nan)
    with pytest.raises(LabError, match=r"diverged in stage 1 at step 3.*Lower"):
        finish(trainer)


def test_training_learns_something(data):
    still = {"flip": "none", "rotate_deg": 0, "zoom_max": 1, "warp": 0, "lighting": 0}
    stage = {"size": 48, "epochs": 20, "lr": 5e-3, "batch_size": 16, "resize": "squish"}
    recipe = small_recipe([{**stage, "augment": still, "group_rates": "same"}])
    done = trainer_of(data, recipe).events()
    steps = [event.loss for event in done if isinstance(event, Step)]
    assert np.mean(steps[-5:]) < 0.5 * np.mean(steps[:5])
