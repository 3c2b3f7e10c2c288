"""Numbers as people read them: minutes(221) "3:41", percent(0.1234) "12.3 %", count(1234) "1 234".

The space inside a number and before a unit is U+202F: narrow, and no line breaks at it.
"""

from __future__ import annotations

import math
import time

SPACE = "\u202f"
MISSING = "–"


def minutes(seconds: float | None) -> str:
    """`3:41`; above an hour `1:03:41`."""
    if _missing(seconds):
        return MISSING
    whole = math.floor(max(seconds, 0.0) + 0.5)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def percent(share: float | None, digits: int = 1) -> str:
    """`12.3 %` from 0.123."""
    return MISSING if _missing(share) else f"{_sign(100 * share, digits)}{SPACE}%"


def points(difference: float | None, digits: int = 1) -> str:
    """`+1.2 pp` from 0.012: a difference of two shares, in percentage points, always signed."""
    if _missing(difference):
        return MISSING
    text = _sign(100 * difference, digits)
    return f"{text if text.startswith('−') else '+' + text}{SPACE}pp"


def count(number: float | None) -> str:
    """`12 345`."""
    return MISSING if _missing(number) else _sign(number, 0, group=True)


def decimal(number: float | None, digits: int = 3) -> str:
    """`0.512`: a loss."""
    return MISSING if _missing(number) else _sign(number, digits)


def rate(number: float | None) -> str:
    """`3e-3`, `1.5e-4`: a learning rate."""
    if _missing(number):
        return MISSING
    digits, _, power = f"{number:.2e}".partition("e")
    digits = digits.rstrip("0").rstrip(".")
    return f"{digits}e{int(power)}" if number else "0"


def pixels(number: float | None) -> str:
    """`1.2 Gpx`."""
    return _scaled(number, "px", 1000, ("", "k", "M", "G", "T", "P"))


def flops(number: float | None) -> str:
    """`1.2 TFLOP`: floating point operations."""
    return _scaled(number, "FLOP", 1000, ("", "k", "M", "G", "T", "P", "E", "Z"))


def joules(number: float | None) -> str:
    """`1.2 kJ`."""
    return _scaled(number, "J", 1000, ("", "k", "M", "G", "T"))


def bytes_of(number: float | None) -> str:
    """`45 MB` (powers of 1000, as disks are sold)."""
    return _scaled(number, "B", 1000, ("", "k", "M", "G", "T", "P"))


def size(height: int, width: int) -> str:
    """`128 px` or `256×192 px` (height × width)."""
    return f"{height if height == width else f'{height}×{width}'}{SPACE}px"


def ago(then: float, now: float) -> str:
    """`3 min ago` from two times in seconds since the epoch."""
    passed = now - then
    if passed < 45:
        return "just now"
    for limit, unit, name in ((3600, 60, "min"), (86400, 3600, "h")):
        if passed < limit - unit / 2:
            return f"{max(1, round(passed / unit))}{SPACE}{name} ago"
    days = max(1, round(passed / 86400))
    if days == 1:
        return "yesterday"
    return f"{days} days ago" if days <= 30 else time.strftime("%d %b %Y", time.localtime(then))


def _missing(number: float | None) -> bool:
    return number is None or math.isnan(number)


def _sign(number: float, digits: int, group: bool = False) -> str:
    """Fixed digits with a real minus sign, thin groups, and never `-0.0`."""
    text = f"{number:,.{digits}f}" if group else f"{number:.{digits}f}"
    if not text.strip("-0.,"):
        text = text.lstrip("-")
    return text.replace(",", SPACE).replace("-", "−")


def _scaled(number: float | None, unit: str, step: int, prefixes: tuple[str, ...]) -> str:
    if _missing(number):
        return MISSING
    power = 0
    while abs(number) >= step * 0.9995 and power < len(prefixes) - 1:
        number, power = number / step, power + 1
    digits = 1 if power and abs(number) < 9.95 else 0
    return f"{_sign(number, digits)}{SPACE}{prefixes[power]}{unit}"
