"""The running average of the weights: its numbers by hand, its state, its changes of size."""

import copy

import pytest
import timm
import torch
from torch import nn

from lab.methods.ema import Ema, decay_at


def one_weight(value: float) -> nn.Module:
    model = nn.Linear(1, 1, bias=False)
    set_to(model, value)
    return model


def set_to(model: nn.Module, value: float) -> None:
    with torch.no_grad():
        model.weight.fill_(value)


def stepped(model: nn.Module, seed: int) -> None:
    """Something like a training step: every floating tensor moves."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for tensor in model.state_dict().values():
            if tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape, generator=generator), alpha=0.1)


def test_the_first_updates_are_these():
    model = one_weight(1.0)
    ema = Ema(model, decay=0.999)
    set_to(model, 3.0)
    ema.update(model)
    assert ema.model.weight.item() == pytest.approx(0.1 * 1 + 0.9 * 3)
    ema.update(model)
    assert ema.model.weight.item() == pytest.approx(2 / 11 * 2.8 + 9 / 11 * 3)


def test_the_decay_grows_to_what_was_asked_for():
    # (1 + t) / (10 + t) passes 0.9 at t = 80
    assert [decay_at(t, 0.9) for t in (0, 8, 80, 1000)] == pytest.approx([0.1, 0.5, 0.9, 0.9])


def test_statistics_are_averaged_and_counts_are_copied():
    model = nn.BatchNorm1d(2)
    ema = Ema(model, decay=0.999)
    model.running_mean.fill_(10.0)
    model.num_batches_tracked.fill_(7)
    ema.update(model)
    assert ema.model.running_mean.tolist() == pytest.approx([9.0, 9.0])
    assert ema.model.num_batches_tracked.item() == 7


def test_the_average_is_never_trained():
    ema = Ema(timm.create_model("test_resnet", num_classes=3).train(), decay=0.9)
    assert not ema.model.training
    assert not any(parameter.requires_grad for parameter in ema.model.parameters())


def test_the_model_in_training_is_not_touched():
    model = timm.create_model("test_resnet", num_classes=3)
    before = copy.deepcopy(model.state_dict())
    ema = Ema(model, decay=0.9)
    stepped(ema.model, seed=1)
    ema.update(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_an_average_from_a_state_goes_on_bit_for_bit():
    model = timm.create_model("test_resnet", num_classes=3)
    whole, first = Ema(model, decay=0.99), Ema(model, decay=0.99)
    for step in range(3):
        stepped(model, step)
        whole.update(model)
        first.update(model)
    again = Ema(timm.create_model("test_resnet", num_classes=3), decay=0.99)
    again.load(copy.deepcopy(first.state()))
    for step in range(3, 6):
        stepped(model, step)
        whole.update(model)
        again.update(model)
    other = again.model.state_dict()
    assert all(torch.equal(value, other[name]) for name, value in whole.model.state_dict().items())


def averaged_vit() -> tuple[nn.Module, Ema]:
    """A network whose position embedding has a size (96 px), and an average of two steps."""
    model = timm.create_model("test_vit", num_classes=3, img_size=96)
    ema = Ema(model, decay=0.99)
    for step in range(2):
        stepped(model, step)
        ema.update(model)
    return model, ema


def test_after_a_change_of_size_the_average_is_that_of_resampled_weights():
    model = timm.create_model("test_vit", num_classes=3, img_size=96)
    ema = Ema(model, decay=0.99)
    small = copy.deepcopy(model)
    stepped(model, seed=1)
    ema.update(model)  # 0.1 of the first weights, 0.9 of the second
    averaged = copy.deepcopy(ema.model)
    for network in (small, model, averaged):
        network.set_input_size(img_size=128)
    ema.rebuild(model, averaged)
    expected = 0.1 * small.pos_embed + 0.9 * model.pos_embed
    assert torch.allclose(ema.model.pos_embed, expected, atol=1e-5)


def test_without_it_a_tensor_of_another_shape_begins_anew_and_the_others_stay():
    model, ema = averaged_vit()
    kept = ema.model.head.weight.clone()
    model.set_input_size(img_size=128)
    ema.rebuild(model)
    assert torch.equal(ema.model.pos_embed, model.pos_embed)
    assert torch.equal(ema.model.head.weight, kept)
    assert not torch.equal(ema.model.head.weight, model.head.weight)


def test_a_rebuilt_average_goes_on_and_takes_the_new_size():
    model, ema = averaged_vit()
    model.set_input_size(img_size=128)
    ema.rebuild(model)
    ema.update(model)
    assert ema.updates == 3
    assert ema.model(torch.zeros(1, 3, 128, 128)).shape == (1, 3)
