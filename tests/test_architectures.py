"""Architectures: which sizes they take and how, weights carried between sizes, groups.

The families behind docs/architectures.md, by their smallest members.
"""

import copy
from pathlib import Path

import pytest
import timm
import torch
from small import small_recipe

from lab.errors import LabError
from lab.methods.dropout import classifier_dropout, set_dropout
from lab.methods.freezing import has_body_to_freeze
from lab.train.architecture_table import FAMILIES, row
from lab.train.architectures import native_px, outline
from lab.train.groups import parameter_groups
from lab.train.model import Network, build, check_size
from lab.train.model_facts import probe, step_px
from lab.train.resample import grid_of
from lab.train.sizes import probe_kind

DOCS = Path(__file__).parent.parent / "docs"
GROUPED = [
    "resnet18",
    "convnext_atto",
    "vit_tiny_patch16_224",
    "pit_ti_224",  # has no matcher of its own
    "levit_128s",  # two classifiers
    "test_resnet",
    "test_convnext",
    "test_vit",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in (
            "resnetv2_50",
            "efficientnet_b0",
            "mobilenetv3_large_100",
            "lcnet_050",
            "densenet121",
            "regnety_004",
            "swin_tiny_patch4_window7_224",
            "cait_xxs24_224",
            "vgg11",
            "hrnet_w18_small",
        )
    ),
]


def network(name: str, size: int | tuple[int, int] = 128, groups: int = 3, **model) -> Network:
    recipe = small_recipe(model={"name": name, "groups": groups, **model})
    return build(recipe, 7, groups, (size, size) if isinstance(size, int) else size)


def logits(found: Network, height: int, width: int) -> torch.Tensor:
    with torch.no_grad():
        return found.model.eval()(torch.zeros(1, 3, height, width))


# --- sizes


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("resnet18", "any"),
        ("vit_tiny_patch16_224", "set"),
        ("mixer_s32_224", "build"),
        ("pit_ti_224", "build"),  # at 16 px its positions are broadcast: that is no pass
    ],
)
def test_a_forward_pass_tells_how_an_architecture_takes_sizes(name, kind):
    assert probe_kind(name) == kind


SLOW = pytest.mark.slow
BUILT = ["cait_xxs24_224", "gcvit_xxtiny", "volo_d1_224", "visformer_tiny", "botnet26t_256"]


@pytest.mark.parametrize(
    "name",
    ["mixer_s32_224", "levit_128s", "pit_ti_224", *(pytest.param(n, marks=SLOW) for n in BUILT)],
)
def test_a_network_built_for_one_size_takes_a_rectangle_after_a_rebuild(name):
    found = network(name)
    assert found.at_size(96, 160)
    assert logits(found, 96, 160).shape == (1, 7)


def test_a_convolutional_network_keeps_its_parameters_at_another_size():
    assert not network("test_resnet").at_size(64, 96)


def test_set_input_size_says_that_it_replaced_positions():
    found = network("vit_tiny_patch16_224")
    positions = found.model.pos_embed
    assert found.at_size(64, 64)
    assert found.model.pos_embed is not positions


def test_the_same_size_again_replaces_nothing():
    assert not network("mixer_s32_224", 64).at_size(64, 64)


def test_a_replaced_parameter_stays_frozen():
    found = network("vit_tiny_patch16_224")
    found.model.requires_grad_(False)
    found.at_size(64, 64)
    assert not any(p.requires_grad for p in found.model.parameters())


def test_a_rebuilt_network_behaves_as_before():
    found = network("mixer_s32_224", 64)
    old = found.model.to(memory_format=torch.channels_last).train()
    old.stem.proj.weight.requires_grad_(False)
    old.blocks[0].eval()
    set_dropout(old, 0.3)
    found.at_size(128, 128)
    new = found.model
    assert new is not old
    assert [p.requires_grad for p in new.parameters()] == [
        p.requires_grad for p in old.parameters()
    ]
    assert new.training
    assert not new.blocks[0].norm1.training
    assert classifier_dropout(new) == 0.3
    assert new.stem.proj.weight.is_contiguous(memory_format=torch.channels_last)


def test_a_rebuild_leaves_random_state_alone():
    found = network("mixer_s32_224", 64)
    before = torch.random.get_rng_state()
    found.at_size(96, 96)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("name", ["test_resnet", "vit_tiny_patch16_224", "mixer_s32_224"])
def test_a_copy_at_another_size_leaves_the_network_as_it_is(name):
    found = network(name, 64)
    before = copy.deepcopy(found.model.state_dict())
    other = found.copy_at(96, 96)
    with torch.no_grad():
        for parameter in other.model.parameters():
            parameter.add_(1)
    after = found.model.state_dict()
    assert found.size == (64, 64)
    assert all(torch.equal(after[key], before[key]) for key in before)


def test_weights_that_have_no_size_are_carried_over_unchanged():
    found = network("levit_128s", 64)
    other = found.copy_at(128, 128)
    assert torch.equal(other.model.stem.conv1.linear.weight, found.model.stem.conv1.linear.weight)


def test_a_ramp_over_positions_stays_a_ramp_when_the_grid_is_halved():
    found = network("mixer_s32_224", 256)  # 8 x 8 patches of 32 px
    rows = torch.arange(8.0)[:, None].expand(8, 8)
    with torch.no_grad():
        found.model.blocks[0].mlp_tokens.fc2.bias.copy_(rows.reshape(64))
    found.at_size(128, 128)
    grid = found.model.blocks[0].mlp_tokens.fc2.bias.reshape(4, 4)
    # each new row lies between two old ones; the first and last feel the border
    assert grid[1:3, 0].tolist() == pytest.approx([2.5, 4.5], abs=0.05)
    assert torch.allclose(grid, grid[:, :1].expand(4, 4), atol=1e-5)


def test_turning_a_rectangle_resamples_positions_though_their_number_stays():
    found = network("mixer_s32_224", (192, 320))  # 6 x 10 patches
    rows = torch.arange(6.0)[:, None].expand(6, 10)
    with torch.no_grad():
        found.model.blocks[0].mlp_tokens.fc2.bias.copy_(rows.reshape(60))
    found.at_size(320, 192)
    grid = found.model.blocks[0].mlp_tokens.fc2.bias.reshape(10, 6)
    assert torch.allclose(grid, grid[:, :1].expand(10, 6), atol=1e-5)
    assert (grid[1:, 0] > grid[:-1, 0]).all()


def test_a_layer_over_tokens_keeps_its_sum():
    found = network("mixer_s32_224", 128)  # 16 tokens
    with torch.no_grad():
        found.model.blocks[0].mlp_tokens.fc1.weight.fill_(1 / 16)
    found.at_size(256, 256)  # 64 tokens
    weight = found.model.blocks[0].mlp_tokens.fc1.weight
    assert torch.allclose(weight, torch.full_like(weight, 1 / 64))


@pytest.mark.parametrize(
    ("length", "size", "grid"),
    [(60, (96, 160), (6, 10)), (45, (96, 160), (5, 9)), (49, (224, 224), (7, 7))],
)
def test_the_grid_of_a_flattened_axis_follows_the_aspect(length, size, grid):
    assert grid_of(length, size) == grid


def test_a_fixed_architecture_refuses_another_size_in_words():
    with pytest.raises(LabError, match="efficientformer_l1 is made for 224×224 px and refuses 128"):
        network("efficientformer_l1", 128)


def test_a_refused_size_leaves_the_network_as_it_was():
    found = network("levit_128s", 64)
    with pytest.raises(LabError, match="levit_128s refuses pictures of 70×70 px"):
        found.at_size(70, 70)
    assert found.size == (64, 64)
    assert logits(found, 64, 64).shape == (1, 7)


def test_a_size_check_takes_a_network_or_its_model():
    found = network("mixer_s32_224", 64)
    check_size(found, "mixer_s32_224", 128, 96)
    check_size(found.model, "mixer_s32_224", 128, 96)
    assert found.size == (64, 64)


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("test_convnext", 4),
        pytest.param("pit_ti_224", 8, marks=SLOW),
        pytest.param("vit_tiny_patch16_224", 16, marks=SLOW),
    ],
)
def test_pixels_beyond_a_multiple_of_the_step_tell_the_network_nothing(name, step):
    assert step_px(name, probe_kind(name), native_px(name)) == step
    side = 8 * step + step - 1
    model = network(name, side).model.eval()
    x = torch.randn(1, 3, side, side, requires_grad=True)
    features = model.forward_features(x)
    features = features[0] if isinstance(features, tuple) else features
    (features * torch.randn_like(features)).sum().backward()
    silent = (x.grad.abs().sum(dim=(0, 1, 2)) == 0).sum()
    assert silent == step - 1


@pytest.mark.slow
def test_a_network_that_resizes_inside_is_found_out():
    assert probe("crossvit_9_240").resizes_inside


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["levit_128s", "pit_ti_224", "efficientvit_m0", "xcit_nano_12_p16_224", "test_vit"]
)
def test_plain_timm_loads_what_was_saved_at_another_size(name, tmp_path):
    found = network(name, 64)
    found.at_size(96, 64)
    sizes = {"input_size": (3, 96, 64), "test_input_size": (3, 96, 64)}
    timm.models.save_for_hf(found.model, str(tmp_path), data_config=sizes, safe_serialization=True)
    loaded = timm.create_model(f"local-dir:{tmp_path}", pretrained=True).eval()
    assert timm.data.resolve_model_data_config(loaded)["input_size"] == (3, 96, 64)
    x = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        assert torch.equal(loaded(x), found.model.eval()(x))


# --- groups


@pytest.mark.parametrize("name", GROUPED)
@pytest.mark.parametrize("wanted", [2, 3, 6, 100])
def test_every_parameter_is_in_one_group_and_none_is_empty(name, wanted):
    model = outline(name)
    groups = parameter_groups(model, wanted)
    names = [name for group in groups for name in group]
    assert sorted(names) == sorted(name for name, _ in model.named_parameters())
    assert all(groups)
    assert 2 <= len(groups) <= wanted


@pytest.mark.parametrize("name", GROUPED)
def test_asking_for_the_real_number_of_groups_gives_the_same_ones(name):
    groups = parameter_groups(outline(name), 9)
    assert parameter_groups(outline(name), len(groups)) == groups


def test_the_body_is_cut_as_evenly_as_whole_blocks_allow():
    # stem and twelve blocks, in four parts: 3, 3, 3 and 4
    groups = parameter_groups(outline("vit_tiny_patch16_224"), 5)
    blocks = [{int(n.split(".")[1]) for n in g if n.startswith("blocks.")} for g in groups]
    assert blocks == [{0, 1}, {2, 3, 4}, {5, 6, 7}, {8, 9, 10, 11}, set()]
    assert "pos_embed" in groups[0]
    assert groups[-1] == ["head.weight", "head.bias"]


def test_more_groups_than_stages_are_cut_between_blocks():
    groups = parameter_groups(outline("resnet18"), 9)
    assert len(groups) == 9
    assert not any(
        {"layer1.0.conv1.weight", "layer4.1.conv2.weight"} <= set(group) for group in groups
    )


def test_a_network_says_how_many_groups_it_really_has():
    found = network("test_resnet", 64, groups=50)
    assert found.groups == len(found.group_names()) == 6


def test_one_group_is_nothing_to_freeze():
    assert not has_body_to_freeze(network("test_resnet", 64, groups=1))


def test_two_groups_are_a_body_to_freeze():
    assert has_body_to_freeze(network("test_resnet", 64, groups=2))


# --- the table


def rows() -> dict[str, str]:
    lines = (DOCS / "architectures.md").read_text(encoding="utf-8").splitlines()
    return {line.split("`")[1]: line for line in lines if line.startswith("| `")}


def test_the_table_holds_every_family():
    assert list(rows()) == FAMILIES
    assert len(FAMILIES) >= 40


def test_the_table_names_the_version_of_timm_that_was_probed():
    text = (DOCS / "architectures.md").read_text(encoding="utf-8")
    assert f"timm {timm.__version__};" in text


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "test_convnext",
        *(pytest.param(n, marks=SLOW) for n in ("pit_ti_224", "swin_tiny_patch4_window7_224")),
    ],
)
def test_a_row_of_the_table_agrees_with_a_fresh_probe(name):
    assert row(probe(name)) == rows()[name]
