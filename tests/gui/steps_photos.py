"""Posed photos by hand: import, level, look through a photo, undo; and how a drawing is shown."""

from __future__ import annotations

from typing import Any

import bpy as blender
import numpy as np
from driver import HERE, Driver, Steps
from steps_layout import middle

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    show_photos_alone(driver)
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(60)
    with bpy.context.temp_override(window=driver.window, area=driver.viewport):
        bpy.ops.ed.undo_push(message="Before")
        bpy.ops.splatwright.import_photos(directory=str(HERE / "dataset"))
        bpy.ops.ed.undo_push(message="Import Posed Photos")
        driver.viewport.spaces.active.shading.type = "MATERIAL"
    yield 2.0
    yield from driver.picture("photos-imported")
    yield from driver.press("splatwright.level_ground")
    yield 0.5
    yield from driver.picture("photos-level")
    root = driver.module("addon.photos.posed_photos").roots()[0]
    driver.answers["level"] = np.array(root.matrix_world).tolist()
    yield from look(driver)
    yield from driver.key("Z", *middle(driver), ctrl=True)
    yield from driver.key("Z", *middle(driver), ctrl=True)
    yield 0.5
    root = driver.module("addon.photos.posed_photos").roots()[0]
    driver.answers["after_undo"] = np.array(root.matrix_world).tolist()
    with bpy.context.temp_override(window=driver.window):
        driver.module("addon.ui.image_window").show_image(bpy.context, HERE / "dataset/images/view_000.png", "drawing")
    yield 2.0
    yield from driver.picture("photos-report")
    driver.answers["windows"] = len(bpy.context.window_manager.windows)


def look(driver: Driver) -> Steps:
    """Points lie over what the photo shows of them."""
    yield from driver.press("splatwright.look_through_photo")
    yield 1.0
    yield from driver.picture("photos-looking")
    scene, view = bpy.context.scene, driver.viewport.spaces.active.region_3d
    driver.answers["camera"] = scene.camera.splatwright.photo if scene.camera else ""
    driver.answers["view"] = view.view_perspective
    driver.answers["size"] = [scene.render.resolution_x, scene.render.resolution_y]


def show_photos_alone(driver: Driver) -> None:
    """The panel opened and the others gone, so that all of its buttons are within the window."""
    for name in ("next_step", "capture", "train"):
        driver.module(f"addon.panels.{name}").unregister()
    panel = driver.module("addon.panels.photos").SPLATWRIGHT_PT_photos
    driver.module("addon.panels.photos").unregister()
    panel.bl_options = set()
    bpy.utils.register_class(panel)
