"""A worker that obeys the protocol of lab/worker.py, or breaks it on request, and learns nothing.

What it does stands in the recipe's notes or the task's `mode`: `work SECONDS`, `deaf`, `fail`,
`crash`, `die N` (signal 9, in attempts before N), `parent` (has a child), `mute` (writes no state).
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

STOP = False


def main(arguments: list[str]) -> int:
    """What lab.worker's main does."""
    if "--spare" in arguments:
        line = sys.stdin.readline()
        if not line.strip():
            return 0
        order = json.loads(line)
        log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(log, 1)
        os.dup2(log, 2)
        return main(order["argv"])
    options = dict(zip(arguments[0::2], arguments[1::2], strict=False))
    root, kind, name = Path(options["--workspace"]), arguments[2], arguments[3]
    attempt = int(arguments[arguments.index("--attempt") + 1]) if "--attempt" in arguments else 0
    return work(root / f"{kind}s" / name, kind, attempt)


def work(folder: Path, kind: str, attempt: int) -> int:
    """Live as the mode says."""
    with open(folder / "starts.txt", "a") as file:
        file.write(f"{attempt} {os.getpid()}\n")
    mode = mode_of(folder, kind)
    if mode[0] == "crash":
        raise RuntimeError("the fake worker crashes")
    if mode[0] == "mute":
        time.sleep(float(mode[1]))
        return 0
    signal.signal(signal.SIGTERM, signal.SIG_IGN if mode[0] == "deaf" else on_term)
    say(folder, attempt, "running")
    if mode[0] == "fail":
        say(folder, attempt, "failed", message="It went wrong.", fix="Do it right.")
        return 1
    if mode[0] == "die" and attempt < int(mode[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    if mode[0] == "parent":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        (folder / "child.txt").write_text(str(child.pid))
    return live(folder, kind, attempt, mode)


def live(folder: Path, kind: str, attempt: int, mode: list[str]) -> int:
    """Pass the time until done, or until told to stop."""
    seconds = float(mode[1]) if mode[0] == "work" else 0.05 if mode[0] == "die" else 60.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.02)
        if STOP and mode[0] != "deaf":
            say(folder, attempt, "stopped")
            return 75
    if kind == "task":
        (folder / "events").mkdir(exist_ok=True)
        event = {"kind": "progress", "done": 3, "total": 3, "what": "things"}
        (folder / "events" / "0.jsonl").write_text(json.dumps(event) + "\n")
        put(folder / "result.json", {"status": "finished", "value": 42})
    say(folder, attempt, "finished")
    return 0


def mode_of(folder: Path, kind: str) -> list[str]:
    """The words that say what to do."""
    file, key = ("recipe.json", "notes") if kind == "run" else ("request.json", "mode")
    return (json.loads((folder / file).read_text()).get(key) or "work 0.05").split()


def on_term(*_: object) -> None:
    """SIGTERM: leave at the next step."""
    global STOP
    STOP = True


def say(folder: Path, attempt: int, status: str, **words: str) -> None:
    """Write state.json as the worker does."""
    me = psutil.Process()
    who = {"pid": me.pid, "started": me.create_time(), "boot": round(psutil.boot_time())}
    state = {"status": status, "attempt": attempt, **who, "heartbeat": time.time(), **words}
    put(folder / "state.json", state)


def put(path: Path, value: object) -> None:
    """Replace a file as a whole."""
    new = path.with_suffix(f".{os.getpid()}.tmp")
    new.write_text(json.dumps(value))
    new.replace(path)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
