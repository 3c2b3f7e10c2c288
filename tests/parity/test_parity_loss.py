"""The loss that is trained on and the loss that is shown, beside fastai's."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

pytest.importorskip("fastai", reason="fastai is not installed: `make test-parity` compares with it")

from fastai.learner import AvgSmoothLoss
from fastai.losses import LabelSmoothingCrossEntropyFlat
from small import small_recipe
from tiny_learner import quietly, tiny_learner

from lab.methods.losses import cross_entropy
from lab.recipe.facts import Resolved
from lab.schedules.plan import make_plan
from lab.train.model import build
from lab.train.trainer import EpochDone, Step, Trainer
from lab.vision.rundata import open_run_data
from lab.workspace import Workspace


def smooth_by_fastai(losses):
    """AvgSmoothLoss after the last of these losses."""
    meter = AvgSmoothLoss()
    for loss in losses:
        meter.accumulate(SimpleNamespace(loss=torch.tensor(loss)))
    return float(meter.value)


@pytest.mark.parametrize("eps", [0.0, 0.1, 0.4])
def test_label_smoothing_is_fastais(eps):
    torch.manual_seed(1)
    logits, labels = 3 * torch.randn(16, 7), torch.randint(0, 7, (16,))
    theirs = LabelSmoothingCrossEntropyFlat(eps=eps)(logits, labels)
    assert float(cross_entropy(logits, labels, eps)) == pytest.approx(float(theirs), rel=1e-6)


def test_label_smoothing_has_fastais_gradient():
    torch.manual_seed(2)
    logits, labels = torch.randn(8, 5, requires_grad=True), torch.randint(0, 5, (8,))
    (ours,) = torch.autograd.grad(cross_entropy(logits, labels, 0.1), logits)
    (theirs,) = torch.autograd.grad(LabelSmoothingCrossEntropyFlat()(logits, labels), logits)
    assert torch.allclose(ours, theirs, atol=1e-7)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Losses of every step and the shown train loss of every epoch, for two stages of the lab."""
    torch.set_num_threads(1)
    workspace = Workspace(tmp_path_factory.mktemp("parity")).create()
    stage = {"size": 32, "epochs": 2, "lr": 3e-3, "batch_size": 16}
    recipe = small_recipe([stage, {**stage, "epochs": 1}])
    data = open_run_data(workspace, recipe)
    data.build()
    network = build(recipe, len(data.parts.classes), 2, (32, 32))
    plan = make_plan(recipe, data.n_train, 2)
    events = list(Trainer(recipe, plan, Resolved(groups=2), data, network).events())
    losses = [(event.row.stage, float(event.loss)) for event in events if isinstance(event, Step)]
    shown = [
        (event.row.stage, event.step, event.train_loss)
        for event in events
        if isinstance(event, EpochDone)
    ]
    return losses, shown


def test_the_train_loss_shown_in_a_stage_is_fastais_smoothed_loss(trained):
    losses, shown = trained
    for stage, step, loss in shown:
        if stage == 0:
            so_far = [value for _, value in losses[:step]]
            assert loss == pytest.approx(smooth_by_fastai(so_far), rel=1e-5)


def test_fastai_forgets_the_smoothed_loss_at_every_fit():
    learn, watch = tiny_learner(1, 8)
    quietly(learn, lambda learn: (learn.fit(1, 1e-3), learn.fit(1, 1e-3)))
    assert watch.smooth[8] == pytest.approx(watch.losses[8], rel=1e-5)


def test_the_train_loss_shown_in_a_later_stage_begins_anew_as_fastais_does(trained):
    losses, shown = trained
    _, _, loss = shown[-1]
    own = [value for stage, value in losses if stage == 1]
    assert loss == pytest.approx(smooth_by_fastai(own), rel=1e-5)


def test_mixed_labels_have_the_loss_of_fastais_mixup():
    """lam * loss(first) + (1 - lam) * loss(second), per picture, then the mean (MixHandler)."""
    mixing = pytest.importorskip("lab.methods.mixing")
    from fastai.callback.mixup import MixUp
    from fastai.losses import CrossEntropyLossFlat

    torch.manual_seed(3)
    logits = torch.randn(6, 4)
    first, second, share = torch.randint(0, 4, (6,)), torch.randint(0, 4, (6,)), torch.rand(6)
    mixup = MixUp(0.4)
    mixup.learn = SimpleNamespace(loss_func=CrossEntropyLossFlat(), training=True)
    mixup.old_lf, mixup.lam, mixup.yb1 = CrossEntropyLossFlat(), share, (second,)
    theirs = mixup.lf(logits, first)
    from lab.methods.losses import mixed_cross_entropy

    mixed = mixing.Mixed(first=first, second=second, share=share)
    ours = mixed_cross_entropy(logits, mixed, 0.0)
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_plain_cross_entropy_is_torchs():
    torch.manual_seed(4)
    logits, labels = torch.randn(9, 3), torch.randint(0, 3, (9,))
    expected = nn.CrossEntropyLoss()(logits, labels)
    assert float(cross_entropy(logits, labels, 0.0)) == pytest.approx(float(expected), rel=1e-6)
