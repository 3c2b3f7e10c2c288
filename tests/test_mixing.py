"""MixUp, CutMix and the losses that go with them: by hand, and against torch's soft targets."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats

from lab.methods.losses import (
    cross_entropy,
    mixed_cross_entropy,
    part_rows,
    rows_of,
    two_target_loss,
)
from lab.methods.mixing import Mixed, larger_shares, mix, mix_rng, rectangle
from lab.recipe.augment import Augment

MIXUP, CUTMIX = Augment(mixup=0.4), Augment(cutmix=1.0)


def numbered(n: int = 8, height: int = 12, width: int = 20) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures of one value each, which is their label: 0, 1, 2 ..."""
    y = torch.arange(n)
    x = y.float().view(n, 1, 1, 1).expand(n, 3, height, width)
    return x.contiguous(memory_format=torch.channels_last), y


def mixed_by(augment: Augment, n: int = 8, step: int = 0) -> tuple[torch.Tensor, Mixed]:
    x, mixed = mix(*numbered(n), augment, mix_rng(0, 0, 0, step))
    assert mixed is not None
    return x, mixed


def test_with_both_off_nothing_happens():
    x, y = numbered()
    assert mix(x, y, Augment(), mix_rng(0, 0, 0, 0)) == (x, None)


def test_mixup_is_the_weighted_mean_of_a_picture_and_its_partner():
    x, mixed = mixed_by(MIXUP)
    expected = [s * a + (1 - s) * b for s, a, b in zip(mixed.share, mixed.first, mixed.second)]
    assert x[:, 0, 0, 0].tolist() == pytest.approx(torch.stack(expected).tolist(), abs=1e-5)


def test_every_picture_is_somebodys_partner_once():
    for augment in (MIXUP, CUTMIX):
        assert sorted(mixed_by(augment)[1].second.tolist()) == list(range(8))


def test_mixup_keeps_the_larger_share_for_the_picture_itself():
    shares = larger_shares(20_000, 0.4, mix_rng(0, 0, 0, 0))
    beta = stats.beta(0.4, 0.4)
    assert shares.min() >= 0.5
    assert shares.mean() == pytest.approx(2 * beta.expect(lambda s: s, lb=0.5, ub=1), abs=0.006)


def test_mixup_has_a_share_of_its_own_for_each_picture():
    assert len(set(mixed_by(MIXUP)[1].share.tolist())) == 8


@pytest.mark.parametrize("step", range(6))
def test_cutmix_shows_of_a_picture_just_the_share_that_it_says(step):
    x, mixed = mixed_by(CUTMIX, step=step)
    for picture, own, share in zip(x, mixed.first, mixed.share):
        if own != mixed.second[own]:
            assert (picture == own).float().mean().item() == pytest.approx(share.item())


def test_cutmix_pastes_one_rectangle_for_all():
    x, mixed = mixed_by(CUTMIX, step=1)
    pasted = (x[:, 0] != mixed.first.view(-1, 1, 1))[mixed.first != mixed.second]
    assert 0 < pasted[0].float().mean() < 1
    assert (pasted == pasted[0]).all()
    rows, columns = pasted[0].any(dim=1).sum(), pasted[0].any(dim=0).sum()
    assert rows * columns == pasted[0].sum()


def test_a_rectangle_that_fits_has_its_share_of_each_side():
    # A quarter of the area: half of each side, wherever its middle lets it lie inside.
    rng, found = mix_rng(0, 0, 0, 0), []
    for _ in range(50):
        rows, columns = rectangle(64, 32, 0.75, rng)
        found.append((rows.stop - rows.start, columns.stop - columns.start))
    assert max(found) == (32, 16)
    assert found.count((32, 16)) >= 5  # a quarter of the middles


def test_a_rectangle_never_leaves_the_picture():
    rng = mix_rng(0, 0, 0, 0)
    for _ in range(200):
        rows, columns = rectangle(17, 31, rng.random(), rng)
        assert 0 <= rows.start <= rows.stop <= 17
        assert 0 <= columns.start <= columns.stop <= 31


def test_with_both_a_step_takes_either_evenly():
    shares = [mixed_by(Augment(mixup=1, cutmix=1), step=step)[1].share for step in range(200)]
    cut = sum(len(set(share.tolist())) == 1 for share in shares)
    assert 65 <= cut <= 135  # five standard deviations


@pytest.mark.parametrize("augment", [MIXUP, CUTMIX])
def test_what_was_given_is_not_changed(augment):
    x, y = numbered()
    before = x.clone()
    mix(x, y, augment, mix_rng(0, 0, 0, 1))
    assert torch.equal(x, before)


@pytest.mark.parametrize("augment", [MIXUP, CUTMIX])
def test_a_batch_of_two_is_mixed_too(augment):
    x, mixed = mixed_by(augment, n=2)
    assert x.shape == (2, 3, 12, 20)
    assert mixed.share.shape == (2,)


@pytest.mark.parametrize("augment", [MIXUP, CUTMIX])
def test_pictures_stay_channels_last(augment):
    assert mixed_by(augment)[0].is_contiguous(memory_format=torch.channels_last)


def test_a_step_mixes_the_same_whenever_it_is_taken():
    assert torch.equal(mixed_by(MIXUP, step=4)[0], mixed_by(MIXUP, step=4)[0])


@pytest.mark.parametrize("where", [(1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1)])
def test_another_seed_stage_epoch_or_step_mixes_otherwise(where):
    assert mix_rng(*where).random() != mix_rng(0, 0, 0, 0).random()


def test_two_targets_are_mixed_together():
    x, y = numbered()
    both = torch.stack([y, y + 100], dim=1)
    mixed = mix(x, both, MIXUP, mix_rng(0, 0, 0, 0))[1]
    assert torch.equal(mixed.first, both)
    assert torch.equal(mixed.second[:, 1], mixed.second[:, 0] + 100)


def test_smoothing_spreads_its_share_over_all_classes():
    # p = (1/4, 3/4): 0.9 * ln(4/3) + 0.1 / 2 * (ln 4 + ln(4/3))
    logits, y = torch.tensor([[0.0, math.log(3)]]), torch.tensor([1])
    assert cross_entropy(logits, y, 0.1).item() == pytest.approx(0.342612, abs=1e-5)


def test_the_loss_of_mixed_labels_is_that_of_a_soft_target():
    torch.manual_seed(0)
    logits, first, second = torch.randn(6, 4), torch.randint(4, (6,)), torch.randint(4, (6,))
    share = torch.rand(6)
    soft = share[:, None] * F.one_hot(first, 4) + (1 - share[:, None]) * F.one_hot(second, 4)
    found = mixed_cross_entropy(logits, Mixed(first, second, share), 0.1)
    assert found.item() == pytest.approx(F.cross_entropy(logits, soft, label_smoothing=0.1).item())


def two_targets() -> tuple[torch.Tensor, torch.Tensor]:
    """Three rows with even odds: 2 classes, then 4; the middle row's second label is missing."""
    logits = torch.zeros(3, 6)
    logits[2, 2:] = torch.tensor([math.log(5), 0, 0, 0])  # p of its first class: 5/8
    return logits, torch.tensor([[0, 1], [1, -1], [1, 0]])


def test_two_targets_are_a_mean_over_rows_each_missing_ones_left_out():
    logits, y = two_targets()
    expected = math.log(2) + 0.5 * (math.log(4) + math.log(8 / 5)) / 2
    assert two_target_loss(logits, y, (2, 4), 0.5, 0.0).item() == pytest.approx(expected)


def test_a_missing_second_label_teaches_the_second_slice_nothing():
    logits, y = two_targets()
    logits.requires_grad_()
    two_target_loss(logits, y, (2, 4), 1.0, 0.1).backward()
    assert (logits.grad[1, 2:] == 0).all()
    assert (logits.grad[0, 2:] != 0).all()


def test_without_any_second_label_only_the_first_target_counts():
    logits, y = two_targets()
    y[:, 1] = -1
    assert two_target_loss(logits, y, (2, 4), 1.0, 0.0).item() == pytest.approx(math.log(2))


def test_two_targets_without_mixing_are_those_mixed_with_themselves():
    logits, y = two_targets()
    mixed = Mixed(y, y, torch.tensor([0.3, 0.6, 1.0]))
    plain, same = (two_target_loss(logits, y, (2, 4), 0.5, 0.1, m) for m in (None, mixed))
    assert same.item() == pytest.approx(plain.item())


def test_under_mixing_a_row_counts_by_the_share_whose_second_label_is_known():
    logits, y = two_targets()
    second = torch.tensor([[1, -1], [0, 3], [1, 0]])  # shares known: 0.75, 0.25, 1
    mixed = Mixed(y, second, torch.tensor([0.75, 0.75, 0.75]))
    expected = math.log(2) + (1.0 * math.log(4) + math.log(8 / 5)) / 2
    found = two_target_loss(logits, y, (2, 4), 1.0, 0.0, mixed)
    assert found.item() == pytest.approx(expected)


@pytest.mark.parametrize("mixing", [False, True])
def test_the_losses_of_parts_add_up_to_that_of_the_batch(mixing):
    torch.manual_seed(0)
    logits = torch.randn(7, 6)
    y = torch.stack([torch.randint(2, (7,)), torch.tensor([-1, 3, -1, -1, 0, 2, 1])], dim=1)
    mixed = Mixed(y, y[torch.randperm(7)], torch.rand(7)) if mixing else None
    whole = two_target_loss(logits, y, (2, 4), 0.7, 0.1, mixed)
    rows, total = rows_of(y, mixed), 0.0
    for part in (slice(0, 3), slice(3, 4), slice(4, 7)):
        n = part.stop - part.start
        mine = mixed.part(part) if mixed else None
        loss = two_target_loss(logits[part], y[part], (2, 4), 0.7, 0.1, mine, part_rows(rows, n))
        total += loss.item() * n / 7
    assert total == pytest.approx(whole.item(), rel=1e-5)


def test_shares_are_float32_as_the_pictures_are():
    assert mixed_by(CUTMIX)[1].share.dtype == torch.float32
    assert larger_shares(3, 1.0, np.random.default_rng(0)).dtype == np.float32
