"""Clicking on splats in the viewport to give an operator its places."""

from __future__ import annotations

from typing import ClassVar

import bpy
import numpy as np

from ...engine.core.errors import UserError
from ...engine.core.splats.picking import pick_splat
from ..placement import Places, selected_places, world_places
from ..translations import tr
from ..typed import Context, OperatorMixin, viewport_data
from .reporting import report_error
from .selected import selected_placeable

REACH = 8.0  # pixels


class PicksPlaces(OperatorMixin):
    """Mixed into operators whose `places` are properties that clicks fill; as many points selected in Edit Mode do as well.

    From Python the places are given; the operator then runs without clicks.
    """

    places: ClassVar[dict[str, str]] = {}
    """By property: what people call the place."""

    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        """Use the places that are there, or start to wait for clicks."""
        if all(self.properties.is_property_set(name) for name in self.places):
            return self.execute(context)
        chosen = selected_places(selected_placeable(context))
        if len(chosen) == len(self.places):
            return self._finish(context, list(chosen))
        if context.screen is None or not any(area.type == "VIEW_3D" for area in context.screen.areas):
            return report_error(self, UserError("There is no viewport to click in.", "Run this in a 3D viewport.", "picking.no_viewport"))
        return self._start(context)

    def _start(self, context: Context) -> set[str]:
        try:
            self._splats: Places = world_places(selected_placeable(context))
        except UserError as error:
            return report_error(self, error)
        self._picked: list[np.ndarray] = []
        self._ask(context)
        context.window.cursor_modal_set("EYEDROPPER")
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: bpy.types.Event) -> set[str]:
        """Take clicks; let everything else through, so that the view can be turned."""
        if event.type in ("ESC", "RIGHTMOUSE"):
            self.cancel(context)
            return {"CANCELLED"}
        region = viewport_under_mouse(context, event)
        if event.type != "LEFTMOUSE" or event.value != "PRESS" or region is None:
            return {"PASS_THROUGH"}
        found = self._under_mouse(region, event)
        if found is None:
            self.report({"WARNING"}, "There is no splat under the mouse")
            return {"RUNNING_MODAL"}
        self._picked.append(found)
        if len(self._picked) < len(self.places):
            self._ask(context)
            return {"RUNNING_MODAL"}
        self.cancel(context)
        return self._finish(context, self._picked)

    def cancel(self, context: Context) -> None:
        """Give mouse and status bar back."""
        context.window.cursor_modal_restore()
        context.workspace.status_text_set(None)

    def _finish(self, context: Context, found: list[np.ndarray]) -> set[str]:
        for name, place in zip(self.places, found, strict=True):
            setattr(self, name, place.tolist())
        return self.execute(context)

    def _ask(self, context: Context) -> None:
        wanted = list(self.places.values())[len(self._picked)]
        context.workspace.status_text_set(
            tr("{action}: click on a splat for “{wanted}” ({count} of {total})  |  Esc: Cancel", action=tr(self.bl_label),
               wanted=tr(wanted), count=len(self._picked) + 1, total=len(self.places)))

    def _under_mouse(self, region: bpy.types.Region, event: bpy.types.Event) -> np.ndarray | None:
        half = np.array([region.width, region.height]) / 2
        x, y = np.array([event.mouse_x - region.x, event.mouse_y - region.y]) / half - 1
        projection = np.array(viewport_data(region).perspective_matrix, float)
        row = pick_splat(self._splats.means, self._splats.opacities, projection, (x, y), REACH / half)
        return None if row is None else self._splats.means[row]


def viewport_under_mouse(context: Context, event: bpy.types.Event) -> bpy.types.Region | None:
    """The part of a 3D viewport below the mouse that shows the scene, not a sidebar or toolbar that lies over it."""
    for area in context.screen.areas:
        hit = [region for region in area.regions if _contains(region, event)] if area.type == "VIEW_3D" else []
        if hit and all(region.type == "WINDOW" for region in hit):
            return hit[0]
    return None


def _contains(region: bpy.types.Region, event: bpy.types.Event) -> bool:
    return 0 <= event.mouse_x - region.x < region.width > 1 and 0 <= event.mouse_y - region.y < region.height > 1
