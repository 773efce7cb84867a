"""Redrawing of panels and viewports after changes that Blender does not know of."""

from __future__ import annotations

import bpy

from ..typed import current_context, untyped

REGIONS = {"VIEW_3D": "UI", "PREFERENCES": "WINDOW"}


def redraw_sidebars() -> None:
    """Draw the panels anew; the viewport draws by itself when splats change."""
    for window in current_context().window_manager.windows:
        for area in window.screen.areas:
            for region in area.regions:
                if region.type == REGIONS.get(area.type):
                    region.tag_redraw()


def redraw_viewports() -> None:
    """Let Blender draw every viewport anew."""
    for window in current_context().window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def redraw_status_bars() -> None:
    """Draw the status bars anew. They are no areas of a screen: they follow the name of the view layer, which is told to have changed."""
    untyped(bpy).msgbus.publish_rna(key=(bpy.types.ViewLayer, "name"))


def show_vertex_colors(shown: bool) -> None:
    """Let solid view draw the meshes' active colours, or their materials again."""
    for window in current_context().window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                shading = untyped(area.spaces.active).shading
                shading.type = "SOLID" if shown else shading.type
                shading.color_type = "VERTEX" if shown else "MATERIAL"
