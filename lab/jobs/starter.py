"""Starts the worker of a job: the spare one if there is one, else a new process."""

from __future__ import annotations

import time

from lab.jobs import queue
from lab.jobs.devices import LIGHT
from lab.jobs.order import Job
from lab.jobs.workers import Spare, Worker, hand_over, start
from lab.workspace import Workspace


class Starter:
    """`start(job)` gives a Worker, and supervisor.json says whom."""

    def __init__(self, workspace: Workspace, argv: list[str], *, polite: bool, spare: bool) -> None:
        self._workspace, self._argv, self._polite = workspace, argv, polite
        log = workspace.root / "supervisor.log"
        self._spare = Spare([*argv, "--spare"], log, polite) if spare else None

    def start(self, job: Job) -> Worker:
        """The worker of a claimed job. Raises OSError where none can be started."""
        log = queue.folder_of(self._workspace, job.kind, job.id).log
        arguments = worker_arguments(self._workspace, job)
        # A light task leaves the spare to the run that may come next.
        spare = self._spare.take() if self._spare and job.slot != LIGHT else None
        if spare:
            # Written down before it is told what it is: if we die in between, it just leaves.
            queue.change(self._workspace, job, "starting", worker=spare.identity)
            try:
                hand_over(spare, arguments, log)
                return spare
            except OSError:
                say(f"{job.id}: the spare worker had died")
        worker = start([*self._argv, *arguments], log, self._polite)
        queue.change(self._workspace, job, "starting", worker=worker.identity)
        return worker

    def keep_spare(self) -> None:
        """See that there is a spare."""
        if self._spare:
            self._spare.keep()

    def close(self) -> None:
        """Let the spare go."""
        if self._spare:
            self._spare.close()


def worker_arguments(workspace: Workspace, job: Job) -> list[str]:
    """What follows `python -m lab.worker`. A light task gets no device and takes no lock of one."""
    attempt = ["--attempt", str(job.attempt)] if job.kind == "run" else []
    device = [] if job.slot == LIGHT else ["--device", job.slot]
    return ["--workspace", str(workspace.root), job.kind, job.id, *attempt, *device]


def say(words: str) -> None:
    """A line in supervisor.log."""
    print(f"{time.strftime('%Y-%m-%d %H:%M:%S')}  {words}", flush=True)
