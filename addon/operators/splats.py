"""Bringing splat files into the scene: menu, dialog, drag and drop."""

from __future__ import annotations

from typing import ClassVar

import bpy
from bpy.props import EnumProperty, StringProperty
from bpy_extras.io_utils import ImportHelper

from ...engine.core.formats.registry import SUFFIXES
from ..splats.from_mesh import is_mesh_of_splats, splats_of_mesh
from ..translations import tr
from ..typed import Context, layout_of, operators, untyped
from ..ui.steps import run_to_end
from .export import AXES, GLOB, LABEL
from .load import ImportProperties, finish_import, loading_steps, report_import
from .menus import register_with_menus
from .reporting import reports_user_errors


class SPLATWRIGHT_OT_import_splats(ImportProperties, bpy.types.Operator, ImportHelper):
    """Load Gaussian splats from PLY, SPZ or .splat files as splat objects"""

    bl_idname = "splatwright.import_splats"
    bl_label = "Import Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    filename_ext = ".ply"
    filter_glob: StringProperty(default=GLOB, options={"HIDDEN"})
    asked = False
    """Whether the dialog was shown; scripts get their objects at once."""

    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        """The file browser; dropped files only ask for their axes."""
        self.asked = True
        if not untyped(self).properties.is_property_set("filepath"):
            return self.invoke_popup(context)  # pyright: ignore[reportReturnType]  # it returns a set
        names = [path.name for path in self.paths()]
        title = names[0] if len(names) == 1 else tr("{count} splat files", count=len(names))
        return context.window_manager.invoke_props_dialog(self, title=title, confirm_text=self.bl_label, translate=False)  # pyright: ignore[reportReturnType]  # a set

    def execute(self, context: Context) -> set[str]:
        if not self.asked or bpy.app.background:
            return finish_import(context, run_to_end(loading_steps(self, self.paths(), self.axes, self.link, self.linear_scales)))
        self.asked = False  # redo repeats this in one go
        files = [{"name": str(path)} for path in self.paths()]
        operators().splatwright.load_splats("INVOKE_DEFAULT", directory="", files=files, axes=self.axes, link=self.link,
                                            linear_scales=self.linear_scales)
        return {"CANCELLED"}  # nothing to undo yet: the loading takes its own undo step


class SPLATWRIGHT_OT_splats_from_mesh(bpy.types.Operator):
    """Make splat objects of the selected meshes whose points carry the properties of splats, as Blender's own PLY import leaves them"""

    bl_idname = "splatwright.splats_from_mesh"
    bl_label = "Splats from Mesh"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    axes: EnumProperty(name="Axes", default="BLENDER", description="How the points lie", items=(
        ("BLENDER", "As They Lie", "The splats stay where the points are"), *(entry for entry in AXES if entry[0] != "BLENDER")))

    @classmethod
    def poll(cls, context: Context) -> bool:
        if context.mode == "OBJECT" and any(map(is_mesh_of_splats, context.selected_objects)):
            return True
        cls.poll_message_set("Select a mesh whose points carry the properties of splats, in Object Mode")
        return False

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        made = []
        for source in filter(is_mesh_of_splats, context.selected_objects):
            splats, found = splats_of_mesh(source, self.axes)
            made.append(splats)
            report_import(self, found)
        return finish_import(context, made)


class SPLATWRIGHT_FH_splats(bpy.types.FileHandler):
    """Splat files dropped on the viewport."""

    bl_idname = "SPLATWRIGHT_FH_splats"
    bl_label = "Gaussian Splats"
    bl_import_operator = "splatwright.import_splats"
    bl_file_extensions = ";".join(sorted({"." + suffix.rpartition(".")[2] for suffix in SUFFIXES}))

    @classmethod
    def poll_drop(cls, context: Context) -> bool:
        return context.area is not None and context.area.type == "VIEW_3D"


class SPLATWRIGHT_MT_add_splats(bpy.types.Menu):
    """Bring splats into the scene"""

    bl_idname = "SPLATWRIGHT_MT_add_splats"
    bl_label = "Gaussian Splats"

    def draw(self, context: Context) -> None:
        layout = layout_of(self)
        layout.operator_context = "INVOKE_REGION_WIN"  # Blender adds without asking; these have a dialog
        layout.operator("splatwright.import_splats", icon="IMPORT")
        layout.operator("splatwright.import_photos", icon="IMAGE_DATA")
        layout.separator()
        layout.operator("splatwright.instant_splats", icon="RENDER_STILL")
        layout.operator("splatwright.splats_from_mesh", icon="MESH_DATA")


def _import_entry(menu: bpy.types.Menu, context: Context) -> None:
    layout_of(menu).operator(SPLATWRIGHT_OT_import_splats.bl_idname, text=LABEL)


def _add_entry(menu: bpy.types.Menu, context: Context) -> None:
    layout_of(menu).menu(SPLATWRIGHT_MT_add_splats.bl_idname, icon="OUTLINER_OB_POINTCLOUD")


register, unregister = register_with_menus(
    (SPLATWRIGHT_OT_import_splats, SPLATWRIGHT_OT_splats_from_mesh, SPLATWRIGHT_FH_splats, SPLATWRIGHT_MT_add_splats),
    {"TOPBAR_MT_file_import": _import_entry, "VIEW3D_MT_add": _add_entry})
