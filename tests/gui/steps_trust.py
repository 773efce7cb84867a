"""The buttons that make splats at once and open a training's report, in the window."""

from __future__ import annotations

from typing import Any

import bpy as blender
from driver import Driver, Steps
from mathutils import Vector

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    scene = bpy.context.scene
    scene.render.resolution_x, scene.render.resolution_y, scene.cycles.samples = 320, 240, 8
    scene.render.engine = "CYCLES"
    bpy.ops.mesh.primitive_plane_add(size=12, location=(0, 0, -1))
    paint()
    yield from driver.open_tab("Splats")
    yield from driver.picture("instant-panel")
    before = {made.name for made in bpy.data.objects}
    yield from driver.press("splatwright.instant_splats")
    yield from driver.until(lambda: {made.name for made in bpy.data.objects} - before, "the instant splats")
    made = bpy.data.objects[next(iter({found.name for found in bpy.data.objects} - before))]
    driver.answers |= {"splats": len(made.data.points), "name": made.name, "selected": made.select_get(),
                       "engine_back": scene.render.film_transparent, "use_pass_z": bpy.context.view_layer.use_pass_z}
    yield from show_alone(driver, made)
    yield from driver.picture("instant-splats")
    yield from report(driver)


def paint() -> None:
    """A colour for each object, so that the splats show which is which."""
    for found, color in zip([found for found in bpy.data.objects if found.type == "MESH"], ((0.8, 0.1, 0.02, 1), (0.05, 0.2, 0.6, 1)),
                            strict=False):
        material = bpy.data.materials.new(found.name)
        if not material.node_tree:
            material.use_nodes = True
        material.node_tree.nodes["Principled BSDF"].inputs["Base Color"].default_value = color
        found.data.materials.clear()
        found.data.materials.append(material)


def show_alone(driver: Driver, made: bpy.types.Object) -> Steps:
    """Only the splats, seen from beside the camera."""
    for found in bpy.data.objects:
        found.hide_set(found is not made)
    view = driver.viewport.spaces.active.region_3d
    camera = bpy.context.scene.camera.matrix_world
    view.view_perspective = "PERSP"
    turned = camera.to_quaternion() @ Vector((0, 1, 0)).rotation_difference(Vector((0.2, 1, 0)))
    view.view_rotation, view.view_location, view.view_distance = turned, (0, 0, 0), 9
    driver.viewport.tag_redraw()
    yield 1.5


def report(driver: Driver) -> Steps:
    """Train a little, then press the button; what would open in a browser is written down instead."""
    scene = bpy.context.scene
    settings = scene.splatwright.train
    settings.dataset, settings.max_steps, settings.resolution, settings.max_gaussians = driver.arguments["dataset"], 60, 96, 800
    jobs = driver.module("addon.jobs.jobs")
    bpy.ops.splatwright.train()
    yield from driver.until(lambda: jobs.current(scene).imported, "the result")
    yield 1.0
    for panel in ("instant", "layout", "photos", "next_step", "capture"):
        driver.module(f"addon.panels.{panel}").unregister()  # so that the button is within the window
    driver.viewport.tag_redraw()
    yield 1.0
    yield from driver.picture("report-panel")
    import webbrowser

    webbrowser.open = lambda url, *_, **__: driver.answers.__setitem__("opened", url) or True
    yield from driver.press("splatwright.open_report")
    yield 0.5
    path = jobs.current(scene).engine.file(scene.splatwright.job, "report.html")
    driver.answers["report"] = path.read_text(encoding="utf-8") if path else ""
