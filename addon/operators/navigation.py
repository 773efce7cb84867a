"""Which events a modal operator leaves to Blender, so that viewports can be navigated and panels used while it works."""

from __future__ import annotations

import bpy

from ..typed import Context, untyped

ALWAYS = frozenset({"MOUSEMOVE", "INBETWEEN_MOUSEMOVE", "TIMER_REGION", "TIMER1", "TIMER2", "WINDOW_DEACTIVATE", "NONE",
                    "TRACKPADPAN", "TRACKPADZOOM", "MOUSEROTATE", "MOUSESMARTZOOM", "NDOF_MOTION"})
"""Moves of the mouse and of devices that only navigate, and timers of other people."""

MOUSE = frozenset({"LEFTMOUSE", "MIDDLEMOUSE", "WHEELUPMOUSE", "WHEELDOWNMOUSE", "WHEELINMOUSE", "WHEELOUTMOUSE"})
NAVIGATING = frozenset({
    "view3d.rotate", "view3d.move", "view3d.zoom", "view3d.dolly", "view3d.view_orbit", "view3d.view_pan", "view3d.view_roll",
    "view3d.view_axis", "view3d.view_all", "view3d.view_selected", "view3d.view_persportho", "view3d.view_center_cursor",
    "view3d.view_center_pick", "view3d.ndof_orbit", "view3d.ndof_orbit_zoom", "view3d.ndof_pan", "view3d.ndof_all", "view3d.smoothview"})

GIZMOS = (110, 330)
"""Width and height of the corner with the navigation gizmos, at a scale of 1."""


def is_left_to_blender(context: Context, event: bpy.types.Event) -> bool:
    """Whether an event navigates a viewport, or belongs to the mouse over a viewport's sidebar."""
    if event.type in ALWAYS:
        return True
    area, region = _under(context, event)
    if area is None or region is None:
        return False
    if region.type == "UI":
        return event.type in MOUSE or (event.type == "C" and event.ctrl)  # copies what is under the mouse
    return region.type == "WINDOW" and (_navigates(context, event) or (event.type == "LEFTMOUSE" and _over_gizmos(context, area, event)))


def _under(context: Context, event: bpy.types.Event) -> tuple[bpy.types.Area | None, bpy.types.Region | None]:
    """The viewport under the mouse, and its part; sidebars lie over the window's own region."""
    for area in context.screen.areas if context.screen else ():
        if area.type == "VIEW_3D" and _holds(area, event):
            found = [region for region in area.regions if _holds(region, event) and region.width > 1]
            return area, next((region for region in found if region.type != "WINDOW"), found[0] if found else None)
    return None, None


def _holds(part: bpy.types.Area | bpy.types.Region, event: bpy.types.Event) -> bool:
    return part.x <= event.mouse_x < part.x + part.width and part.y <= event.mouse_y < part.y + part.height


def _navigates(context: Context, event: bpy.types.Event) -> bool:
    """Whether the keymap of viewports, with what the user has changed of it, means a navigation by an event."""
    keymaps = untyped(context.window_manager.keyconfigs.user).keymaps
    keymap = keymaps.get("3D View")
    item = keymap.keymap_items.match_event(event) if keymap is not None else None
    return item is not None and item.active and item.idname in NAVIGATING


def _over_gizmos(context: Context, area: bpy.types.Area, event: bpy.types.Event) -> bool:
    """Whether the mouse is over the corner where a viewport has its navigation gizmos."""
    scale = context.preferences.system.ui_scale
    sidebar = next((region.width for region in area.regions if region.type == "UI" and region.width > 1), 0)
    right, top = area.x + area.width - sidebar, area.y + area.height
    return right - GIZMOS[0] * scale <= event.mouse_x < right and event.mouse_y >= top - GIZMOS[1] * scale
