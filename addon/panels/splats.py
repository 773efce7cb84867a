"""The part of the sidebar about the active splat object, and files."""

from __future__ import annotations

import bpy

from ...engine.core.splats.offset import offset_words
from ..operators.load import SPLATWRIGHT_OT_load_splats
from ..properties.splats import SplatSettings
from ..splats import renders
from ..splats.from_mesh import is_mesh_of_splats
from ..splats.object_labels import counts_of, has_labels
from ..splats.splat_object import is_splat_object
from ..splats.survey import offset_of_item
from ..translations import tr
from ..typed import Context, classes_factory, current_context, cycles, layout_of, point_cloud, scene_settings, splat_settings
from ..ui.text import draw_sentence
from ..viewport import failure
from .base import SidebarPanel
from .originals import draw_originals
from .train import draw_color_button, is_native

MOST_LISTED = 12
"""Objects that the panel lists."""


class SPLATWRIGHT_PT_splats(SidebarPanel, bpy.types.Panel):
    """The active splat object, and files"""

    bl_label = "Splats"
    guide_page = "splats_in_blender"

    def draw(self, context: Context) -> None:
        layout, active = layout_of(self), context.active_object
        if active is not None and is_splat_object(active):
            _draw_splats(layout, active)
            draw_color_button(layout, context, active)
            draw_originals(layout, context.scene, active)
            _draw_objects(layout, active)
        elif is_mesh_of_splats(active):
            draw_sentence(layout, "The points of this mesh carry the properties of splats.", "INFO")
            layout.operator("splatwright.splats_from_mesh", icon="OUTLINER_OB_POINTCLOUD")
        else:
            draw_sentence(layout, "Select a splat object to see what it holds.", "INFO")
        if SPLATWRIGHT_OT_load_splats.progress is not None:
            layout.progress(factor=SPLATWRIGHT_OT_load_splats.progress, text="Importing")
        row = layout.row(align=True)
        row.operator("splatwright.import_splats", text="Import", icon="IMPORT")
        row.operator("splatwright.export_splats", text="Export", icon="EXPORT")


def _draw_splats(layout: bpy.types.UILayout, active: bpy.types.Object) -> None:
    column = layout.column(align=True)
    column.label(text=active.name, icon="OUTLINER_OB_POINTCLOUD")
    column.label(text=tr("{count:,} splats", count=len(point_cloud(active).points)), icon="BLANK1")
    column.label(text=_harmonics(active), icon="BLANK1")
    origin = splat_settings(active).job or bpy.path.basename(splat_settings(active).source)
    if origin:
        column.label(text=tr("From {origin}", origin=origin), icon="BLANK1")
    if (offset := offset_of_item(active)) is not None:
        column.label(text=tr("Survey: + {offset}", offset=", ".join(offset_words(offset).split())), icon="BLANK1")
    if splat_settings(active).source:
        _draw_link(layout, splat_settings(active))
    if splat_settings(active).axes_guessed:
        draw_sentence(layout, "The file does not name its axes. Does it stand on its head?", "INFO")
        layout.operator("splatwright.turn_over", icon="FILE_REFRESH")
    layout.use_property_split = True
    layout.use_property_decorate = False
    if not is_native(active):
        _draw_display(layout, splat_settings(active))
        _draw_render(layout, current_context().scene)
    column = layout.column(align=True)
    column.prop(splat_settings(active), "stride")
    column.prop(splat_settings(active), "most_shown")


def _draw_objects(layout: bpy.types.UILayout, active: bpy.types.Object) -> None:
    """The objects that splats show, each with its number of splats, which a click selects."""
    if not has_labels(active):
        return
    found = counts_of(active)
    column = layout.column(align=True)
    if len(found) > 1:
        column.label(text=tr("{count} objects", count=len(found)), icon="OUTLINER")
    for label, count in found[:MOST_LISTED]:
        row = column.row(align=True)
        row.label(text=label.name, icon="BLANK1", translate=False)
        row.operator("splatwright.select_by_object", text=f"{count:,}", icon="RESTRICT_SELECT_OFF").label = label.number
    if len(found) > MOST_LISTED:
        column.label(text=tr("and {count} more", count=len(found) - MOST_LISTED), icon="BLANK1")
    if len(found) > 1:
        layout.operator("splatwright.split_by_object", icon="OUTLINER_OB_GROUP_INSTANCE")


def _draw_link(layout: bpy.types.UILayout, settings: SplatSettings) -> None:
    layout.prop(settings, "linked", text="Keep in File")
    if settings.linked:
        layout.prop(settings, "source", text="")
    if settings.problem:
        draw_sentence(layout, settings.problem, "ERROR", alert=settings.linked)


def _draw_display(layout: bpy.types.UILayout, settings: SplatSettings) -> None:
    layout.prop(settings, "display", expand=True)
    if settings.display != "SPLATS":
        return
    layout.prop(settings, "viewport")
    if settings.viewport and failure():
        draw_sentence(layout, failure(), "ERROR", alert=True)


def _draw_render(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    """How many splats the rays of Cycles pass."""
    bounces = cycles(scene).transparent_max_bounces if scene.render.engine == "CYCLES" else 0
    if renders.ends_rays_early(scene):
        draw_sentence(layout, tr("Renders get dark spots: rays pass {bounces} splats at most.", bounces=bounces), "ERROR", alert=True)
        layout.operator("splatwright.prepare_cycles", icon="RENDER_STILL")
    elif renders.is_raised(scene):
        before = scene_settings(scene).bounces_before[0]
        draw_sentence(layout, tr("Transparent bounces were raised from {before} to {bounces}: fewer leave dark spots.", before=before,
                                 bounces=bounces), "INFO")
        layout.operator("splatwright.restore_bounces", icon="LOOP_BACK")


def _harmonics(active: bpy.types.Object) -> str:
    attributes = point_cloud(active).attributes
    degree = next((degree for degree, last in ((3, 14), (2, 7), (1, 2)) if f"radiance:sh_{last}" in attributes), 0)
    return tr("View dependence: {degree}", degree=degree) if degree else "View dependence: none"


register, unregister = classes_factory((SPLATWRIGHT_PT_splats,))
