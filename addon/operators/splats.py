"""Import and export of splat files: menus, drag and drop, dialogs."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy_extras.io_utils import ExportHelper, ImportHelper

from ..export import export_splats, exportable, import_splats
from .reporting import reports_user_errors

AXES = (
    ("SUPERSPLAT", "SuperSplat", "Y down, as trainers write and SuperSplat and web viewers read"),
    ("BLENDER", "Blender", "Blender's own axes, Z up"),
)
AUTO = ("AUTO", "Automatic", "As the file says; SuperSplat's axes where it says nothing")
LABEL = "Gaussian Splat (.ply)"


class SPLATWRIGHT_OT_import_splats(bpy.types.Operator, ImportHelper):
    """Load a Gaussian splat PLY as a splat object"""

    bl_idname = "splatwright.import_splats"
    bl_label = "Import Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    filename_ext = ".ply"
    filter_glob: StringProperty(default="*.ply", options={"HIDDEN"})
    axes: EnumProperty(name="Axes", items=(AUTO, *AXES), default="AUTO", description="Orientation of the file")

    @reports_user_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        made, found = import_splats(Path(self.filepath), self.axes)
        for other in context.selected_objects:
            other.select_set(False)
        made.select_set(True)
        context.view_layer.objects.active = made
        if found.dropped:
            self.report({"WARNING"}, f"{found.dropped} splats without a place or size were left out")
        self.report({"INFO"}, f"Imported {len(found.gaussians):,} splats")
        return {"FINISHED"}


class SPLATWRIGHT_OT_export_splats(bpy.types.Operator, ExportHelper):
    """Write the selected splat objects, as they stand in the scene, into one PLY that SuperSplat opens"""

    bl_idname = "splatwright.export_splats"
    bl_label = "Export Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    filename_ext = ".ply"
    filter_glob: StringProperty(default="*.ply", options={"HIDDEN"})
    axes: EnumProperty(name="Axes", items=AXES, default="SUPERSPLAT", description="Orientation of the file")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if exportable(context):
            return True
        cls.poll_message_set("Select a splat object")
        return False

    @reports_user_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        world = export_splats(exportable(context), Path(self.filepath), self.axes)
        if world.dropped:
            self.report({"WARNING"}, f"{world.dropped} splats without a place or size were left out")
        self.report({"INFO"}, f"Exported {len(world.gaussians):,} splats to {Path(self.filepath).name}")
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


def _import_entry(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(SPLATWRIGHT_OT_import_splats.bl_idname, text=LABEL)


def _export_entry(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(SPLATWRIGHT_OT_export_splats.bl_idname, text=LABEL)


_register_classes, _unregister_classes = bpy.utils.register_classes_factory(
    (SPLATWRIGHT_OT_import_splats, SPLATWRIGHT_OT_export_splats, SPLATWRIGHT_FH_splats))


def register() -> None:
    _register_classes()
    bpy.types.TOPBAR_MT_file_import.append(_import_entry)
    bpy.types.TOPBAR_MT_file_export.append(_export_entry)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_export.remove(_export_entry)
    bpy.types.TOPBAR_MT_file_import.remove(_import_entry)
    _unregister_classes()
