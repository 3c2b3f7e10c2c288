"""Numbers and names as a report prints them; the same forms as on the screens.

minutes(221) "3:41", percent(0.1234) "12.3 %", named("a\\x00 name") "a name"

The screens' own formats (lab/ui/format.py) lie behind Streamlit, which a report must not need.
"""

from __future__ import annotations

import math
import re
import time
import unicodedata
from typing import Any

SPACE = "\u202f"  # narrow, and no line breaks at it
MISSING = "–"
NAME_LENGTH = 80  # longer names are cut: a name is no paragraph
_TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


# All but those that hold a number and its unit together.
_SPACES = re.compile(r"[^\S\u00a0\u202f]+")


def named(text: Any, longest: int = NAME_LENGTH) -> str:
    """Somebody's words on one line, without control characters, cut where they are too long."""
    kept = "".join(letter for letter in str(text) if _shown(letter))
    words = _SPACES.sub(" ", kept).strip()
    return words if len(words) <= longest else words[: longest - 1].rstrip() + "…"


def paragraph(text: Any, longest: int = 4000) -> str:
    """Somebody's words with their lines kept."""
    lines = [named(line, longest) for line in str(text).splitlines()]
    return "\n".join(lines)[:longest].strip()


def _shown(letter: str) -> bool:
    """No control, no half of a pair, no mark that turns the direction of what follows."""
    return letter in "\t\n" or (
        unicodedata.category(letter) not in ("Cc", "Cs") and letter not in _TURNS
    )


def minutes(seconds: float | None) -> str:
    """`3:41`; above an hour `1:03:41`."""
    if missing(seconds):
        return MISSING
    whole = math.floor(max(seconds, 0.0) + 0.5)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def percent(share: float | None, digits: int = 1) -> str:
    """`12.3 %` from 0.123."""
    return MISSING if missing(share) else f"{_signed(100 * share, digits)}{SPACE}%"


def points(difference: float | None, digits: int = 1) -> str:
    """`+1.2` from 0.012: percentage points, always signed."""
    if missing(difference):
        return MISSING
    text = _signed(100 * difference, digits)
    return text if text.startswith("−") else "+" + text


def seconds(difference: float | None) -> str:
    """`−0:28`: a difference of times, always signed."""
    if missing(difference):
        return MISSING
    shown = minutes(abs(difference))
    return shown if shown == "0:00" else f"{'−' if difference < 0 else '+'}{shown}"


def decimal(number: float | None, digits: int = 3) -> str:
    """`0.512`: a loss."""
    return MISSING if missing(number) else _signed(number, digits)


def count(number: float | None) -> str:
    """`12 345`."""
    return MISSING if missing(number) else f"{number:,.0f}".replace(",", SPACE)


def rate(number: float | str | None) -> str:
    """`3e-3`, `1.5e-4`: a learning rate; a word stays a word."""
    if isinstance(number, str):
        return number
    if missing(number):
        return MISSING
    digits, _, power = f"{number:.2e}".partition("e")
    return f"{digits.rstrip('0').rstrip('.')}e{int(power)}" if number else "0"


def p_value(p: float | None) -> str:
    """`0.032`, `below 0.001`."""
    if missing(p):
        return MISSING
    return "below 0.001" if p < 0.001 else f"{p:.3f}"


def scaled(number: float | None, unit: str = "") -> str:
    """`1.2 Gpx` from 1.2e9 and "px"."""
    if missing(number):
        return MISSING
    power, prefixes = 0, ("", "k", "M", "G", "T", "P", "E")
    while abs(number) >= 999.5 and power < len(prefixes) - 1:
        number, power = number / 1000, power + 1
    digits = 1 if power and abs(number) < 9.95 else 0
    return f"{_signed(number, digits)}{SPACE}{prefixes[power]}{unit}".rstrip(SPACE)


def day(then: float | None) -> str:
    """`21 Nov 2026, 04:10`, in UTC."""
    return MISSING if missing(then) else time.strftime("%d %b %Y, %H:%M", time.gmtime(then))


def size(label: str) -> str:
    """`128 px` from `128`."""
    return f"{label}{SPACE}px" if label else MISSING


def counted(number: int, one: str, many: str = "") -> str:
    """`1 run`, `3 runs`."""
    return f"{count(number)} {one if number == 1 else many or one + 's'}"


def missing(number: Any) -> bool:
    """None or not a number."""
    return number is None or (isinstance(number, float) and math.isnan(number))


def _signed(number: float, digits: int) -> str:
    """Fixed digits with a real minus sign, and never `-0.0`."""
    text = f"{number:.{digits}f}"
    if not text.strip("-0."):
        text = text.lstrip("-")
    return text.replace("-", "−")
