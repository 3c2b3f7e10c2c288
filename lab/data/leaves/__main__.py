"""One of the processes that draw a set: started by write.py, prints its progress as numbers.

python -m lab.data.leaves SPEC_AS_JSON FOLDER PART PARTS
"""

import json
import os
import sys
from pathlib import Path

from .spec import LeafSet
from .write import draw_part


def main(spec: str, folder: str, part: str, parts: str) -> None:
    for drawn in draw_part(LeafSet(**json.loads(spec)), Path(folder), int(part), int(parts)):
        # One write a line: print() makes two where output is unbuffered, and lines would mix.
        os.write(sys.stdout.fileno(), b"%d\n" % drawn)


if __name__ == "__main__":
    main(*sys.argv[1:])
