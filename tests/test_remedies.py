"""Remedies for slow CPU layers: exact, invisible from outside, plain in evaluation."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from lab.errors import LabError
from lab.train.depthwise import pair_sums
from lab.train.model import Network
from lab.train.remedies import REMEDIES, apply, remedies_for, remove
from lab.workers.probe_remedies import ALL, PLAIN, probe_remedies, race_setups, worth_it
from tests.small import small_recipe

NETWORKS = {"test_resnet": 32, "test_convnext": 64, "test_vit": 160, "test_efficientnet": 32}


@pytest.fixture(autouse=True)
def threads():
    """One thread, so that tests do not wait for cores; a test may set another number."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch.set_num_threads
    torch.set_num_threads(before)


def conv(channels_in=24, channels_out=40, side=3, stride=1, bias=True, groups=1):
    torch.manual_seed(0)
    layer = nn.Conv2d(channels_in, channels_out, side, stride, side // 2, 1, groups, bias)
    return layer.to(memory_format=torch.channels_last).train()


def remedied(layer: nn.Module, name: str) -> nn.Module:
    other = copy.deepcopy(layer)
    apply(other, [name])
    assert type(other) is not type(layer)
    return other


def outcome(layer: nn.Module, x: torch.Tensor, bf16: bool = False) -> list[torch.Tensor]:
    """Output and the gradients of the input and of each parameter."""
    x = x.clone(memory_format=torch.preserve_format).requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        y = layer(x)
    torch.manual_seed(7)
    y.backward(torch.randn(y.shape).to(y.dtype))
    return [y.detach(), x.grad, *(p.grad for p in layer.parameters())]


def error(found: torch.Tensor, exact: torch.Tensor) -> float:
    return float((found.double() - exact.double()).norm() / exact.double().norm())


DENSE = [
    pytest.param(conv(side=side, stride=stride, bias=bias), hw, id=f"{side}x{side}/{stride} {hw}")
    for side, stride, bias, hw in [
        (3, 1, True, (1, 1)),
        (3, 1, False, (2, 2)),
        (3, 1, True, (3, 3)),
        (3, 1, True, (1, 4)),
        (3, 2, False, (3, 5)),
        (3, 2, True, (4, 4)),
        (1, 1, True, (3, 2)),
        (1, 2, False, (5, 4)),
    ]
]
DEPTHWISE = [
    pytest.param(
        conv(24, 24, side, stride, bias, groups=24), hw, id=f"depthwise {side}x{side}/{stride} {hw}"
    )
    for side, stride, bias, hw in [
        (3, 1, True, (2, 2)),
        (5, 1, False, (3, 4)),
        (7, 1, True, (1, 2)),
        (7, 1, True, (9, 7)),
        (3, 2, False, (5, 5)),
        (5, 2, True, (4, 6)),
    ]
]


def name_for(layer: nn.Conv2d) -> str:
    return "small-maps" if layer.groups == 1 else "depthwise"


def batch(layer: nn.Conv2d, hw: tuple[int, int]) -> torch.Tensor:
    torch.manual_seed(1)
    x = torch.randn(6, layer.in_channels, *hw)
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(("layer", "hw"), DENSE + DEPTHWISE)
def test_outputs_and_gradients_are_those_of_the_plain_convolution(layer, hw):
    x = batch(layer, hw)
    plain, other = outcome(layer, x), outcome(remedied(layer, name_for(layer)), x)
    assert [t.shape for t in other] == [t.shape for t in plain]
    assert max(error(b, a) for a, b in zip(plain, other, strict=True)) < 1e-5


@pytest.mark.parametrize(("layer", "hw"), DENSE + DEPTHWISE)
def test_in_bf16_it_is_at_most_a_little_further_from_the_truth_than_the_plain_layer(layer, hw):
    """The truth: fp64 arithmetic on the values that bf16 sees. One rounding to bf16: 0.2 %."""
    x = batch(layer, hw).bfloat16().float()
    rounded = copy.deepcopy(layer)
    for p in rounded.parameters():
        p.data = p.data.bfloat16().float()
    exact = bf16_truth(rounded, x)
    plain, other = outcome(rounded, x, True), outcome(remedied(rounded, name_for(layer)), x, True)
    assert [t.dtype for t in other] == [t.dtype for t in plain]
    for truth, a, b in zip(exact, plain, other, strict=True):
        assert error(b, truth) < 1.5 * max(error(a, truth), 2**-9)


def bf16_truth(layer: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """fp64 outcome, with the output's gradient rounded to bf16 as autocast hands it on."""
    double = copy.deepcopy(layer).double()
    x = x.double().requires_grad_()
    y = double(x)
    torch.manual_seed(7)
    y.backward(torch.randn(y.shape).bfloat16().double())
    return [y.detach(), x.grad, *(p.grad for p in double.parameters())]


@pytest.mark.parametrize("shape", [(5, 24), (2, 7, 24), (2, 3, 3, 24)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_by_onednn_is_the_plain_one(shape, bias):
    torch.manual_seed(0)
    layer = nn.Linear(24, 10, bias=bias).train()
    if not [r for r in REMEDIES if r.name == "linear" and r.applies_to(layer)]:
        pytest.skip("this build of torch has no such product")
    x = torch.randn(shape)
    plain, other = outcome(layer, x), outcome(remedied(layer, "linear"), x)
    assert max(error(b, a) for a, b in zip(plain, other, strict=True)) < 1e-5


def test_pair_sums_of_one_pixel_have_only_the_middle_element():
    x, grad = torch.tensor([2.0, 3.0]).view(2, 1, 1, 1), torch.tensor([5.0, 7.0]).view(2, 1, 1, 1)
    assert pair_sums(x, grad, 3).flatten().tolist() == [0, 0, 0, 0, 2 * 5 + 3 * 7, 0, 0, 0, 0]


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("bf16", [False, True])
def test_the_same_step_twice_gives_the_same_bits(n, bf16, threads):
    threads(n)
    for layer, hw in [(conv(512, 512), (2, 2)), (conv(96, 96, 5, groups=96), (4, 4))]:
        other, x = remedied(layer, name_for(layer)), batch(layer, hw)
        first, second = outcome(other, x, bf16), outcome(other, x, bf16)
        assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


def test_a_layer_may_be_used_twice_in_one_pass():
    layer = conv(16, 16)
    x = batch(layer, (2, 2))

    def twice(one: nn.Module) -> list[torch.Tensor]:
        return outcome(Twice(one), x)

    plain, other = twice(layer), twice(remedied(layer, "small-maps"))
    assert max(error(b, a) for a, b in zip(plain, other, strict=True)) < 1e-5


class Twice(nn.Module):
    """A layer after itself, with a ReLU that works in place."""

    def __init__(self, layer: nn.Module):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        return self.layer(F.relu(self.layer(x), inplace=True))


def test_a_layer_without_gradients_of_its_own_still_hands_them_on():
    layer = conv(16, 16)
    x = batch(layer, (2, 2))
    for p in layer.parameters():
        p.requires_grad_(False)
    wanted = [torch.randn(6, 16, 2, 2)]
    found = []
    for one in (layer, remedied(layer, "small-maps")):
        y_in = x.clone(memory_format=torch.preserve_format).requires_grad_()
        one(y_in).backward(wanted[0])
        found.append(y_in.grad)
    assert error(found[1], found[0]) < 1e-5


def network(name: str) -> nn.Module:
    torch.manual_seed(3)
    return timm.create_model(name, num_classes=5).to(memory_format=torch.channels_last)


def with_all(model: nn.Module) -> nn.Module:
    names = {r.name for kind in ("fp32", "bf16") for r in remedies_for(model, "cpu", kind)}
    assert names
    apply(model, sorted(names))
    return model


def pictures(name: str) -> torch.Tensor:
    torch.manual_seed(4)
    x = torch.randn(4, 3, NETWORKS[name], NETWORKS[name])
    return x.contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("bf16", [False, True])
def test_evaluation_is_that_of_plain_timm_bit_for_bit(name, bf16):
    plain, x = network(name).eval(), pictures(name)
    other = with_all(network(name)).train()
    with torch.random.fork_rng():
        other(x).sum().backward()  # a training step's traces must not be seen afterwards
    other.load_state_dict(plain.state_dict())
    other.eval()
    for context in (torch.inference_mode, torch.enable_grad):
        with context(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            assert torch.equal(other(x), plain(x))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_step_has_the_gradients_of_the_plain_network(name):
    plain, x = network(name).train(), pictures(name)
    other = with_all(copy.deepcopy(plain))
    for model in (plain, other):
        torch.manual_seed(5)
        F.cross_entropy(model(x), torch.arange(4)).backward()
    largest = max(float(p.grad.norm()) for p in plain.parameters())
    for (key, a), b in zip(plain.named_parameters(), other.parameters(), strict=True):
        assert float((a.grad - b.grad).norm()) < 1e-4 * largest, key


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_and_their_names_stay(name):
    model = network(name)
    before = dict(model.named_parameters())
    keys = list(model.state_dict())
    with_all(model)
    assert list(model.state_dict()) == keys
    assert all(p is before[key] for key, p in model.named_parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_taken_out_the_network_is_as_timm_made_it(name):
    model = network(name)
    before = [(type(m), dict(m._forward_pre_hooks), dict(m.__dict__)) for m in model.modules()]
    with_all(model).train()(pictures(name))
    remove(model)
    model.train(network(name).training)
    after = [(type(m), dict(m._forward_pre_hooks)) for m in model.modules()]
    assert after == [one[:2] for one in before]
    fused = [getattr(m, "fused_attn", None) for m in model.modules()]
    assert fused == [one[2].get("fused_attn") for one in before]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_copy_trains_by_its_own_weights(name):
    model = with_all(network(name)).train()
    other = copy.deepcopy(model)
    for p in other.parameters():
        p.data.zero_()
    other(pictures(name)).sum().backward()
    assert all(p.grad is None for p in model.parameters())
    assert any(p.grad is not None for p in other.parameters())


def test_a_state_goes_from_remedied_to_plain_and_back(tmp_path):
    other, plain = with_all(network("test_resnet")), network("test_resnet")
    torch.save(other.state_dict(), tmp_path / "state.pt")
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    plain.load_state_dict(state)
    other.load_state_dict(plain.state_dict())
    assert all(
        torch.equal(a, b) for a, b in zip(plain.parameters(), other.parameters(), strict=True)
    )


def test_there_are_none_for_a_gpu():
    assert remedies_for(network("test_resnet"), "cuda:0", "bf16") == []


def test_an_unknown_name_is_refused_in_words():
    with pytest.raises(LabError, match="no remedy 'magic'"):
        apply(network("test_resnet"), ["magic"])


def test_a_remedy_is_worth_it_where_its_absence_costs_five_per_cent():
    speeds = {PLAIN: 50.0, ALL: 105.0, "without linear": 100.0, "without depthwise": 101.0}
    assert worth_it(speeds, ["linear", "depthwise"]) == ["linear"]


def test_the_only_remedy_is_measured_against_the_plain_network():
    assert worth_it({PLAIN: 100.0, ALL: 106.0}, ["linear"]) == ["linear"]
    assert worth_it({PLAIN: 100.0, ALL: 104.0}, ["linear"]) == []


def probed_network() -> Network:
    recipe = small_recipe()
    half = (0.5, 0.5, 0.5)
    return Network(network("test_resnet"), recipe.model, 5, 1, half, half)


def test_the_probe_leaves_network_and_random_state_alone():
    given = probed_network()
    before = copy.deepcopy(given.model.state_dict())
    types = [type(m) for m in given.model.modules()]
    state = torch.random.get_rng_state()
    names, reason = probe_remedies(given, (32, 32), 4, "fp32", "cpu")
    assert set(names) <= {"small-maps", "linear", "depthwise"}
    assert reason.endswith("32×32 px, 4 at a time")
    assert torch.equal(state, torch.random.get_rng_state())
    assert [type(m) for m in given.model.modules()] == types
    assert all(torch.equal(v, before[k]) for k, v in given.model.state_dict().items())


def test_a_remedy_that_fails_is_left_out_of_the_race(monkeypatch):
    def broken(*_):
        raise RuntimeError("no such kernel")

    monkeypatch.setattr("lab.train.small_maps.product", broken)
    setups = {PLAIN: ("fp32", []), "small-maps": ("fp32", ["small-maps"])}
    assert list(race_setups(probed_network(), (32, 32), 4, setups, "cpu")) == [PLAIN]
