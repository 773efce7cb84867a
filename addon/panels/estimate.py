"""The part of the Check panel that says what the training will take."""

from __future__ import annotations

import bpy

from ...engine.core.protocol.estimate_text import amount, price
from ...engine.core.protocol.events import Estimated, Finding
from ...engine.core.text import rough
from ..jobs import estimate
from ..properties.automatic import draw_automatic
from ..properties.training import TrainSettings
from ..translations import spoken, tr
from ..ui.text import draw_sentence
from .train import FINDING_ICONS


def draw_estimate(layout: bpy.types.UILayout, scene: bpy.types.Scene) -> None:
    """The button, how far it is, and what was found."""
    made = estimate.current(scene)
    if made is not None and made.running:
        row = layout.row(align=True)
        row.progress(factor=made.stage.done / max(1, made.stage.total) if made.stage else 0.0, text=_stage_text(made))
        row.operator("splatwright.stop_estimate", text="", icon="CANCEL")
        return
    column = layout.column(align=True)
    column.operator("splatwright.estimate", icon="TIME")
    column.use_property_split = True
    column.use_property_decorate = False
    draw_automatic(column, scene, "train", "max_minutes")
    if made is None:
        return
    if made.failure:
        draw_sentence(layout, spoken(made.failure), "CANCEL", alert=True)
    if made.found:
        _draw_figures(layout, made.found)
    for index, finding in enumerate(made.findings):
        _draw_finding(layout, index, finding)
    if made.found and estimate.changed_links(scene, made):
        draw_sentence(layout, "The settings have changed since: estimate again.", "FILE_REFRESH")


def _stage_text(made: estimate.Estimate) -> str:
    return made.stage.name.capitalize() if made.stage else "Looking at the dataset"


def _draw_figures(layout: bpy.types.UILayout, found: Estimated) -> None:
    """How long it takes, and a bar for each kind of room."""
    spread = tr("{fastest} to {slowest}", fastest=rough(found.fastest), slowest=rough(found.slowest))
    draw_sentence(layout, tr("About {seconds} ({spread}), {gaussians:,} splats.{price}", seconds=rough(found.seconds), spread=spread,
                             gaussians=found.gaussians, price=price(found)), "TIME")
    column = layout.column(align=True)
    for name, needed, free in (("Memory", found.memory, found.free_memory), ("Graphics card", found.card, found.free_card),
                               ("Disk", found.disk, found.free_disk)):
        if needed and free:
            row = column.row()
            row.alert = needed > free
            row.progress(factor=min(1.0, needed / free), text=tr("{name}: {needed} of {free}", name=tr(name), needed=amount(needed),
                                                                 free=amount(free)))


def _draw_finding(layout: bpy.types.UILayout, index: int, finding: Finding) -> None:
    box = layout.box()
    draw_sentence(box, spoken(finding), FINDING_ICONS[finding.severity], alert=bool(finding.settings))
    if "settings" in finding.fixes:
        box.operator("splatwright.apply_settings", text=_fix_text(finding), icon="CHECKMARK").finding = index


def _fix_text(finding: Finding) -> str:
    """What the button sets, by the names that the panels show."""
    names = {name: settings.keywords["name"] for name, settings in TrainSettings.__annotations__.items()}
    return "Set " + ", ".join(tr("{names} to {value:,}", names=names[name],
                                 value=value) for name, value in estimate.changes(finding).items() if name in names)
