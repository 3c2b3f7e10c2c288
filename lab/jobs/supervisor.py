"""Works off the queue: starts workers, notices the dead, stops whom a person wants stopped.

    python -m lab.jobs.supervisor --workspace DIR [--idle-exit SECONDS] [--no-spare]

A process of its own that the browser's server and the command line start on demand (launch.py).
Killing it stops no run: workers are in sessions of their own, and the next supervisor finds them.
"""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import threading
import time
import traceback
from dataclasses import dataclass
from typing import Any

import psutil
from filelock import FileLock, Timeout

from lab.jobs import launch, processes, queue
from lab.jobs.device_lock import device_holder
from lab.jobs.devices import devices_of, find_devices, suitable
from lab.jobs.order import Job
from lab.jobs.starter import Starter, say
from lab.jobs.verdict import verdict
from lab.jobs.watch import Watch
from lab.jobs.workers import Worker
from lab.runs.folder import STOP, RunFolder, process_identity
from lab.runs.status import is_word_of, supervision
from lab.workspace import Workspace, write_json

RESTARTS = {"run": 3, "task": 1}  # how often a job is started again after its worker died


@dataclass
class Live:
    """A job with a worker; `told` is when it was asked to stop (monotonic seconds)."""

    job: Job
    worker: Worker
    told: float | None = None


class Supervisor:
    """One `tick` looks at everything once; `run` ticks for as long as it is needed."""

    def __init__(
        self,
        workspace: Workspace,
        *,
        worker_argv: list[str] | None = None,
        devices: list[str] | None = None,
        grace_s: float = 30.0,
        poll_s: float = 0.25,
        spare: bool = False,
        idle_exit_s: float = float("inf"),
    ) -> None:
        self.workspace, self.grace_s, self.poll_s = workspace, grace_s, poll_s
        self.devices = devices or find_devices(os.environ)
        self.live: dict[str, Live] = {}
        polite = not any(name.startswith("cuda") for name in self.devices)
        argv = worker_argv or processes.module_argv("lab.worker")
        self._starter = Starter(workspace, argv, polite=polite, spare=spare)
        self._watch = Watch(workspace.database)
        self._idle_exit_s, self._busy_at = idle_exit_s, time.monotonic()
        self._leave = threading.Event()

    def run(self) -> None:
        """Work until told to leave, or idle for long. Where another one is at work, do nothing."""
        try:
            # Some patience, as the one before may just be leaving.
            with FileLock(self.workspace.locks / launch.LOCK, timeout=2.0):
                say(f"at work, pid {os.getpid()}, devices {', '.join(self.devices)}")
                self._loop()
        except Timeout:
            say("another supervisor is at work here")
        finally:
            self.close()

    def leave(self) -> None:
        """Leave after this tick. Workers go on."""
        self._leave.set()

    def close(self) -> None:
        """Let go of the spare worker and the database."""
        self._starter.close()
        self._watch.close()

    def _loop(self) -> None:
        while not self._leave.is_set():
            try:
                self._sign_in()
                self.tick()
                self._leave.wait(self.poll_s)
            except Exception:  # a full disk or a broken folder must not end the supervision
                traceback.print_exc()
                self._leave.wait(1.0)
            if time.monotonic() - self._busy_at > self._idle_exit_s and self._sign_out():
                say("nothing to do for long; leaving")
                return

    def _sign_in(self) -> None:
        """Say who supervises; again, should a start that came to nothing have overwritten it."""
        if launch.identity(self.workspace).get("pid") != os.getpid():
            write_json(self.workspace.locks / launch.IDENTITY, process_identity())

    def _sign_out(self) -> bool:
        """Whether we may leave. Whoever submits from here on sees that a supervisor is missing."""
        (self.workspace.locks / launch.IDENTITY).unlink(missing_ok=True)
        return not queue.waiting(self.workspace)

    def tick(self) -> None:
        """Look at everything once."""
        ended = self._settle_ended()
        self._enforce_stops()
        if self._watch.changed() or ended:
            self.attach()
            self._cancel_hopeless()
            self._start_waiting()
        if self.live:
            self._busy_at = time.monotonic()
        else:
            # Only between runs: importing takes seconds of a core that a training would miss.
            self._starter.keep_spare()

    # -- what an earlier supervisor left ----------------------------------------------------------

    def attach(self) -> None:
        """Take over: live workers go on as they are, dead ones are settled by the next tick.

        Looked for again and again, so that a start that was cut short by an error is found, too.
        """
        for job in queue.live(self.workspace):
            if job.id in self.live:
                continue
            self.live[job.id] = Live(job, Worker(self._identity_of(job)))
            say(f"{job.id}: attempt {job.attempt} found again")

    def _identity_of(self, job: Job) -> dict[str, Any]:
        """Its worker. The supervisor may have died between starting it and writing it down."""
        folder = self._folder(job)
        if known := supervision(folder).get("worker"):
            return known
        words = (job.id, "--attempt", str(job.attempt)) if job.kind == "run" else ("task", job.id)
        try:
            if found := processes.find_process(*words):
                return process_identity(found.pid)
        except psutil.Error:
            pass
        state = folder.state()
        return state if state.get("started", 0.0) > (job.started or 0.0) - 1.0 else {}

    # -- what has ended ---------------------------------------------------------------------------

    def _settle_ended(self) -> bool:
        """Record the end of workers that are gone, and the start of those that say so."""
        ended = [live for live in self.live.values() if live.worker.gone()]
        for live in ended:
            self._settle(live)
            del self.live[live.job.id]  # only once it is recorded: a full disk is tried again
        for live in self.live.values():
            self._note_start(live)
        return bool(ended)

    def _settle(self, live: Live) -> None:
        job, folder = live.job, self._folder(live.job)
        if live.worker.identity:
            processes.end_orphans(live.worker.identity)
        wish = STOP if live.told is not None else folder.wish()
        status, message, fix = verdict(live.worker, folder.state(), job.attempt, wish, folder.log)
        say(f"{job.id}: attempt {job.attempt} {status} {message}")
        if status != "lost":
            queue.change(self.workspace, job, status, message, fix)
        elif job.restarts < RESTARTS[job.kind]:
            queue.requeue(self.workspace, job, message)
        else:
            words = f"Its worker died {job.restarts + 1} times; the last time: {message}."
            fix = "Look at the end of its log; it can be continued from its last save."
            queue.change(self.workspace, job, "failed", words, fix)

    def _note_start(self, live: Live) -> None:
        if live.job.status == "starting":
            state = self._folder(live.job).state()
            mine = is_word_of(state, live.worker.identity, live.job.attempt)
            if mine and state.get("status") == "running":
                live.job = queue.change(self.workspace, live.job, "running") or live.job

    # -- what a person wants stopped --------------------------------------------------------------

    def _enforce_stops(self) -> None:
        """A stop is a wish on disk, then SIGTERM, then, after the grace, the end of the group."""
        for live in self.live.values():
            if live.told is None and self._folder(live.job).wish() == STOP:
                live.told = time.monotonic()
                live.worker.stop()
            elif live.told is not None and time.monotonic() - live.told > self.grace_s:
                say(f"{live.job.id}: did not stop within {self.grace_s:.0f} s; ended")
                live.worker.kill()

    # -- what waits -------------------------------------------------------------------------------

    def _cancel_hopeless(self) -> None:
        for job in queue.waiting(self.workspace):
            if not self._folder(job).path.is_dir():
                queue.withdraw(self.workspace, job.id, "cancelled", "Its folder is gone.")
            elif job.after:
                end = queue.outcome(self.workspace, job.after)
                if end in ("failed", "cancelled"):
                    words = f"It was to follow {job.after}, which is {end}."
                    queue.withdraw(self.workspace, job.id, "cancelled", words)

    def _start_waiting(self) -> None:
        for job in queue.waiting(self.workspace):
            self._busy_at = time.monotonic()
            if job.after and queue.outcome(self.workspace, job.after) != "done":
                continue
            slot = self._slot_for(job)
            if slot and (claimed := queue.claim(self.workspace, job, slot)):
                self._start(claimed)

    def _slot_for(self, job: Job) -> str:
        """The free slot that a job gets now; '' where it has to wait, or can never run."""
        possible = suitable(job.device, self.devices)
        if not possible:
            words = f"There is no device {job.device} here."
            fix = f"Choose one of {', '.join(self.devices)}."
            queue.change(self.workspace, job, "failed", words, fix)
            return ""
        taken = {name for live in self.live.values() for name in devices_of(live.job.slot)}
        free = [slot for slot in possible if not taken & devices_of(slot)]
        holders = {slot: self._holder(slot) for slot in free}
        for slot in free:
            if not holders[slot]:
                return slot
        words = f"Waits for {free[0]}, in use by {holders[free[0]]}." if free else ""
        if words or job.status == "blocked":
            queue.change(self.workspace, job, "blocked" if words else "queued", words)
        return ""

    def _holder(self, slot: str) -> str:
        """Who holds one of a slot's devices, in words; '' where all are free."""
        words = (device_holder(self.workspace, name) for name in sorted(devices_of(slot)))
        return next(filter(None, words), "")

    def _start(self, job: Job) -> None:
        try:
            worker = self._starter.start(job)
        except OSError as error:
            words = f"Its worker could not be started ({error.strerror})."
            queue.change(self.workspace, job, "failed", words, "See supervisor.log.")
            return
        self.live[job.id] = Live(job, worker)
        say(f"{job.id}: attempt {job.attempt} started on {job.slot}, pid {worker.identity['pid']}")

    def _folder(self, job: Job) -> RunFolder:
        return queue.folder_of(self.workspace, job.kind, job.id)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description="Works off the queue of a workspace.")
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--idle-exit", type=float, default=float("inf"), metavar="SECONDS")
    parser.add_argument("--grace", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--no-spare", action="store_true", help="keep no worker in reserve")
    parser.add_argument("--worker", type=shlex.split, help="the command that runs a worker")
    options = parser.parse_args()
    supervisor = Supervisor(
        Workspace(options.workspace).create(),
        worker_argv=options.worker,
        grace_s=options.grace,
        spare=not options.no_spare,
        idle_exit_s=options.idle_exit,
    )
    signal.signal(signal.SIGTERM, lambda *_: supervisor.leave())
    signal.signal(signal.SIGINT, lambda *_: supervisor.leave())
    supervisor.run()


if __name__ == "__main__":
    main()
