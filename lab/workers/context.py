"""The surroundings of one execution: where it writes, whom it tells, and whether it is to stop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lab.errors import Stopped
from lab.runs.events import EventWriter
from lab.runs.folder import RunFolder
from lab.workers.state import Pulse
from lab.workspace import Workspace


@dataclass
class Work:
    """The parts of one execution."""

    workspace: Workspace
    run: RunFolder
    attempt: int
    pulse: Pulse
    writer: EventWriter
    on_event: Callable[[dict[str, Any]], None]
    step: int = 0
    _told: float = field(default=0.0)

    def tell(self, kind: str, **values: Any) -> None:
        """Write an event and show it to whoever listens."""
        self.on_event(self.writer.write(kind, **values))

    def progress(self, what: str, done: int, total: int) -> None:
        """Progress of the preparation, at most twice a second; a chance to stop."""
        if self.pulse.stopping():
            raise Stopped
        if done >= total or time.monotonic() - self._told > 0.5:
            self._told = time.monotonic()
            self.tell("progress", what=what, done=done, total=total)
