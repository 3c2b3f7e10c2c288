"""Checkpoints: whole or not there, verified before they are loaded, pruned, swept."""

import errno
import json

import pytest
import torch

from lab.errors import LabError
from lab.train import checkpoint


def saved(folder, *steps: int, keep: int = 9) -> None:
    for step in steps:
        state = {"model": {"w": torch.full((4,), float(step))}, "step": step}
        checkpoint.save(folder, f"step-{step:08d}", state, {"step": step}, keep)


def newest(folder) -> int:
    found = checkpoint.load_newest(folder)
    assert found is not None
    return found[0]["step"]


def test_the_newest_is_loaded(tmp_path):
    saved(tmp_path, 10, 20)
    assert newest(tmp_path) == 20


def test_an_empty_folder_has_none(tmp_path):
    assert checkpoint.load_newest(tmp_path) is None


@pytest.mark.parametrize("place", [0.1, 0.5, 0.9])
def test_a_flipped_bit_is_noticed_and_the_one_before_is_used(tmp_path, place):
    saved(tmp_path, 10, 20)
    file = tmp_path / "step-00000020.pt"
    block = bytearray(file.read_bytes())
    block[int(place * len(block))] ^= 1
    file.write_bytes(block)
    assert newest(tmp_path) == 10
    assert checkpoint.load_newest(tmp_path)[2] == ["step-00000020"]


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_noticed(tmp_path, share):
    saved(tmp_path, 10, 20)
    file = tmp_path / "step-00000020.pt"
    block = file.read_bytes()
    file.write_bytes(block[: int(share * len(block))])
    assert newest(tmp_path) == 10


def test_a_file_without_a_manifest_does_not_exist(tmp_path):
    saved(tmp_path, 10, 20)
    (tmp_path / "step-00000020.json").unlink()
    assert newest(tmp_path) == 10


def test_a_manifest_that_is_not_json_is_passed_over(tmp_path):
    saved(tmp_path, 10, 20)
    (tmp_path / "step-00000020.json").write_text("{")
    assert newest(tmp_path) == 10


def test_no_intact_checkpoint_is_said_in_words(tmp_path):
    saved(tmp_path, 10)
    (tmp_path / "step-00000010.pt").write_bytes(b"")
    with pytest.raises(LabError, match="None of the 1 checkpoints is intact"):
        checkpoint.load_newest(tmp_path)


def test_only_the_newest_are_kept(tmp_path):
    saved(tmp_path, 10, 20, 30, keep=2)
    assert sorted(file.name for file in tmp_path.glob("*.pt")) == [
        "step-00000020.pt",
        "step-00000030.pt",
    ]


def test_a_sweep_removes_what_a_killed_writer_left(tmp_path):
    saved(tmp_path, 10)
    (tmp_path / ".step-00000020.99.tmp").write_bytes(b"half")
    (tmp_path / "step-00000020.pt").write_bytes(b"no manifest")
    checkpoint.sweep(tmp_path)
    assert sorted(file.name for file in tmp_path.iterdir()) == [
        "step-00000010.json",
        "step-00000010.pt",
    ]


def test_a_full_disk_leaves_the_older_one_and_no_rubbish(tmp_path, monkeypatch):
    saved(tmp_path, 10)

    def full(state, file):
        file.write(b"x" * 100)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint.torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        saved(tmp_path, 20)
    assert newest(tmp_path) == 10
    assert not list(tmp_path.glob(".*"))


def test_a_manifest_holds_size_and_sha256(tmp_path):
    saved(tmp_path, 10)
    manifest = json.loads((tmp_path / "step-00000010.json").read_text())
    assert manifest["bytes"] == (tmp_path / "step-00000010.pt").stat().st_size
    assert manifest["sha256"] == checkpoint.sha256(tmp_path / "step-00000010.pt")


def test_a_pickle_offered_as_a_checkpoint_is_not_run(tmp_path):
    saved(tmp_path, 10)
    trap = tmp_path / "sprung"
    file = tmp_path / "step-00000010.pt"
    torch.save(_Trap(trap), file)
    manifest = json.loads((tmp_path / "step-00000010.json").read_text())
    manifest |= {"bytes": file.stat().st_size, "sha256": checkpoint.sha256(file)}
    (tmp_path / "step-00000010.json").write_text(json.dumps(manifest))
    with pytest.raises(Exception, match=r"Weights only|weights_only"):
        checkpoint.load_newest(tmp_path)
    assert not trap.exists()


class _Trap:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")
