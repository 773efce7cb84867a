"""Writing splat objects to a file: menu and dialog."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from ..export import WorldGaussians, export_each, export_splats, exportable
from ..placed import may_show_splats
from ..stale import is_stale, stale_sentence
from .reporting import reports_user_errors

AXES = (
    ("SUPERSPLAT", "SuperSplat", "Y down, as trainers write and SuperSplat and web viewers read"),
    ("BLENDER", "Blender", "Blender's own axes, Z up"),
)
LABEL = "Gaussian Splat (.ply)"


class SPLATWRIGHT_OT_export_splats(bpy.types.Operator, ExportHelper):
    """Write the selected splat objects (all visible ones if none is selected), as they stand in the scene, into one PLY"""

    bl_idname = "splatwright.export_splats"
    bl_label = "Export Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    filename_ext = ".ply"
    filter_glob: StringProperty(default="*.ply", options={"HIDDEN"})
    axes: EnumProperty(name="Axes", items=AXES, default="SUPERSPLAT", description="Orientation of the file")
    each: BoolProperty(name="One File Each", description="Write every object into a file of its own, named after the file and the object")

    @classmethod
    def poll(cls, context: bpy.types.Context) -> bool:
        if any(may_show_splats(found) for found in context.visible_objects):
            return True
        cls.poll_message_set("There is no visible splat object")
        return False

    @reports_user_errors
    def execute(self, context: bpy.types.Context) -> set[str]:
        path, targets = Path(bpy.path.abspath(self.filepath)), exportable(context)
        written = export_each(targets, path, ".ply", self.axes) if self.each else {path: export_splats(targets, path, self.axes)}
        for target in filter(is_stale, targets):
            self.report({"WARNING"}, f"{stale_sentence(target)} Press Mend Splats")
        for file, world in written.items():
            self._report(file, world)
        return {"FINISHED"}

    def _report(self, file: Path, world: WorldGaussians) -> None:
        if world.dropped:
            self.report({"WARNING"}, f"{world.dropped:,} splats without a place or size were left out")
        self.report({"INFO"}, f"Exported {len(world.gaussians):,} splats to {file.name}")


def _export_entry(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(SPLATWRIGHT_OT_export_splats.bl_idname, text=LABEL)


_register_classes, _unregister_classes = bpy.utils.register_classes_factory((SPLATWRIGHT_OT_export_splats,))


def register() -> None:
    _register_classes()
    bpy.types.TOPBAR_MT_file_export.append(_export_entry)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_export.remove(_export_entry)
    _unregister_classes()
