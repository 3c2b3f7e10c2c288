"""Operations of training, by hand and by published figures; joules from counters that wrap."""

from pathlib import Path

import pytest
import torch
from small import small_recipe
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lab.recipe.facts import Resolved
from lab.schedules.plan import make_plan
from lab.train.flops import FORMULAS, FlopCount, image_cost
from lab.workers.energy import EnergyMeter


def cost(name: str, side: int, **stage):
    recipe = small_recipe([{"size": side, "epochs": 1, **stage}], model={"name": name})
    return image_cost(recipe, 1000, recipe.stages[0], (side, side), frozen=False)


@pytest.mark.parametrize("groups", [1, 2, 8])
def test_a_grouped_convolution_costs_twice_its_forward_pass_on_the_way_back(groups):
    layer = nn.Conv2d(8, 8, 3, padding=1, groups=groups, bias=False, device="meta")
    x = torch.empty(1, 8, 10, 10, device="meta", requires_grad=True)
    with FlopCounterMode(display=False, custom_mapping=FORMULAS) as counter:
        layer(x).sum().backward()
    forward = 2 * 8 * 10 * 10 * (8 // groups) * 9  # multiply-adds count two
    assert counter.get_total_flops() == 3 * forward


def test_resnet18_costs_its_published_1_8_billion_multiply_adds_forward():
    assert cost("resnet18", 224).forward / 2e9 == pytest.approx(1.81, abs=0.01)


def test_a_training_step_costs_three_passes_less_the_gradient_of_the_pictures():
    found = cost("resnet18", 224)
    first_convolution = 2 * 64 * 112 * 112 * 3 * 49
    assert found.step == 3 * found.forward - first_convolution


def test_a_frozen_body_without_norms_has_no_way_back():
    recipe = small_recipe(
        [{"size": 64, "epochs": 1, "trainable": "head"}],
        model={"name": "resnet18", "frozen_norms_train": False},
    )
    found = image_cost(recipe, 1000, recipe.stages[0], (64, 64), frozen=False)
    assert found.step - found.forward == 2 * 512 * 1000  # the classifier's own gradient


def test_counts_add_up_over_epochs_sizes_and_a_part_of_an_epoch():
    stages = [{"size": 32, "epochs": 2}, {"size": 64, "epochs": 1}]
    recipe = small_recipe(stages, model={"name": "test_resnet"})
    plan = make_plan(recipe, 100, 1, Resolved(stages={"1": {"steps": 1}}))
    small, large = (
        image_cost(recipe, 6, stage, stage.hw, frozen=False).step for stage in recipe.stages
    )
    assert large > 3.5 * small
    images = [100, 100, 64]  # the last epoch has one step of the usual 64
    assert [row.images for row in plan.epochs] == images
    assert FlopCount(recipe, 6, 1).by_epoch(plan) == [
        100 * small,
        200 * small,
        200 * small + 64 * large,
    ]


def test_cached_activations_pay_for_the_body_once():
    stage = {"size": 32, "epochs": 3, "trainable": "head", "cached_activations": True}
    recipe = small_recipe([stage], model={"name": "test_resnet", "groups": 2})
    plan = make_plan(recipe, 100, 2)
    first, second, third = FlopCount(recipe, 6, 2).by_epoch(plan)
    assert third - second == second - first
    assert first > 50 * (second - first)


# -- joules ---------------------------------------------------------------------------------------


def package(folder: Path, number: int, energy_uj: int) -> Path:
    zone = folder / f"intel-rapl:{number}"
    zone.mkdir(exist_ok=True)
    (zone / "max_energy_range_uj").write_text("10000000\n")
    (zone / "energy_uj").write_text(f"{energy_uj}\n")
    return zone


def test_joules_of_all_packages_are_summed_from_where_they_stood(tmp_path):
    package(tmp_path, 0, 1_000_000), package(tmp_path, 1, 500_000)
    meter = EnergyMeter("cpu", tmp_path)
    package(tmp_path, 0, 3_000_000), package(tmp_path, 1, 1_000_000)
    assert meter.joules() == pytest.approx(2.5)


def test_a_counter_that_wraps_round_is_followed(tmp_path):
    package(tmp_path, 0, 9_000_000)
    meter = EnergyMeter("cpu", tmp_path)
    package(tmp_path, 0, 2_000_000)
    assert meter.joules() == pytest.approx(3.0)


def test_a_core_within_a_package_is_not_counted_twice(tmp_path):
    package(tmp_path, 0, 0)
    (tmp_path / "intel-rapl:0:0").mkdir()
    (tmp_path / "intel-rapl:0:0" / "energy_uj").write_text("5")
    assert len(EnergyMeter("cpu", tmp_path)._counters) == 1


def test_nothing_reported_is_no_number(tmp_path):
    assert EnergyMeter("cpu", tmp_path).joules() is None
    assert EnergyMeter("cuda:0").joules() is None or torch.cuda.is_available()


def test_a_counter_that_disappears_ends_the_count(tmp_path):
    zone = package(tmp_path, 0, 0)
    meter = EnergyMeter("cpu", tmp_path)
    (zone / "energy_uj").unlink()
    assert meter.joules() is None
    package(tmp_path, 0, 5_000_000)
    assert meter.joules() is None  # half a number is none
