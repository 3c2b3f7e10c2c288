"""Rates and momentum of a plan, step by step, beside what fastai's own fits use."""

import pytest

pytest.importorskip("fastai", reason="fastai is not installed: `make test-parity` compares with it")

from small import small_recipe
from tiny_learner import rates_of

from lab.schedules.curves import group_peaks
from lab.schedules.plan import make_plan

STEPS, BATCH = 8, 4
# fastai finds its place on the curve in float32: 1e-7 of p, more of what a rate has fallen to.
CLOSE = {"rel": 1e-4, "abs": 1e-9}


def plan_of(groups=1, n_train=STEPS * BATCH, **stage):
    model = {"name": "test_resnet", "groups": groups}
    values = {"size": 32, "batch_size": BATCH, **stage}
    return make_plan(small_recipe([values], model=model), n_train, groups)


def check_rates(plan, theirs):
    """Every step's rates, group by group."""
    assert plan.total_steps == len(theirs)
    for step, rates in enumerate(theirs):
        assert plan.lrs(step) == pytest.approx(rates.lrs, **CLOSE), f"step {step}"


def check_momentum(plan, theirs):
    assert plan.total_steps == len(theirs)
    ours = [plan.momentum(step) for step in range(len(theirs))]
    assert ours == pytest.approx([rates.momentum for rates in theirs], rel=1e-6)


@pytest.mark.parametrize("epochs", [1, 3, 5])
def test_one_cycle_has_the_rate_of_fit_one_cycle_at_every_step(epochs):
    theirs = rates_of(1, STEPS, lambda learn: learn.fit_one_cycle(epochs, 3e-3))
    check_rates(plan_of(epochs=epochs, lr=3e-3), theirs)


def test_one_cycle_has_the_momentum_of_fit_one_cycle_at_every_step():
    theirs = rates_of(1, STEPS, lambda learn: learn.fit_one_cycle(3, 3e-3))
    check_momentum(plan_of(epochs=3, lr=3e-3), theirs)


def test_one_cycle_takes_another_shape_as_fit_one_cycle_does():
    shape = {"pct_start": 0.4, "div": 10.0, "div_final": 1e3}
    theirs = rates_of(1, STEPS, lambda learn: learn.fit_one_cycle(2, 1e-2, **shape))
    check_rates(plan_of(epochs=2, lr=1e-2, **shape), theirs)


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_one_cycle_over_a_slice_has_the_rates_of_every_group(groups):
    def fit(learn):
        learn.fit_one_cycle(2, slice(1e-4, 1e-2))

    stage = {"epochs": 2, "lr": 1e-2, "group_rates": "geometric", "lr_ratio": 100.0}
    check_rates(plan_of(groups, **stage), rates_of(groups, STEPS, fit))


@pytest.mark.parametrize("groups", [2, 3])
def test_a_stage_that_starts_frozen_has_the_rates_of_fine_tune_in_both_phases(groups):
    theirs = rates_of(groups, STEPS, lambda learn: learn.fine_tune(3, 2e-3, freeze_epochs=2))
    check_rates(plan_of(groups, epochs=3, frozen_epochs=2, lr=2e-3), theirs)


def test_a_stage_that_starts_frozen_has_the_momentum_of_fine_tune_in_both_phases():
    theirs = rates_of(3, STEPS, lambda learn: learn.fine_tune(3, 2e-3, freeze_epochs=2))
    check_momentum(plan_of(3, epochs=3, frozen_epochs=2, lr=2e-3), theirs)


def test_a_second_stage_begins_its_own_fine_tune_as_a_second_call_does():
    def fit(learn):
        learn.fine_tune(1, 2e-3)
        learn.fine_tune(2, 1e-3)

    stage = {"size": 32, "batch_size": BATCH, "frozen_epochs": 1}
    stages = [{**stage, "epochs": 1, "lr": 2e-3}, {**stage, "epochs": 2, "lr": 1e-3}]
    recipe = small_recipe(stages, model={"name": "test_resnet", "groups": 2})
    check_rates(make_plan(recipe, STEPS * BATCH, 2), rates_of(2, STEPS, fit))


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_a_slice_of_one_rate_gives_fastais_group_rates(groups):
    theirs = rates_of(groups, 1, lambda learn: learn.fit(1, slice(2e-3)))
    assert group_peaks(2e-3, groups, "tenth", 100.0) == pytest.approx(theirs[0].lrs)


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_a_slice_of_two_rates_gives_fastais_even_multiples(groups):
    theirs = rates_of(groups, 1, lambda learn: learn.fit(1, slice(1e-5, 4e-3)))
    assert group_peaks(4e-3, groups, "geometric", 400.0) == pytest.approx(theirs[0].lrs)


@pytest.mark.parametrize("pct_start", [None, 0.5])
def test_flat_cosine_has_the_rates_of_fit_flat_cos(pct_start):
    shape = {} if pct_start is None else {"pct_start": pct_start}
    theirs = rates_of(2, STEPS, lambda learn: learn.fit_flat_cos(4, slice(1e-3, 1e-2), **shape))
    stage = {"group_rates": "geometric", "lr_ratio": 10.0, "pct_start": pct_start}
    check_rates(plan_of(2, epochs=4, lr=1e-2, schedule="flat-cosine", **stage), theirs)


@pytest.mark.parametrize("cycles", [1, 2])
def test_restarts_have_the_rates_of_fit_sgdr(cycles):
    theirs = rates_of(1, STEPS, lambda learn: learn.fit_sgdr(cycles, 1, 1e-2, cycle_mult=2))
    stage = {"cycle_len": 1, "cycle_mult": 2, "max_cycles": cycles}
    check_rates(plan_of(lr=1e-2, schedule="restarts", **stage), theirs)


def test_longer_first_cycles_have_the_rates_of_fit_sgdr():
    theirs = rates_of(1, STEPS, lambda learn: learn.fit_sgdr(2, 2, 1e-2, cycle_mult=3))
    stage = {"cycle_len": 2, "cycle_mult": 3, "max_cycles": 2}
    check_rates(plan_of(lr=1e-2, schedule="restarts", **stage), theirs)


def test_cosine_has_the_rates_of_one_cycle_of_fit_sgdr():
    theirs = rates_of(1, STEPS, lambda learn: learn.fit_sgdr(1, 3, 1e-2))
    check_rates(plan_of(epochs=3, lr=1e-2, schedule="cosine"), theirs)


@pytest.mark.parametrize(
    ("schedule", "fit"),
    [
        ("flat-cosine", lambda learn: learn.fit_flat_cos(1, 1e-3)),
        ("restarts", lambda learn: learn.fit_sgdr(1, 1, 1e-3)),
        ("constant", lambda learn: learn.fit(1, 1e-3)),
    ],
)
def test_momentum_stays_at_beta1_where_fastai_leaves_it(schedule, fit):
    theirs = rates_of(1, STEPS, fit)
    plan = plan_of(epochs=1, lr=1e-3, schedule=schedule, max_cycles=1)
    beta1 = small_recipe().optimizer.beta1
    assert [plan.momentum(step) or beta1 for step in range(STEPS)] == pytest.approx(
        [rates.momentum for rates in theirs]
    )


def test_departure_fastai_may_begin_a_cycle_a_step_late_and_the_lab_never_does():
    """fastai adds the cycles' shares up in float32: 1/7 + 2/7 comes out above 3/7."""
    theirs = rates_of(1, STEPS, lambda learn: learn.fit_sgdr(3, 1, 1e-2, cycle_mult=2))
    plan = plan_of(lr=1e-2, schedule="restarts", cycle_len=1, cycle_mult=2, max_cycles=3)
    late = [step for step, rates in enumerate(theirs) if rates.lrs != pytest.approx(
        plan.lrs(step), **CLOSE)]  # fmt: skip
    assert late == [3 * STEPS]
    assert plan.lrs(3 * STEPS) == pytest.approx((1e-2,))
    assert theirs[3 * STEPS].lrs == pytest.approx((0.0,), abs=1e-9)


def test_departure_cycles_of_equal_length_work_here_and_divide_by_zero_in_fastai():
    with pytest.raises(ZeroDivisionError):
        rates_of(1, STEPS, lambda learn: learn.fit_sgdr(2, 1, 1e-2, cycle_mult=1))
    plan = plan_of(lr=1e-2, schedule="restarts", cycle_len=1, cycle_mult=1, max_cycles=2)
    assert plan.lrs(0) == plan.lrs(STEPS) == pytest.approx((1e-2,))


def test_departure_a_last_partial_batch_is_learnt_from_here_and_dropped_by_fastai(tmp_path):
    from fastai.vision.all import ImageDataLoaders
    from pictures_on_disk import class_folders

    n = 4 * 5 + 3
    files = class_folders(tmp_path, n)
    labels = [path.parent.name for path in files]
    splits = {"valid_pct": 0.0, "item_tfms": None, "bs": 4, "num_workers": 0}
    dls = ImageDataLoaders.from_lists(tmp_path, files, labels, **splits)
    assert len(dls.train) == 5
    assert plan_of(epochs=1, n_train=n).total_steps == 6
