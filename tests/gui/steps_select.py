"""Selecting splats with the mouse: click, shift-click, drag, box, circle and lasso, in the usual keymap, with right-click select and in
the industry-compatible keymap; what a click at a million splats costs."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import bpy as blender
import numpy as np
from bpy_extras.view3d_utils import location_3d_to_region_2d
from driver import HERE, Driver, Steps
from mathutils import Quaternion, Vector
from steps_drawing import bare_viewport, window_region

bpy: Any = blender  # stubs know nothing of what the extension registers

BALL, OTHER = Vector((-0.9, 0, 0)), Vector((0.9, 0, 0))
PLANE, EMPTY = Vector((-0.9, -1.5, 0)), Vector((0, 0, 1.6))
SHIFT = {"shift": True}


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    yield 0.5
    make_scene(driver)
    yield 1.0
    yield from clicks(driver)
    yield from drags(driver)
    yield from gestures(driver)
    yield from wires(driver)
    yield from outlines(driver)
    yield from right_click(driver)
    yield from industry(driver)
    yield from not_drawn(driver)
    yield from rendered(driver)
    yield from million(driver)
    driver.answers["failure"] = driver.module("addon.viewport").failure()
    bpy.ops.preferences.addon_disable(module="bl_ext.user_default.splatwright")
    yield 0.3
    addon = bpy.context.window_manager.keyconfigs.addon
    names = [item.idname for keymap in addon.keymaps for item in keymap.keymap_items]
    driver.answers["left_behind"] = [name for name in names if name.startswith("splatwright.select")]


def make_scene(driver: Driver) -> None:
    """Two balls side by side, looked at along +y, with a plane before a quarter of the first; nothing selected."""
    bare_viewport(driver)
    space = driver.viewport.spaces.active
    space.overlay.show_overlays = True
    space.overlay.show_floor = space.overlay.show_axis_x = space.overlay.show_axis_y = space.overlay.show_cursor = False
    space.region_3d.view_rotation = Quaternion((0.7071, 0.7071, 0, 0))
    space.region_3d.view_distance = 6.0
    for item in list(bpy.data.objects):
        bpy.data.objects.remove(item)
    gaussians = driver.module("engine.core.formats.ply").read_ply(HERE / "ball.ply", "BLENDER").gaussians
    ball = driver.module("addon.splats.splat_object").create_splat_object("Ball", gaussians)
    ball.location, ball.scale = BALL, (0.7, 0.7, 0.7)
    other = ball.copy()
    other.name, other.location = "Other", OTHER
    bpy.context.collection.objects.link(other)
    bpy.ops.mesh.primitive_plane_add(size=0.5, location=PLANE, rotation=(1.5708, 0, 0))
    bpy.context.object.name = "Plane"
    choose()
    bpy.ops.ed.undo_push(message="Scene")


def choose(*names: str) -> None:
    """Select just these; the last is active."""
    for item in bpy.context.view_layer.objects:
        item.select_set(item.name in names)
    bpy.context.view_layer.objects.active = bpy.data.objects[names[-1]] if names else None


def state() -> list[Any]:
    active = bpy.context.view_layer.objects.active
    return [sorted(item.name for item in bpy.context.view_layer.objects if item.select_get()), active.name if active else ""]


def pixel(driver: Driver, place: Vector) -> tuple[int, int]:
    """Where a place of the scene is in the window."""
    region = window_region(driver)
    x, y = location_3d_to_region_2d(region, driver.viewport.spaces.active.region_3d, place)
    return region.x + round(x), region.y + round(y)


def click(driver: Driver, place: Vector, button: str = "LEFTMOUSE", **modifiers: bool) -> Steps:
    yield 0.4  # no double click
    x, y = pixel(driver, place)
    yield from driver.move(x, y)
    yield from driver.event(button, "PRESS", x, y, **modifiers)
    yield from driver.event(button, "RELEASE", x, y, **modifiers)
    yield 0.3


def drag(driver: Driver, places: list[Vector], button: str = "LEFTMOUSE", **modifiers: bool) -> Steps:
    """Press at the first place, release at the last."""
    yield 0.4
    pixels = [pixel(driver, place) for place in places]
    yield from driver.move(*pixels[0])
    yield from driver.event(button, "PRESS", *pixels[0], **modifiers)
    for before, after in pairwise(pixels):
        for share in (0.1, 0.4, 0.7, 1.0):
            x, y = (round(one + share * (two - one)) for one, two in zip(before, after, strict=True))
            yield from driver.event("MOUSEMOVE", "NOTHING", x, y, **modifiers)
    yield from driver.event(button, "RELEASE", *pixels[-1], **modifiers)
    yield 0.4


def undo(driver: Driver) -> Steps:
    with bpy.context.temp_override(window=driver.window, area=driver.viewport, region=window_region(driver)):
        bpy.ops.ed.undo()
    yield 0.5


def use_tool(driver: Driver, name: str) -> Steps:
    with bpy.context.temp_override(window=driver.window, area=driver.viewport, region=window_region(driver)):
        bpy.ops.wm.tool_set_by_id(name=name)
    yield 0.4


def clicks(driver: Driver) -> Steps:
    """With the tool that Blender starts with: Select Box."""
    note = driver.answers.__setitem__
    yield from click(driver, BALL + Vector((0.4, 0, 0)))
    note("click", state())
    yield from driver.picture("select-click")
    yield from click(driver, PLANE)
    note("mesh", state())
    yield from click(driver, OTHER)
    note("other", state())
    yield from click(driver, BALL + Vector((0.4, 0, 0)), **SHIFT)
    note("shift", state())
    yield from driver.picture("select-shift")
    yield from click(driver, BALL + Vector((0.4, 0, 0)), **SHIFT)
    note("shift_again", state())
    yield from click(driver, EMPTY)
    note("empty", state())
    yield from click(driver, OTHER)
    yield from click(driver, BALL + Vector((0.4, 0, 0)))
    yield from undo(driver)
    note("undone", state())
    yield from undo(driver)
    note("undone_twice", state())
    choose("Other", "Ball")
    yield from click(driver, OTHER)
    note("one_of_two", state())
    choose()
    yield from click(driver, OTHER)
    x, y = pixel(driver, OTHER)
    for _ in range(2):
        yield from driver.event("LEFTMOUSE", "PRESS", x, y)
        yield from driver.event("LEFTMOUSE", "RELEASE", x, y)
    yield 0.4
    note("double", state())


def drags(driver: Driver) -> Steps:
    """The tweak tool moves what lies under the mouse, after selecting it by splats."""
    yield from use_tool(driver, "builtin.select")
    choose("Ball")
    yield from drag(driver, [OTHER, OTHER + Vector((0.2, 0, 0.4))])
    driver.answers["tweak"] = [state(), list(bpy.data.objects["Other"].location), list(bpy.data.objects["Ball"].location)]
    yield from driver.picture("select-tweak")
    bpy.data.objects["Other"].location = OTHER
    choose("Ball", "Other")
    yield from drag(driver, [OTHER, OTHER + Vector((0.2, 0, 0.4))])
    driver.answers["tweak_both"] = [state(), list(bpy.data.objects["Other"].location), list(bpy.data.objects["Ball"].location)]
    bpy.data.objects["Other"].location, bpy.data.objects["Ball"].location = OTHER, BALL
    yield from use_tool(driver, "builtin.select_box")


def around(place: Vector, size: float) -> list[Vector]:
    return [place + Vector((x * size, 0, z * size)) for x, z in ((-1, 1), (1, 1), (1, -1), (-1, -1), (-1, 0.9))]


def gestures(driver: Driver) -> Steps:
    """Small ones, inside the balls, that meet neither origins nor bounds."""
    note, inside = driver.answers.__setitem__, OTHER + Vector((0.25, 0, 0.25))
    choose("Plane")
    bpy.ops.ed.undo_push(message="Plane")
    yield from drag(driver, [EMPTY, EMPTY + Vector((0.2, 0, 0.2))])
    choose("Plane")
    yield from drag(driver, [BALL + Vector((-1.2, 0, 1.2)), BALL + Vector((0.75, 0, -1.2))])
    note("box_all", state()[0])
    note("box_drag", state()[0])
    choose("Plane")
    bpy.ops.ed.undo_push(message="Plane")
    corners = around(inside, 0.12)
    yield from key_box(driver, corners)
    note("box", state()[0])
    yield from driver.picture("select-box")
    yield from undo(driver)
    note("box_undone", state()[0])
    choose("Plane", "Other")
    yield from key_box(driver, corners, "MIDDLEMOUSE")
    note("box_minus", state()[0])
    yield from use_tool(driver, "builtin.select_circle")
    choose("Plane")
    bpy.ops.ed.undo_push(message="Plane")
    yield from drag(driver, [inside, inside + Vector((0.05, 0, 0.05))], **SHIFT)
    note("circle", state()[0])
    yield from driver.picture("select-circle")
    yield from undo(driver)
    note("circle_undone", state()[0])
    choose("Plane", "Other")
    yield from drag(driver, [inside, inside + Vector((0.05, 0, 0.05))], ctrl=True)
    note("circle_minus", state()[0])
    choose("Plane")
    yield from drag(driver, [inside, inside + Vector((0.05, 0, 0.05))])
    note("circle_set", state()[0])
    yield from use_tool(driver, "builtin.select_lasso")
    choose("Plane")
    bpy.ops.ed.undo_push(message="Plane")
    yield from drag(driver, around(EMPTY, 0.1))
    choose("Plane")
    yield from drag(driver, [BALL + Vector((-1.2, 0, 1.2)), *around(inside, 0.15)])
    note("lasso", state()[0])
    yield from driver.picture("select-lasso")
    choose("Plane")
    tool = bpy.context.workspace.tools.from_space_view3d_mode("OBJECT").operator_properties("view3d.select_lasso")
    tool.mode = "ADD"
    yield from drag(driver, around(inside, 0.15))
    note("lasso_plus", state()[0])
    tool.mode = "SET"
    yield from use_tool(driver, "builtin.select_box")


def key_box(driver: Driver, corners: list[Vector], button: str = "LEFTMOUSE") -> Steps:
    """The B key, then a box."""
    x, y = pixel(driver, corners[0])
    yield from driver.move(x, y)
    yield from driver.key("B", x, y)
    yield 0.2
    yield from drag(driver, [corners[0], corners[2]], button)


def wires(driver: Driver) -> Steps:
    """An empty's axes before a ball, and behind it."""
    axes = bpy.data.objects.new("Axes", None)
    axes.empty_display_size = 0.5
    bpy.context.collection.objects.link(axes)
    for name, depth in {"before": -1.5, "behind": 2.0}.items():
        place = OTHER + Vector((0.1, depth, 0.1))
        axes.location = place
        choose()
        yield from click(driver, place + Vector((0, 0, 0.3)))
        driver.answers[f"wire_{name}"] = state()[0]
        yield from driver.picture(f"select-wire-{name}")
        choose()
        yield from click(driver, place + Vector((0.15, 0, 0.3)))
        driver.answers[f"beside_wire_{name}"] = state()[0]
    bpy.data.objects.remove(axes)
    bpy.context.view_layer.update()


def outlines(driver: Driver) -> Steps:
    """Two balls that overlap, one behind the other, and a plane through both."""
    ball, other, plane = (bpy.data.objects[name] for name in ("Ball", "Other", "Plane"))
    ball.location, other.location, plane.location = (-0.3, 0.5, 0), (0.3, -0.5, 0.2), (0, -1.6, -0.5)
    for name, chosen in {"both": ("Ball", "Other"), "front": ("Other",), "behind": ("Ball",)}.items():
        choose(*chosen)
        driver.viewport.tag_redraw()
        yield 0.6
        yield from driver.picture(f"select-outline-{name}")
    ball.location, other.location, plane.location = BALL, OTHER, PLANE


def right_click(driver: Driver) -> Steps:
    preferences = bpy.context.window_manager.keyconfigs.active.preferences
    preferences.select_mouse = "RIGHT"
    driver.viewport.tag_redraw()
    yield 1.0
    choose()
    yield from click(driver, BALL + Vector((0.4, 0, 0)), "RIGHTMOUSE")
    driver.answers["right"] = state()
    yield from click(driver, OTHER, "RIGHTMOUSE", **SHIFT)
    driver.answers["right_shift"] = state()
    yield from click(driver, PLANE, "RIGHTMOUSE")
    driver.answers["right_mesh"] = state()
    yield from drag(driver, [OTHER, OTHER + Vector((0.2, 0, 0.4))], "RIGHTMOUSE")
    x, y = pixel(driver, OTHER + Vector((0.2, 0, 0.4)))
    yield from driver.key("LEFTMOUSE", x, y)
    driver.answers["right_drag"] = [state(), list(bpy.data.objects["Other"].location)]
    bpy.data.objects["Other"].location = OTHER
    preferences.select_mouse = "LEFT"
    driver.viewport.tag_redraw()
    yield 1.0


def industry(driver: Driver) -> Steps:
    manager = bpy.context.window_manager
    before = manager.keyconfigs.active
    path = next(path for path in bpy.utils.preset_paths("keyconfig") if "presets" in path)
    bpy.ops.preferences.keyconfig_activate(filepath=f"{path}/Industry_Compatible.py")
    yield 1.0
    driver.answers["keyconfig"] = manager.keyconfigs.active.name
    choose()
    yield from click(driver, BALL + Vector((0.4, 0, 0)))
    driver.answers["industry"] = state()
    yield from click(driver, OTHER, **SHIFT)
    driver.answers["industry_shift"] = state()
    yield from click(driver, PLANE)
    driver.answers["industry_mesh"] = state()
    yield from click(driver, EMPTY)
    driver.answers["industry_empty"] = state()
    manager.keyconfigs.active = before
    bpy.ops.preferences.keyconfig_activate(filepath=f"{path}/Blender.py")
    yield 1.0


def not_drawn(driver: Driver) -> Steps:
    """Where splats are not drawn, Blender alone picks."""
    space = driver.viewport.spaces.active
    choose("Plane")
    space.shading.type = "WIREFRAME"
    space.show_object_viewport_pointcloud = False
    driver.viewport.tag_redraw()
    yield 0.6
    yield from click(driver, OTHER + Vector((0.3, 0, 0.3)))
    driver.answers["not_drawn"] = state()[0]
    space.show_object_viewport_pointcloud = True
    space.shading.type = "SOLID"
    driver.viewport.tag_redraw()
    yield 0.6
    bpy.data.objects["Other"].hide_select = True
    driver.viewport.tag_redraw()
    yield 0.6
    choose("Plane")
    yield from click(driver, OTHER)
    driver.answers["unselectable"] = state()[0]
    bpy.data.objects["Other"].hide_select = False


def rendered(driver: Driver) -> Steps:
    """Where EEVEE draws the splats: with a plane before a quarter of the first ball, another behind both, and an empty."""
    note, space, inside = driver.answers.__setitem__, driver.viewport.spaces.active, OTHER + Vector((0.25, 0, 0.25))
    bpy.ops.mesh.primitive_plane_add(size=8, location=(0, 3, 0), rotation=(1.5708, 0, 0))
    bpy.context.object.name = "Wall"
    axes = bpy.data.objects.new("Axes", None)
    axes.empty_display_size, axes.location = 0.5, OTHER + Vector((0.1, -1.5, 0.1))
    bpy.context.collection.objects.link(axes)
    space.shading.type = "MATERIAL"
    driver.viewport.tag_redraw()
    yield 20.0
    yield from driver.picture("select-material")
    for name, place in {"ball": BALL + Vector((0.4, 0, 0)), "mesh": PLANE, "other": OTHER + Vector((-0.2, 0, -0.3)),
                        "wall": EMPTY, "wire": axes.location + Vector((0, 0, 0.3))}.items():
        choose("Wall")
        yield from click(driver, place)
        note(f"rendered_{name}", state())
    choose("Ball")
    yield from click(driver, OTHER + Vector((-0.2, 0, -0.3)), **SHIFT)
    note("rendered_shift", state())
    choose("Wall")
    bpy.ops.ed.undo_push(message="Wall")
    yield from click(driver, BALL + Vector((0.4, 0, 0)))
    yield from undo(driver)
    note("rendered_undone", state())
    yield from instance(driver)
    space.shading.type = "RENDERED"
    driver.viewport.tag_redraw()
    yield 15.0
    choose("Wall")
    yield from click(driver, BALL + Vector((0.4, 0, 0)))
    note("rendered_by_engine", state())
    yield from driver.picture("select-rendered")
    space.shading.type = "MATERIAL"
    axes = bpy.data.objects["Axes"]  # undo has made another of it
    bpy.data.objects.remove(axes)
    bpy.data.objects.remove(bpy.data.objects["Wall"])
    choose("Plane")
    yield from key_box(driver, around(inside, 0.12))
    note("rendered_box", state()[0])
    yield from driver.picture("select-material-box")
    space.shading.type = "SOLID"
    driver.viewport.tag_redraw()
    yield 0.6


def instance(driver: Driver) -> Steps:
    """A collection with splats that an empty shows above the balls: the empty is selected."""
    group = bpy.data.collections.new("Group")
    small = bpy.data.objects["Ball"].copy()
    group.objects.link(small)
    small.location, small.scale = (0, 0, 0), (0.3, 0.3, 0.3)
    shows = bpy.data.objects.new("Shows", None)
    shows.instance_type, shows.instance_collection, shows.location = "COLLECTION", group, EMPTY
    shows.empty_display_size = 0.05
    bpy.context.collection.objects.link(shows)
    driver.viewport.tag_redraw()
    yield 3.0
    choose("Wall")
    yield from click(driver, EMPTY + Vector((0.15, 0, 0.1)))
    driver.answers["rendered_instance"] = state()
    yield from driver.picture("select-material-instance")
    bpy.data.objects.remove(shows)


def million(driver: Driver) -> Steps:
    """Thread time of the operator's click, all of it, and what finding the object takes of that."""
    select, viewport = driver.module("addon.operators.select"), driver.module("addon.viewport")
    kind = select.SPLATWRIGHT_OT_select
    random = np.random.default_rng(3)
    ball = driver.module("engine.core.formats.ply").read_ply(HERE / "ball.ply", "BLENDER").gaussians
    many = ball.take(random.integers(0, len(ball), 1_000_000))
    many.means[:] += random.normal(0, 0.02, many.means.shape).astype(np.float32)
    many.scales[:] -= 2.0
    for name in ("Ball", "Other"):
        bpy.data.objects.remove(bpy.data.objects[name])
    bpy.context.view_layer.update()
    made = driver.module("addon.splats.splat_object").create_splat_object("Million", many)
    choose()
    driver.viewport.tag_redraw()
    yield from driver.until(lambda: not viewport.running.is_loading and not viewport.running.busy_sorters() and
                            list(viewport.running.viewports.values())[-1].is_shown, "a million splats")
    yield 2.0
    looking, whole = select.splats_at, kind.invoke
    look_times, times = [], []
    select.splats_at = lambda *arguments: timed(look_times, looking, *arguments)
    kind.invoke = lambda self, context, event: timed(times, whole, self, context, event)
    for _ in range(3):
        choose()
        driver.viewport.tag_redraw()
        yield 3.0
        yield from click(driver, Vector((0.1, 0, 0.1)))
        yield 1.0
    select.splats_at, kind.invoke = looking, whole
    rendered = viewport.running.footprints
    footprint_times: list[float] = []
    region = window_region(driver)
    with bpy.context.temp_override(window=driver.window, area=driver.viewport, region=region):
        driver.viewport.spaces.active.shading.type = "MATERIAL"
        picking = driver.module("addon.viewport.picking")
        for _ in range(3):
            seen = timed(footprint_times, rendered, bpy.context, picking.Area.around(region.width // 2, region.height // 2, picking.REACH))
        driver.answers["million_rendered"] = seen.picked.at(region.width // 2, region.height // 2) == made.session_uid
        driver.viewport.spaces.active.shading.type = "SOLID"
    driver.answers["million_rendered_ms"] = footprint_times
    driver.answers |= {"million": [made.select_get(), state()[1]], "million_ms": times, "million_look_ms": look_times}
    yield from driver.picture("select-million")


def timed(times: list[float], work: Any, *arguments: Any) -> Any:
    """What `work` returns; its thread time in milliseconds goes to the list."""
    start = time.thread_time()
    found = work(*arguments)
    times.append(1000 * (time.thread_time() - start))
    return found
