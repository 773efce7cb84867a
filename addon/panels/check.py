"""The part of the sidebar that says what is wrong with the dataset, with the buttons that fix it."""

from __future__ import annotations

import bpy

from ...engine.core.protocol.events import Finding
from ..capture.surface_coverage import ATTRIBUTE
from ..jobs import dataset_check, estimate
from ..operators.install import SPLATWRIGHT_OT_install_engine
from ..translations import spoken, tr
from ..typed import Context, classes_factory, layout_of
from ..ui.text import draw_sentence, letters
from .base import SidebarPanel
from .estimate import draw_estimate
from .train import FINDING_ICONS

MOST_SHOWN = 12
BESIDE_LETTERS = 48
"""So wide must the sidebar be for buttons beside one another; below that they would be cut off."""


class SPLATWRIGHT_PT_check(SidebarPanel, bpy.types.Panel):
    """What is wrong with the dataset, before time is spent on it"""

    bl_label = "Check"
    guide_page = "trust"
    bl_order = 1
    bl_parent_id = "SPLATWRIGHT_PT_train"
    bl_options = {"DEFAULT_CLOSED"}

    def draw(self, context: Context) -> None:
        layout, checked = layout_of(self), dataset_check.current(context.scene)
        row = layout.row(align=True)
        row.operator("splatwright.check_dataset", icon="VIEWZOOM")
        row.operator("splatwright.show_contact_sheet", icon="IMGDISPLAY")
        if checked is not None:
            _draw_check(layout, checked, not estimate.found(context.scene))
        draw_estimate(layout, context.scene)
        column = layout.column(align=True)
        row = column.row(align=True)
        row.operator("splatwright.show_coverage", icon="SHADING_SOLID")
        if any(ATTRIBUTE in mesh.color_attributes for mesh in bpy.data.meshes):
            row.operator("splatwright.clear_coverage", text="", icon="X")
        column.operator("splatwright.suggest_cameras", icon="OUTLINER_OB_CAMERA")


def _draw_check(layout: bpy.types.UILayout, checked: dataset_check.DatasetCheck, with_needs: bool) -> None:
    """What the check has found so far, each finding with the buttons that fix it; `with_needs`: what a training takes, too."""
    if checked.running:
        draw_sentence(layout, "Looking at images, cameras and start points …", "SORTTIME")
    if checked.failure:
        draw_sentence(layout, spoken(checked.failure), "CANCEL", alert=True)
    elif not checked.findings and not checked.running:
        draw_sentence(layout, "Nothing suspicious was found.", "CHECKMARK")
    if checked.needs and with_needs:
        draw_sentence(layout, checked.needs, "TIME")
    for index, finding in enumerate(checked.findings[:MOST_SHOWN]):
        box = layout.box()
        draw_sentence(box, spoken(finding), FINDING_ICONS[finding.severity], alert=finding.severity == "error")
        _draw_fixes(box, index, finding)
    if len(checked.findings) > MOST_SHOWN:
        draw_sentence(layout, tr("and {count} more", count=len(checked.findings) - MOST_SHOWN), "BLANK1")


def _draw_fixes(layout: bpy.types.UILayout, index: int, finding: Finding) -> None:
    row = layout.row(align=True) if letters() >= BESIDE_LETTERS else layout.column(align=True)
    for fix in finding.fixes:
        match fix:
            case "exclude" if finding.images:
                row.operator("splatwright.exclude_images", icon="TRASH").finding = index
            case "include":
                row.operator("splatwright.include_images", icon="LOOP_BACK")
            case "relight":
                dark = finding.kind == "dark"
                row.operator("splatwright.relight", text="Add Light" if dark else "Dim Lights", icon="LIGHT").brighter = dark
            case "recapture":
                row.operator("splatwright.capture_dataset", text="Capture Again", icon="RENDER_STILL")
            case "convert" if SPLATWRIGHT_OT_install_engine.bl_label in finding.hint:
                row.operator("splatwright.install_engine", icon="IMPORT")
            case "cover":
                row.operator("splatwright.suggest_cameras", icon="OUTLINER_OB_CAMERA")
            case _:
                pass


register, unregister = classes_factory((SPLATWRIGHT_PT_check,))
