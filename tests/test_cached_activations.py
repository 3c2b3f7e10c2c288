"""Cached activations: features, their order, their views, memory and disk, stopping, resuming."""

import shutil
from dataclasses import replace
from io import BytesIO
from types import SimpleNamespace

import numpy as np
import pytest
import timm
import torch
from small import small_recipe
from torch import nn

from lab.errors import LabError, Stopped
from lab.methods import cached_activations
from lab.methods.activations import body_features, check_cut, head_logits
from lab.methods.cached_activations import ActivationCache, cached_cost
from lab.recipe.facts import Resolved
from lab.recipe.stage import Stage
from lab.schedules.plan import EpochRow, make_plan
from lab.train.model import build
from lab.train.moments import EpochDone, Step
from lab.train.trainer import Trainer
from lab.vision.loader import Normalisation, TestPictures, TrainPictures

NORM = Normalisation((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
N, N_VALID, SIDE = 21, 9, 32
QUICK = ["test_resnet", "test_convnext", "test_vit", "test_efficientnet", "resnet18"]
SLOW = [
    "convnext_atto",
    "vit_tiny_patch16_224",
    "mobilenetv4_conv_small",
    "efficientnet_b0",
    "swin_tiny_patch4_window7_224",
    "resnetv2_18",  # its classifier is a convolution
    "regnety_004",
    "densenet121",
]
NETWORKS = [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW)]


def network(name="test_resnet", side=SIDE, classes=3, **options) -> nn.Module:
    """In eval, with a classifier that is not all zeros."""
    torch.manual_seed(0)
    model = timm.create_model(name, num_classes=classes, **options)
    if hasattr(model, "set_input_size"):
        model.set_input_size(img_size=(side, side))
    for parameter in model.get_classifier().parameters():
        nn.init.normal_(parameter)
    return model.eval()


def stage_of(**values) -> Stage:
    usual = {"size": SIDE, "trainable": "head", "cached_activations": True, "epochs": 2}
    return Stage(**{**usual, **values})


def row_of(epoch=0, batch=4, **values) -> EpochRow:
    steps = N // batch + 1
    return EpochRow(
        stage=0, epoch=epoch, global_epoch=epoch, phase=0, height=SIDE, width=SIDE, batch=batch,
        steps=steps, images=N, frozen=False, peak_lrs=(1.0,), first_step=0, cached=True, **values,
    )  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def train() -> TrainPictures:
    """Pictures of several shapes; no label comes as often as another."""
    rng = np.random.default_rng(1)
    shapes = rng.integers(40, 70, size=(N, 2))
    labels = np.repeat([0, 1, 2], [12, 6, 3]).astype(np.int64)
    images = [rng.integers(0, 86, (*shape, 3), dtype=np.uint8) for shape in shapes]
    for image, label in zip(images, labels):
        image[..., label] += 170  # a class is a colour
    return TrainPictures(images, labels)


@pytest.fixture(scope="module")
def valid() -> TestPictures:
    rng = np.random.default_rng(2)
    images = rng.integers(0, 256, (N_VALID, SIDE, SIDE, 3), dtype=np.uint8)
    return TestPictures(images, np.arange(N_VALID) % 3, np.arange(N_VALID))


def built(train, valid, model=None, stage=None, seed=5, **options) -> ActivationCache:
    arguments = (stage or stage_of(), row_of(), seed, NORM)
    return ActivationCache.build(model or network(), train, valid, *arguments, **options)


@pytest.mark.parametrize("name", NETWORKS)
def test_body_and_head_one_after_the_other_are_the_network(name):
    side = 64 if name.startswith(("vit", "swin")) else SIDE
    model, x = network(name, side), torch.randn(3, 3, side, side)
    with torch.no_grad():
        assert torch.equal(head_logits(model, body_features(model, x)), model(x))


@pytest.mark.parametrize("name", NETWORKS)
def test_dropout_falls_where_the_networks_own_falls(name):
    side = 64 if name.startswith(("vit", "swin")) else SIDE
    model, x = network(name, side, drop_rate=0.4), torch.randn(3, 3, side, side)
    with torch.no_grad():
        features = body_features(model, x)
        maps = model.forward_features(x)
        model.training = True  # of the network itself alone: its body stays in eval
        for module in model.modules():
            module.training |= isinstance(module, nn.Dropout) and module.p == 0.4
        torch.manual_seed(7)
        own = model.forward_head(maps)
        torch.manual_seed(7)
        assert torch.equal(head_logits(model, features, training=True), own)


def test_a_network_with_two_classifiers_is_refused_in_words():
    model = timm.create_model("deit_tiny_distilled_patch16_224", num_classes=3, img_size=32).eval()
    with torch.no_grad(), pytest.raises(LabError, match=r"several classifiers.*cached_activations"):
        check_cut(model, torch.randn(2, 3, 32, 32))


def test_a_head_that_sees_more_than_the_features_is_refused_even_when_it_is_all_zeros():
    class Doubled(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(3, 2)
            nn.init.zeros_(self.fc.weight)

        def forward_features(self, x):
            return x

        def forward_head(self, x, pre_logits=False):
            x = x.mean((2, 3))
            return x if pre_logits else self.fc(2 * x)

        def forward(self, x):
            return self.forward_head(self.forward_features(x))

        def get_classifier(self):
            return self.fc

    with torch.no_grad(), pytest.raises(LabError, match="sees something else"):
        check_cut(Doubled().eval(), torch.randn(2, 3, 8, 8))


def test_features_are_those_of_still_pictures(train, valid):
    plain = built(train, valid)
    still = stage_of().still().model_copy(update={"cached_activations": False})
    batch = next(iter(train.batches(still, row_of(batch=N), 5, 0, NORM)))[0]
    features, _ = next(iter(plain.batches(row_of(batch=N), 5)))
    with torch.no_grad():
        expected = body_features(network(), batch)
    assert torch.allclose(features, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sampling", ["all", "weighted"])
def test_labels_come_in_the_order_that_pictures_would_have(train, valid, sampling):
    stage = stage_of(sampling=sampling)
    cache = built(train, valid, stage=stage)
    for epoch in (0, 1):
        theirs = [y for _, y in train.batches(stage, row_of(epoch), 5, 0, NORM)]
        mine = [y for _, y in cache.batches(row_of(epoch), 5)]
        assert torch.equal(torch.cat(mine), torch.cat(theirs))
        assert [len(y) for y in mine] == [4, 4, 4, 4, 4, 1]


def test_a_second_target_comes_along(train, valid):
    both = TrainPictures(train.images, np.stack([train.labels, 1 - train.labels], axis=1))
    pairs = TestPictures(valid.images, valid.labels, valid.items, second=valid.labels + 1)
    cache = built(both, pairs)
    theirs = torch.cat([y for _, y in both.batches(stage_of(), row_of(), 5, 0, NORM)])
    assert torch.equal(torch.cat([y for _, y in cache.batches(row_of(), 5)]), theirs)
    assert cache.valid()[1][:2].tolist() == [[0, 1], [1, 2]]


def test_an_epoch_taken_up_in_its_middle_goes_on_the_same(train, valid):
    cache = built(train, valid, stage=stage_of(cached_views=2))
    whole, rest = list(cache.batches(row_of(), 5)), list(cache.batches(row_of(), 5, start=3))
    assert len(rest) == 3
    assert all(torch.equal(a[0], b[0]) for a, b in zip(whole[3:], rest))


def test_validation_features_are_those_of_the_exact_test_pictures(train, valid):
    model = network()
    features, labels = built(train, valid, model).valid()
    with torch.no_grad():
        expected = model(next(iter(valid.batches(N_VALID, NORM)))[0])
        found = head_logits(model, features)
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert labels.tolist() == valid.labels.tolist()


def test_views_are_taken_about_as_often_as_each_other_and_anew_each_epoch():
    draws = [cached_activations.view_numbers(5, 0, epoch, 3000, views=2) for epoch in (0, 1)]
    assert np.bincount(draws[0]) == pytest.approx(1000, abs=120)
    assert 0.6 < np.mean(draws[0] != draws[1]) < 0.73


def test_every_view_of_a_picture_differs_and_stays_the_same_all_stage(train, valid):
    cache = built(train, valid, stage=stage_of(cached_views=2))
    views = cache.table[: 3 * N].reshape(3, N, -1)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.isclose(views[a], views[b]).all(dim=1).any()
    known = {tuple(feature.tolist()) for feature in cache.table[: 3 * N]}
    for epoch in (0, 1):
        for features, _ in cache.batches(row_of(epoch), 5):
            assert {tuple(feature.tolist()) for feature in features} <= known


def test_epochs_without_augmentation_take_plain_pictures_alone(train, valid):
    cache, plain = built(train, valid, stage=stage_of(cached_views=2)), built(train, valid)
    row = row_of(1, augmented=False)
    for (a, _), (b, _) in zip(cache.batches(row, 5), plain.batches(row, 5), strict=True):
        assert torch.equal(a, b)


def test_another_seed_draws_other_views_of_the_same_plain_pictures(train, valid):
    stage = stage_of(cached_views=1)
    a, b = (built(train, valid, stage=stage, seed=seed).table for seed in (5, 6))
    assert torch.equal(a[:N], b[:N])
    assert not torch.isclose(a[N : 2 * N], b[N : 2 * N]).all(dim=1).any()


def test_a_cache_rebuilt_in_a_run_of_other_modes_holds_the_same_bits(train, valid):
    model = network(drop_rate=0.3)
    first = built(train, valid, model, stage_of(cached_views=1)).table
    model.train()
    torch.manual_seed(99)
    assert torch.equal(built(train, valid, model, stage_of(cached_views=1)).table, first)


def test_the_network_is_left_as_it_was_found(train, valid):
    model = network(drop_rate=0.3)
    model.bn1.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    random = torch.get_rng_state()
    built(train, valid, model)
    assert [m for m in model.modules() if m.training] == [model.bn1]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), random)


def test_from_disk_come_the_same_features_and_no_file_is_to_be_seen(train, valid, tmp_path):
    paged = built(train, valid, folder=tmp_path, budget_mb=0.001)
    assert paged.on_disk
    assert not list(tmp_path.iterdir())
    assert torch.equal(paged.table, built(train, valid).table)
    for (a, _), (b, _) in zip(paged.batches(row_of(), 5), built(train, valid).batches(row_of(), 5)):
        assert torch.equal(a, b)


def test_a_full_disk_is_refused_in_numbers(train, valid, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=150e6))
    with pytest.raises(LabError, match=r"take 0 MB.*200 MB are kept.*only 150 MB are free"):
        built(train, valid, folder=tmp_path, budget_mb=0.001)


def test_without_a_folder_more_than_the_budget_is_refused(train, valid):
    with pytest.raises(LabError, match=r"more than 0 MB of memory.*Lower cached_views"):
        built(train, valid, budget_mb=0.001)


def test_building_stops_when_asked_and_leaves_no_mode_behind(train, valid, tmp_path):
    model = network().train()
    asked = iter([False, True])
    with pytest.raises(Stopped):
        built(train, valid, model, folder=tmp_path, budget_mb=0.001, stop=lambda: next(asked))
    assert all(module.training for module in model.modules())
    assert not list(tmp_path.iterdir())


def test_progress_counts_every_forward_pass_once(train, valid, monkeypatch):
    monkeypatch.setattr(cached_activations, "BATCH", 8)
    seen = []
    stage = stage_of(cached_views=1)
    built(train, valid, stage=stage, progress=lambda what, done, total: seen.append((done, total)))
    assert [done for done, _ in seen] == [8, 16, 21, 29, 37, 42, 50, 51]
    assert {total for _, total in seen} == {51} == {cached_cost(N, N_VALID, 1)}


def test_features_do_not_depend_on_the_epochs_own_batch(train, valid):
    cache = built(train, valid)
    small = torch.cat([x for x, _ in cache.batches(row_of(batch=4), 5)])
    large = torch.cat([x for x, _ in cache.batches(row_of(batch=20), 5)])
    assert torch.equal(small, large)


def test_the_head_learns_from_stored_features(train, valid):
    torch.manual_seed(0)
    model, cache = network(), built(train, valid)
    head = model.get_classifier()
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.02)
    losses = []
    for epoch in range(30):
        for features, labels in cache.batches(replace(row_of(), epoch=epoch), 5):
            loss = nn.functional.cross_entropy(head_logits(model, features, True), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    assert np.mean(losses[-6:]) < 0.3 * np.mean(losses[:6])


def test_bf16_features_are_stored_without_losing_a_bit(train, valid):
    table = built(train, valid, precision="bf16").table
    assert table.dtype == torch.float32
    assert torch.equal(table.bfloat16().float(), table)


def trainer_of(train, valid, stop=lambda: False) -> Trainer:
    """Two epochs of a head with dropout over two views, and nothing else."""
    stage = {"size": SIDE, "epochs": 2, "lr": 3e-2, "batch_size": 4, "trainable": "head"}
    recipe = small_recipe([{**stage, "cached_activations": True, "cached_views": 1}])
    parts = SimpleNamespace(
        train=lambda stage: train, valid=lambda stage: valid, final=lambda: valid
    )
    network, plan = build(recipe, 3, 2, (SIDE, SIDE)), make_plan(recipe, N, 2)
    return Trainer(recipe, plan, Resolved(groups=2), parts, network, stopping=stop)


def weights_after(trainer: Trainer) -> dict[str, torch.Tensor]:
    for _ in trainer.events():
        pass
    return trainer.model.state_dict()


@pytest.mark.parametrize("steps", [1, 6, 9])
def test_a_run_killed_and_resumed_ends_bit_for_bit_the_same(train, valid, steps):
    whole = weights_after(trainer_of(train, valid))
    killed, file = trainer_of(train, valid), BytesIO()
    next(event for event in killed.events() if isinstance(event, Step) and event.step == steps)
    torch.save(killed.state(), file)
    again = trainer_of(train, valid)
    again.restore(torch.load(BytesIO(file.getvalue()), weights_only=True))
    resumed = weights_after(again)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_cached_stage_moves_nothing_but_the_head(train, valid):
    trainer = trainer_of(train, valid)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    after = weights_after(trainer)
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"fc.weight", "fc.bias"}


def test_an_epochs_validation_is_what_the_whole_network_says(train, valid):
    trainer = trainer_of(train, valid)
    done = next(event for event in trainer.events() if isinstance(event, EpochDone))
    with torch.no_grad():
        expected = trainer.model.eval()(next(valid.batches(N_VALID, trainer.norm))[0]).softmax(1)
    assert done.probs == pytest.approx(expected.numpy(), abs=1e-5)


def test_a_run_asked_to_stop_while_it_caches_is_stopped(train, valid):
    with pytest.raises(Stopped):
        weights_after(trainer_of(train, valid, stop=lambda: True))
