"""Every preset, shortened, trains to its end by its definition and resumes exactly, in process."""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from shortened import BATCH, shortened
from test_trainer_methods import same, trainer_of, weights

from lab.recipe.facts import Resolved
from lab.recipe.presets import PRESETS, preset_recipe
from lab.train.moments import EpochDone, Event, StageDone, StageStarted, Step
from lab.train.trainer import Trainer
from lab.workspace import Workspace

# Size at the end of the epoch, frozen or not, peak rate of the last group; by hand from the
# published definitions: sides over 4 (quick: over 2) to the nearest 8, two epochs a stage, one of
# them where the preset has one. fine_tune trains the head at its rate, then all at half of it.
FINDER = None  # the finder says it
EPOCHS: dict[str, list[tuple[Any, bool, float | None]]] = {
    "quick": [(32, False, 4e-3)] * 2 + [(48, False, 3e-3)] + [(64, False, 2e-3)] * 2,
    "fastbook-7": [(32, False, 3e-3)] * 2 + [(56, True, 1e-3)] + [(56, False, 5e-4)] * 2,
    "walkthrough-12": [
        epoch
        for size in (32, 40, 48, (64, 48))
        for epoch in [(size, True, 0.01), (size, False, 0.005), (size, False, 0.005)]
    ],
    "keras-fixres": [(32, False, 1e-3)] * 2 + [(56, False, 1e-4)] * 2,
    "easy-steps": [(32, False, FINDER)] * 7,  # 2 cached, 2 cycles of 1, cycles of 1 and 2
    "lesson-6-tune": [(56, True, 2e-3), (56, False, 1e-3), (56, False, 1e-3)],
    "lesson-6": [(56, False, 3e-3)] * 2 + [(56, False, 1e-4)] * 2,
    "lesson-6-deeper": [(56, True, 2e-3), (56, False, 1e-3), (56, False, 1e-3)],
    "efficientnetv2": [(size, False, 2e-3) for size in (32, 32, 48, 48, 64, 64, 72, 72)],
    "composer": [(32, False, 3e-3), (56, False, 3e-3)],
    "ffcv": [(40, False, 0.125), (48, False, 0.125)],
    "dawnbench": [(32, False, 0.2)] * 2 + [(56, False, 0.1)] * 2 + [(72, False, 0.05)],
}
# What learns in each phase. With one group nothing can be frozen: the book's own run.
LEARNS = {
    "quick": ["all", "all", "all"],
    "fastbook-7": ["all", "all", "all"],
    "walkthrough-12": ["norms + head", "all"] * 4,
    "keras-fixres": ["all", "last norm + head"],
    "easy-steps": ["head", "head", "all"],
    "lesson-6-tune": ["norms + head", "all"],
    "lesson-6": ["norms + head", "all"],
    "lesson-6-deeper": ["norms + head", "all"],
    "efficientnetv2": ["all"] * 4,
    "composer": ["all"],
    "ffcv": ["all"],
    "dawnbench": ["all"] * 3,
}
FINAL = {
    "quick": 64, "fastbook-7": 56, "walkthrough-12": (64, 48), "keras-fixres": 56, "easy-steps": 32,
    "lesson-6-tune": 56, "lesson-6": 56, "lesson-6-deeper": 56, "efficientnetv2": 72,
    "composer": 56, "ffcv": 64, "dawnbench": 72,
}  # fmt: skip
DAILY = {"quick", "composer"}  # stages of several sizes, and a ramp: the others are slow together
EVERY = [pytest.param(name, marks=[pytest.mark.slow] * (name not in DAILY)) for name in PRESETS]


@dataclass
class Told:
    """What a whole run told and showed, with its state at a step in the middle of an epoch."""

    trainer: Trainer
    events: list[Event] = field(default_factory=list)
    seen: list[tuple[int, int, int]] = field(default_factory=list)  # images, height, width
    rates: list[dict[int, float]] = field(default_factory=list)  # group -> the optimizer's
    learns: list[set[str]] = field(default_factory=list)  # by phase
    middle: tuple[dict[str, Any], Resolved] | None = None

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Workspace:
    torch.set_num_threads(1)
    return Workspace(tmp_path_factory.mktemp("presets")).create()


@functools.cache
def trained(workspace: Workspace, name: str) -> Told:
    trainer = trainer_of(workspace, shortened(preset_recipe(name)))
    told, phase = Told(trainer), -1

    def note(model: torch.nn.Module, inputs: tuple[torch.Tensor]) -> None:
        searched = model is not trainer.model  # the finder's copy brings this hook along
        if torch.is_grad_enabled() and not searched:
            told.seen.append((len(inputs[0]), *inputs[0].shape[-2:]))

    trainer.steps.forward.register_forward_pre_hook(note)
    for event in trainer.events():
        told.events.append(event)
        if not isinstance(event, Step):
            continue
        groups = trainer.steps.optimizer.param_groups
        told.rates.append({group["rate"]: group["lr"] for group in groups})
        if event.row.phase != phase:
            phase = event.row.phase
            told.learns.append(
                {name for name, p in trainer.model.named_parameters() if p.requires_grad}
            )
        if event.step == trainer.plan.total_steps // 2 | 1:
            told.middle = copy.deepcopy(trainer.state()), trainer.resolved
    return told


def test_every_preset_is_described_here():
    assert set(EPOCHS) == set(LEARNS) == set(FINAL) == set(PRESETS)


@pytest.mark.parametrize("name", EVERY)
def test_a_preset_trains_the_epochs_of_its_definition(workspace, name):
    rows = [event.row for event in trained(workspace, name).of(EpochDone)]
    found = [
        (row.height if row.height == row.width else (row.height, row.width), row.frozen)
        for row in rows
    ]
    assert found == [(size, frozen) for size, frozen, _ in EPOCHS[name]]
    for row, (_, _, rate) in zip(rows, EPOCHS[name]):
        assert row.batch == BATCH
        assert rate is FINDER or row.peak_lrs[-1] == pytest.approx(rate)


@pytest.mark.parametrize("name", EVERY)
def test_the_network_and_the_optimizer_follow_the_plan_step_by_step(workspace, name):
    told = trained(workspace, name)
    plan, seen, n = told.trainer.plan, iter(told.seen), told.trainer.data.n_train
    for event, rates in zip(told.of(Step), told.rates):
        within = event.step - 1 - event.row.first_step
        expected = plan.lrs(event.step - 1)
        assert all(rates[group] == pytest.approx(expected[group]) for group in rates)
        if not event.row.cached:
            images = min(BATCH, n - within * BATCH)
            assert next(seen) == (images, *event.row.size_at(within))
    assert next(seen, None) is None
    assert len(told.of(Step)) == plan.total_steps


@pytest.mark.parametrize("name", EVERY)
def test_in_each_phase_learns_what_the_definition_says(workspace, name):
    told = trained(workspace, name)
    model = told.trainer.model
    every = {name for name, _ in model.named_parameters()}
    head = {name for name in every if name.startswith(("fc.", "head.fc.", "classifier."))}
    norms = {
        f"{name}.{own}"
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.LayerNorm)
        for own, _ in module.named_parameters(recurse=False)
    }
    kinds = []
    for learns in told.learns:
        body = learns - head
        kind = {0: "head", 2: "last norm + head", len(norms): "norms + head"}.get(len(body), "")
        kinds.append("all" if learns == every else kind if body <= norms else "something else")
    assert head
    assert all(head <= learns for learns in told.learns)
    assert kinds == LEARNS[name]


@pytest.mark.parametrize("name", EVERY)
def test_every_loss_of_a_preset_is_a_number(workspace, name):
    told = trained(workspace, name)
    assert all(math.isfinite(float(event.loss)) for event in told.of(Step))
    for event in told.of(EpochDone):
        assert math.isfinite(event.train_loss)
        assert math.isfinite(event.valid_loss)


@pytest.mark.parametrize("name", EVERY)
def test_each_stage_of_a_preset_is_scored_at_its_own_and_at_the_final_size(workspace, name):
    told = trained(workspace, name)
    data, recipe = told.trainer.data, told.trainer.recipe
    final = FINAL[name]
    assert data.final().hw == (final if isinstance(final, tuple) else (final, final))
    stages = list(range(len(recipe.stages)))
    assert [event.stage for event in told.of(StageStarted)] == stages
    assert [event.stage for event in told.of(StageDone)] == stages
    for event in told.of(StageDone):
        assert data.valid(event.stage).hw == recipe.stages[event.stage].hw
        for said in (event.own, event.final):
            assert said.first.shape == (len(data.final()), len(data.classes))
            assert said.first.sum(axis=1) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", EVERY)
def test_a_preset_abandoned_in_its_middle_ends_bit_for_bit_the_same(workspace, name):
    told = trained(workspace, name)
    state, resolved = told.middle
    again = trainer_of(workspace, told.trainer.recipe, resolved)
    again.restore(copy.deepcopy(state))
    events = list(again.events())
    assert 0 < state["step"] < told.trainer.plan.total_steps
    assert same(weights(again), weights(told.trainer))
    assert np.array_equal(events[-1].own.first, told.events[-1].own.first)
    assert np.array_equal(events[-1].final.first, told.events[-1].final.first)
