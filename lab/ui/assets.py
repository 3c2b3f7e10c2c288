"""Plotly.js from the installed plotly wheel, served once per browser by the lab's own server.

    app = st.App(__file__, routes=assets.routes())     # app.py; the only thing it has to do

Why a route of `st.App`: it is Streamlit's documented way to serve a file. Others cost more: inline
in the component, 4.8 MB travel with every tick; `enableStaticServing` wants a copy in the source
tree (links that leave it are refused) and compresses it anew for each reader; a component manifest
is read from installed packages only. Here it travels once, as 1.5 MB, and the browser keeps it: the
version is part of the address.
"""

from __future__ import annotations

import functools
import gzip
import importlib.metadata
import importlib.util
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

_FOREVER = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
_TYPE = "text/javascript"


@functools.cache
def plotly_path() -> str:
    """Address of Plotly.js, relative to the page, so that a proxy may put the lab anywhere."""
    return f"lab-assets/plotly-py-{importlib.metadata.version('plotly')}.min.js"


def routes() -> list[Route]:
    """The routes that app.py hands to `st.App`."""
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    return [Route(f"{'/' if base else ''}{base}/{plotly_path()}", _plotly, methods=["GET"])]


def _plotly(request: Request) -> Response:
    """Starlette runs this in a thread: compressing takes 0.2 s, once per server."""
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return FileResponse(_plotly_file(), media_type=_TYPE, headers=_FOREVER)
    headers = {**_FOREVER, "Content-Encoding": "gzip"}
    return Response(_compressed(), media_type=_TYPE, headers=headers)


@functools.cache
def _plotly_file() -> Path:
    """Found without importing plotly, which would take 0.3 s."""
    spec = importlib.util.find_spec("plotly")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "package_data" / "plotly.min.js"


@functools.cache
def _compressed() -> bytes:
    return gzip.compress(_plotly_file().read_bytes(), compresslevel=6, mtime=0)
