"""Choices made for a run: precision by a timed probe, batch sizes, parts where memory is short."""

import math
import os

import pytest
import torch
from small import small_recipe
from torch import nn

from lab.errors import LabError
from lab.jobs.device_lock import device_lock
from lab.recipe.facts import DataFacts, Resolved
from lab.runs.speeds import device_facts
from lab.train.memory import Footprint
from lab.train.model import Network, build
from lab.train.step import names_learning
from lab.workers import capacity
from lab.workers import resolve as resolving
from lab.workers.calibrate import images_of, measure, shapes, sizes_of
from lab.workers.capacity import (
    Load,
    choose_batch,
    estimated_parts,
    line_through,
    measured_footprint,
    pick_batch,
    tried_parts,
)
from lab.workers.probe import Trial, faster_of, heaviest_stage, probe_precision, race
from lab.workers.resolve import preflight, resolve
from lab.workers.runner import as_reference
from lab.workspace import Workspace


@pytest.fixture(scope="module")
def network() -> Network:
    torch.set_num_threads(1)
    return build(small_recipe(), 5, 2, (32, 32))


def with_stages(*stages, **changes):
    usual = {"epochs": 1, "batch_size": 16}
    return small_recipe([{**usual, **stage} for stage in stages], **changes)


def facts_of(n_train: int) -> DataFacts:
    return DataFacts("leaves", "leaves", "f", "disease", ("a", "b"), n_train, 20, 10)


def snapshot(network: Network) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    state = {key: value.clone() for key, value in network.model.state_dict().items()}
    return state, torch.get_rng_state()


def untouched(network: Network, before: tuple[dict[str, torch.Tensor], torch.Tensor]) -> bool:
    now = network.model.state_dict()
    same = all(torch.equal(before[0][key], now[key]) for key in now)
    return same and torch.equal(before[1], torch.get_rng_state())


# Precision


@pytest.mark.parametrize(
    ("fp32", "bf16", "chosen"),
    [(100, 106, "bf16"), (100, 104, "fp32"), (100, 105, "fp32"), (100, 40, "fp32")],
)
def test_bf16_is_taken_where_it_is_more_than_five_percent_faster(fp32, bf16, chosen):
    assert faster_of({"fp32": fp32, "bf16": bf16})[0] == chosen


@pytest.mark.parametrize(("bf16", "tie"), [(104, True), (97, True), (60, False), (150, False)])
def test_a_tie_is_called_a_tie(bf16, tie):
    assert ("tie" in faster_of({"fp32": 100, "bf16": bf16})[1]) is tie


def test_the_reason_holds_both_speeds_and_where_they_were_taken(network):
    def racing(network, size, batch, kinds, device):
        return {"fp32": 57.0, "bf16": 157.4}

    recipe = with_stages({"size": 32}, {"size": 48, "batch_size": 8})
    precision, reason = probe_precision(recipe, network, "cpu", racing)
    assert precision == "bf16"
    assert "fp32 57.0, bf16 157" in reason
    assert "48 px, 8 at a time" in reason


def test_the_probe_is_at_the_stage_with_most_pixels_over_its_epochs():
    # 5 x 32 x 32 = 5120 against 2 x 48 x 48 = 4608 and 1 x 64 x 64 = 4096 pixels an image
    stages = ({"size": 32, "epochs": 5}, {"size": 48, "epochs": 2}, {"size": 64})
    assert heaviest_stage(with_stages(*stages)) == 0


def test_a_ramped_stage_counts_with_the_sizes_on_its_way():
    # 4 epochs at 64 would be 16384 pixels an image; from 16 on, about half of that.
    ramped = {"size": 64, "epochs": 4, "ramp_from": 16}
    assert heaviest_stage(with_stages({"size": 56, "epochs": 4}, ramped)) == 0


def test_epochs_on_cached_activations_do_not_count():
    cached = {"size": 64, "epochs": 9, "trainable": "head", "cached_activations": True}
    assert heaviest_stage(with_stages(cached, {"size": 32})) == 1


def test_an_operation_without_bf16_leaves_fp32_with_the_reason(network):
    def racing(*args):
        raise RuntimeError('"conv" not implemented for BFloat16')

    precision, reason = probe_precision(small_recipe(), network, "cpu", racing)
    assert precision == "fp32"
    assert "not implemented for BFloat16" in reason


def test_a_probe_that_runs_out_of_memory_is_repeated_with_fewer_images(network):
    tried = []

    def racing(network, size, batch, kinds, device):
        tried.append(batch)
        if batch > 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return {"fp32": 100.0, "bf16": 50.0}

    reason = probe_precision(small_recipe(), network, "cpu", racing)[1]
    assert tried == [16, 8, 4]
    assert "4 at a time" in reason


def test_both_precisions_are_timed_in_turns(network, monkeypatch):
    order = []

    def timed(self, precision, clock):
        order.append(precision)
        return 1.0 if precision == "fp32" else 0.5

    monkeypatch.setattr(Trial, "timed", timed)
    monkeypatch.setattr(Trial, "step", lambda self, precision: 0.0)
    speeds = race(network, (32, 32), 8, ("fp32", "bf16"), "cpu", turns=3)
    assert order == ["fp32", "bf16"] * 3
    assert speeds == {"fp32": 8.0, "bf16": 16.0}


def test_a_slow_probe_ends_after_one_turn_of_each(network, monkeypatch):
    turns = []
    monkeypatch.setattr(Trial, "timed", lambda self, precision, clock: turns.append(precision) or 9)
    monkeypatch.setattr(Trial, "step", lambda self, precision: 0.0)
    ticks = iter(range(0, 1000, 9))
    race(network, (32, 32), 8, ("fp32", "bf16"), "cpu", turns=10, clock=lambda: next(ticks))
    assert turns == ["fp32", "bf16"]


def test_a_race_leaves_weights_buffers_and_random_state(network):
    before = snapshot(network)
    race(network, (48, 48), 4, ("fp32", "bf16", "fp16"), "cpu", turns=1)
    assert untouched(network, before)


def test_what_the_recipe_says_is_not_probed(network, monkeypatch):
    monkeypatch.setattr(resolving, "probe_precision", None)
    found = resolve(small_recipe(precision="bf16"), network, "cpu", "asked for")
    assert (found.precision, found.reasons["precision"]) == ("bf16", "the recipe says so")


# Remedies


def test_a_short_training_is_not_worth_a_race(network):
    names, reason = resolving.chosen_remedies(small_recipe(), network, "cpu", "fp32", 80)
    assert names == ()
    assert "would not repay it" in reason


def test_a_long_training_races_at_its_smallest_and_its_heaviest_size(network, monkeypatch):
    raced = []

    def probed(network, size, batch, precision, device):
        raced.append(size)
        return (["small-maps"] if size == (32, 32) else ["linear", "small-maps"]), f"at {size[0]}"

    monkeypatch.setattr(resolving, "step_speed", lambda *args, **more: 0.1)
    monkeypatch.setattr(resolving, "probe_remedies", probed)
    stages = [{"size": side, "epochs": n} for side, n in ((32, 1), (48, 1), (64, 3))]
    recipe = small_recipe(stages)
    names, reason = resolving.chosen_remedies(recipe, network, "cpu", "fp32", 900)
    assert raced == [(32, 32), (64, 64)]
    assert names == ("small-maps", "linear")
    assert reason == "at 32; at 64"


# Batch sizes


@pytest.mark.parametrize(
    ("n_train", "limit", "fits", "batch", "words"),
    [
        (1000, 64, 9999, 64, "64 at most"),
        (300, 64, 9999, 32, "at least 8 steps"),  # 300 / 8 = 37.5
        (40, 64, 9999, 8, "only 40 training images"),
        (5, 64, 9999, 8, "only 5 training images"),
        (100_000, 256, 200, 128, "fits into the memory"),
        (1000, 64, 3, 2, "fits into the memory"),
        (1000, 64, 0, 2, "fits into the memory"),
        (512, 512, 9999, 64, "at least 8 steps"),
    ],
)
def test_a_batch_is_a_power_of_two_within_images_limit_and_memory(
    n_train, limit, fits, batch, words
):
    found, why = pick_batch(n_train, limit, fits)
    assert found == batch
    assert words in why


def test_an_automatic_batch_is_stored_for_its_stage_with_its_reason(network):
    recipe = with_stages({"size": 32}, {"size": 48, "batch_size": "auto"})
    found = resolve(recipe, network, "cpu", "asked for", facts_of(300))
    assert found.stages == {"1": {"batch_size": 32}}
    assert "300 training images" in found.reasons["stages.1.batch_size"]


def test_equal_sizes_get_equal_batches(network, monkeypatch):
    answers = iter([(32, "first"), (16, "second")])
    monkeypatch.setattr(capacity, "choose_batch", lambda *args: next(answers))
    auto = {"batch_size": "auto"}
    recipe = with_stages({"size": 32, **auto}, {"size": 48, **auto}, {"size": 32, **auto})
    found = resolve(recipe, network, "cpu", "asked for", facts_of(300))
    assert [found.of_stage(stage, "batch_size") for stage in range(3)] == [32, 16, 32]


def test_without_facts_about_the_data_the_batch_stays_open(network):
    recipe = with_stages({"size": 32, "batch_size": "auto"})
    assert resolve(recipe, network, "cpu", "asked for").stages == {}


def test_a_short_memory_lowers_the_automatic_batch_on_a_cpu(network):
    stage = with_stages({"size": 64, "batch_size": "auto"}).stages[0]
    need = capacity.footprint(network, (64, 64), "fp32")
    free = (need.fixed_mb + 20 * need.image_mb) / 0.8  # 20 images fit into 80 % of it
    batch, reason = choose_batch(stage, 5000, network, "cpu", free=lambda device: free)
    assert batch == 16
    assert "as estimated" in reason


def test_a_gpu_is_asked_by_two_small_steps_and_given_up_to_512_images(network, monkeypatch):
    # 100 MB and 10 MB an image: 80 % of 4000 MB takes 310 images
    monkeypatch.setattr(
        capacity, "peak_mb", lambda network, hw, batch, device, kind: 100 + 10 * batch
    )
    monkeypatch.setattr(capacity, "same_random_state", lambda device: torch.random.fork_rng([]))
    stage = with_stages({"size": 64, "batch_size": "auto"}).stages[0]

    def chosen(n_train: int, free_mb: float) -> int:
        return choose_batch(stage, n_train, network, "cuda:0", "bf16", lambda device: free_mb)[0]

    assert chosen(100_000, 4000) == 256
    assert chosen(100_000, 80_000) == 512
    assert chosen(1500, 80_000) == 128
    assert measured_footprint(network, (64, 64), "cuda:0", "bf16") == Footprint(100, 10)


def test_large_pictures_come_in_at_most_256(network, monkeypatch):
    monkeypatch.setattr(capacity, "measured_footprint", lambda *args: Footprint(1, 0.001))
    stage = with_stages({"size": 224, "batch_size": "auto"}).stages[0]
    assert choose_batch(stage, 10**6, network, "cuda:0", "bf16", lambda device: 1e6)[0] == 256


def test_an_image_costs_something_even_where_two_peaks_are_equal():
    found = line_through(8, 800.0, 16, 800.0)
    assert found.image_mb == pytest.approx(1.0)
    assert found.mb(8) == pytest.approx(800)


# Preflight


class Limited(nn.Module):
    """Raises what a GPU raises above so many images."""

    def __init__(self, most: int):
        super().__init__()
        self.most, self.seen = most, []
        self.conv, self.norm, self.fc = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(x))
        x = self.norm(self.conv(x))
        if len(x) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return self.fc(x.mean((2, 3)))

    def __deepcopy__(self, memo):
        other = Limited(self.most)
        other.load_state_dict(self.state_dict())
        other.seen = self.seen  # to be looked at from outside
        return other


def limited(most: int) -> Network:
    half = (0.5, 0.5, 0.5)
    return Network(Limited(most), small_recipe().model, 5, 1, half, half)


def load(batch: int) -> Load:
    return Load((0,), "all", (32, 32), batch)


def test_a_step_is_tried_in_ever_more_parts_until_one_fits():
    network = limited(most=4)
    before = snapshot(network)
    micro, reason = tried_parts(network, load(16), "cpu", "fp32", None)
    assert micro == 4
    assert network.model.seen == [16, 8, 4, 4]  # the last one twice: with the moments there
    assert "32 px with 16 images ran out of memory before the first stage" in reason
    assert untouched(network, before)


def test_a_step_that_fits_at_once_needs_no_parts():
    assert tried_parts(limited(16), load(16), "cpu", "fp32", None)[0] == 1


def test_not_even_one_image_is_a_failure_in_words():
    with pytest.raises(LabError, match="Memory ran out at 32 px even with one image at a time"):
        tried_parts(limited(0), load(4), "cpu", "fp32", None)


def test_on_a_cpu_a_small_recipe_is_not_even_tried(network, monkeypatch):
    monkeypatch.setattr(capacity, "Trial", None)
    before = snapshot(network)
    assert preflight(small_recipe(), network, "cpu", "fp32") == []
    assert untouched(network, before)


@pytest.mark.parametrize(
    ("free_mb", "parts"),
    [
        (1000, 1),  # 100 + 64 x 10 = 740 of 800
        (900, 2),  # 62 images fit into 720
        (400, 4),  # 22 images fit into 320
        (140, 64),  # one image fits into 112
        (100, 64),  # none, by an estimate that may be too high
    ],
)
def test_on_a_cpu_parts_are_as_small_as_four_fifths_of_the_free_memory_ask(free_mb, parts):
    assert estimated_parts(Footprint(100, 10), load(64), free_mb)[0] == parts


def test_on_a_cpu_a_step_out_of_all_proportion_is_refused():
    with pytest.raises(LabError, match="one image at a time"):
        estimated_parts(Footprint(100, 10), load(64), 50)


def test_parts_are_chosen_for_every_stage_that_needs_them_and_no_other(network):
    big, small = {"size": 96, "batch_size": 32}, {"size": 32}
    need = capacity.footprint(network, (96, 96), "fp32")
    free = (need.fixed_mb + 20 * need.image_mb) / 0.8
    found = preflight(
        with_stages(small, big, small, big), network, "cpu", "fp32", free=lambda d: free
    )
    assert [choice[:3] for choice in found] == [(1, "micro", 2), (3, "micro", 2)]
    assert "96 px with 32 images" in found[0][3]


def test_a_batch_is_never_counted_above_the_images_there_are(network):
    need = capacity.footprint(network, (96, 96), "fp32")
    free = (need.fixed_mb + 20 * need.image_mb) / 0.8
    recipe = with_stages({"size": 96, "batch_size": 32})
    assert preflight(recipe, network, "cpu", "fp32", n_train=18, free=lambda d: free) == []


def test_an_automatic_batch_is_looked_at_as_it_was_chosen(network):
    recipe = with_stages({"size": 96, "batch_size": "auto"})
    resolved = Resolved().with_choice(0, "batch_size", 32, "because")
    need = capacity.footprint(network, (96, 96), "fp32")
    free = (need.fixed_mb + 20 * need.image_mb) / 0.8
    found = preflight(recipe, network, "cpu", "fp32", resolved, free=lambda d: free)
    assert found[0][:3] == (0, "micro", 2)


def test_a_stage_that_trains_the_head_alone_asks_for_less(network):
    recipe = with_stages({"size": 96, "batch_size": 32, "trainable": "last-norm+head"})
    all_need = capacity.footprint(network, (96, 96), "fp32")
    free = (all_need.fixed_mb + 20 * all_need.image_mb) / 0.8
    assert preflight(recipe, network, "cpu", "fp32", free=lambda d: free) == []
    assert names_learning(network.model, recipe.stages[0], False, True) >= {"fc.weight", "fc.bias"}


def test_stages_on_cached_activations_are_not_looked_at(network):
    cached = {"size": 512, "batch_size": 512, "trainable": "head", "cached_activations": True}
    assert preflight(with_stages(cached), network, "cpu", "fp32", free=lambda device: 1.0) == []


# Calibration


def test_a_stage_that_ramps_is_measured_where_it_begins_and_where_it_ends():
    stage = with_stages({"size": 48, "ramp_from": 32}).stages[0]
    assert sizes_of(stage) == [(32, 32), (48, 48)]


def test_each_shape_is_measured_once():
    recipe = with_stages({"size": 32}, {"size": 48, "ramp_from": 32}, {"size": 48})
    assert shapes(recipe, [16, 16, 16]) == [(32, 32, 16), (48, 48, 16)]


def test_the_images_that_train_are_those_not_validated_or_locked_away(tmp_path):
    # 120 leaves, a quarter validates, a tenth is locked away
    assert images_of(Workspace(tmp_path).create(), small_recipe().dataset) == 78


def test_a_calibration_takes_auto_ramps_the_finder_and_another_runs_weights(tmp_path):
    workspace = Workspace(tmp_path).create()
    stage = {"size": 48, "ramp_from": 32, "batch_size": "auto", "lr": "finder"}
    model = {"name": "test_resnet", "groups": 2, "weights": "run", "run": "20260101-none"}
    found = measure(workspace, with_stages(stage, model=model), "cpu", lambda *progress: None)
    # 78 images to train on: at least 8 a step
    keys = {"test_resnet|32x32|8|fp32", "test_resnet|48x48|8|fp32"}
    assert set(found["speeds"]) == keys
    assert all(speed > 0 and math.isfinite(speed) for speed in found["speeds"].values())
    assert set(device_facts(workspace, "cpu").speeds) == keys
    with device_lock(workspace, "cpu", holder=f"test {os.getpid()}"):
        pass  # the lock is free again


# What a baseline takes over from its reference


def test_a_baseline_takes_the_batch_of_its_size_and_the_rate_of_the_stage_that_led():
    theirs = with_stages(
        {"size": 64, "batch_size": "auto", "lr": "finder", "trainable": "head"},
        {"size": 64, "batch_size": "auto", "lr": "finder"},
        {"size": 96, "batch_size": "auto", "lr": "finder"},
    )
    chosen = Resolved(groups=2, reasons={"groups": "asked for"}, remedies=("depthwise",))
    for number, (batch, lr) in enumerate([(512, 0.1), (256, 0.01), (64, 0.001)]):
        chosen = chosen.with_choice(number, "batch_size", batch, "why")
        chosen = chosen.with_choice(number, "lr", lr, "why")
    small = with_stages({"size": 64, "batch_size": "auto", "lr": "finder"})
    found = as_reference(chosen, small, theirs, "run-1")
    assert found.stages == {"0": {"lr": 0.01, "batch_size": 256}}
    assert found.reasons["stages.0.batch_size"] == "as run run-1"
    assert found.remedies == ("depthwise",)


def test_what_a_rule_or_the_memory_did_to_the_reference_is_its_own():
    theirs = with_stages({"size": 64, "lr": 0.01, "batch_size": 32})
    chosen = Resolved().with_choice(0, "epochs", 3, "why").with_choice(0, "micro", 2, "why")
    assert as_reference(chosen, theirs, theirs, "run-1").stages == {}
