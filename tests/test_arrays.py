"""Stored arrays that are whole, missing, cut off, empty or something else."""

import numpy as np
import pytest

from lab.runs.arrays import read_arrays


def test_arrays_come_back_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", item=np.arange(3))
    assert read_arrays(tmp_path / "a.npz")["item"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_that_was_cut_off_is_no_file(tmp_path, share):
    np.savez(tmp_path / "a.npz", item=np.arange(300))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: int(share * len(whole))])
    assert read_arrays(tmp_path / "a.npz") is None


def test_a_missing_file_and_a_text_are_none(tmp_path):
    (tmp_path / "b.npz").write_text("no arrays")
    assert read_arrays(tmp_path / "a.npz") is None
    assert read_arrays(tmp_path / "b.npz") is None
