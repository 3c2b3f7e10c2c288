"""What the first reader would have to wait for, imported while the server starts: 2 s of scipy.
Then the trash is rid of what was deleted long ago.

app = st.App(__file__, routes=assets.routes(), lifespan=warm.lifespan)
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from lab.errors import LabError
from lab.runs.library import empty_expired
from lab.workspace import workspace_from

MODULES = (
    "lab.analysis.compare", "lab.analysis.tta", "lab.data.catalog", "lab.ui.compare_verdict",
    "lab.ui.comparison", "lab.ui.ensembles",
)  # fmt: skip


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """In a thread beside the server; nobody waits for it."""
    task = asyncio.create_task(asyncio.to_thread(_start))
    yield
    task.cancel()


def _start() -> None:
    for name in MODULES:
        importlib.import_module(name)
    with contextlib.suppress(LabError, OSError):  # the Runs page says what is wrong with the trash
        empty_expired(workspace_from(None, dict(os.environ)))
