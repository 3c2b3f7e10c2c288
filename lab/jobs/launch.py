"""Makes sure that a supervisor is at work: called on every page load, submit and command."""

from __future__ import annotations

from filelock import FileLock, Timeout

from lab.errors import LabError
from lab.jobs.processes import module_argv, start_detached
from lab.runs.folder import is_alive, process_identity
from lab.workspace import Workspace, read_json, write_json

LOCK, IDENTITY = "supervisor.lock", "supervisor.json"  # in the workspace's locks folder
IDLE_EXIT_S = 3600


def ensure_supervisor(workspace: Workspace, *arguments: str) -> None:
    """Start a supervisor unless one is at work: 0.1 ms if so, else about 20 ms. Waits for nothing.

    Should two be started nonetheless, the lock lets only one of them act.
    """
    if supervisor_alive(workspace):
        return
    workspace.create()
    try:
        with FileLock(workspace.locks / "supervisor-start.lock", timeout=10):
            if not supervisor_alive(workspace):
                _start(workspace, arguments)
    except (OSError, Timeout) as error:
        raise LabError(
            f"The process that starts runs could not be started ({error}).",
            "Start it by hand: python -m lab.jobs.supervisor --workspace DIR",
        ) from error


def supervisor_alive(workspace: Workspace) -> bool:
    """Whether a supervisor is at work here, or about to be."""
    return is_alive(identity(workspace))


def identity(workspace: Workspace) -> dict:
    """(pid, start time, boot) of the supervisor; of a dead one, too."""
    return read_json(workspace.locks / IDENTITY, {})


def _start(workspace: Workspace, arguments: tuple[str, ...]) -> None:
    options = ["--workspace", str(workspace.root), "--idle-exit", str(IDLE_EXIT_S), *arguments]
    argv = module_argv("lab.jobs.supervisor", *options)
    process = start_detached(argv, workspace.root / "supervisor.log")
    # Written down by the starter: the next caller must not start another while this one imports.
    write_json(workspace.locks / IDENTITY, process_identity(process.pid))
