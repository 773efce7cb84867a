"""`python -m demo.thicket FOLDER`: captures the hard scene with alpha, depth and normals for the benchmarks."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

CAMERAS = 100


def main(folder: Path, cameras: int) -> int:
    """Build and capture; a few seconds a view on two cores."""
    from tools.session import start_extension

    start_extension(Path(tempfile.mkdtemp(prefix="splatwright-thicket-")))
    import bpy

    from demo.blender_steps import new_scene
    from demo.thicket_scene import build_thicket

    new_scene(build_thicket)
    operators: Any = bpy.ops  # the stubs know none of ours
    done = operators.splatwright.capture_dataset(directory=str(folder.resolve()), source="DOME", count=cameras, margin=0.8,
                                                 transparent=True, depth=True, normals=True, points=50_000)
    print(f"{cameras} views in {folder}" if "FINISHED" in done else "The capture did not finish.", flush=True)
    return 0 if "FINISHED" in done else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cameras", type=int, default=CAMERAS)
    options = parser.parse_args()
    status = main(options.folder, options.cameras)
    sys.stdout.flush()
    os._exit(status)  # the bpy module may hang at interpreter exit while an extension is registered
