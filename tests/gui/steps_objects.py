"""Splats that know their object: the list in the panel Splats, and what a split leaves."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import bpy as blender
import numpy as np
from driver import Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers

THINGS = (("Sofa 沙发", (-1.5, 0.0, 0.0), (0.9, 0.2, 0.1)), ("Lamp", (0.0, 0.0, 0.8), (0.9, 0.8, 0.1)),
          ("Table", (1.5, 0.0, 0.0), (0.1, 0.4, 0.9)))
"""Name, place and colour."""


def made(driver: Driver, folder: Path) -> Path:
    """Three balls of splats with labels, and their names."""
    gaussians, labels = driver.module("engine.core.splats.gaussians"), driver.module("engine.core.datasets.labels")
    rng, each = np.random.default_rng(0), 4000
    count = each * len(THINGS)
    directions = rng.standard_normal((count, 3))
    middles, colors = (np.repeat([thing[at] for thing in THINGS], each, axis=0) for at in (1, 2))
    splats = gaussians.Gaussians(
        (0.6 * directions / np.linalg.norm(directions, axis=1, keepdims=True) + middles).astype(np.float32),
        np.tile(np.float32([1, 0, 0, 0]), (count, 1)), np.full((count, 3), np.log(0.02), np.float32), np.full(count, 3, np.float32),
        gaussians.rgb_to_sh0(colors)[:, None], np.zeros((count, 0, 3), np.float32))
    extra = np.zeros(count, [("label", "f4")])
    extra["label"] = 1 + np.arange(count) // each
    driver.module("engine.core.formats.ply").write_ply(folder / "room.ply", splats, extra=extra)
    placed = []
    for number, (name, place, _) in enumerate(THINGS, 1):
        matrix = np.eye(4)
        matrix[:3, 3] = place
        placed.append(labels.Label(number, name, matrix=tuple(map(tuple, matrix.tolist()))))
    labels.write_labels(folder / "labels.json", placed)
    return folder / "room.ply"


def captured(folder: Path) -> dict[str, Any]:
    """What EEVEE says of two cubes, which batch and command line cannot ask without a window."""
    scene = bpy.context.scene
    bpy.ops.mesh.primitive_cube_add(size=1, location=(3, 0, 0))
    bpy.context.object.name = "Other"
    bpy.ops.object.select_all(action="DESELECT")
    bpy.ops.splatwright.capture_dataset("EXEC_DEFAULT", directory=str(folder), source="DOME", count=4, resolution=128, objects=True)
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))["labels"]
    return {"engine": scene.render.engine, "labels": {label["name"]: label["number"] for label in labels}, "maps": str(folder / "labels")}


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    found = captured(Path(tempfile.mkdtemp()) / "data")
    decode = driver.module("engine.core.images.png").decode_deep_png
    maps = [decode(path.read_bytes()) for path in sorted(Path(found.pop("maps")).glob("*.png"))]
    driver.answers |= {**found, "shown": [sorted(np.unique(pixels).tolist()) for pixels in maps]}
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    path = made(driver, Path(tempfile.mkdtemp()))
    bpy.ops.splatwright.import_splats(filepath=str(path))
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(60)
    only_splats(driver)
    yield 1.0
    yield from driver.picture("objects-list")
    bpy.ops.splatwright.split_by_object()
    parts = {part.name: tuple(part.location) for part in bpy.context.selected_objects}
    bpy.data.objects["Table Splats"].location.x += 1.5
    yield 1.0
    yield from driver.picture("objects-moved")
    driver.answers["parts"] = {name: [round(value, 4) for value in place] for name, place in parts.items()}


def only_splats(driver: Driver) -> None:
    """The panel Splats, open and alone."""
    kept = driver.module("addon.panels.splats").SPLATWRIGHT_PT_splats
    panels = [found for found in bpy.types.Panel.__subclasses__() if found.bl_rna.identifier.startswith("SPLATWRIGHT_PT")]
    for kind in sorted(panels, key=lambda found: not getattr(found, "bl_parent_id", "")):  # those within others first
        if kind is not kept:
            bpy.utils.unregister_class(kind)
    driver.viewport.tag_redraw()
