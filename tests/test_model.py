"""Networks: groups, sizes, last norm, dropout, shipped facts against fresh probes."""

import copy

import pytest
import torch
from small import small_recipe
from torch import nn

from lab.errors import LabError
from lab.methods.dropout import classifier_dropout, set_dropout
from lab.methods.fixres import adapts_nothing, fixres_mode, fixres_parameters, last_norm
from lab.methods.freezing import is_norm
from lab.recipe.models import shipped_model_facts, shipped_models
from lab.train.architectures import outline
from lab.train.model import build, check_size
from lab.train.model_facts import SHIPPED, model_facts


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


# --- the last norm (FixRes) and dropout


@pytest.mark.parametrize(
    ("name", "norm"),
    [
        ("resnet18", "layer4.1.bn2"),
        ("resnet10t", "layer4.0.bn2"),  # not layer4.0.downsample.2, which runs after it
        ("resnetv2_50", "norm"),
        ("convnext_atto", "head.norm"),  # after the pooling
        ("efficientnet_b0", "bn2"),
        ("mobilenetv3_large_100", "blocks.6.0.bn1"),
        ("mobilenetv4_conv_small", "norm_head"),  # after the pooling
        ("vit_tiny_patch16_224", "norm"),
        ("swin_tiny_patch4_window7_224", "norm"),
        ("densenet121", "features.norm5"),
        ("regnety_004", "s4.b6.conv3.bn"),
    ],
)
def test_the_last_norm_is_the_last_one_to_run_on_the_main_path(name, norm):
    model = copy.deepcopy(outline(name))
    ran = []
    for path, module in model.named_modules():
        if is_norm(module) and "downsample" not in path:
            module.register_forward_hook(lambda *_, path=path: ran.append(path))
    side = model.pretrained_cfg["input_size"][-1]
    model(torch.empty(1, 3, side, side, device="meta"))
    assert last_norm(model)[0] == ran[-1] == norm


def test_a_block_without_norms_is_no_norm_whatever_it_is_called():
    assert last_norm(outline("nfnet_f0")) is None


def test_a_head_with_a_norm_in_it_is_no_norm():
    assert not is_norm(outline("test_convnext").head)


def test_the_authors_variant_trains_the_classifier_alone():
    model = network("test_resnet").model
    assert fixres_parameters(model, affine=False) == {"fc.weight", "fc.bias"}


def test_statistics_of_the_last_norm_alone_adapt():
    model = network("test_resnet").model
    fixres_mode(model)
    last, earlier = model.layer4[0].bn2, model.layer4[0].bn1
    before = last.running_mean.clone(), earlier.running_mean.clone()
    model(torch.randn(4, 3, 64, 64))
    assert not torch.equal(last.running_mean, before[0])
    assert torch.equal(earlier.running_mean, before[1])


@pytest.mark.parametrize(
    ("name", "nothing"), [("resnet18", False), ("convnext_atto", True), ("vgg11", True)]
)
def test_without_running_statistics_nothing_adapts(name, nothing):
    assert adapts_nothing(outline(name)) is nothing


def dropped_share(model: nn.Module, rate: float) -> float:
    """The share of zeros that the classifier is given, beyond those without dropout."""
    seen = []
    classifier = model.get_classifier()
    hook = classifier.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    torch.manual_seed(0)
    x = torch.randn(8, 3, 64, 64)
    for share in (0.0, rate):
        set_dropout(model, share)
        with torch.no_grad():
            model.train()(x)
    hook.remove()
    zeros = [(given == 0).float().mean().item() for given in seen]
    return (zeros[1] - zeros[0]) / (1 - zeros[0])


QUICK = ["test_resnet", "test_convnext", "test_vit", "lcnet_050", "regnetx_002", "mixer_s32_224"]


@pytest.mark.parametrize("name", QUICK)
def test_dropout_zeroes_its_share_of_what_the_classifier_is_given(name):
    assert dropped_share(network(name).model, 0.5) == pytest.approx(0.5, abs=0.06)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SHIPPED if name not in QUICK])
def test_dropout_works_on_every_shipped_architecture(name):
    assert dropped_share(network(name).model, 0.5) == pytest.approx(0.5, abs=0.06)


def test_dropout_of_the_classifier_leaves_attention_alone():
    model = network("test_vit").model
    set_dropout(model, 0.4)
    rates = {path: m.p for path, m in model.named_modules() if isinstance(m, nn.Dropout)}
    assert {path for path, rate in rates.items() if rate} == {"head_drop"}


def test_dropout_set_is_dropout_read():
    model = network("test_resnet").model
    set_dropout(model, 0.25)
    assert classifier_dropout(model) == 0.25
