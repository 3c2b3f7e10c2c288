"""Memory that runs out: the same batch again, in smaller parts."""

import weakref

import pytest
import timm
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from lab.errors import LabError
from lab.train.memory import (
    NormGuard,
    has_batch_norm,
    is_out_of_memory,
    parts_of,
    redo_in_smaller_parts,
    shrink_words,
)


class Limited(nn.Module):
    """Raises what a GPU raises, after its inner part has run, where a batch is too large."""

    def __init__(self, inner: nn.Module, most: int):
        super().__init__()
        self.inner, self.most, self.seen = inner, most, []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found = self.inner(x)
        self.seen.append(len(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return found


def layer_norm_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.GELU(), nn.Linear(16, 3))


def batch_norm_net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3)).train()


def a_batch(n: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.randn(n, 6), torch.arange(n) % 3


def step_in_parts(model: Limited, x: torch.Tensor, y: torch.Tensor, guard: NormGuard) -> int:
    """Gradients of one batch as the trainer takes them. Returns the parts that it took."""

    def attempt(micro: int) -> None:
        for part in parts_of(len(x), micro):
            loss = F.cross_entropy(model(x[part]), y[part])
            (loss * ((part.stop - part.start) / len(x))).backward()

    def shrink(micro: int) -> None:
        model.zero_grad()
        guard.put_back()

    guard.save()
    return redo_in_smaller_parts(attempt, 1, len(x), shrink)[1]


def spans(parts: list[slice]) -> list[int]:
    return [part.stop - part.start for part in parts]


# What counts as memory running out


def test_a_gpu_out_of_memory_is_recognised():
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))


def test_the_cpu_allocator_out_of_memory_is_recognised():
    with pytest.raises(RuntimeError) as found:
        torch.empty(2**46)
    assert is_out_of_memory(found.value)


def test_onednn_that_gets_no_memory_is_recognised():
    assert is_out_of_memory(RuntimeError("could not create a primitive"))


def test_an_operation_that_onednn_lacks_is_no_lack_of_memory():
    words = "could not create a primitive descriptor for a convolution forward propagation"
    assert not is_out_of_memory(RuntimeError(words))


def test_pythons_memory_error_is_recognised():
    assert is_out_of_memory(MemoryError())


@pytest.mark.parametrize("error", [RuntimeError("shapes differ"), ValueError("memory"), OSError()])
def test_other_errors_are_not_taken_for_it(error):
    assert not is_out_of_memory(error)


# Parts


@pytest.mark.parametrize(
    ("n", "micro", "sizes"),
    [
        (64, 1, [64]),
        (64, 2, [32, 32]),
        (10, 4, [3, 3, 2, 2]),
        (7, 2, [4, 3]),
        (5, 4, [3, 2]),  # not 2, 1, 1, 1
        (3, 2, [3]),  # not 2, 1
        (4, 4, [1, 1, 1, 1]),  # nothing else is that small
        (1, 1, [1]),
    ],
)
def test_parts_are_as_even_as_can_be_and_not_of_one_image_where_avoidable(n, micro, sizes):
    assert spans(parts_of(n, micro)) == sizes


@pytest.mark.parametrize(("n", "sizes"), [(20, [10, 10]), (16, [16]), (2, [2]), (17, [9, 8])])
def test_a_short_last_batch_comes_in_parts_no_larger_than_a_full_batchs(n, sizes):
    assert spans(parts_of(n, micro=4, batch=64)) == sizes


@given(n=st.integers(1, 300), micro=st.integers(1, 512), batch=st.integers(0, 300))
def test_parts_cover_the_batch_in_order_and_differ_by_one_image_at_most(n, micro, batch):
    parts = parts_of(n, micro, batch)
    assert [row for part in parts for row in range(part.start, part.stop)] == list(range(n))
    assert max(spans(parts)) - min(spans(parts)) <= 1


@given(n=st.integers(2, 300), micro=st.integers(1, 512))
def test_a_part_of_one_image_comes_only_where_all_are(n, micro):
    sizes = spans(parts_of(n, micro))
    assert 1 not in sizes or set(sizes) == {1}


# The same batch again


def test_a_batch_that_does_not_fit_is_halved_until_it_does():
    model = Limited(layer_norm_net(), most=4)
    assert step_in_parts(model, *a_batch(), NormGuard(model)) == 4
    assert model.seen == [12, 6, 3, 3, 3, 3]


def test_gradients_of_parts_are_those_of_the_whole_batch_in_a_layer_norm_network():
    x, y = a_batch(11)
    whole, cut = Limited(layer_norm_net(), 11), Limited(layer_norm_net(), 3)
    step_in_parts(whole, x, y, NormGuard(whole))
    step_in_parts(cut, x, y, NormGuard(cut))
    assert len(cut.seen) > 3
    for a, b in zip(whole.parameters(), cut.parameters()):
        assert torch.allclose(a.grad, b.grad, atol=1e-6, rtol=0)


def test_batch_norm_follows_the_parts_alone_as_if_the_failed_attempts_had_not_been():
    x, y = a_batch()
    cut, reference = Limited(batch_norm_net(), 6), batch_norm_net()
    step_in_parts(cut, x, y, NormGuard(cut))
    reference(x[:6]), reference(x[6:])
    for name, buffer in reference.named_buffers():
        assert torch.equal(cut.inner.get_buffer(name), buffer), name


def test_batch_norm_gradients_of_parts_differ_from_those_of_the_whole_batch():
    x, y = a_batch()
    whole, cut = Limited(batch_norm_net(), 12), Limited(batch_norm_net(), 6)
    step_in_parts(whole, x, y, NormGuard(whole))
    step_in_parts(cut, x, y, NormGuard(cut))
    assert not torch.allclose(whole.inner[0].weight.grad, cut.inner[0].weight.grad, atol=1e-4)


def test_parts_of_one_image_that_do_not_fit_end_in_words():
    model = Limited(layer_norm_net(), most=0)
    with pytest.raises(LabError, match=r"one image at a time.*smaller network"):
        step_in_parts(model, *a_batch(), NormGuard(model))
    assert model.seen == [12, 6, 3, 2, 1]


def test_the_size_is_named_where_it_is_known():
    def never(micro: int) -> None:
        raise MemoryError

    with pytest.raises(LabError, match="Memory ran out at 224 px even with one image"):
        redo_in_smaller_parts(never, 1, 2, lambda micro: None, at="224 px")


def test_an_error_of_another_kind_passes_as_it_is():
    def wrong(micro: int) -> None:
        raise ValueError("shapes")

    with pytest.raises(ValueError, match="shapes"):
        redo_in_smaller_parts(wrong, 1, 8, lambda micro: None)


def test_what_fitted_once_is_where_the_next_batch_begins():
    assert redo_in_smaller_parts(lambda micro: micro, 4, 64, lambda micro: None) == (4, 4)


def test_tensors_of_the_failed_attempt_are_gone_before_the_next_one():
    held: list[weakref.ref] = []
    alive: list[bool] = []

    def attempt(micro: int) -> None:
        big = torch.zeros(100)
        held.append(weakref.ref(big))
        if micro < 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")

    redo_in_smaller_parts(attempt, 1, 8, lambda micro: alive.append(held[0]() is not None))
    assert alive == [False]


# Norm buffers


def test_a_guard_puts_every_norm_buffer_back_bit_for_bit():
    model = timm.create_model("test_resnet", num_classes=3).train()
    model(torch.randn(4, 3, 32, 32))
    guard = NormGuard(model)
    guard.save()
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    model(torch.randn(4, 3, 32, 32))
    assert not all(torch.equal(before[name], b) for name, b in model.named_buffers())
    guard.put_back()
    assert all(torch.equal(before[name], buffer) for name, buffer in model.named_buffers())


def test_a_guard_does_not_mind_a_model_without_statistics():
    guard = NormGuard(layer_norm_net())
    guard.save()
    guard.put_back()


def test_a_guard_follows_buffers_that_are_replaced():
    model = batch_norm_net()
    guard = NormGuard(model)
    model[1].running_mean = torch.full((16,), 2.0)
    guard.save()
    model[1].running_mean.zero_()
    guard.put_back()
    assert model[1].running_mean.tolist() == [2.0] * 16


# Words


def test_the_warning_says_what_stays_and_what_does_not():
    assert shrink_words(224, 64, 2, has_batch_norm=True) == (
        "Memory ran out at 224 px: the batch of 64 is now taken in 2 parts. Gradients keep the "
        "effective batch; norm layers see 32 images at a time."
    )


def test_uneven_parts_are_said_as_at_most():
    words = shrink_words((256, 192), 50, 4, has_batch_norm=True)
    assert "at 256×192 px" in words
    assert "at most 13 images at a time" in words


def test_a_network_without_batch_norm_is_told_that_nothing_changes():
    words = shrink_words(224, 64, 2, has_batch_norm=False)
    assert "no layer of this network looks across images" in words


@pytest.mark.parametrize(("name", "has"), [("test_resnet", True), ("test_vit", False)])
def test_batch_norm_is_found_in_timms_networks(name, has):
    assert has_batch_norm(timm.create_model(name, num_classes=3)) is has
