"""Selecting splat objects in the viewport by the splats that it shows, where Blender sees no more than points and bounds.

Each operator stands before one of Blender's own (`select_keys`). A click on splats is taken; every other click goes on to Blender. Box,
lasso and circle are Blender's in any case: an operator follows the gesture and then adds the splat objects that lie in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar

import bpy
import numpy as np
from bpy.props import BoolProperty

from .. import viewport
from ..typed import Context, OperatorMixin, classes_factory, current_context, operators, untyped
from ..viewport.picking import REACH, Area, Picked, circle_mask, lasso_area, lasso_mask
from .select_rendered import owner_at

TICK = 1 / 60
"""Seconds between looks at a gesture while the mouse rests."""


def is_shown(context: Context) -> bool:
    """Whether a click can meet splats: in Object Mode, in a viewport, where Blender has no splats of its own."""
    return (viewport.running is not None and context.mode == "OBJECT" and context.region is not None and context.region.type == "WINDOW"
            and context.space_data is not None and context.space_data.type == "VIEW_3D")


def picked(context: Context, area: Area) -> Picked | None:
    """What of the splats is seen in a part of the region, whoever draws them."""
    if viewport.running is None:
        return None
    if (seen := viewport.running.picked(context, area)) is not None:
        return seen
    rendered = viewport.running.footprints(context, area)
    return rendered.picked if rendered is not None else None


def objects_of(context: Context, owners: Iterable[int]) -> list[bpy.types.Object]:
    """The objects of these session_uids that the viewport lets be selected. Of an object just removed Blender's list still holds a None."""
    wanted, space = set(owners), context.space_data
    found = [item for item in context.view_layer.objects if item is not None and item.session_uid in wanted] if wanted else []
    return [item for item in found if getattr(space, f"show_object_select_{item.type.lower()}", True)]


class SPLATWRIGHT_OT_select(bpy.types.Operator):
    """Select the splat object whose splats are under the mouse; elsewhere Blender selects"""

    bl_idname = "splatwright.select"
    bl_label = "Select Splats"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    extend: BoolProperty(name="Extend", options={"SKIP_SAVE"})
    deselect: BoolProperty(name="Deselect", options={"SKIP_SAVE"})
    toggle: BoolProperty(name="Toggle Selection", options={"SKIP_SAVE"})
    select_passthrough: BoolProperty(name="Only Select Unselected", options={"SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Context) -> bool:
        return is_shown(context)

    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        """After a press a drag may follow, for which Blender waits only while the press counts as not handled: so it ends with the next."""
        found = splats_at(context, event.mouse_region_x, event.mouse_region_y)
        if found is None:
            return {"PASS_THROUGH"}
        mode = "ADD" if self.extend else "SUB" if self.deselect else "XOR" if self.toggle else "SET"
        if select_object(context, found, mode, self.select_passthrough):
            operators().ed.undo_push(message="Select")
        if event.value != "PRESS":
            return {"FINISHED"}
        context.window_manager.modal_handler_add(self)
        return {"RUNNING_MODAL", "PASS_THROUGH"}

    def modal(self, context: Context, event: bpy.types.Event) -> set[str]:
        return {"CANCELLED", "PASS_THROUGH"}


def splats_at(context: Context, x: int, y: int) -> bpy.types.Object | None:
    """The object whose splats are in front at a pixel of the region."""
    seen = viewport.running.picked(context, Area.around(x, y, REACH)) if viewport.running is not None else None
    owner = seen.at(x, y) if seen is not None else owner_at(context, x, y)
    return next(iter(objects_of(context, [owner])), None) if owner is not None else None


def select_object(context: Context, found: bpy.types.Object, mode: str, only_unselected: bool) -> bool:
    """As Blender's click does: select, deselect or toggle one object and make it active; whether anything changed."""
    active, selected = context.view_layer.objects.active, list(context.selected_objects)
    if mode == "SET" and only_unselected and found in selected:
        return False
    if mode == "SET":
        for other in selected:
            other.select_set(False)
    found.select_set(mode != "SUB" and not (mode == "XOR" and found in selected and found == active))
    context.view_layer.objects.active = found
    return active != found or set(context.selected_objects) != set(selected)


def selected_after(mode: str, before: bool) -> bool:
    """Whether an object inside a gesture is selected after it."""
    return {"SET": True, "ADD": True, "SUB": False, "XOR": not before, "AND": before}[mode]


@dataclass
class Stroke:
    """A gesture of Blender's that is followed."""

    window: bpy.types.Window
    area: bpy.types.Area
    region: bpy.types.Region
    selected: set[int]  # session_uids before it
    waits: bool  # whether it waits for a press to begin
    last_operator: int  # address of the newest that Blender remembers
    path: list[tuple[float, float]]  # pixels of the region
    mode: str = "SET"
    confirmed: bool = False
    values: dict[str, int] = field(default_factory=dict)

    def note(self, event: bpy.types.Event) -> None:
        """Follow the mouse; learn how it ends."""
        if event.type == "MOUSEMOVE":
            self.path.append((event.mouse_region_x, event.mouse_region_y))
        elif event.type == "ESC" or event.type.endswith("MOUSE"):
            self.confirmed = event.value == "RELEASE"
            if self.waits and self.confirmed:
                self.mode = "SUB" if event.type == "MIDDLEMOUSE" or event.shift else "ADD"

    def read(self, running: Any, names: tuple[str, ...]) -> bool:
        """Take what Blender's operator has written down so far; whether that is new."""
        if not self.waits or "radius" in names:
            self.mode = running.mode
        before = self.values
        self.values = {name: getattr(running, name) for name in names if running.is_property_set(name)}
        return self.values != before


class FollowsGesture(OperatorMixin):
    """Mixed into operators that pass their event on to one of Blender's gestures and add the splats in it when it has ended.

    `followed` is Blender's operator, `names` its properties that tell where the gesture is.
    """

    followed: ClassVar[str]
    names: ClassVar[tuple[str, ...]] = ()
    following: ClassVar[Stroke | None] = None
    follow: BoolProperty(options={"HIDDEN", "SKIP_SAVE"})

    @classmethod
    def poll(cls, context: Context) -> bool:
        return is_shown(context)

    def invoke(self, context: Context, event: bpy.types.Event) -> set[str]:
        if not self.follow:
            if viewport.running is not None and viewport.running.has_splats(context):
                type(self).following = begun(context, event)
                bpy.app.timers.register(partial(_follow, type(self)), first_interval=0.0)
            return {"PASS_THROUGH"}
        if self.following is None:
            return {"CANCELLED"}
        self._stroke, type(self).following = self.following, None
        self._timer = context.window_manager.event_timer_add(TICK, window=context.window)
        context.window_manager.modal_handler_add(self)
        self._look(context)
        return {"RUNNING_MODAL"}

    def modal(self, context: Context, event: bpy.types.Event) -> set[str]:
        """Everything goes on to Blender's operator, which has ended when it is not there any more."""
        if running_operator(context.window, self.followed) is None:
            return self._finish(context)
        self._stroke.note(event)
        self._look(context)
        return {"PASS_THROUGH"}

    def cancel(self, context: Context) -> None:
        """Remove the timer."""
        context.window_manager.event_timer_remove(self._timer)

    def inside(self, stroke: Stroke) -> tuple[Area, Callable[[Area], np.ndarray]] | None:
        """The area of the gesture, and what gives its mask of any part."""
        raise NotImplementedError

    def _look(self, context: Context) -> None:
        running = running_operator(context.window, self.followed)
        if running is not None and self._stroke.read(running.properties, self.names):
            self.moved(context)

    def moved(self, context: Context) -> None:
        """Blender's operator has done something on its way."""

    def _finish(self, context: Context) -> set[str]:
        """Blender has made an undo step where its operator changed anything: this one takes its place, else it is new."""
        self.cancel(context)
        done = newest_operator(context, self.followed, self._stroke.last_operator)
        if done is not None:
            self._stroke.waits = False
            self._stroke.read(done.properties, self.names)
            self._stroke.path = [tuple(point.loc) for point in getattr(done.properties, "path", ())] or self._stroke.path
        elif not self._stroke.confirmed:
            return {"CANCELLED", "PASS_THROUGH"}
        if not self.apply(context):
            return {"CANCELLED", "PASS_THROUGH"}
        if done is not None:
            return {"FINISHED", "PASS_THROUGH"}
        operators().ed.undo_push(message=self.bl_undo_group)
        return {"CANCELLED", "PASS_THROUGH"}

    def apply(self, context: Context) -> bool:
        """Select what is inside; whether that changed anything."""
        where = self.inside(self._stroke)
        seen = picked(context, where[0]) if where is not None else None
        if where is None or seen is None:
            return False
        changed = False
        for found in objects_of(context, seen.within(where[1](seen.area))):
            wanted = selected_after(self._stroke.mode, found.session_uid in self._stroke.selected)
            if found.select_get() != wanted:
                found.select_set(wanted)
                changed = True
        return changed


def begun(context: Context, event: bpy.types.Event) -> Stroke:
    """A gesture that begins with this event."""
    area, region = untyped(context.area), untyped(context.region)
    dragged = event.value == "CLICK_DRAG"
    start = (event.mouse_prev_press_x - region.x, event.mouse_prev_press_y - region.y) if dragged else (
        event.mouse_region_x, event.mouse_region_y)
    waits = not (event.type.endswith("MOUSE") and event.value in ("PRESS", "CLICK_DRAG"))
    last = context.window_manager.operators
    return Stroke(context.window, area, region, {item.session_uid for item in context.selected_objects}, waits,
                  last[-1].as_pointer() if last else 0, [start])


def running_operator(window: bpy.types.Window, name: str) -> Any:
    """Blender's modal operator of this name; None when there is none."""
    return next((found for found in untyped(window).modal_operators if found.bl_idname == name), None)


def newest_operator(context: Context, name: str, before: int) -> Any:
    """The operator that Blender remembers since `before`; None where it was cancelled, or changed nothing."""
    done = context.window_manager.operators
    return done[-1] if done and done[-1].bl_idname == name and done[-1].as_pointer() != before else None


def _follow(kind: Any) -> None:
    """A timer: by now Blender's operator has begun, so that the following one gets events before it."""
    stroke = kind.following
    if stroke is not None:
        with untyped(current_context()).temp_override(window=stroke.window, area=stroke.area, region=stroke.region):
            getattr(operators().splatwright, kind.bl_idname.removeprefix("splatwright."))("INVOKE_DEFAULT", follow=True)


class SPLATWRIGHT_OT_select_box(FollowsGesture, bpy.types.Operator):
    """Box select that takes splat objects by the splats in the box"""

    bl_idname = "splatwright.select_box"
    bl_label = "Box Select Splats"
    bl_options: ClassVar[set[str]] = {"INTERNAL", "UNDO_GROUPED"}
    bl_undo_group = "Box Select"
    followed = "VIEW3D_OT_select_box"
    names = ("xmin", "xmax", "ymin", "ymax")

    def inside(self, stroke: Stroke) -> tuple[Area, Callable[[Area], np.ndarray]] | None:
        if len(stroke.values) < len(self.names):
            return None
        left, right, low, high = (stroke.values[name] for name in self.names)
        return Area(left, low, right - left, high - low), lambda area: np.ones((area.height, area.width), bool)


class SPLATWRIGHT_OT_select_lasso(FollowsGesture, bpy.types.Operator):
    """Lasso select that takes splat objects by the splats in the lasso"""

    bl_idname = "splatwright.select_lasso"
    bl_label = "Lasso Select Splats"
    bl_options: ClassVar[set[str]] = {"INTERNAL", "UNDO_GROUPED"}
    bl_undo_group = "Lasso Select"
    followed = "VIEW3D_OT_select_lasso"

    def inside(self, stroke: Stroke) -> tuple[Area, Callable[[Area], np.ndarray]] | None:
        return (lasso_area(stroke.path), lambda area: lasso_mask(area, stroke.path)) if len(stroke.path) > 2 else None


class SPLATWRIGHT_OT_select_circle(FollowsGesture, bpy.types.Operator):
    """Circle select that takes splat objects by the splats under the circle"""

    bl_idname = "splatwright.select_circle"
    bl_label = "Circle Select Splats"
    bl_options: ClassVar[set[str]] = {"INTERNAL", "UNDO_GROUPED"}
    bl_undo_group = "Circle Select"
    followed = "VIEW3D_OT_select_circle"
    names = ("x", "y", "radius")

    def moved(self, context: Context) -> None:
        """Blender's operator has selected under the circle already, and makes its undo step at the end."""
        self.apply(context)

    def inside(self, stroke: Stroke) -> tuple[Area, Callable[[Area], np.ndarray]] | None:
        if len(stroke.values) < len(self.names):
            return None
        x, y, radius = (stroke.values[name] for name in self.names)
        return Area.around(x, y, radius), lambda area: circle_mask(area, x, y, radius)


register, unregister = classes_factory((SPLATWRIGHT_OT_select, SPLATWRIGHT_OT_select_box, SPLATWRIGHT_OT_select_lasso,
                                        SPLATWRIGHT_OT_select_circle))
