"""Run as a module: begins a training in a Blender of its own, saves the file and leaves. Prints the job and its step."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from ..conftest import EXTENSION
from .training import Desk

import bpy as blender  # isort: skip

bpy: Any = blender  # stubs know nothing of what the extension registers


def main(folder: Path) -> None:
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    desk = Desk(folder)
    desk.train("slow")
    desk.wait(lambda: desk.splats() is not None)
    bpy.ops.wm.save_as_mainfile(filepath=str(folder / "scene.blend"))
    print("LEFT", desk.name, desk.job.step, flush=True)


if __name__ == "__main__":
    status = 1
    try:
        main(Path(sys.argv[1]))
        status = 0
    finally:
        sys.stderr.flush()
        os._exit(status)  # bpy 4.5 hangs at exit while classes are registered
