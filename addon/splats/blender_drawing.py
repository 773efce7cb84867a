"""What Blender itself draws of a splat object in viewports: nothing while our drawing shows its splats, else its points.

Of an object that is displayed as bounds Blender draws the bounds alone, of any size that a stray splat gives them; of bounds of a kind
that it does not draw it draws nothing. Files hold points, so that a Blender without the extension shows them; so does this one when the
extension goes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import bpy
import numpy as np

from ..typed import point_cloud, splat_settings, untyped
from ..ui.background import start_timer, stop_timers
from ..ui.handlers import add_handlers, remove_handlers

BOX, NOTHING = 0, 4
"""Kinds of bounds as numbers of DNA_object_types.h: OB_BOUND_BOX, and OB_BOUND_TRIANGLE_MESH, which is kept and never drawn."""

_saved: set[int] = set()
"""Objects whose points Blender draws while a file is written."""


def draw_points(targets: Iterable[bpy.types.Object]) -> None:
    """Let Blender draw the points of splat objects of which it has drawn nothing."""
    changed = [target for target in targets if target.display_type == "BOUNDS"]
    _set_bounds(changed, BOX)
    for target in changed:
        target.display_type = "TEXTURED"


def draw_nothing(targets: Iterable[bpy.types.Object]) -> None:
    """Let Blender draw nothing of splat objects whose points it has drawn; another display that somebody chose stays."""
    plain = [target for target in targets if target.display_type in ("SOLID", "TEXTURED", "BOUNDS")]
    _set_bounds(plain, NOTHING)
    for target in plain:
        if target.display_type != "BOUNDS":
            target.display_type = "BOUNDS"


def wants_our_drawing(target: bpy.types.Object) -> bool:
    """Whether an object asks for splats in viewports instead of points, and still has them.

    Blenders that do not know the type of their colours open files without these.
    """
    settings = splat_settings(target)
    asked = settings.is_splat and target.type == "POINTCLOUD" and settings.display == "SPLATS" and settings.viewport
    return asked and all(name in point_cloud(target).attributes for name in ("radiance:base", "rotation", "scale"))


def settle() -> None:
    """After files were opened or linked: let Blender draw nothing of all objects whose splats we draw."""
    draw_nothing([found for found in bpy.data.objects if wants_our_drawing(found)])


def _set_bounds(targets: Collection[bpy.types.Object], kind: int) -> None:
    """Blender's Python takes this number in no other way, and of linked objects not at all."""
    if not targets:
        return
    everything = untyped(bpy.data.objects)
    kinds, uids = np.empty(len(everything), np.int32), np.empty(len(everything), np.int32)
    everything.foreach_get("display_bounds_type", kinds)
    everything.foreach_get("session_uid", uids)
    chosen = np.isin(uids, [target.session_uid for target in targets])
    if (kinds[chosen] != kind).any():
        kinds[chosen] = kind
        everything.foreach_set("display_bounds_type", kinds)
        for target in targets:
            target.update_tag()


@bpy.app.handlers.persistent
def _on_save_begins(*_: object) -> None:
    hidden = [found for found in bpy.data.objects if found.display_type == "BOUNDS" and wants_our_drawing(found) and not found.library]
    _saved.update(found.session_uid for found in hidden)
    for found in hidden:
        found.display_type = "TEXTURED"  # the kind of bounds is kept: files that link the object cannot change it


@bpy.app.handlers.persistent
def _on_save_ended(*_: object) -> None:
    draw_nothing([found for found in bpy.data.objects if found.session_uid in _saved])
    _saved.clear()


@bpy.app.handlers.persistent
def _on_other_data(*_: object) -> None:
    settle()


def _settle_later() -> None:
    """While Blender registers an extension its data cannot be read."""
    settle()


_HANDLERS = (("save_pre", _on_save_begins), ("save_post", _on_save_ended), ("save_post_fail", _on_save_ended),
             ("load_post", _on_other_data), ("blend_import_post", _on_other_data))


def register() -> None:
    add_handlers(_HANDLERS)
    start_timer(_settle_later, 0.1)


def unregister() -> None:
    remove_handlers(_HANDLERS)
    stop_timers(_settle_later)
    draw_points([found for found in bpy.data.objects if wants_our_drawing(found)])
