"""`python -m demo.capture SCENE FOLDER`: captures a scene for the benchmarks; figures of different scenes are never compared."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Scene:
    """How a scene is built and captured."""

    build: Callable[[], list[Any]]
    cameras: int
    capture: dict[str, Any] = field(default_factory=dict)


def scenes() -> dict[str, Scene]:
    """Every scene by its name; needs bpy."""
    from demo.sample_scene import build_sample_scene
    from demo.still_life import build_still_life
    from demo.thicket_scene import build_thicket
    from demo.tuning_scenes import build_foliage, build_interior, build_object

    return {
        "sample": Scene(build_sample_scene, 64),
        "still-life": Scene(build_still_life, 64),
        "thicket": Scene(build_thicket, 100, {"depth": True, "normals": True, "points": 50_000}),
        "interior": Scene(build_interior, 56, {"source": "WALK", "transparent": False}),
        "object": Scene(build_object, 48),
        "foliage": Scene(build_foliage, 48),
    }


NAMES = ("sample", "still-life", "thicket", "interior", "object", "foliage")
"""Of scenes(), which Blender alone can list."""


def main(name: str, folder: Path, cameras: int, maps: bool) -> int:
    """Build and capture, with depth, normals and objects where `maps` says so; seconds a view on two cores."""
    from tools.session import start_extension

    start_extension(Path(tempfile.mkdtemp(prefix="splatwright-scene-")))
    import bpy

    from demo.blender_steps import new_scene

    scene = scenes()[name]
    new_scene(scene.build)
    operators: Any = bpy.ops  # the stubs know none of ours
    usual = {"source": "DOME", "transparent": True}
    settings = {**usual, **scene.capture, **({"depth": True, "normals": True, "objects": True} if maps else {})}
    done = operators.splatwright.capture_dataset(directory=str(folder.resolve()), count=cameras or scene.cameras, **settings)
    print(f"{cameras or scene.cameras} views in {folder}" if "FINISHED" in done else "The capture did not finish.", flush=True)
    return 0 if "FINISHED" in done else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scene", choices=NAMES)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cameras", type=int, default=0)
    parser.add_argument("--maps", action="store_true", help="depth, normals and objects too")
    options = parser.parse_args()
    status = main(options.scene, options.folder, options.cameras, options.maps)
    sys.stdout.flush()
    os._exit(status)  # the bpy module may hang at interpreter exit while an extension is registered
