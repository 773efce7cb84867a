"""Run as a module: opens a file in a Blender of its own and runs its batch, until somebody kills it. Says how far it is."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

from ..conftest import EXTENSION, module

import bpy as blender  # isort: skip

bpy: Any = blender  # stubs know nothing of what the extension registers


def main(file: Path, jobs: str, steps: int) -> None:
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    module("addon.engines.locations").preferences().jobs_folder = jobs
    bpy.ops.wm.open_mainfile(filepath=str(file))
    for scene in bpy.data.scenes:
        scene.splatwright.train.max_steps = steps
    batch = module("addon.batch.run")
    for line in batch.capturing(batch.begin(), module("addon.capture.render_passes").render_blocking):
        print("\nSAID", line, flush=True)
    while batch.poll() is not None:
        print("\nSAID", batch.at_work()[1], flush=True)
        time.sleep(0.05)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    finally:
        sys.stderr.flush()
        os._exit(1)  # bpy 4.5 hangs at exit while classes are registered
