"""Pictures drawn by the project for training its own small body: shapes, surfaces, fractals.

pixels, label = draw(DrawnSet(seed=3), 17)      uint8 (side, side, 3); label indexes CLASSES
draw_array(DrawnSet(n=20000), path)             all of them as one .npy, by several processes
"""

from .draw import draw
from .spec import CLASSES, DrawnSet, label_of
from .write import draw_array

__all__ = ["CLASSES", "DrawnSet", "draw", "draw_array", "label_of"]
