"""The lab's optimizer, step by step, beside fastai's Adam and SGD on the same gradients."""

import copy

import pytest
import torch

pytest.importorskip("fastai", reason="fastai is not installed: `make test-parity` compares with it")

from fastai.basics import DataLoader, DataLoaders, Learner
from fastai.optimizer import Adam
from small import small_recipe
from torch import nn

from lab.methods.freezing import trainable_when_frozen
from lab.train.model import build
from lab.train.optimizer import make_optimizer, set_rates

LR = 1e-2


def network_of(name="test_resnet", groups=2, **changes):
    model = {"name": name, "groups": groups, "drop_rate": 0.0}
    recipe = small_recipe(model=model, **changes)
    return recipe, build(recipe, 4, groups, (32, 32))


def ours_of(recipe, network, names=None):
    names = names or {name for name, _ in network.model.named_parameters()}
    return make_optimizer(network, names, recipe, recipe.stages[0])


def learner_of(network, opt_func):
    """fastai's Learner on a copy of the network, with the lab's groups."""
    model = copy.deepcopy(network.model)
    named = dict(model.named_parameters())
    groups = [[named[name] for name in names] for names in network.group_names()]
    rows = [(torch.zeros(3, 32, 32), torch.tensor(0))] * 4
    dls = DataLoaders(DataLoader(rows, bs=2), DataLoader(rows, bs=2))
    learn = Learner(dls, model, nn.CrossEntropyLoss(), opt_func=opt_func, splitter=lambda _: groups)
    learn.create_opt()
    return learn


def give_gradients(models, seed):
    """The same random gradients to every model."""
    rng = torch.Generator().manual_seed(seed)
    for parameters in zip(*(model.parameters() for model in models)):
        gradient = torch.randn(parameters[0].shape, generator=rng)
        for parameter in parameters:
            parameter.grad = gradient.clone()


def give_nothing(models):
    """Gradients of zero: what changes then is weight decay."""
    for model in models:
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)


def step_both(recipe, ours, learn, lrs, momentum):
    set_rates(ours, lrs, momentum, recipe.optimizer)
    learn.opt.set_hyper("lr", list(lrs))
    learn.opt.set_hyper("mom", momentum)
    ours.step()
    learn.opt.step()


def check_equal(model, other, tolerance=2e-6):
    theirs = dict(other.named_parameters())
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter, theirs[name], rtol=1e-5, atol=tolerance), name


def test_adamw_takes_fastais_steps_while_rates_and_momentum_move():
    recipe, network = network_of()
    ours, learn = ours_of(recipe, network), learner_of(network, Adam)
    for step in range(12):
        give_gradients([network.model, learn.model], step)
        rate, momentum = LR * (1 + step) / 12, 0.95 - 0.1 * step / 12
        step_both(recipe, ours, learn, (rate / 10, rate), momentum)
    check_equal(network.model, learn.model)


def test_weight_decay_and_the_size_of_a_step_are_fastais_by_default():
    recipe, network = network_of()
    learn = learner_of(network, Adam)
    choice, theirs = recipe.optimizer, learn.opt.hypers[0]
    ours = (choice.weight_decay, choice.eps, choice.beta2)
    assert ours == (theirs["wd"], theirs["eps"], theirs["sqr_mom"])


def changed_by_decay(recipe, network):
    """Names of the parameters that a step with no gradient changes, ours and fastai's."""
    ours, learn = ours_of(recipe, network), learner_of(network, Adam)
    for parameter in [*network.model.parameters(), *learn.model.parameters()]:
        parameter.data.fill_(1.0)
    give_nothing([network.model, learn.model])
    step_both(recipe, ours, learn, (LR,) * network.groups, 0.9)
    moved = []
    for model in (network.model, learn.model):
        named = model.named_parameters()
        moved.append({name for name, p in named if not torch.all(p.data == 1)})
    return moved


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "lcnet_050", "resnet10t"])
def test_the_same_parameters_are_decayed_and_norms_and_biases_are_not(name):
    ours, theirs = changed_by_decay(*network_of(name))
    assert ours == theirs
    assert ours


def test_departure_layer_scale_is_not_decayed_here_and_is_in_fastai():
    ours, theirs = changed_by_decay(*network_of("test_convnext"))
    assert theirs - ours
    assert all(name.endswith("gamma") for name in theirs - ours)
    assert not ours - theirs


def test_plain_adam_takes_the_steps_of_fastais_with_coupled_decay():
    recipe, network = network_of(optimizer={"name": "adam"})

    def coupled(*arguments, **options):
        return Adam(*arguments, **options, decouple_wd=False)

    ours, learn = ours_of(recipe, network), learner_of(network, coupled)
    for step in range(8):
        give_gradients([network.model, learn.model], step)
        step_both(recipe, ours, learn, (LR / 10, LR), 0.9)
    check_equal(network.model, learn.model)


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "test_convnext"])
def test_a_frozen_body_trains_just_what_fastais_does(name):
    _, network = network_of(name)
    learn = learner_of(network, Adam)
    learn.freeze()
    theirs = {name for name, p in learn.model.named_parameters() if p.requires_grad}
    assert trainable_when_frozen(network.model, norms_train=True) == theirs


def test_departure_sgd_has_nesterov_momentum_here_and_plain_momentum_in_fastai():
    from fastai.optimizer import SGD

    recipe, network = network_of(optimizer={"name": "sgd", "weight_decay": 0.0})
    ours = ours_of(recipe, network)
    learn = learner_of(network, lambda *a, **k: SGD(*a, **k, mom=0.9))
    for step in range(2):
        give_gradients([network.model, learn.model], step)
        before = [p.detach().clone() for p in network.model.parameters()]
        step_both(recipe, ours, learn, (LR, LR), 0.9)
    gradients = [p.grad for p in network.model.parameters()]
    moved = [(b - p).detach() for b, p in zip(before, network.model.parameters())]
    plain = [learn.opt.state[p]["grad_avg"] for p in learn.model.parameters()]
    for move, average, gradient in zip(moved, plain, gradients):
        assert torch.allclose(move, LR * (gradient + 0.9 * average), rtol=1e-3, atol=1e-6)
