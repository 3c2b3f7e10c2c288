"""What the first reader would have to wait for, imported while the server starts: 2 s of scipy.

app = st.App(__file__, routes=assets.routes(), lifespan=warm.lifespan)
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

MODULES = ("lab.analysis.compare", "lab.analysis.tta", "lab.data.catalog", "lab.ui.comparison")


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[None]:
    """Import in a thread beside the server; nobody waits for it."""
    task = asyncio.create_task(asyncio.to_thread(_import_all))
    yield
    task.cancel()


def _import_all() -> None:
    for name in MODULES:
        importlib.import_module(name)
