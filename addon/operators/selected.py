"""What operators on splat objects share: which objects they mean."""

from __future__ import annotations

import bpy

from ..photos.posed_photos import posed_root
from ..splats.splat_object import is_splat_object


def selected_splats(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The selected splat objects that may be changed, the active one first."""
    found = [item for item in context.selected_objects if is_splat_object(item) and item.library is None and item.data.library is None]
    return sorted(found, key=lambda item: item != context.active_object)


def selected_placeable(context: bpy.types.Context) -> list[bpy.types.Object]:
    """What can be placed: the selected splat objects, and the empties of posed photos of which anything is selected."""
    roots = [posed_root(item) for item in context.selected_objects]
    return list(dict.fromkeys([*selected_splats(context), *(root for root in roots if root is not None and root.library is None)]))


def select_alone(context: bpy.types.Context, *made: bpy.types.Object) -> None:
    """Select these objects and no others; the last one is active."""
    for other in context.selected_objects:
        other.select_set(False)
    for found in made:
        found.select_set(True)
    context.view_layer.objects.active = made[-1]


class OnSplats:
    """Mixed into operators that need selected splat objects in Object Mode."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode == "OBJECT" and selected_splats(context):
            return True
        cls.poll_message_set("Select a splat object, in Object Mode")
        return False


class OnPlaceable:
    """Mixed into operators that move splat objects and posed photos in Object Mode."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode == "OBJECT" and selected_placeable(context):
            return True
        cls.poll_message_set("Select a splat object or posed photos, in Object Mode")
        return False


class OnActiveSplats:
    """Mixed into operators on the points of the active splat object, in Object Mode or Edit Mode."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        active = context.active_object
        if is_splat_object(active) and active.mode in ("OBJECT", "EDIT") and active.library is None and active.data.library is None:
            return True
        cls.poll_message_set("Make a splat object active")
        return False
