"""A size that grows within a stage.

ramped_px(64, 128, p=0.5, start=0.2, end=0.8, multiple=4)   -> 96
stage_hw(stage, at=3, of=10)                                -> (height, width) of epoch 3 of 10
"""

from __future__ import annotations

import math

from lab.recipe.stage import Stage, hw


def share_grown(p: float, start: float, end: float) -> float:
    """How far a ramp has come at position p: 0 up to `start`, 1 from `end` on, linear between.

    Composer's `delay_fraction` is start, its `finetune_fraction` is 1 - end.
    """
    if p >= end:
        return 1.0
    return max(0.0, (p - start) / (end - start)) if end > start else 0.0


def ramped_px(
    first_px: int, last_px: int, p: float, start: float, end: float, multiple: int
) -> int:
    """The side at position p, rounded to a multiple; exactly `last_px` once it is grown."""
    share = share_grown(p, start, end)
    if share == 1.0:
        return last_px
    side = first_px + (last_px - first_px) * share
    return max(16, min(last_px, math.floor(side / multiple + 0.5) * multiple))


def stage_hw(stage: Stage, at: int, of: int) -> tuple[int, int]:
    """(height, width) that a stage trains at in the `at`-th of `of` epochs or steps, from 0.

    The last of them is at the stage's own size, even where the ramp takes the whole stage.
    """
    if stage.ramp_from is None:
        return stage.hw
    end = min(stage.ramp_end, (of - 1) / of)
    shape = (at / of, min(stage.ramp_start, end), end, stage.ramp_multiple)
    (low_h, low_w), (high_h, high_w) = hw(stage.ramp_from), stage.hw
    return ramped_px(low_h, high_h, *shape), ramped_px(low_w, high_w, *shape)


def stage_pixels(stage: Stage) -> float:
    """Pixels that one image takes through the network over the whole stage."""
    total = stage.total_epochs
    parts = total if stage.ramp_by == "epoch" else 100 * total
    sizes = (stage_hw(stage, at, parts) for at in range(parts))
    return total * sum(height * width for height, width in sizes) / max(parts, 1)
