"""What operators on splat objects share: which objects they mean."""

from __future__ import annotations

import bpy

from ..splat_object import is_splat_object


def selected_splats(context: bpy.types.Context) -> list[bpy.types.Object]:
    """The selected splat objects that may be changed, the active one first."""
    found = [item for item in context.selected_objects if is_splat_object(item) and item.library is None and item.data.library is None]
    return sorted(found, key=lambda item: item != context.active_object)


class OnSplats:
    """Mixed into operators that need selected splat objects in Object Mode."""

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if context.mode == "OBJECT" and selected_splats(context):
            return True
        cls.poll_message_set("Select a splat object, in Object Mode")
        return False
