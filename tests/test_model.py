"""Networks: groups, sizes, first weights, shipped facts against fresh probes."""

import pytest
import torch
from small import small_recipe

from lab.errors import LabError
from lab.methods.fixres import last_norm
from lab.recipe.models import shipped_model_facts, shipped_models
from lab.train.model import build, check_size
from lab.train.model_facts import model_facts


def network(name: str, groups: int = 3, seed: int = 0):
    recipe = small_recipe(model={"name": name, "groups": groups}, seed=seed)
    return build(recipe, 7, groups, (64, 64))


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext", "test_vit", "resnet10t"])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_every_parameter_is_in_just_one_group(name, groups):
    found = network(name, groups)
    names = [name for group in found.group_names() for name in group]
    assert sorted(names) == sorted(name for name, _ in found.model.named_parameters())


def test_the_head_is_the_last_group():
    assert network("resnet18").group_names()[-1] == ["fc.weight", "fc.bias"]


def test_the_last_norm_is_on_the_main_path():
    assert last_norm(network("resnet10t").model)[0] == "layer4.0.bn2"


def test_one_seed_gives_one_network():
    one, other = network("test_resnet").model, network("test_resnet").model
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters()))


def test_another_seed_gives_another_network():
    one, other = network("test_resnet").model, network("test_resnet", seed=1).model
    assert not torch.equal(one.conv1[0].weight, other.conv1[0].weight)


def test_a_transformer_takes_another_size():
    found = network("vit_tiny_patch16_224")
    found.at_size(96, 64)
    assert found.model.eval()(torch.zeros(1, 3, 96, 64)).shape == (1, 7)


def test_a_size_check_costs_no_change_of_the_network():
    found = network("vit_tiny_patch16_224")
    before = found.model.pos_embed.shape
    check_size(found.model, "vit_tiny_patch16_224", 128, 128)
    assert found.model.pos_embed.shape == before


def test_a_refused_size_is_said_in_words():
    found = network("convnext_atto")
    with pytest.raises(LabError, match="convnext_atto refuses pictures of 20×20 px"):
        check_size(found.model, "convnext_atto", 20, 20)


@pytest.mark.parametrize(
    "name", ["resnet10t", "test_convnext", "vit_tiny_patch16_224", "lcnet_100"]
)
def test_the_shipped_table_agrees_with_a_fresh_probe(name):
    assert model_facts(name) == shipped_model_facts(name)


def test_known_multiply_adds_of_resnet18():
    # 1.82 GMACs at 224 px (timm's results tables), less the classifier's change to ten classes
    assert model_facts("resnet18").gmacs_at_native == pytest.approx(1.82, abs=0.02)


def test_models_come_cheapest_first():
    costs = [shipped_model_facts(name).gmacs_at_native for name in shipped_models()]
    assert costs == sorted(costs)
