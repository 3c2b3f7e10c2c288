"""The Pareto front: what no other point beats in both error and cost.

    front([10, 20, 30], [0.3, 0.1, 0.2])      [0, 1]: the third costs more and errs more

A point off the front is a bad bargain: some other one is as good in both and better in one. The
front says nothing about luck; the intervals do.
"""

from __future__ import annotations

import math
from collections.abc import Sequence


def front(costs: Sequence[float], errors: Sequence[float]) -> list[int]:
    """Indices of the points on the front, cheapest first. Points that lack a number are left out.

    Of points that are equal in both, all are on it.
    """
    known = [
        at
        for at, pair in enumerate(zip(costs, errors, strict=True))
        if all(value is not None and math.isfinite(value) for value in pair)
    ]
    found: list[int] = []
    for at in sorted(known, key=lambda at: (costs[at], errors[at])):
        last = found[-1] if found else None
        better = last is None or errors[at] < errors[last]
        twin = last is not None and (costs[at], errors[at]) == (costs[last], errors[last])
        if better or twin:
            found.append(at)
    return found
