"""A room: the cameras are drawn before the capture, the viewport is navigated while it runs, Stop, and what the panel says in the end."""

from __future__ import annotations

import time
from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps
from mathutils import Euler

from tests.blender.capture.room import furnished_room

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    scene = bpy.context.scene
    for item in [item for item in scene.objects if item.type == "MESH"]:
        bpy.data.objects.remove(item)
    furnished_room()
    bpy.data.objects["Ceiling"].display_type = "WIRE"
    bpy.data.objects["South Wall"].display_type = "WIRE"
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 4, False
    scene.splatwright.capture.count, scene.splatwright.capture.resolution = 24, 96
    look_at_room(driver)
    drawing = driver.module("addon.viewport.rig_preview")
    yield from driver.open_tab("Splats")
    yield from drawn_before(driver, drawing, scene)
    yield from navigated(driver, scene)
    yield from ended(driver, scene)
    yield from walked(driver, drawing, scene)


def look_at_room(driver: Driver) -> None:
    """From above and outside."""
    view = driver.viewport.spaces.active.region_3d
    view.view_perspective, view.view_distance, view.view_location = "PERSP", 13.0, (1.2, 0, 1.0)
    driver.viewport.spaces.active.clip_end = 1000


def planned(driver: Driver, drawing: Any, count: int) -> Steps:
    """Until the rig that is drawn is a new one, and drawn."""
    yield from driver.until(lambda: drawing.preview.plans_made > count, "the plan of the cameras")
    yield 0.7


def drawn_before(driver: Driver, drawing: Any, scene: Any) -> Steps:
    yield from driver.until(lambda: drawing.preview.plan is not None, "a plan")
    yield 0.5
    yield from driver.picture("rig-dome")
    driver.answers["dome"] = drawing.preview.plan.label
    made = drawing.preview.plans_made
    yield 1.5
    driver.answers["made_for_nothing"] = drawing.preview.plans_made - made
    scene.splatwright.capture.focal_length = 100.0
    yield from planned(driver, drawing, made)
    yield from driver.picture("rig-walls")
    driver.answers["walls"] = drawing.preview.plan.label
    made = drawing.preview.plans_made
    bpy.data.objects["Vase"].location.x = 2.5
    yield from planned(driver, drawing, made)
    yield from driver.picture("rig-moved-subject")
    driver.answers["moved_subject"] = drawing.preview.plan.label
    made = drawing.preview.plans_made
    bpy.data.objects["Vase"].location.x = 0.3
    yield from planned(driver, drawing, made)
    yield from left_alone(driver, scene)
    driver.answers["failure"] = drawing.preview.failure


def left_alone(driver: Driver, scene: Any) -> Steps:
    """Nothing is drawn without overlays, behind another tab, and where it is switched off; nor in a render of the viewport."""
    overlay = driver.viewport.spaces.active.overlay
    overlay.show_overlays = False
    yield 0.7
    yield from driver.picture("rig-no-overlays")
    overlay.show_overlays = True
    driver.sidebar.active_panel_category = "View"
    driver.viewport.tag_redraw()
    yield 0.7
    yield from driver.picture("rig-other-tab")
    driver.sidebar.active_panel_category = "Splats"
    driver.viewport.tag_redraw()
    yield 0.7
    yield from driver.picture("rig-again")
    scene.splatwright.capture.show_rig = False
    driver.viewport.tag_redraw()
    yield 0.7
    yield from driver.picture("rig-off")
    render_view("off")
    scene.splatwright.capture.show_rig = True
    driver.viewport.tag_redraw()
    yield 0.7
    render_view("on")
    yield 0.3


def render_view(name: str) -> None:
    """Viewport > View > Viewport Render Image, into a file."""
    scene = bpy.context.scene
    before = scene.render.filepath
    scene.render.filepath = str(HERE / f"view-{name}.png")
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
        bpy.ops.render.opengl(write_still=True, view_context=True)
    scene.render.filepath = before


def navigated(driver: Driver, scene: Any) -> Steps:
    """Orbit and zoom while images are rendered; clicks and keys that would change the scene do nothing."""
    kind, view = bpy.types.SPLATWRIGHT_OT_capture_dataset, driver.viewport.spaces.active.region_3d
    scene.splatwright.capture.resolution, scene.splatwright.capture.count, scene.cycles.samples = 256, 400, 16
    ticks = measured(driver)
    yield from driver.press("splatwright.capture_dataset")
    yield from driver.until(lambda: kind.progress and kind.progress.done >= 1, "the first image")
    before, done = view.view_rotation.copy(), kind.progress.done
    x, y = driver.viewport.x + 400, driver.viewport.y + 350
    yield from driver.move(x, y)
    yield from driver.event("MIDDLEMOUSE", "PRESS", x, y)
    for step in range(1, 9):
        yield from driver.event("MOUSEMOVE", "NOTHING", x + 15 * step, y + 4 * step)
    driver.answers["turned"] = view.view_rotation.rotation_difference(before).angle
    yield from driver.picture("capture-orbiting")
    yield from driver.event("MIDDLEMOUSE", "RELEASE", x + 120, y + 32)
    distance = view.view_distance
    yield from driver.key("WHEELUPMOUSE", x, y)
    yield 0.4
    driver.answers["zoomed"] = view.view_distance < distance
    objects = len(bpy.data.objects)
    for kind_of_key in ("X", "A"):
        yield from driver.key(kind_of_key, x, y)
    yield from driver.key("Z", x, y, ctrl=True)
    yield from driver.until(lambda: kind.progress is None or kind.progress.done > done + 1, "more images")
    driver.answers |= {"still_capturing": kind.progress is not None, "kept": len(bpy.data.objects) == objects}
    yield from driver.press("splatwright.stop_capture")
    yield from driver.until(lambda: kind.progress is None, "the end of the capture")
    yield 0.7
    driver.answers |= {"stopped": scene.splatwright.outcome.stopped, "images_kept": scene.splatwright.outcome.images,
                       "slowest_tick": max(ticks)}
    yield from driver.picture("capture-stopped")


def measured(driver: Driver) -> list[float]:
    """Processor seconds of this thread in each turn of the capture's timer."""
    kind, took = bpy.types.SPLATWRIGHT_OT_capture_dataset, []
    turn = kind._turn

    def timed(self: Any, context: Any) -> Any:
        start = time.thread_time()
        try:
            return turn(self, context)
        finally:
            took.append(time.thread_time() - start)

    kind._turn = timed
    return took


def ended(driver: Driver, scene: Any) -> Steps:
    """A whole capture, with cameras that are left out."""
    scene.splatwright.capture.resolution, scene.splatwright.capture.count, scene.cycles.samples = 64, 24, 1
    yield from driver.press("splatwright.capture_dataset")
    yield from driver.until(lambda: scene.splatwright.captured, "the dataset")
    yield 0.7
    outcome = scene.splatwright.outcome
    driver.answers["outcome"] = [outcome.images, outcome.stopped, outcome.warnings]
    yield from driver.picture("capture-outcome")


def walked(driver: Driver, drawing: Any, scene: Any) -> Steps:
    """Through the room, and along a curve."""
    made = drawing.preview.plans_made
    scene.splatwright.capture.show_rig, scene.splatwright.capture.focal_length = True, 24.0
    scene.splatwright.capture.cameras_from = "WALK"
    bpy.data.objects["South Wall"].display_type = "TEXTURED"
    driver.viewport.spaces.active.region_3d.view_rotation = Euler((0.5, 0, 0.3)).to_quaternion()
    bpy.ops.object.select_all(action="DESELECT")
    driver.viewport.tag_redraw()
    yield from planned(driver, drawing, made)
    yield from driver.until(lambda: drawing.preview.plan.images == 24, "the walk")
    yield 0.5
    driver.answers["walk"] = [list(planned.camera.position) for planned in drawing.preview.plan.taken]
    yield from driver.picture("walk-room")
    made = drawing.preview.plans_made
    bpy.ops.curve.primitive_bezier_circle_add(radius=1.8)
    scene.splatwright.capture.walk_curve = bpy.context.object
    yield from planned(driver, drawing, made)
    driver.answers["curve"] = drawing.preview.plan.label
    yield from driver.picture("walk-curve")
