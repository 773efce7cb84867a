"""Panels do not draw themselves anew when something outside of Blender changes: whoever learns of it calls this."""

from __future__ import annotations

import bpy

REGIONS = {"VIEW_3D": "UI", "PREFERENCES": "WINDOW"}


def redraw_sidebars() -> None:
    """Draw the panels anew; the viewport draws by itself when splats change."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if region.type == REGIONS.get(area.type):
                    region.tag_redraw()
