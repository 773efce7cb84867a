"""The list of earlier trainings, on top of the panel Train."""

from __future__ import annotations

import time

import bpy

from ..jobs import earlier
from ..jobs.earlier import EarlierTraining
from ..translations import tr
from ..typed import scene_settings

MOST_SHOWN = 6
PICTURE_SCALE = 3.0
"""Height of a thumbnail in lines."""


def draw_earlier(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    """A part of the panel that can be folded away; nothing where there was no training yet."""
    rows = earlier.rows()
    if not rows:
        return
    header, body = layout.panel("splatwright_earlier", default_closed=True)
    header.label(text="Earlier Trainings")
    if body is None:
        return
    for row in rows[:MOST_SHOWN]:
        _draw_row(body, row, row.name == scene_settings(scene).job)
    if len(rows) > MOST_SHOWN:
        body.operator("splatwright.open_earlier_training", text=tr("Search All {count}", count=len(rows)), icon="VIEWZOOM")


def _draw_row(layout: bpy.types.UILayout, row: EarlierTraining, shown: bool) -> None:
    """Picture, figures, and what can be done with one training."""
    line = layout.box().row()
    _draw_picture(line, row)
    column = line.column(align=True)
    column.label(text=row.title)
    column.label(text=figures(row))
    buttons = column.row(align=True)
    if shown:
        buttons.label(text="Shown here")
    else:
        buttons.operator("splatwright.show_training", icon="HIDE_OFF").job = row.name
    buttons.operator("splatwright.rename_training", text="", icon="GREASEPENCIL").job = row.name
    buttons.separator()
    buttons.operator("splatwright.delete_training", text="", icon="TRASH").job = row.name


def _draw_picture(layout: bpy.types.UILayout, row: EarlierTraining) -> None:
    picture = layout.column()
    icon = earlier.icon_of(row)
    if icon:
        picture.template_icon(icon_value=icon, scale=PICTURE_SCALE)
    else:
        picture.label(text="", icon="POINTCLOUD_DATA")


def figures(row: EarlierTraining) -> str:
    """When a training was begun and what it has come to, in a line that fits the sidebar."""
    began = time.strftime("%Y-%m-%d %H:%M", time.localtime(row.began))
    return f"{began}, {row.psnr:.1f} dB" if row.psnr is not None else tr("{began}, step {step:,}", began=began, step=row.steps)
