"""The embedded data set: leaves with diseases, drawn from a seed, in seconds, without a network.

draw_set(LeafSet(n=1200, size_px=160), folder)     class folders of JPEGs and labels.csv
"""

from .draw import draw_image, draw_leaf
from .spec import CLASSES, FINE_PAIRS, VARIETIES, LeafSet, class_counts
from .write import draw_set

__all__ = [
    "CLASSES",
    "FINE_PAIRS",
    "VARIETIES",
    "LeafSet",
    "class_counts",
    "draw_image",
    "draw_leaf",
    "draw_set",
]
