"""Writing splat objects to a file: menu and dialog."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, StringProperty
from bpy_extras.io_utils import ExportHelper

from ...engine.core.errors import UserError
from ...engine.core.formats.registry import FORMATS, PLY, SUFFIXES, Format, axes_lost, format_named, format_of, lost_in
from ...engine.core.splats.offset import NO_OFFSET, offset_file, offset_words
from ..splats import linked_files
from ..splats.exporting import WorldGaussians, export_each, export_splats, selected_to_export, visible_to_export
from ..splats.instances import may_show_splats
from ..splats.overwritten import after_export
from ..splats.unapplied_transform import unturned_sentence
from ..translations import tr
from ..typed import Context, layout_of, untyped
from .menus import register_with_menus
from .reporting import reports_user_errors

AXES = (
    ("SUPERSPLAT", "SuperSplat", "Y down, as trainers write and SuperSplat and web viewers read"),
    ("OPENGL", "OpenGL", "Y up, as phones write SPZ and Blender's own SPZ import reads"),
    ("BLENDER", "Blender", "Blender's own axes, Z up"),
)
LABEL = "Gaussian Splats (.ply/.spz/.splat)"
GLOB = ";".join(f"*{suffix}" for suffix in SUFFIXES)


class SPLATWRIGHT_OT_export_splats(bpy.types.Operator, ExportHelper):
    """Write splat objects, as they stand in the scene, into a file: the selected ones, or all that are visible"""

    bl_idname = "splatwright.export_splats"
    bl_label = "Export Splats"
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    check_extension = None  # check() knows suffixes with two dots
    filter_glob: StringProperty(default=GLOB, options={"HIDDEN"})
    format: EnumProperty(
        name="Format", items=[(found.name, f"{found.label} ({found.suffix})", found.holds) for found in FORMATS], default=PLY.name,
        description="What kind of file is written",
    )
    axes: EnumProperty(name="Axes", items=AXES, default="SUPERSPLAT", description="Orientation of the file")
    use_selection: BoolProperty(
        name="Selected Only", options={"SKIP_SAVE"},
        description="Leave out what is not selected. Scripts that do not set it export the selection, or everything without one",
    )
    each: BoolProperty(name="One File Each", description="Write every object into a file of its own, named after the file and the object")

    @property
    def filename_ext(self) -> str:
        """What the name ends in."""
        return _chosen(self.format).suffix

    @classmethod
    def poll(cls, context: Context) -> bool:
        if any(may_show_splats(found) for found in context.visible_objects):
            return True
        cls.poll_message_set("There is no visible splat object")
        return False

    def invoke(self, context: Context, event: bpy.types.Event) -> set[Any]:
        """The file browser, which proposes the selection where there is one."""
        if not self.properties.is_property_set("use_selection"):
            self.use_selection = bool(selected_to_export(context))
        return untyped(ExportHelper).invoke(self, context, event)

    def check(self, context: Context) -> bool:
        """Let the name follow the format."""
        named = named_for(self.filepath, _chosen(self.format))
        changed = named != self.filepath
        self.filepath = named
        return changed

    @reports_user_errors
    def execute(self, context: Context) -> set[str]:
        linked_files.refresh()  # what is still being read would be left out
        path, targets = Path(bpy.path.abspath(self.filepath)), self._targets(context)
        chosen = _fitting(path, _chosen(self.format))
        written = export_each(targets, path, self.axes, chosen) if self.each else {path: export_splats(targets, path, self.axes, chosen)}
        for sentence in (*linked_files.missing_sentences(targets), *after_export(written, self.axes)):
            self.report({"WARNING"}, sentence)
        for target in dict.fromkeys(found for world in written.values() for found in world.unturned):
            self.report({"WARNING"}, tr("Exported as they are: {sentence}", sentence=unturned_sentence(target)))
        for file, world in written.items():
            self._report(file, world, chosen)
        return {"FINISHED"}

    def _targets(self, context: Context) -> list[bpy.types.Object]:
        selected = selected_to_export(context)
        chosen = self.use_selection if self.properties.is_property_set("use_selection") else bool(selected)
        if chosen and not selected:
            raise UserError("No splat object is selected.", "Select the splat objects to export, or switch Selected Only off.",
                            "export.nothing_selected")
        return selected if chosen else visible_to_export(context)

    def _report(self, file: Path, world: WorldGaussians, chosen: Format) -> None:
        if world.dropped:
            self.report({"WARNING"}, tr("{dropped:,} splats without a valid position or size were left out", dropped=world.dropped))
        for sentence in (*lost_in(chosen, world.gaussians, world.extra_names), *axes_lost(chosen, self.axes)):
            self.report({"WARNING"}, sentence)
        if world.offset != NO_OFFSET:
            self.report({"WARNING"}, tr("The scene's origin in the survey ({offset}) was kept apart: {file} holds it in "
                                        "the file's axes", offset=", ".join(offset_words(world.offset).split()),
                                        file=offset_file(file).name))
        self.report({"INFO"}, tr("Exported {count:,} splats to {file}", count=len(world.gaussians), file=file.name))


def named_for(path: str, chosen: Format) -> str:
    """The path with the format's suffix, in place of the suffix of another format."""
    old = max((len(suffix) for suffix in SUFFIXES if path.lower().endswith(suffix)), default=0)
    return path[: len(path) - old] + chosen.suffix


def _fitting(path: Path, chosen: Format) -> Format:
    """The chosen format where the name allows it, else the one that the name asks for, as scripts expect."""
    named = format_of(path)
    return chosen if chosen.suffix == named.suffix else named


def _chosen(name: str) -> Format:
    return format_named(name) or PLY


def _export_entry(menu: bpy.types.Menu, context: Context) -> None:
    layout_of(menu).operator(SPLATWRIGHT_OT_export_splats.bl_idname, text=LABEL)


register, unregister = register_with_menus(
    (SPLATWRIGHT_OT_export_splats,),
    {"TOPBAR_MT_file_export": _export_entry})
