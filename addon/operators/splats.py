"""Bringing splat files into the scene: menu, dialog, drag and drop."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import bpy
from bpy.props import CollectionProperty, EnumProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ...engine.core.errors import UserError
from ...engine.core.formats import SUFFIXES
from ...engine.core.splat_file import left_behind
from ..export import EXTRA, import_splats
from .export import AXES, GLOB, LABEL
from .reporting import report_error

AUTO = ("AUTO", "Automatic", "As the file says; where it says nothing SuperSplat's axes, for SPZ OpenGL's")


class SPLATWRIGHT_OT_import_splats(bpy.types.Operator, ImportHelper):
    """Load Gaussian splats from PLY, SPZ or .splat files as splat objects"""

    bl_idname = "splatwright.import_splats"
    bl_label = "Import Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    filename_ext = ".ply"
    filepath: StringProperty(name="File", subtype="FILE_PATH", options={"SKIP_SAVE"})
    directory: StringProperty(subtype="DIR_PATH", options={"HIDDEN", "SKIP_SAVE"})
    files: CollectionProperty(type=bpy.types.OperatorFileListElement, options={"HIDDEN", "SKIP_SAVE"})
    filter_glob: StringProperty(default=GLOB, options={"HIDDEN"})
    axes: EnumProperty(name="Axes", items=(AUTO, *AXES), default="AUTO", description="Orientation of the file")

    def invoke(self, context: bpy.types.Context, event: bpy.types.Event) -> set[str]:
        """The file browser; dropped files only ask for their axes."""
        return self.invoke_popup(context)

    def execute(self, context: bpy.types.Context) -> set[str]:
        made = [found for path in self._paths() if (found := self._import(path))]
        if made and context.mode == "OBJECT":
            _select_alone(context, made)
        return {"FINISHED"} if made else {"CANCELLED"}

    def _paths(self) -> list[Path]:
        names = [found.name for found in self.files if found.name]
        return [Path(bpy.path.abspath(self.directory)) / name for name in names] or [Path(bpy.path.abspath(self.filepath))]

    def _import(self, path: Path) -> bpy.types.Object | None:
        """One file's object; None after saying why there is none."""
        try:
            made, found = import_splats(path, self.axes)
        except UserError as error:
            report_error(self, error)
            return None
        for sentence in left_behind(found):
            self.report({"WARNING"}, sentence)
        kept = f", with attributes {', '.join(EXTRA.format(name) for name in found.extra_names)}" if found.extra_names else ""
        self.report({"INFO"}, f"Imported {len(found.gaussians):,} splats{kept}")
        return made


class SPLATWRIGHT_FH_splats(bpy.types.FileHandler):
    """Splat files dropped on the viewport."""

    bl_idname = "SPLATWRIGHT_FH_splats"
    bl_label = "Gaussian Splats"
    bl_import_operator = "splatwright.import_splats"
    bl_file_extensions = ";".join(sorted({"." + suffix.rpartition(".")[2] for suffix in SUFFIXES}))

    @classmethod
    def poll_drop(cls, context: bpy.types.Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


def _select_alone(context: bpy.types.Context, made: list[bpy.types.Object]) -> None:
    for other in context.selected_objects:
        other.select_set(False)
    for found in made:
        found.select_set(True)
    context.view_layer.objects.active = made[-1]


def _import_entry(menu: bpy.types.Menu, context: bpy.types.Context) -> None:
    menu.layout.operator(SPLATWRIGHT_OT_import_splats.bl_idname, text=LABEL)


_register_classes, _unregister_classes = bpy.utils.register_classes_factory((SPLATWRIGHT_OT_import_splats, SPLATWRIGHT_FH_splats))


def register() -> None:
    _register_classes()
    bpy.types.TOPBAR_MT_file_import.append(_import_entry)


def unregister() -> None:
    bpy.types.TOPBAR_MT_file_import.remove(_import_entry)
    _unregister_classes()
