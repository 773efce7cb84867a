"""Seconds of the check: `make bench-check`, ARGS=FOLDER for a dataset of one's own. Without one, 97 pictures made on the spot."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from engine.core.datasets.read import read_dataset
from engine.preflight import check
from tests.scenes import speckled_ball, write_ball_dataset

VIEWS, SIZE = 97, 1100
LIMIT = 10.0
"""Seconds that so many pictures may take on two cores."""


def main() -> int:
    """Print one line. Exit status 1 when it took too long."""
    if len(sys.argv) > 1:
        return measured(Path(sys.argv[1]))
    with tempfile.TemporaryDirectory() as folder:
        return measured(write_ball_dataset(Path(folder), VIEWS, SIZE, alpha=False, truth=speckled_ball()).folder)


def measured(folder: Path) -> int:
    """Check one dataset and print how long it took."""
    dataset = read_dataset(folder)
    start = time.perf_counter()
    findings = check(dataset).findings
    seconds = time.perf_counter() - start
    camera, allowed = dataset.views[0].camera, LIMIT * max(1.0, len(dataset.views) / VIEWS)
    print(f"{len(dataset.views)} images of {camera.width} x {camera.height} pixels: {seconds:.1f} s of {allowed:.0f} s allowed, "
          f"{len(findings)} findings")
    return int(seconds > allowed)


if __name__ == "__main__":
    sys.exit(main())
