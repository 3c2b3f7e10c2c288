"""The helper: one warm process behind a socket, that answers many, and may die."""

from __future__ import annotations

import os
import signal
import stat
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lab.errors import LabError
from lab.jobs import frames, helper_client
from lab.jobs.helper_client import (
    IDENTITY,
    _open,
    call,
    helper_alive,
    is_warm,
    socket_path,
    start,
)
from lab.workspace import Workspace, read_json

OPTIONS = ("--ops", "tests.fake_ops")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workspace]:
    """A workspace with a helper that well-behaved tests share."""
    yield from helped(tmp_path_factory.mktemp("helper"))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    """A workspace with a helper of its own, for tests that kill it; calls start the same kind."""
    monkeypatch.setattr(helper_client, "start", lambda place: start(place, *OPTIONS))
    yield from helped(tmp_path)


def helped(folder: Path) -> Iterator[Workspace]:
    place = Workspace(folder).create()
    start(place, *OPTIONS)
    yield place
    kill(place)


def pid(workspace: Workspace) -> int:
    return read_json(workspace.locks / IDENTITY, {}).get("pid", 0)


def kill(workspace: Workspace) -> None:
    if helper_alive(workspace):
        os.kill(pid(workspace), signal.SIGKILL)
    while helper_alive(workspace):
        time.sleep(0.01)


# -- answers --------------------------------------------------------------------------------------


def test_values_and_bytes_come_back_as_they_were(shared: Workspace) -> None:
    blobs = [b"", bytes(range(256)), b"x" * 3_000_000]
    values, found = call(shared, "echo", {"words": "größer", "n": 1.5}, 20, blobs=blobs)
    assert values == {"words": "größer", "n": 1.5}
    assert found == blobs


def test_problems_come_back_as_problems(shared: Workspace) -> None:
    with pytest.raises(LabError) as caught:
        call(shared, "refuse", {}, 20)
    assert [problem.where for problem in caught.value.problems] == ["a.b", "c"]


def test_a_fault_of_the_lab_comes_back_in_words(shared: Workspace) -> None:
    with pytest.raises(LabError, match=r"ValueError: a fault of the lab.*helper\.log"):
        call(shared, "blunder", {}, 20)


def test_an_unknown_operation_is_told_what_there_is(shared: Workspace) -> None:
    with pytest.raises(LabError, match=r"knows no 'nothing'.*echo"):
        call(shared, "nothing", {}, 20)


def test_many_ask_at_once_and_work_is_done_one_by_one(shared: Workspace) -> None:
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda _: call(shared, "alone", {}, 30)[0], range(20)))
    assert all(reply["alone"] for reply in replies)


def test_what_takes_too_long_is_given_up_in_words(shared: Workspace) -> None:
    call(shared, "echo", {}, 20)
    began = time.monotonic()
    with pytest.raises(LabError, match=r"took longer than 0\.3 s"):
        call(shared, "sleep", {"seconds": 1.0}, 0.3)
    assert time.monotonic() - began < 0.9


def test_too_large_a_request_is_refused(shared: Workspace) -> None:
    with pytest.raises(LabError, match="too much"):
        call(shared, "echo", {}, 20, blobs=[bytes(frames.REQUEST_BYTES + 1)])


def test_a_client_that_talks_nonsense_harms_nobody(shared: Workspace) -> None:
    call(shared, "echo", {}, 20)
    with _open(shared) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
    assert call(shared, "echo", {"n": 1}, 20)[0] == {"n": 1}


def test_only_the_owner_may_connect(shared: Workspace) -> None:
    call(shared, "echo", {}, 20)
    assert stat.S_IMODE(socket_path(shared).stat().st_mode) & 0o077 == 0


def test_it_is_warm_once_it_has_answered(shared: Workspace) -> None:
    call(shared, "echo", {}, 20)
    assert is_warm(shared)


# -- life -----------------------------------------------------------------------------------------


def test_a_killed_helper_is_replaced_by_the_next_call(workspace: Workspace) -> None:
    call(workspace, "echo", {}, 20)
    before = pid(workspace)
    kill(workspace)
    assert call(workspace, "echo", {"n": 2}, 20)[0] == {"n": 2}
    assert pid(workspace) != before


def test_two_starts_make_one_helper(workspace: Workspace) -> None:
    call(workspace, "echo", {}, 20)
    before = pid(workspace)
    start(workspace, *OPTIONS)
    assert pid(workspace) == before


def test_an_operation_that_kills_the_helper_is_reported(workspace: Workspace) -> None:
    with pytest.raises(LabError, match="died over die, twice"):
        call(workspace, "die", {}, 20)


def test_an_idle_helper_leaves(tmp_path: Path) -> None:
    place = Workspace(tmp_path).create()
    start(place, *OPTIONS, "--idle-minutes", "0.005")
    end = time.monotonic() + 15
    while helper_alive(place):
        assert time.monotonic() < end
        time.sleep(0.05)
    assert not is_warm(place)


def test_a_long_workspace_path_gets_a_socket_in_a_private_folder(tmp_path: Path) -> None:
    place = Workspace(tmp_path / ("long" * 20)).create()
    path = socket_path(place)
    assert len(os.fsencode(path)) <= 100
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
