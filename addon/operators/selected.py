"""What operators on splat objects share: which objects they mean."""

from __future__ import annotations

import bpy

from ...engine.core.errors import UserError
from ..photos.posed_photos import posed_root
from ..splats.splat_object import is_splat_object
from ..typed import Context, OperatorMixin, point_cloud


def selected_splats(context: Context) -> list[bpy.types.Object]:
    """The selected splat objects that may be changed, the active one first."""
    found = [item for item in context.selected_objects if is_splat_object(item) and not _is_linked(item)]
    return sorted(found, key=lambda item: item != context.active_object)


def active_splats(context: Context) -> bpy.types.Object:
    """The active splat object, which OnActiveSplats asks for; UserError without one."""
    if context.active_object is None:
        raise UserError("No splat object is active.", "Make a splat object active.", "splats.no_active")
    return context.active_object


def _is_linked(item: bpy.types.Object) -> bool:
    """Whether a splat object, or its points, belong to another file."""
    return item.library is not None or point_cloud(item).library is not None


def selected_placeable(context: Context) -> list[bpy.types.Object]:
    """What can be placed: the selected splat objects, and the empties of posed photos of which anything is selected."""
    roots = [posed_root(item) for item in context.selected_objects]
    return list(dict.fromkeys([*selected_splats(context), *(root for root in roots if root is not None and root.library is None)]))


def select_alone(context: Context, *made: bpy.types.Object) -> None:
    """Select these objects and no others; the last one is active."""
    for other in context.selected_objects:
        other.select_set(False)
    for found in made:
        found.select_set(True)
    context.view_layer.objects.active = made[-1]


class OnSplats(OperatorMixin):
    """Mixed into operators that need selected splat objects in Object Mode."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.mode == "OBJECT" and selected_splats(context):
            return True
        cls.poll_message_set("Select a splat object, in Object Mode")
        return False


class OnPlaceable(OperatorMixin):
    """Mixed into operators that move splat objects and posed photos in Object Mode."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.mode == "OBJECT" and selected_placeable(context):
            return True
        cls.poll_message_set("Select a splat object or posed photos, in Object Mode")
        return False


class OnActiveSplats(OperatorMixin):
    """Mixed into operators on the points of the active splat object, in Object Mode or Edit Mode."""

    @classmethod
    def poll(cls, context: Context) -> bool:
        active = context.active_object
        if active is not None and is_splat_object(active) and active.mode in ("OBJECT", "EDIT") and not _is_linked(active):
            return True
        cls.poll_message_set("Make a splat object active")
        return False
