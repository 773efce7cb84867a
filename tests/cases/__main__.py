"""Splat files and datasets as strangers have them: `python -m tests.cases FOLDER [--train]`.

The folder holds both, or folders `splats` and `datasets`: files are splats, folders are datasets.
"""

from __future__ import annotations

import sys
from pathlib import Path

from . import datasets, splats


def main(folder: Path, training: bool) -> int:
    """Print the tables; returns the number of cases that are not as expected."""
    files, folders = (place if (place := folder / name).is_dir() else folder for name in ("splats", "datasets"))
    wrong = splats.main(files) if any(path.is_file() for path in files.iterdir()) else 0
    return wrong + (datasets.main(folders, training) if any(path.is_dir() for path in folders.iterdir()) else 0)


if __name__ == "__main__":
    places = [word for word in sys.argv[1:] if word != "--train"]
    if len(places) != 1 or not Path(places[0]).is_dir():
        sys.exit("Name the folder of the cases, and --train to train the datasets for a moment.")
    sys.exit(min(main(Path(places[0]), "--train" in sys.argv), 1))
