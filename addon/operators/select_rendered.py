"""Clicks on splats that EEVEE or Cycles draw: whether they or what Blender finds there stand in front."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import bpy
import numpy as np
from bpy_extras.view3d_utils import region_2d_to_origin_3d, region_2d_to_vector_3d

from .. import viewport
from ..typed import Context, operators, untyped
from ..viewport.picking import REACH, Area

ELSEWHERE = (-10_000, -10_000)
"""Far outside of any region. A second click at a place goes on to the next object there, and Blender's own is the next."""


def owner_at(context: Context, x: int, y: int) -> int | None:
    """session_uid of whose splats are in front at a pixel of the region; None where others are, or none."""
    seen = viewport.running.footprints(context, Area.around(x, y, REACH)) if viewport.running is not None else None
    owner = seen.picked.at(x, y) if seen is not None else None
    if seen is None or owner is None:
        return None
    other = blenders_at(context, x, y)
    return owner if other is None or surface_depth(context, other, x, y) > seen.depth(owner) else None


def blenders_at(context: Context, x: int, y: int) -> bpy.types.Object | None:
    """What Blender's click selects at a pixel of the region. The selection stays as it is."""
    click = operators().view3d.select
    with kept_selection(context):
        click(location=ELSEWHERE)
        for item in context.selected_objects:
            item.select_set(False)
        click(location=(x, y))
        found = next(iter(context.selected_objects), None)
        click(location=ELSEWHERE)
    return found


@contextmanager
def kept_selection(context: Context) -> Iterator[None]:
    """Selected and active objects are afterwards as before."""
    active, selected = context.view_layer.objects.active, set(context.selected_objects)
    try:
        yield
    finally:
        for item in context.view_layer.objects:
            if item is not None and item.select_get() != (item in selected):
                item.select_set(item in selected)
        context.view_layer.objects.active = active


def surface_depth(context: Context, target: bpy.types.Object, x: int, y: int) -> float:
    """Depth along the view of an object's surface at a pixel of the region; 0 where it has none, as empties and lights, which are
    before everything."""
    region, view = untyped(context.region), context.region_data
    origin, direction = (find(region, view, (x + 0.5, y + 0.5)) for find in (region_2d_to_origin_3d, region_2d_to_vector_3d))
    hit, place, _, _, met, _ = context.scene.ray_cast(context.evaluated_depsgraph_get(), origin, direction)
    if not hit or untyped(met).original != target:
        return 0.0
    return float(-(np.array(view.view_matrix) @ (*place, 1.0))[2])
