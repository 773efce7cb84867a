"""Splats in the viewport: a ball, a mesh in and before it, selection, hiding, local view, a turned view, and all switched off."""

from __future__ import annotations

from typing import Any

import bpy as blender
import numpy as np
from driver import HERE, Driver, Steps
from mathutils import Quaternion

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    bare_viewport(driver)
    bpy.context.scene.view_settings.view_transform = "Standard"
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    gaussians = driver.module("engine.core.formats.ply").read_ply(HERE / "ball.ply", "BLENDER").gaussians
    ball = driver.module("addon.splats.splat_object").create_splat_object("Ball", gaussians)
    yield from seen(driver, "drawing-ball")
    driver.answers["first"] = eye(driver)
    yield from with_meshes(driver)
    yield from with_selection(driver, ball)
    yield from in_local_view(driver, ball)
    yield from turning(driver)
    yield from another_engine(driver, ball)
    driver.answers["failure"] = driver.module("addon.viewport").failure()
    bpy.ops.preferences.addon_disable(module="bl_ext.user_default.splatwright")
    yield from seen(driver, "drawing-disabled")


def bare_viewport(driver: Driver) -> None:
    """Nothing but objects on black, from a place that the test knows."""
    space = driver.viewport.spaces.active
    space.show_region_header = space.show_region_tool_header = space.show_region_toolbar = space.show_region_ui = False
    space.show_gizmo = space.overlay.show_overlays = False
    space.shading.background_type, space.shading.background_color = "VIEWPORT", (0, 0, 0)
    space.shading.light, space.shading.color_type, space.shading.single_color = "FLAT", "SINGLE", (1, 1, 1)
    view = space.region_3d
    view.view_perspective, view.view_distance, view.view_location = "PERSP", 5.0, (0, 0, 0)
    view.view_rotation = Quaternion((0.78, 0.48, 0.21, 0.34)).normalized()
    driver.viewport.tag_redraw()


def seen(driver: Driver, name: str) -> Steps:
    driver.viewport.tag_redraw()
    yield 0.7
    yield from driver.picture(name)


def eye(driver: Driver) -> dict[str, Any]:
    region, view = window_region(driver), driver.viewport.spaces.active.region_3d
    return {"view": [list(row) for row in view.view_matrix], "projection": [list(row) for row in view.window_matrix],
            "region": [region.x, region.y, region.width, region.height]}


def window_region(driver: Driver) -> bpy.types.Region:
    return next(region for region in driver.viewport.regions if region.type == "WINDOW")


def with_meshes(driver: Driver) -> Steps:
    """A white plane through the middle, across the view: hides the far half of the ball."""
    view = driver.viewport.spaces.active.region_3d
    bpy.ops.mesh.primitive_plane_add(size=2.6, location=(0, 0, 0), rotation=view.view_rotation.to_euler())
    plane = bpy.context.object
    plane.select_set(False)
    yield from seen(driver, "drawing-plane-middle")
    plane.location = back(view, 1.5)
    yield from seen(driver, "drawing-plane-before")
    bpy.data.objects.remove(plane)


def back(view: bpy.types.RegionView3D, distance: float) -> Any:
    """A place nearer to the eye than the origin."""
    return view.view_rotation.to_matrix().col[2] * distance


def with_selection(driver: Driver, ball: bpy.types.Object) -> Steps:
    """Two objects, one of them selected and scaled unevenly: outlines and bounds are overlays."""
    driver.viewport.spaces.active.overlay.show_overlays = True
    other = ball.copy()
    bpy.context.collection.objects.link(other)
    other.location, other.scale, other.rotation_euler = (0.9, 0.3, 0.4), (0.4, 0.9, -0.5), (0.3, 0.2, 0.9)
    other.select_set(True)
    yield from seen(driver, "drawing-selected")
    bpy.context.view_layer.objects.active = other
    yield from seen(driver, "drawing-active")
    other.hide_set(True)
    yield from seen(driver, "drawing-hidden")
    other.hide_set(False)
    bpy.data.objects.remove(other)
    driver.viewport.spaces.active.overlay.show_overlays = False


def in_local_view(driver: Driver, ball: bpy.types.Object) -> Steps:
    """An empty alone in local view: no splats."""
    bpy.ops.object.select_all(action="DESELECT")
    bpy.ops.object.empty_add()
    with bpy.context.temp_override(window=driver.window, area=driver.viewport, region=window_region(driver)):
        bpy.ops.view3d.localview(frame_selected=False)
    yield from seen(driver, "drawing-local-view")
    with bpy.context.temp_override(window=driver.window, area=driver.viewport, region=window_region(driver)):
        bpy.ops.view3d.localview(frame_selected=False)
    bpy.ops.object.delete()


def turning(driver: Driver) -> Steps:
    """Turn the view; a new order comes from the thread."""
    view = driver.viewport.spaces.active.region_3d
    viewport = driver.module("addon.viewport")
    before = newest_order(viewport)
    view.view_rotation = Quaternion((0, 0, 1), 2.0) @ view.view_rotation
    driver.viewport.tag_redraw()
    yield from driver.until(lambda: newest_order(viewport) is not before, "a new order")
    driver.answers["resorted"] = not np.array_equal(newest_order(viewport).entries, before.entries)
    yield from seen(driver, "drawing-turned")
    driver.answers["turned"] = eye(driver)


def another_engine(driver: Driver, ball: bpy.types.Object) -> Steps:
    """The window starts with EEVEE."""
    before = ball.data.attributes["radius"].data[0].value
    bpy.context.scene.render.engine = "CYCLES"
    yield 0.5
    driver.answers["radius"] = before / ball.data.attributes["radius"].data[0].value


def newest_order(viewport: Any) -> Any:
    return list(viewport.running.viewports.values())[-1].order
