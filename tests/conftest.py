"""Lets tests import each other's helpers (`from small import small_recipe`); no test is timed."""

import sys
from pathlib import Path

from hypothesis import settings

sys.path.insert(0, str(Path(__file__).parent))
settings.register_profile("untimed", deadline=None, max_examples=60)
settings.load_profile("untimed")
