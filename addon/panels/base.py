"""What all panels share."""

from __future__ import annotations

import bpy

from ..engines.status import EngineState, want_status
from ..jobs.job_status import WatchedJob
from ..translations import sentence
from ..typed import Context, layout_of, untyped
from ..ui.text import draw_sentence

BUTTON_HEIGHT = 1.4
STATUS_ICONS = {
    EngineState.UNKNOWN: "SORTTIME",
    EngineState.CHECKING: "SORTTIME",
    EngineState.READY: "CHECKMARK",
    EngineState.BROKEN: "ERROR",
}


class SidebarPanel:
    """What all panels of the tab share."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Splats"

    guide_page = ""
    """what the question mark in the header opens; without one there is none"""

    def draw_header_preset(self, context: Context) -> None:
        """The question mark."""
        if self.guide_page:
            layout_of(untyped(self)).operator("splatwright.open_guide", text="", icon="QUESTION", emboss=False).page = self.guide_page


def draw_alarm(layout: bpy.types.UILayout, job: WatchedJob) -> None:
    """That the machine of a remote engine goes on costing money."""
    if job.alarm:
        draw_sentence(layout, sentence("", job.alarm, ()), "ERROR", alert=True)


def draw_status(layout: bpy.types.UILayout) -> None:
    """What is known about the engine, and a button to ask again."""
    status = want_status()
    broken = status.state is EngineState.BROKEN
    row = layout.row()
    draw_sentence(row, f"{status.message} {status.hint}" if broken else status.message, STATUS_ICONS[status.state], alert=broken)
    row.operator("splatwright.check_engine", text="", icon="FILE_REFRESH", emboss=False)
