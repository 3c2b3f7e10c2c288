"""One run on several devices: torchrun starts a process for each, and this one looks after them.

    code = train(workspace, run, attempt, "cpu,cpu", on_event)      # one device: right here
    code = part(workspace, run, attempt, "cpu,cpu")                 # in each process of torchrun

Process 0 writes the run folder as a single process would; the others compute and keep silent. The
run is alive as long as this process is, so state.json holds its pid. torchrun gives each process a
session of its own, where a signal to our group does not reach it: they watch their parent instead.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from lab.errors import LabError, Stopped
from lab.jobs.processes import ROOT
from lab.runs.events import Tail
from lab.runs.folder import RunFolder
from lab.train.parallel import Together, ended, join
from lab.workers.record import Recorder
from lab.workers.resolve import cores, pick_devices
from lab.workers.runner import (
    DONE,
    ECHO_S,
    FAILED,
    LEFT,
    STOPPED,
    Training,
    as_words,
    earlier_choices,
    execute,
)
from lab.workers.state import Pulse
from lab.workspace import Workspace, read_json, write_json

LEADER, WORDS = "LAB_LEADER", "LAB_LAST_WORDS"  # pid of the starter; folder of last words
LOOK_S, ALONE_S = 0.3, 5.0  # how often a process looks for the others; how long it outlives one
SAVE_S = 3600  # what a stop may take to save; the supervisor has its own patience
CODES = {"finished": DONE, "failed": FAILED, "stopped": STOPPED}

Show = Callable[[dict[str, Any]], None]


def nobody(event: dict[str, Any]) -> None:
    """An audience that is not there."""


def train(
    workspace: Workspace, run: RunFolder, attempt: int, device: str, on_event: Show = nobody
) -> int:
    """Train a run on one or several devices, whatever was wished or chosen before.

    Returns an exit code (0, 1, 75), or -n where one of several processes was killed by signal n:
    then nobody has said anything, and the run can go on from its last save.
    """
    devices = settled_devices(workspace, run, device)
    if len(devices) < 2:
        return execute(workspace, run, attempt, device, on_event)
    where = ["--workspace", str(workspace.root), "run", run.id, "--attempt", str(attempt)]
    with tempfile.TemporaryDirectory(prefix="lab-") as folder, told(run, attempt, on_event):
        threads = {"OMP_NUM_THREADS": str(max(1, cores() // len(devices)))}
        with environment({LEADER: str(os.getpid()), WORDS: folder, **threads}):
            code = torchrun(len(devices), [*where, "--device", ",".join(devices)])
        return verdict(run, attempt, code, Path(folder))


def settled_devices(workspace: Workspace, run: RunFolder, wish: str) -> list[str]:
    """The devices that the run will take; [] where that cannot be said: `execute` says why."""
    try:
        known, _ = earlier_choices(workspace, run, run.recipe())
        return pick_devices(known.device if known else wish)[0].split(",")
    except Exception:
        return []


def torchrun(n: int, arguments: list[str]) -> int | None:
    """Run n processes of `lab.worker`. The exit code of the first that failed, 0 where none did,
    None where this process was told to stop (and so told them)."""
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    options = ["--standalone", f"--nproc-per-node={n}", f"--shutdown-timeout={SAVE_S}"]
    logging.disable(logging.CRITICAL)  # of processes that end; what it means is ours to say
    try:
        run.run(run.parse_args([*options, "-m", "lab.worker", *arguments]))
        return 0
    except ChildFailedError as error:
        failures = error.failures.values()
        own = [failure for failure in failures if failure.exitcode != LEFT]
        return min(own, key=lambda failure: failure.timestamp).exitcode if own else LEFT
    except SignalException:
        return None
    finally:
        logging.disable(logging.NOTSET)


def verdict(run: RunFolder, attempt: int, code: int | None, folder: Path) -> int:
    """What the end of the processes means. Process 0's own word counts first, then the words of
    whoever failed first, then the code."""
    state = run.state()
    mine = state.get("attempt") == attempt and state.get("pid") == os.getpid()
    if mine and state.get("status") in CODES:
        return CODES[state["status"]]
    words = sorted((read_json(file, {}) for file in folder.glob("*.json")), key=lambda w: w["t"])
    if words:
        return say(run, attempt, "failed", words[0]["what"], words[0]["fix"])
    if code is None:
        ended = "It was ended before it could save; it goes on from its last save."
        return say(run, attempt, "stopped", ended)
    if code < 0:
        return code
    what = f"A process of the run ended with code {code} and without a word."
    return say(run, attempt, "failed", what, "Its log has more.")


def killed(run: RunFolder, attempt: int, code: int) -> int:
    """Say that a process was killed, where nobody starts the run again by himself."""
    hint = ", by hand or because memory ran out" if code == -signal.SIGKILL else ""
    what = f"One of the run's processes was killed by signal {-code}{hint}."
    fix = f"Go on from the last save: python -m lab resume {run.id}"
    return say(run, attempt, "failed", what, fix)


def say(run: RunFolder, attempt: int, status: str, message: str, fix: str = "") -> int:
    """The last word on a run whose process 0 has gone without one. Returns its exit code."""
    if status == "failed":
        file = run.events / f"{attempt}.jsonl"
        seen = Tail(file).new()
        seq = seen[-1]["seq"] + 1 if seen else 0
        words = {"message": message, "fix": fix}
        event = {"run": run.id, "kind": "failed", "seq": seq, "t": time.time(), **words}
        whole = not file.exists() or file.read_bytes()[-1:] in (b"", b"\n")
        with contextlib.suppress(OSError), open(file, "ab") as out:
            out.write((b"" if whole else b"\n") + json.dumps(event).encode() + b"\n")
    known = {**run.state(), "attempt": attempt, "status": status, "heartbeat": time.time()}
    with contextlib.suppress(OSError):
        write_json(run.state_file, {**known, "message": message, "fix": fix})
    return CODES[status]


@contextmanager
def told(run: RunFolder, attempt: int, on_event: Show) -> Iterator[None]:
    """Whoever listens here hears what process 0 writes, all of it, once."""
    tail, over = Tail(run.events / f"{attempt}.jsonl"), threading.Event()

    def follow() -> None:
        with contextlib.suppress(OSError):  # a closed pipe must not end a training
            while not over.wait(0.1):
                show()
            show()

    def show() -> None:
        for event in tail.new():
            on_event(event)

    if on_event is nobody:
        yield
        return
    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def environment(changes: dict[str, str]) -> Iterator[None]:
    """What the processes are told by variables; put back afterwards."""
    loopback = "lo0" if sys.platform == "darwin" else "lo"
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    # The host's own name need not lead anywhere; all processes are on this machine.
    quiet = {"TORCH_CPP_LOG_LEVEL": "ERROR", "GLOO_SOCKET_IFNAME": loopback, "PYTHONPATH": path}
    before = dict(os.environ)
    os.environ.update({**quiet, **changes})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


# -- in the processes that torchrun starts -------------------------------------------------------


def inside() -> bool:
    """Whether this is such a process."""
    return LEADER in os.environ


def part(workspace: Workspace, run: RunFolder, attempt: int, devices: str) -> int:
    """This process's part in a run. Returns 0 where process 0 has said how the run ended."""
    os.dup2(2, 1)  # standard output is the answer of who started us
    leader, rank = int(os.environ[LEADER]), int(os.environ["RANK"])
    watch = Watch(leader)
    team = join(devices.split(",")[rank])
    watch.pids = team.pids
    if rank:
        return _help(workspace, run, attempt, devices, team)
    code = execute(workspace, run, attempt, devices, team=team, leader=leader)
    return 0 if code in (DONE, STOPPED) else code


class Watch:
    """Ends this process, and what it started, soon after its starter or one of the others has.

    From a thread: a process that waits for a dead one on a GPU hears no signal.
    """

    def __init__(self, leader: int):
        self.leader, self.pids = leader, []
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        left: float | None = None
        while os.getppid() == self.leader:
            if any(ended(pid) for pid in self.pids):
                left = left or time.monotonic()
                if time.monotonic() - left > ALONE_S:
                    break
            time.sleep(LOOK_S)
        os.killpg(0, signal.SIGKILL)


def _help(workspace: Workspace, run: RunFolder, attempt: int, devices: str, team: Together) -> int:
    """All processes but the first: the same training, nothing written."""
    pulse = Ear(run.path, attempt)
    pulse.listen()
    work = Helping(workspace, run, attempt, pulse, None, nobody, team=team)
    try:
        with ExitStack() as stack:
            work.train(devices, stack)
    except Stopped:
        pass
    except Exception as error:
        if not isinstance(error, LabError) and team.abandoned(ECHO_S):
            return LEFT
        words = as_words(error, run.log)
        about = {"what": words.what, "fix": words.fix, "t": time.time()}
        write_json(Path(os.environ[WORDS]) / f"{team.rank}.json", about)
        return FAILED
    team.outlast_first()
    return 0


class Ear(Pulse):
    """Hears signals and writes nothing; what a person wrote is for process 0 to read."""

    def set(self, **values: Any) -> None:
        """Says nothing."""

    def wish(self) -> str:
        """STOP where a signal came."""
        return self._wish


class Helping(Training):
    """Trains along in silence. Where to stop is agreed upon."""

    def tell(self, kind: str, **values: Any) -> None:
        """Process 0 tells."""

    def progress(self, what: str, done: int, total: int) -> None:
        """Process 0 tells, and stops the preparation where it has to."""

    def hold(self, devices: str, stack: ExitStack) -> None:
        """Process 0 holds them all."""

    def record(self, recorder: Recorder) -> None:
        """Take the same steps."""
        Mute(self, recorder.trainer, recorder.data, recorder.device).record()


class Mute(Recorder):
    """Consumes the trainer's events, asks with the others whether to stop, and writes nothing."""

    def _take(self, event: Any) -> None:
        pass

    def _save(self) -> None:
        pass

    def _finished(self) -> None:
        pass
