"""How a splat object is drawn: by Blender 5.3 itself, before that as points with one of two materials.

SPLATS: soft Gaussians, as the trainer sees them. POINTS: small opaque dots, quick in any viewport.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import bpy

from ..typed import current_context, point_cloud, splat_settings, untyped
from ..ui.steps import Steps
from . import blender_drawing, material, renders, thinning
from .attributes import has_float4, read_layer, write_layers
from .crop_nodes import follow_material
from .packing import BASE, ROTATION, SCALE, Drawing, Schema, degree_of, pack_drawing

EEVEE_SPREAD = 2**0.5
"""EEVEE draws the spheres of points as squares that stand on a corner: only larger ones hold the circle."""
NATIVE_TYPE = "GAUSSIAN_SPLAT"

_changing: set[int] = set()
"""Addresses of the objects inside shown_once()."""

_OWNER = object()
"""Of the subscription to changes of the render engine."""


def draws_natively() -> bool:
    """Whether this Blender has a splat type of its own."""
    kind = bpy.types.PointCloud.bl_rna.properties.get("type")
    return kind is not None and NATIVE_TYPE in kind.enum_items


@contextmanager
def shown_once(target: bpy.types.Object, is_written: bool = False) -> Iterator[None]:
    """Let the object's Gaussians and settings change inside the with block, and show it once, at the end.

    `is_written`: the block has written the attributes that materials need as well.
    """
    key = target.as_pointer()
    _changing.add(key)
    try:
        yield
    finally:
        _changing.discard(key)
    show(target, is_written)


def show(target: bpy.types.Object, is_written: bool = False) -> None:
    """Make the splat object visible in the way that its settings ask for; call it after its Gaussians changed.

    `is_written`: the attributes that materials need are there.
    """
    if target.as_pointer() in _changing:
        return
    if draws_natively():
        untyped(point_cloud(target)).type = NATIVE_TYPE
        _let_viewports_draw(target, False)
        thinning.thin(target)
        return
    display = splat_settings(target).display
    _let_viewports_draw(target, display == "SPLATS" and splat_settings(target).viewport)
    if not is_written:
        write_drawing(point_cloud(target), display)
    degree, antialiased = degree_of(point_cloud(target).attributes), splat_settings(target).antialiased
    _give_material(point_cloud(target), material.material(display, degree, antialiased))
    thinning.thin(target)
    follow_material(target)


def schema(display: str = "SPLATS") -> Schema:
    """The attributes that splats have here and now."""
    spread = EEVEE_SPREAD if display == "SPLATS" and _is_eevee(current_context().scene) else 1.0
    return Schema("FLOAT4" if has_float4() else "FLOAT_COLOR", None if draws_natively() else Drawing(display, spread))


def preparing_steps(sh_degree: int, antialiased: bool) -> Steps[None]:
    """Make what a new splat object needs to be shown."""
    if not draws_natively():
        yield from material.material_steps("SPLATS", sh_degree, antialiased)


def write_drawing(points: bpy.types.PointCloud, display: str) -> None:
    """Write the attributes that the materials need, where Blender does not draw splats itself."""
    drawing = schema(display).drawing
    scales, base, quats = (read_layer(points, name) for name in (SCALE, BASE, ROTATION))
    if drawing is not None and scales is not None and base is not None and quats is not None:
        write_layers(points, pack_drawing(scales, base, quats, drawing))


def prepare_cycles(scene: bpy.types.Scene) -> None:
    """Render with Cycles, with rays that pass as many splats as overlap."""
    if scene.render.engine != "CYCLES":
        scene.render.engine = "CYCLES"  # pyright: ignore[reportAttributeAccessIssue]  # an add-on brings it
        _engine_changed()
    renders.raise_bounces(scene)


def _is_eevee(scene: bpy.types.Scene) -> bool:
    return scene.render.engine.startswith("BLENDER_EEVEE")


def _engine_changed() -> None:
    scene = current_context().scene
    for target in scene.objects:
        is_points = splat_settings(target).is_splat and target.type == "POINTCLOUD"
        if is_points and target.library is None and point_cloud(target).library is None:
            show(target)
            renders.prepare_once(scene)


def _let_viewports_draw(target: bpy.types.Object, splats: bool) -> None:
    """Let Blender draw nothing where the viewport drawing shows splats, which its spheres would hide. Renders ignore both."""
    (blender_drawing.draw_nothing if splats else blender_drawing.draw_points)([target])


def _give_material(points: bpy.types.PointCloud, chosen: bpy.types.Material) -> None:
    """Replace a material of ours; any other material stays."""
    if not points.materials:
        points.materials.append(chosen)
    elif (found := points.materials[0]) is None or material.is_ours(found):
        points.materials[0] = chosen


@bpy.app.handlers.persistent
def _subscribe(*_: Any) -> None:
    """Subscribe to changes of the render engine; opening a file ends the subscription."""
    bpy.msgbus.clear_by_owner(_OWNER)
    key: Any = (bpy.types.RenderSettings, "engine")  # the stubs know no pairs
    bpy.msgbus.subscribe_rna(key=key, owner=_OWNER, args=(), notify=_engine_changed)


def register() -> None:
    if not draws_natively():
        blender_drawing.register()
    bpy.app.handlers.load_post.append(_subscribe)
    _subscribe()


def unregister() -> None:
    if not draws_natively():
        blender_drawing.unregister()
    bpy.app.handlers.load_post.remove(_subscribe)
    bpy.msgbus.clear_by_owner(_OWNER)
