"""What a training step is estimated to need, beside what it was measured to take."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from lab.recipe.facts import ModelFacts
from lab.recipe.model import ModelSpec
from lab.recipe.models import shipped_model_facts
from lab.train.memory import container_free_mb, estimate_mb, footprint, free_mb, kept_mb
from lab.train.model import Network

REPO = Path(__file__).parent.parent


def network(name: str, n_classes: int = 10) -> Network:
    model = timm.create_model(name, num_classes=n_classes)
    half = (0.5, 0.5, 0.5)
    return Network(model, ModelSpec(name=name), n_classes, 1, half, half)


def test_what_autograd_keeps_is_counted_once_each():
    # Input 3 planes and the ReLU's 8, shared by the next layer; three times the largest in flight.
    with torch.device("meta"):
        model = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 1))
    planes = 3 + 8 + 3 * 8
    assert kept_mb(model, 32, 32) == pytest.approx(planes * 32 * 32 * 4 / 2**20)


def test_weights_gradients_and_two_moments_are_sixteen_bytes_a_parameter():
    params = sum(p.numel() for p in network("test_resnet").model.parameters())
    assert footprint(network("test_resnet"), 32, "fp32").fixed_mb * 2**20 == 16 * params


def test_twice_the_side_is_four_times_the_memory_of_an_image():
    small, large = (footprint(network("resnet18"), side, "fp32").image_mb for side in (64, 128))
    assert large / small == pytest.approx(4, rel=0.01)


def test_a_head_alone_needs_far_less_than_the_whole_network():
    found = network("test_resnet")
    whole = footprint(found, 64, "fp32")
    head = footprint(found, 64, "fp32", learning={"fc.weight", "fc.bias"})
    assert head.image_mb < 0.1 * whole.image_mb
    assert head.fixed_mb < 0.5 * whole.fixed_mb


@pytest.mark.parametrize("name", ["test_resnet", "test_vit"])
def test_an_estimate_leaves_weights_mode_and_random_state_as_they_were(name):
    found = network(name)
    found.model.eval()
    before = {key: value.clone() for key, value in found.model.state_dict().items()}
    state = torch.get_rng_state()
    estimate_mb(found, 64, 8, "bf16")
    assert torch.equal(torch.get_rng_state(), state)
    assert not found.model.training
    after = found.model.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_most_images_are_what_the_rest_of_the_memory_takes():
    found = footprint(network("test_resnet"), 32, "fp32")
    most = found.most(100)
    assert found.mb(most) <= 100 < found.mb(most + 1)


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "vit_tiny_patch16_224", "convnext_tiny"])
def test_an_estimate_from_facts_is_within_a_factor_of_two_and_a_half(name):
    facts = shipped_model_facts(name)
    asked = footprint(network(name), facts.native_px, "fp32")
    guessed = footprint(facts, facts.native_px, "fp32")
    assert guessed.fixed_mb == pytest.approx(asked.fixed_mb, rel=0.01)
    assert 1 / 2.5 < guessed.image_mb / asked.image_mb < 2.5


def test_facts_are_enough_for_an_estimate():
    facts = ModelFacts("x", 2**20, "any", 1, 16, 100, 4.0, 3, False)
    # 16 bytes for each of 2**20 parameters; 30 MB * sqrt(4) for an image at a quarter of the area
    assert estimate_mb(facts, 50, 8, "fp32") == pytest.approx(16 + 8 * 60 / 4)


def test_a_container_may_take_what_its_limit_leaves_and_the_page_cache_holds(tmp_path):
    for name, value in {
        "memory.max": "1048576000",  # 1000 MiB
        "memory.current": "734003200",  # 700 MiB
        "memory.stat": "anon 5\nactive_file 20971520\ninactive_file 83886080",  # 20 + 80 MiB
    }.items():
        (tmp_path / name).write_text(value)
    assert container_free_mb(tmp_path) == pytest.approx(400)


def test_without_a_limit_a_container_may_take_everything(tmp_path):
    (tmp_path / "memory.max").write_text("max")
    (tmp_path / "memory.current").write_text("1")
    assert container_free_mb(tmp_path) == math.inf


def test_a_machine_has_some_memory_free():
    assert 0 < free_mb("cpu") < math.inf


_PEAKS = """
import json, os, sys
import timm, torch
import torch.nn.functional as F

def status(key):
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(key))

def peak(name, side, batch, precision):
    '''MiB above what the process had, in a fork of its own: freed memory would be used again.'''
    read, write = os.pipe()
    if os.fork():
        os.close(write)
        return float(os.read(read, 100))
    torch.set_num_threads(1)
    torch.nn.Linear(4, 2)(torch.zeros(1, 4)).sum().backward()
    open("/proc/self/clear_refs", "w").write("5")
    before = status("VmRSS")
    model = timm.create_model(name, num_classes=10).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-6, fused=True)
    x = torch.randn(batch, 3, side, side).contiguous(memory_format=torch.channels_last)
    for _ in range(2):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = F.cross_entropy(model(x).float(), torch.zeros(batch, dtype=torch.long))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    os.write(write, str(status("VmHWM") - before).encode())
    os._exit(0)

print(json.dumps([peak(*case) for case in json.loads(sys.argv[1])]))
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from /proc")
def test_estimates_are_within_a_factor_of_two_of_measured_peaks():
    cases = [
        ("resnet18", 64, 64, "fp32"),
        ("resnet18", 128, 32, "fp32"),
        ("resnet18", 128, 32, "bf16"),
        ("test_convnext", 64, 128, "fp32"),
        ("test_convnext", 160, 48, "fp32"),
        ("test_convnext", 160, 48, "bf16"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", _PEAKS, json.dumps(cases)],
        capture_output=True, text=True, timeout=300, cwd=REPO,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for (name, side, batch, precision), measured in zip(cases, json.loads(done.stdout)):
        estimated = estimate_mb(network(name), side, batch, precision)
        print(f"{name} {side} px x {batch} {precision}: {estimated:.0f} of {measured:.0f} MB")
        assert 0.5 < estimated / measured < 2, (name, side, batch, precision, estimated, measured)
