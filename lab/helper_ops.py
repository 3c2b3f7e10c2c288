"""What the helper can do: `op(arguments, workspace) -> (values, blobs)`, by name, in OPS.

Importing this must stay cheap; what is slow to import goes into `warm_up`.
"""

# TODO: only a stub. A fuller, uncommitted version (at least `stage_views` and `tta_image`, which
# lab/ui calls) was overwritten by this file by mistake; its author has to write it back.

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.workspace import Workspace

Reply = tuple[dict[str, Any], list[bytes]]


def warm_up() -> None:
    """Import what is slow to import, once, before the first real request."""
    import timm  # noqa: F401
    import torch  # noqa: F401


def ping(arguments: dict[str, Any], workspace: Workspace) -> Reply:
    """Give everything back."""
    blobs = arguments.pop("blobs", [])
    return arguments, blobs


OPS: dict[str, Callable[[dict[str, Any], Workspace], Reply]] = {"ping": ping}
