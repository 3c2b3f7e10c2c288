"""One of the processes that draw a set: started by write.py.

python -m lab.data.drawn SPEC_AS_JSON FILE PART PARTS
"""

import json
import sys
from pathlib import Path

from .spec import DrawnSet
from .write import draw_part


def main(spec: str, path: str, part: str, parts: str) -> None:
    draw_part(DrawnSet(**json.loads(spec)), Path(path), int(part), int(parts))


if __name__ == "__main__":
    main(*sys.argv[1:])
