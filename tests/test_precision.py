"""fp32, bf16 and fp16: where autocast rounds, and what the gradient scaler does."""

import math

import pytest
import timm
import torch
import torch.nn.functional as F

from lab.train.evaluation import autocast as autocast_of_evaluation
from lab.train.precision import Scaler, autocast


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("fp32", torch.float32), ("bf16", torch.bfloat16), ("fp16", torch.float16)],
)
def test_a_matrix_product_is_rounded_as_the_precision_says(precision, dtype):
    with autocast("cpu", precision):
        assert torch.nn.Linear(4, 2)(torch.ones(3, 4)).dtype == dtype


def test_autocast_is_still_found_where_it_was():
    assert autocast_of_evaluation is autocast


def one_weight(optimizer=torch.optim.SGD, **options):
    weight = torch.nn.Parameter(torch.ones(1))
    return weight, optimizer([weight], lr=0.1, **options)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_a_step_moves_a_weight_by_rate_times_gradient_whatever_the_scale(precision):
    weight, optimizer = one_weight()
    scaler = Scaler("cpu", precision)
    scaler.backward((2 * weight).sum())
    scaler.step(optimizer)
    assert weight.item() == pytest.approx(1 - 0.1 * 2)


def test_gradients_of_parts_add_up_under_the_scaler():
    weight, optimizer = one_weight()
    scaler = Scaler("cpu", "fp16")
    scaler.backward((2 * weight).sum())
    scaler.backward((3 * weight).sum())
    scaler.step(optimizer)
    assert weight.item() == pytest.approx(1 - 0.1 * 5)


@pytest.mark.parametrize("fused", [True, False])
def test_a_step_with_infinite_gradients_is_skipped_and_counted_and_halves_the_scale(fused):
    weight, optimizer = one_weight(torch.optim.AdamW, fused=fused)
    scaler = Scaler("cpu", "fp16")
    scaler.backward((math.inf * weight).sum())
    scale = scaler.scale
    scaler.step(optimizer)
    assert weight.item() == 1.0
    assert scaler.skipped == 1
    assert scaler.scale == scale / 2


def test_a_finite_step_is_not_counted():
    weight, optimizer = one_weight()
    scaler = Scaler("cpu", "fp16")
    scaler.backward(weight.sum())
    scaler.step(optimizer)
    assert scaler.skipped == 0


def test_without_fp16_infinite_gradients_are_not_hidden():
    weight, optimizer = one_weight()
    scaler = Scaler("cpu", "bf16")
    scaler.backward((math.inf * weight).sum())
    scaler.step(optimizer)
    assert not math.isfinite(weight.item())


def tiny_gradient(scaled: bool) -> float:
    """The gradient of a weight in front of an fp16 product whose own gradient is 1e-9."""
    linear = torch.nn.Linear(1, 1, bias=False)
    scaler = Scaler("cpu", "fp16" if scaled else "fp32")
    with autocast("cpu", "fp16"):
        out = linear(torch.ones(1, 1))
    scaler.backward(out.float().sum() * 1e-9)
    return linear.weight.grad.item() / scaler.scale


def test_gradients_below_the_range_of_fp16_vanish_without_the_scaler():
    assert tiny_gradient(scaled=False) == 0.0


def test_gradients_below_the_range_of_fp16_survive_with_the_scaler():
    assert tiny_gradient(scaled=True) == pytest.approx(1e-9, rel=1e-2)


def trained(steps: int, at: int | None = None) -> tuple[torch.Tensor, Scaler]:
    """A few fp16 steps, the third of them infinite; written down and taken up again after `at`."""
    torch.manual_seed(0)
    linear, x = torch.nn.Linear(4, 2), torch.randn(8, 4)
    optimizer = torch.optim.AdamW(linear.parameters(), lr=0.1, fused=True)
    scaler = Scaler("cpu", "fp16")
    for step in range(steps):
        if step == at:
            state = scaler.state()
            scaler = Scaler("cpu", "fp16")
            scaler.load(state)
        optimizer.zero_grad()
        with autocast("cpu", "fp16"):
            loss = linear(x).float().square().mean()
        scaler.backward(loss * (math.inf if step == 2 else 1))
        scaler.step(optimizer)
    return linear.weight.detach(), scaler


@pytest.mark.parametrize("at", [1, 2, 3, 5])
def test_a_scaler_taken_up_from_its_state_goes_on_exactly(at):
    (whole, first), (again, second) = trained(6), trained(6, at)
    assert torch.equal(whole, again)
    assert first.state() == second.state()
    assert second.skipped == 1


def test_a_state_holds_numbers_only():
    state = trained(4)[1].state()
    values = [*state.pop("scaler").values(), *state.values()]
    assert {type(value) for value in values} <= {int, float}


def test_where_scaling_is_off_there_is_no_state():
    assert Scaler("cpu", "bf16").state() == {}


def test_an_empty_state_begins_anew():
    scaler = Scaler("cpu", "fp16")
    scaler.load({})
    assert (scaler.skipped, scaler.scale) == (0, 65536.0)


def test_a_small_network_learns_in_fp16():
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=2).train()
    x = torch.randn(8, 3, 32, 32)
    y = torch.tensor([0, 1] * 4)
    x[y == 1] += 1
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, fused=True)
    scaler, losses = Scaler("cpu", "fp16"), []
    for _ in range(12):
        with autocast("cpu", "fp16"):
            logits = model(x)
        loss = F.cross_entropy(logits.float(), y)
        optimizer.zero_grad()
        scaler.backward(loss)
        scaler.step(optimizer)
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
