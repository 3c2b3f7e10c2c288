"""The warp of each training picture as one 3x3 matrix: output square -> picture pixels.

    matrices = warp_matrices(stage, shapes, u)         # float64 (n, 3, 3)

Points are (x, y, 1). The output spans [-1, 1] both ways; pixel i of a picture covers [i, i + 1].
The chain is fastai's: frame the picture, take a random part, then flip, turn, zoom and perspective,
all composed, so that the picture is interpolated once (presizing, fastbook ch. 5).
"""

from __future__ import annotations

import numpy as np

from lab.recipe.augment import Augment
from lab.recipe.stage import Stage
from lab.vision import frames

_PLACE = slice(0, 2)
_PART = slice(2, 2 + 2 * frames.TRIES + 2)
_AUGMENT = slice(_PART.stop, _PART.stop + 13)
DRAWS = _AUGMENT.stop  # uniforms per picture


def warp_matrices(stage: Stage, shapes: np.ndarray, u: np.ndarray) -> np.ndarray:
    """One matrix a picture. shapes: (n, 2) height, width in px; u: (n, DRAWS) in [0, 1)."""
    height, width = stage.hw
    boxes = training_boxes(stage, shapes, u)
    inner = augment_matrices(stage.augment, u[:, _AUGMENT], width / height)
    return box_matrices(boxes) @ inner


def training_boxes(stage: Stage, shapes: np.ndarray, u: np.ndarray) -> np.ndarray:
    """What is framed, before flips and turns: (n, 4) centre x, centre y, width, height."""
    height, width = stage.hw
    aspect = width / height
    if stage.resize == "as-test":
        return test_boxes(stage, shapes)
    if stage.resize == "random-resized-crop":
        centre = frames.cover(shapes, aspect, np.full((len(shapes), 2), 0.5))
        boxes = frames.whole(shapes)
        return frames.random_part(boxes, aspect, stage.min_scale, u[:, _PART], centre)
    boxes = _framed(stage.resize, shapes, aspect, u[:, _PLACE])
    if stage.min_scale == 1:
        return boxes
    own = aspect if stage.resize != "squish" else boxes[:, 2:3] / boxes[:, 3:4]
    return frames.random_part(boxes, own, stage.min_scale, u[:, _PART], boxes, ratios=(1.0, 1.0))


def _framed(resize: str, shapes: np.ndarray, aspect: float, place: np.ndarray) -> np.ndarray:
    if resize == "squish":
        return frames.whole(shapes)
    return (frames.cover if resize == "crop" else frames.contain)(shapes, aspect, place)


def test_boxes(stage: Stage, shapes: np.ndarray) -> np.ndarray:
    """What the stage's validation transform frames."""
    height, width = stage.hw
    kinds = {"squash": "squish", "center": "crop", "border": "pad"}
    place = np.full((len(shapes), 2), 0.5)
    boxes = _framed(kinds[stage.test_resize], shapes, width / height, place)
    return frames.middle(boxes, stage.valid_crop_pct)


def box_matrices(boxes: np.ndarray) -> np.ndarray:
    """[-1, 1] x [-1, 1] onto each box: (n, 3, 3)."""
    matrices = np.zeros((len(boxes), 3, 3))
    matrices[:, 0, 0], matrices[:, 0, 2] = boxes[:, 2] / 2, boxes[:, 0]
    matrices[:, 1, 1], matrices[:, 1, 2] = boxes[:, 3] / 2, boxes[:, 1]
    matrices[:, 2, 2] = 1
    return matrices


def augment_matrices(augment: Augment, u: np.ndarray, aspect: float) -> np.ndarray:
    """Flip, turn, zoom and perspective on [-1, 1]: (n, 3, 3). u: (n, 13)."""
    turns = u[:, 3] < augment.affine_p
    zooms = u[:, 5] < augment.affine_p
    warps = u[:, 9] < augment.affine_p
    angle = np.deg2rad(augment.rotate_deg) * (2 * u[:, 4] - 1) * turns
    zoom = 1 + (augment.zoom_max - 1) * u[:, 6] * zooms
    tilt = augment.warp * (2 * u[:, 10:12] - 1) * warps[:, None]
    matrices = flips(augment.flip, u[:, :3], square=aspect == 1)
    matrices = turned(angle, aspect) @ matrices
    matrices = zoomed(zoom, u[:, 7:9]) @ matrices
    return perspective(tilt) @ matrices if augment.warp else matrices


def flips(kind: str, u: np.ndarray, square: bool) -> np.ndarray:
    """Mirrors left-right; dihedral: also up-down and, for squares, across the diagonal."""
    matrices = np.tile(np.eye(3), (len(u), 1, 1))
    if kind == "none":
        return matrices
    matrices[:, 0, 0] = np.where(u[:, 0] < 0.5, -1, 1)
    if kind == "dihedral":
        matrices[:, 1, 1] = np.where(u[:, 1] < 0.5, -1, 1)
        swap = (u[:, 2] < 0.5) & square
        matrices[swap] = matrices[swap][:, [1, 0, 2]]
    return matrices


def turned(angle: np.ndarray, aspect: float) -> np.ndarray:
    """A turn by `angle` radians that keeps right angles on a rectangle of that aspect."""
    matrices = np.tile(np.eye(3), (len(angle), 1, 1))
    matrices[:, 0, 0] = matrices[:, 1, 1] = np.cos(angle)
    matrices[:, 0, 1] = -np.sin(angle) / aspect
    matrices[:, 1, 0] = np.sin(angle) * aspect
    return matrices


def zoomed(zoom: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Look at 1/zoom of each side, at a random place inside."""
    matrices = np.tile(np.eye(3), (len(zoom), 1, 1))
    matrices[:, 0, 0] = matrices[:, 1, 1] = 1 / zoom
    matrices[:, :2, 2] = (1 - 1 / zoom)[:, None] * (2 * place - 1)
    return matrices


def perspective(tilt: np.ndarray) -> np.ndarray:
    """The homography that moves the corners by as much as fastai's Warp, from output to picture
    (fastai's goes the other way, which by symmetry draws from nearly the same tilts).

    tilt: (n, 2) along x and y.
    """
    x, y = tilt[:, 0], tilt[:, 1]
    one = np.ones_like(x)
    corners = np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]], dtype=float)
    moved = np.stack(
        [
            np.stack([-one - y, -one - x], axis=1),
            np.stack([-one + y, one + x], axis=1),
            np.stack([one + y, -one + x], axis=1),
            np.stack([one - y, one - x], axis=1),
        ],
        axis=1,
    )
    return homographies(corners, moved)


def homographies(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Matrices that take four source points (4, 2) to target points (n, 4, 2): (n, 3, 3)."""
    n = len(target)
    system = np.zeros((n, 8, 8))
    for i, (x, y) in enumerate(source):
        tx, ty = target[:, i, 0], target[:, i, 1]
        system[:, 2 * i, :3] = (x, y, 1)
        system[:, 2 * i + 1, 3:6] = (x, y, 1)
        system[:, 2 * i, 6], system[:, 2 * i, 7] = -x * tx, -y * tx
        system[:, 2 * i + 1, 6], system[:, 2 * i + 1, 7] = -x * ty, -y * ty
    solved = np.linalg.solve(system, target.reshape(n, 8, 1))[..., 0]
    return np.concatenate([solved, np.ones((n, 1))], axis=1).reshape(n, 3, 3)
