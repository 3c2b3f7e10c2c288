"""Losses: label smoothing, mixed labels, two targets under one linear head.

    cross_entropy(logits, y, smoothing)
    mixed_cross_entropy(logits, mixed, smoothing)
    two_target_loss(logits, y, (10, 4), weight, smoothing, mixed)

Each is a mean over rows, so a batch cut into parts has the sum of loss(part) * n_part / n. Of two
targets the second is missing in some rows: there that sum is right with
`rows=part_rows(rows_of(y, mixed), n_part)`, y and mixed of the whole batch.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F

from lab.methods.mixing import Mixed

MISSING = -1  # the label of a row whose second target is not known
Rows = tuple[torch.Tensor | float, torch.Tensor | float]  # with a first label, with a second


def cross_entropy(logits: torch.Tensor, y: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Mean over rows of smoothing / C * sum(-log p) + (1 - smoothing) * NLL: a scalar.

    logits: (n, C), y: int64 (n,), smoothing in [0, 1): the share spread over all classes (fastai).
    """
    return F.cross_entropy(logits.float(), y, label_smoothing=smoothing)


def mixed_cross_entropy(logits: torch.Tensor, mixed: Mixed, smoothing: float) -> torch.Tensor:
    """The same with two labels a row, weighted by their shares. Labels (n,)."""
    first = row_losses(logits, mixed.first, smoothing)
    second = row_losses(logits, mixed.second, smoothing)
    return torch.lerp(second, first, mixed.share).mean()


def two_target_loss(
    logits: torch.Tensor,
    y: torch.Tensor,
    sizes: tuple[int, int],
    weight: float,
    smoothing: float,
    mixed: Mixed | None = None,
    rows: Rows | None = None,
) -> torch.Tensor:
    """Cross entropy of the first target + weight * that of the second: a scalar.

    logits: (n, C1 + C2), a slice per target; y: int64 (n, 2). Rows whose second label is -1 are
    left out of the second mean; under `mixed` (labels (n, 2), y does not count) a row counts there
    by the shares whose label is known. `rows`: what the two sums are divided by, for a part of a
    batch; see `part_rows`.
    """
    total, labelled = rows or rows_of(y, mixed)
    parts = logits.split(sizes, dim=1)
    sums = [_summed(part, y, mixed, column, smoothing) for column, part in enumerate(parts)]
    return sums[0] / total + weight * sums[1] / labelled


def rows_of(y: torch.Tensor, mixed: Mixed | None = None) -> Rows:
    """Rows that have a first label and rows that have a second, on y's device. y: int64 (n, 2)."""
    if mixed is None:
        known = (y[:, 1] != MISSING).float()
    else:
        has = [(labels[:, 1] != MISSING).float() for labels in (mixed.first, mixed.second)]
        known = torch.lerp(has[1], has[0], mixed.share)
    return float(len(y)), known.sum().clamp_min(1e-6)


def part_rows(whole: Rows, n_part: int) -> Rows:
    """What the sums of a part of a batch are divided by, so that loss(part) * n_part / n adds up.

    whole: `rows_of` the whole batch. The second mean then counts every labelled row alike, wherever
    it fell; a part by itself would weigh few labelled rows as much as many.
    """
    total, labelled = whole
    return float(n_part), labelled * (n_part / total)


def row_losses(logits: torch.Tensor, y: torch.Tensor, smoothing: float) -> torch.Tensor:
    """Cross entropy of each row, float32 (n,); 0 where the label is missing."""
    return F.cross_entropy(
        logits.float(), y, label_smoothing=smoothing, ignore_index=MISSING, reduction="none"
    )


def _summed(
    logits: torch.Tensor, y: torch.Tensor, mixed: Mixed | None, column: int, smoothing: float
) -> torch.Tensor:
    """Sum over rows of one target's losses, mixed by their shares."""
    if mixed is None:
        return row_losses(logits, y[:, column], smoothing).sum()
    first, second = (
        row_losses(logits, labels[:, column], smoothing) for labels in (mixed.first, mixed.second)
    )
    return torch.lerp(second, first, mixed.share).sum()
