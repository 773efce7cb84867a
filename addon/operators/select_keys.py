"""Keymap items of the selecting operators: one before each item of Blender's that selects in viewports, whatever keys those have."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import bpy

from ..splats import display
from ..typed import current_context, untyped
from .select import SPLATWRIGHT_OT_select, SPLATWRIGHT_OT_select_box, SPLATWRIGHT_OT_select_circle, SPLATWRIGHT_OT_select_lasso

BEFORE = {"view3d.select": SPLATWRIGHT_OT_select, "view3d.select_box": SPLATWRIGHT_OT_select_box,
          "view3d.select_lasso": SPLATWRIGHT_OT_select_lasso, "view3d.select_circle": SPLATWRIGHT_OT_select_circle}

EVENT = ("type", "value", "any", "shift", "ctrl", "alt", "oskey", "hyper", "key_modifier", "direction", "repeat")
CLICKS = ("extend", "deselect", "toggle", "select_passthrough")
BLENDERS_ALONE = ("center", "enumerate", "object")
"""Clicks of these kinds look for origins, or list what lies below the mouse."""

START = 0.1
"""Seconds after enabling: Blender makes the keymaps of tools when it has started."""

_OWNER = object()
_handle: Any = None
_seen: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Key:
    """A keymap item of ours."""

    keymap: tuple[str, str, str]  # name, space, region
    operator: str
    event: tuple[tuple[str, Any], ...]
    properties: tuple[tuple[str, bool], ...] = ()


_keys: list[Key] = []
_items: list[tuple[bpy.types.KeyMap, bpy.types.KeyMapItem]] = []


def wanted_keys(keymaps: Any) -> list[Key]:
    """One for each active item that selects in Object Mode of viewports."""
    return [_key_before(keymap, item) for keymap in keymaps if keymap.space_type == "VIEW_3D" or keymap.name == "Object Mode"
            for item in keymap.keymap_items if item.idname in BEFORE and item.active and not _is_blenders_alone(item)]


def refresh() -> None:
    """Add the items that are wanted by the keys that people use now, where they have changed."""
    manager = current_context().window_manager
    user, ours = manager.keyconfigs.user, manager.keyconfigs.addon
    if user is None or ours is None or (wanted := wanted_keys(user.keymaps)) == _keys:
        return
    remove()
    for key in reversed(wanted):  # Blender puts each before the last
        name, space, region = key.keymap
        keymap = ours.keymaps.new(name=name, space_type=untyped(space), region_type=untyped(region))
        item = untyped(keymap.keymap_items).new(key.operator, **dict(key.event))
        for name, value in key.properties:
            setattr(item.properties, name, value)
        _items.append((keymap, item))
    _keys[:] = wanted


def remove() -> None:
    """Take all items away."""
    for keymap, item in _items:
        keymap.keymap_items.remove(item)
    _items.clear()
    _keys.clear()


def _is_blenders_alone(item: bpy.types.KeyMapItem) -> bool:
    return any(getattr(item.properties, name, False) for name in BLENDERS_ALONE)


def _key_before(keymap: bpy.types.KeyMap, item: bpy.types.KeyMapItem) -> Key:
    operator = BEFORE[item.idname]
    known = untyped(bpy.types.KeyMapItems.bl_rna).functions["new"].parameters
    event = tuple((name, getattr(item, name)) for name in EVENT if name in known)
    properties = tuple((name, getattr(item.properties, name)) for name in CLICKS) if operator is SPLATWRIGHT_OT_select else ()
    return Key((keymap.name, keymap.space_type, keymap.region_type), operator.bl_idname, event, properties)


def _refresh_once() -> None:
    """A timer."""
    refresh()


def _refresh_soon() -> None:
    """Blender's keymaps change after whatever asks for it."""
    if not bpy.app.timers.is_registered(_refresh_once):
        bpy.app.timers.register(_refresh_once, first_interval=START)


def _look_at_preferences() -> None:
    """Whenever a viewport is drawn: nobody tells when the keymap's own preferences change, as which button selects."""
    global _seen
    active = current_context().window_manager.keyconfigs.active
    preferences = active.preferences if active is not None else None
    names = preferences.bl_rna.properties.keys() if preferences is not None else ()
    found = (active.name if active is not None else "", *(getattr(preferences, name) for name in names if name != "rna_type"))
    if found != _seen:
        _seen = found
        _refresh_soon()


@bpy.app.handlers.persistent
def _subscribe(*_: Any) -> None:
    """Subscribe to changes of keys; opening a file ends the subscription."""
    bpy.msgbus.clear_by_owner(_OWNER)
    bpy.msgbus.subscribe_rna(key=untyped(bpy.types.KeyMapItem), owner=_OWNER, args=(), notify=_refresh_soon)
    _refresh_soon()


def register() -> None:
    global _handle
    if display.draws_natively():
        return
    _handle = bpy.types.SpaceView3D.draw_handler_add(_look_at_preferences, (), "WINDOW", "POST_PIXEL")
    bpy.app.handlers.load_post.append(_subscribe)
    _subscribe()
    refresh()


def unregister() -> None:
    global _handle
    if display.draws_natively():
        return
    bpy.types.SpaceView3D.draw_handler_remove(_handle, "WINDOW")
    _handle = None
    bpy.app.handlers.load_post.remove(_subscribe)
    bpy.msgbus.clear_by_owner(_OWNER)
    if bpy.app.timers.is_registered(_refresh_once):
        bpy.app.timers.unregister(_refresh_once)
    remove()
