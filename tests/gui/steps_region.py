"""Choose a cube as the region of the next training below More, and see its box in the viewport."""

from __future__ import annotations

from typing import Any

import bpy as blender
from driver import Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    bpy.ops.mesh.primitive_cube_add(size=3)
    cube = bpy.context.object
    cube.display_type, cube.rotation_euler = "BOUNDS", (0, 0, 0.4)
    cube.hide_set(True)  # what is seen is the region's box
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(60)
    yield 0.5
    yield from driver.picture("region-none")
    bpy.context.scene.splatwright.train.region = cube
    yield 0.5
    yield from driver.picture("region-box")
