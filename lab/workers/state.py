"""What a worker says of itself: state.json with a heartbeat, and the wishes it listens to.

with Pulse(folder, attempt) as pulse:
    pulse.set(status="running"); pulse.wish()
"""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.runs.folder import STOP, process_identity
from lab.workspace import read_json, write_json

BEAT_S = 5.0
LOOK_S = 0.4  # how often control.json is read


class Pulse:
    """Keeps state.json fresh from a thread, so that long silent work still shows a heartbeat."""

    def __init__(self, folder: Path, attempt: int, clock: Callable[[], float] = time.time):
        self._file, self._control = folder / "state.json", folder / "control.json"
        self._clock, self._lock, self._end = clock, threading.Lock(), threading.Event()
        self._values: dict[str, Any] = {"status": "starting", "attempt": attempt}
        self._values |= process_identity()
        self._looked, self._wish = 0.0, ""
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Pulse:
        self.set()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(timeout=2)

    def set(self, **values: Any) -> None:
        """Change what state.json says, at once."""
        with self._lock:
            self._values |= values
            with contextlib.suppress(OSError):  # a full disk must not end the training
                write_json(self._file, {**self._values, "heartbeat": self._clock()})

    def signalled(self, *_: object) -> None:
        """SIGTERM or Ctrl-C: stop after this step."""
        self._wish = STOP

    def wish(self) -> str:
        """What was asked for: '', stop, or stop_after_stage."""
        if self._wish != STOP and self._clock() - self._looked >= LOOK_S:
            self._looked = self._clock()
            self._wish = read_json(self._control, {}).get("action", "")
        return self._wish

    def stopping(self) -> bool:
        """Whether to stop now."""
        return self.wish() == STOP

    def listen(self) -> None:
        """Take SIGTERM and SIGINT as wishes to stop. Main thread only."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self.signalled)

    def _beat(self) -> None:
        while not self._end.wait(BEAT_S):
            self.set()
