"""Selecting what the next step is about."""

from __future__ import annotations

from typing import ClassVar

import bpy

from ..jobs import jobs
from ..jobs.training_results import splat_object
from ..photos.posed_photos import posed_root
from ..typed import Context, classes_factory
from .selected import select_alone


def result(scene: bpy.types.Scene) -> bpy.types.Object | None:
    """What is placed after a training: its splats, or the empty of the photos that they hang below; None where they are not in view."""
    job = jobs.current(scene)
    found = splat_object(job.name) if job is not None else None
    if found is None:
        return None
    root = posed_root(found.parent) if found.parent is not None else None
    return root or found


class SPLATWRIGHT_OT_select_result(bpy.types.Operator):
    """Select the splats of the training, with the photos that they were made from, so that they can be placed and exported"""

    bl_idname = "splatwright.select_result"
    bl_label = "Select Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    @classmethod
    def poll(cls, context: Context) -> bool:
        found = result(context.scene)
        if context.mode == "OBJECT" and found is not None and found.visible_get(view_layer=context.view_layer):
            return True
        cls.poll_message_set("The training's splats are not visible here")
        return False

    def execute(self, context: Context) -> set[str]:
        job = jobs.required(context.scene)
        select_alone(context, *filter(None, (result(context.scene), splat_object(job.name))))
        return {"FINISHED"}


register, unregister = classes_factory((SPLATWRIGHT_OT_select_result,))
