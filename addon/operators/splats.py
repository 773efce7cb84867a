"""Bringing splat files into the scene: menu, dialog, drag and drop."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ..export import import_splats
from .export import AXES, LABEL
from .reporting import reports_user_errors

AUTO = ("AUTO", "Automatic", "As the file says; SuperSplat's axes where it says nothing")


class SPLATWRIGHT_OT_import_splats(bpy.types.Operator, ImportHelper):
    """Load a Gaussian splat PLY as a splat object"""

    bl_idname = "splatwright.import_splats"
    bl_label = "Import Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    filename_ext = ".ply"
    filepath: StringProperty(name="File", subtype="FILE_PATH", options={"SKIP_SAVE"})
    filter_glob: StringProperty(default="*.ply", options={"HIDDEN"})
    axes: EnumProperty(name="Axes", items=(AUTO, *AXES), default="AUTO", description="Orientation of the file")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """The file browser; a dropped file only asks for its axes."""
        return self.invoke_popup(context)

    @reports_user_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        made, found = import_splats(Path(bpy.path.abspath(self.filepath)), self.axes)
        if context.mode == "OBJECT":
            _select_alone(context, made)
        if found.dropped:
            self.report({"WARNING"}, f"{found.dropped:,} splats without a place or size were left out")
        self.report({"INFO"}, f"Imported {len(found.gaussians):,} splats")
        return {"FINISHED"}


class SPLATWRIGHT_FH_splats(bpy.types.FileHandler):
    """A splat PLY dropped on the viewport."""

    bl_idname = "SPLATWRIGHT_FH_splats"
    bl_label = "Gaussian Splats"
    bl_import_operator = "splatwright.import_splats"
    bl_file_extensions = ".ply"

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


def _select_alone(context: bpy.types.Context, made: bpy.types.Object) -> None:
    for other in context.selected_objects:
        other.select_set(False)
    made.select_set(True)
    context.view_layer.objects.active = made


def _import_entry(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(SPLATWRIGHT_OT_import_splats.bl_idname, text=LABEL)


_register_classes, _unregister_classes = bpy.utils.register_classes_factory((SPLATWRIGHT_OT_import_splats, SPLATWRIGHT_FH_splats))


def register() -> None:
    _register_classes()
    bpy.types.TOPBAR_MT_file_import.append(_import_entry)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(_import_entry)
    _unregister_classes()
