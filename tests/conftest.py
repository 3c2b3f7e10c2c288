"""Lets tests import each other's helpers (`from small import small_recipe`)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
