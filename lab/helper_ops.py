"""What the helper can do: `op(arguments, workspace) -> (values, blobs)`, by name, in OPS.

Importing this stays cheap, so that the helper answers at once; the work is in lab/workers/ops.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.workspace import Workspace

Reply = tuple[dict[str, Any], list[bytes]]
Op = Callable[[dict[str, Any], Workspace], Reply]


def warm_up() -> None:
    """Import what is slow to import, once, before the first real request."""
    import lab.workers.ops  # noqa: F401


def ping(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """Give everything back."""
    blobs = arguments.pop("blobs", [])
    return arguments, blobs


def _heavy(name: str) -> Op:
    def op(arguments: dict[str, Any], workspace: Workspace) -> Reply:
        from lab.workers import ops

        return getattr(ops, name)(arguments, workspace)

    return op


OPS: dict[str, Op] = {
    "ping": ping,
    "model_facts": _heavy("model_facts"),
    "stage_views": _heavy("stage_views"),
    "tta_image": _heavy("tta_image"),
    "tta_upload": _heavy("tta_upload"),
    "test_image": _heavy("test_image"),
    "resolution_views": _heavy("resolution_views"),
    "size_answer": _heavy("size_answer"),
    "grad_cam": _heavy("grad_cam"),
    "predict": _heavy("predict"),
}
