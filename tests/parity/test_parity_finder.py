"""Suggestions of the learning-rate finder beside fastai's, on the same curves."""

import numpy as np
import pytest
import torch

pytest.importorskip("fastai", reason="fastai is not installed: `make test-parity` compares with it")

from fastai.callback import schedule as theirs
from tiny_learner import quietly, tiny_learner

from lab.schedules import finder


def typical(rng, n):
    """Flat, a fall, then a blow-up, with the noise of batches."""
    at = np.linspace(0, 1, n)
    fall = 2.3 - 1.2 / (1 + np.exp(-14 * (at - 0.55)))
    return fall + np.exp(26 * (at - 0.93)) + rng.normal(0, 0.02, n)


CURVES = {
    "typical": typical,
    "steady fall": lambda rng, n: np.linspace(3, 1, n),
    "noise": lambda rng, n: 2 + rng.normal(0, 0.3, n),
    "rising": lambda rng, n: np.linspace(1, 5, n) ** 2,
    "two valleys": lambda rng, n: 2 + np.cos(np.linspace(0, 4 * np.pi, n)) + 0.01 * np.arange(n),
    "smooth bowl": lambda rng, n: 1 + np.linspace(-1, 1, n) ** 2,
}


@pytest.fixture(params=[(name, n, seed) for name in CURVES for n in (30, 85) for seed in (0, 1)],
                ids=lambda p: f"{p[0]}, {p[1]} steps, {p[2]}")  # fmt: skip
def curve(request):
    """(rates, losses), exact in float32 so that both sides read the same numbers."""
    name, n, seed = request.param
    losses = CURVES[name](np.random.default_rng(seed), n).astype(np.float32)
    lrs = np.array(finder.finder_lrs(n + 15)[10:-5], dtype=np.float32)
    return lrs, losses


def fastais(rule, curve):
    lrs, losses = curve
    suggestion, _ = rule(torch.tensor(lrs), torch.tensor(losses), len(lrs) + 15)
    return suggestion


def test_valley_is_fastais(curve):
    assert finder.valley(*curve) == pytest.approx(fastais(theirs.valley, curve), rel=1e-6)


def test_minimum_is_fastais(curve):
    assert finder.minimum(*curve) == pytest.approx(fastais(theirs.minimum, curve), rel=1e-6)


def test_steep_is_fastais(curve):
    assert finder.steep(*curve) == pytest.approx(fastais(theirs.steep, curve), rel=1e-6)


def test_slide_is_fastais(curve):
    assert finder.slide(*curve) == pytest.approx(fastais(theirs.slide, curve), rel=1e-6)


def test_the_finder_tries_fastais_rates():
    learn, watch = tiny_learner(2, 10)
    quietly(learn, lambda learn: learn.lr_find(show_plot=False, stop_div=False))
    rates = [rates.lrs for rates in watch.rates]
    assert finder.finder_lrs() == pytest.approx([lrs[0] for lrs in rates], rel=1e-6)
    assert all(first == last for first, last in rates)


def test_the_finders_losses_are_smoothed_as_fastais():
    learn, watch = tiny_learner(1, 10)
    quietly(learn, lambda learn: learn.lr_find(show_plot=False, stop_div=False))
    assert finder.smoothed(watch.losses) == pytest.approx(watch.smooth, rel=1e-4)


def test_a_whole_search_suggests_what_fastais_does():
    rules = (theirs.valley, theirs.minimum, theirs.steep, theirs.slide)
    learn, watch = tiny_learner(1, 10)
    found = quietly(learn, lambda learn: learn.lr_find(show_plot=False, suggest_funcs=rules))
    lrs = [rates.lrs[0] for rates in watch.rates]
    ours = finder.suggest(lrs, watch.losses)
    mine = (ours.valley, ours.minimum, ours.steep, ours.slide)
    assert mine == pytest.approx(tuple(found), rel=1e-5)


@pytest.mark.parametrize("name", ["valley", "minimum", "steep", "slide"])
def test_departure_a_search_of_nothing_gives_words_here_and_an_exception_in_fastai(name):
    """What fastai reads of a search whose loss blew up within its first tenth."""
    nothing = torch.tensor([])
    with pytest.raises((IndexError, ValueError, RuntimeError)):
        getattr(theirs, name)(nothing, nothing, 100)
    lrs = finder.finder_lrs()[:12]
    ours = finder.suggest(lrs, [float("nan")] * 12)
    assert getattr(ours, name) is None
    assert "too short" in ours.words


def test_departure_fastais_search_moves_the_random_state_that_training_draws_from():
    """Order and augmentation of the lab are functions of the seed: no search can move them."""
    torch.manual_seed(0)
    undisturbed = torch.rand(1)
    torch.manual_seed(0)
    learn, _ = tiny_learner(1, 10)
    torch.manual_seed(0)
    quietly(learn, lambda learn: learn.lr_find(show_plot=False))
    assert torch.rand(1) != undisturbed
