"""A schedule in a link: `?recipe=` holds the whole recipe, compressed; opening it restores it.

text = pack(recipe);  recipe = unpack(text)        # LabError in words for anything else
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib

from lab.errors import LabError
from lab.recipe import Recipe, recipe_from

PARAMETER = "recipe"
LONGEST_TEXT, LONGEST_JSON = 6_000, 100_000  # browsers and proxies take links of about 8,000


def pack(recipe: Recipe) -> str:
    """The recipe as a short text of A-Z a-z 0-9 - _. LabError where it does not fit into a link."""
    _refuse_local(recipe)
    raw = json.dumps(recipe.dump(), separators=(",", ":"), ensure_ascii=False).encode()
    text = base64.urlsafe_b64encode(zlib.compress(raw, 9)).decode().rstrip("=")
    if len(text) > LONGEST_TEXT:
        raise LabError(
            "This schedule is too long for a link.", "Shorten its notes, or send the file."
        )
    return text


def unpack(text: str) -> Recipe:
    """The recipe of a link. It comes from a stranger: bounded, and checked like any recipe."""
    try:
        if len(text) > LONGEST_TEXT:
            raise ValueError("too long")
        packed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        unzipped = zlib.decompressobj()
        raw = unzipped.decompress(packed, LONGEST_JSON)
        if not unzipped.eof:
            raise ValueError("cut off, or too long")
        values = json.loads(raw)
    except (binascii.Error, zlib.error, ValueError, RecursionError) as error:
        raise LabError("This lesson link is damaged.", "Ask for the link again.") from error
    recipe = recipe_from(values)
    _refuse_local(recipe)
    return recipe


def _refuse_local(recipe: Recipe) -> None:
    """A link names no files: elsewhere they are not there, or not the reader's business."""
    if recipe.dataset.source == "path" or recipe.dataset.path:
        raise LabError(
            "A lesson link names no folders of a machine.",
            "Import the pictures on the Data page and choose them.", where="dataset.path",
        )  # fmt: skip
    if recipe.model.weights == "file" or recipe.model.file:
        raise LabError(
            "A lesson link names no files of a machine.",
            "Choose other weights.",
            where="model.file",
        )
