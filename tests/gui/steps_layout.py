"""The Layout panel by hand: a warning, a crop box and its undo, three clicks for the floor, floaters in Edit Mode."""

from __future__ import annotations

from typing import Any

import bpy as blender
import numpy as np
from driver import Driver, Steps
from mathutils import Vector

bpy: Any = blender  # stubs know nothing of what the extension registers

CORNERS = np.array([[-2, -2, 0.3], [2, -2, -0.2], [-2, 5, 0.5]], np.float32)


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    made = splats(driver)
    show_layout_alone(driver)
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(60)
    yield from driver.picture("layout-panel")
    yield from driver.press("splatwright.crop")
    yield from driver.picture("layout-crop")
    driver.answers["crop"] = [modifier.name for modifier in made.modifiers]
    yield from driver.key("Z", *middle(driver), ctrl=True)
    yield 0.5
    made = bpy.data.objects["Splats"]
    driver.answers["after_undo"] = [modifier.name for modifier in made.modifiers]
    yield from align(driver, made)
    yield from driver.press("splatwright.select_floaters")
    yield 0.5
    yield from driver.picture("layout-floaters")
    selected = driver.module("addon.splats.subsets").selected_points(made.data)
    driver.answers |= {"mode": made.mode, "floaters": np.flatnonzero(selected).tolist()}
    bpy.ops.object.mode_set(mode="OBJECT")
    yield from unapplied(driver, made)


def align(driver: Driver, made: bpy.types.Object) -> Steps:
    """Press the button and click on the three corners."""
    places = [on_screen(driver, made.matrix_world @ Vector(corner.tolist())) for corner in CORNERS]
    yield from driver.press("splatwright.align_to_points")
    for place in places:
        yield from driver.click(*place)
    yield 0.5
    yield from driver.picture("layout-aligned")
    driver.answers["corners"] = [list(made.matrix_world @ Vector(corner.tolist())) for corner in CORNERS]


def unapplied(driver: Driver, made: bpy.types.Object) -> Steps:
    """Blender's own Apply Transform is noticed and fixed."""
    made.scale.z = 2
    with bpy.context.temp_override(window=driver.window, area=driver.viewport):
        driver.answers["applied"] = list(bpy.ops.object.transform_apply())
    driver.viewport.tag_redraw()
    yield 0.5
    yield from driver.picture("layout-unapplied")
    driver.answers["noticed"] = driver.module("addon.splats.unapplied_transform").has_unapplied_transform(made)
    yield from driver.press("splatwright.fix_unapplied_transform")
    driver.answers["unapplied"] = driver.module("addon.splats.unapplied_transform").has_unapplied_transform(made)


def splats(driver: Driver) -> bpy.types.Object:
    """A grid of splats, three corners that stand out, and a floater."""
    gaussians = driver.module("engine.core.splats.gaussians")
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, 20)] * 2, [1.0]), axis=-1).reshape(-1, 3)
    means = np.concatenate([CORNERS, [[3, 3, 3]], grid]).astype(np.float32)
    count = len(means)
    rng = np.random.default_rng(0)
    made = driver.module("addon.splats.splat_object").create_splat_object("Splats", gaussians.Gaussians(
        means, np.tile(np.array([1, 0, 0, 0], np.float32), (count, 1)), np.full((count, 3), -2.5, np.float32),
        np.full(count, 4, np.float32), rng.normal(size=(count, 1, 3)).astype(np.float32), np.zeros((count, 0, 3), np.float32)))
    made.splatwright.display = "POINTS"
    made.select_set(True)
    bpy.context.view_layer.objects.active = made
    bpy.ops.ed.undo_push(message="Splats")
    return made


def show_layout_alone(driver: Driver) -> None:
    """The panel opened and the others gone, so that all of its buttons are within the window."""
    for name in ("next_step", "capture", "train"):
        driver.module(f"addon.panels.{name}").unregister()
    panel = driver.module("addon.panels.layout").SPLATWRIGHT_PT_layout
    bpy.utils.unregister_class(panel)
    panel.bl_options = set()
    bpy.utils.register_class(panel)


def middle(driver: Driver) -> tuple[int, int]:
    area = driver.viewport
    return area.x + area.width // 3, area.y + area.height // 2


def on_screen(driver: Driver, place: Vector) -> tuple[int, int]:
    """Where a place of the scene is in the window."""
    from bpy_extras.view3d_utils import location_3d_to_region_2d

    region = next(region for region in driver.viewport.regions if region.type == "WINDOW")
    found = location_3d_to_region_2d(region, region.data, place)
    return region.x + int(found.x), region.y + int(found.y)
