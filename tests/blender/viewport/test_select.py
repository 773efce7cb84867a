"""Clicks and gestures that select splat objects, and the keys that lead to them."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.blender.conftest import module
from tests.blender.viewport.looking import space
from tests.blender.viewport.windowless import FakeManager, windowless
from tests.scenes import colored_ball
from tests.untyped import bpy


@pytest.fixture
def select(fresh_scene: bpy.types.Scene) -> ModuleType:
    if module("addon.splats.display").draws_natively():
        pytest.skip("this Blender draws splats itself, and picks them")
    for name in ("One", "Two"):
        module("addon.splats.splat_object").create_splat_object(name, colored_ball(20))
    bpy.context.collection.objects.link(bpy.data.objects.new("Empty", None))
    bpy.context.view_layer.update()
    choose()
    return module("addon.operators.select")


def choose(*names: str) -> None:
    for item in bpy.context.view_layer.objects:
        item.select_set(item.name in names)
    bpy.context.view_layer.objects.active = bpy.data.objects[names[-1]] if names else None


def state() -> tuple[set[str], str]:
    active = bpy.context.view_layer.objects.active
    return {item.name for item in bpy.context.view_layer.objects if item.select_get()}, active.name if active else ""


@pytest.mark.parametrize(("before", "mode", "after", "active"), [
    ((), "SET", {"One"}, "One"),
    (("Two", "Empty"), "SET", {"One"}, "One"),
    (("Two",), "ADD", {"One", "Two"}, "One"),
    (("One", "Two"), "SUB", {"Two"}, "One"),
    (("Two",), "XOR", {"One", "Two"}, "One"),
    (("One", "Two"), "XOR", {"One", "Two"}, "One"),  # made active first, as Blender does
    (("Two", "One"), "XOR", {"Two"}, "One"),
])
def test_a_click_selects_as_blenders(select: ModuleType, before: tuple[str, ...], mode: str, after: set[str], active: str) -> None:
    choose(*before)
    assert select.select_object(bpy.context, bpy.data.objects["One"], mode, False)
    assert state() == (after, active)


def test_a_press_that_may_become_a_drag_keeps_what_is_selected(select: ModuleType) -> None:
    choose("Two", "One")
    assert not select.select_object(bpy.context, bpy.data.objects["Two"], "SET", True)
    assert state() == ({"One", "Two"}, "One")
    choose("One")
    assert select.select_object(bpy.context, bpy.data.objects["Two"], "SET", True) and state() == ({"Two"}, "Two")
    assert not select.select_object(bpy.context, bpy.data.objects["Two"], "SET", False), "nothing to undo"


def test_what_a_viewport_does_not_let_be_selected(select: ModuleType) -> None:
    context = SimpleNamespace(view_layer=bpy.context.view_layer, space_data=space())
    one, empty = (bpy.data.objects[name] for name in ("One", "Empty"))
    wanted = [one.session_uid, empty.session_uid, 1_234_567]
    assert set(select.objects_of(context, wanted)) == {one, empty}
    space().show_object_select_pointcloud = False
    assert select.objects_of(context, wanted) == [empty]
    space().show_object_select_pointcloud = True
    bpy.data.objects.remove(one)
    assert select.objects_of(context, wanted) == [empty]


class Properties(SimpleNamespace):
    """What Blender's operator has written down."""

    def is_property_set(self, name: str) -> bool:
        return hasattr(self, name)


class Following:
    """A gesture that is followed without a window: what people do, what Blender's operator does, and the operator under test."""

    def __init__(self, select: ModuleType, kind: str, event: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, **properties: Any):
        self.kind = getattr(select, f"SPLATWRIGHT_OT_select_{kind}")
        self.blenders = SimpleNamespace(bl_idname=self.kind.followed, properties=Properties(**{"mode": "SET"} | properties),
                                        as_pointer=lambda: 77)
        self.window, self.manager = SimpleNamespace(modal_operators=[self.blenders]), FakeManager()
        region = SimpleNamespace(x=0, y=0)
        self.context: Any = SimpleNamespace(
            window=self.window, window_manager=self.manager, area=None, region=region, space_data=space(),
            view_layer=bpy.context.view_layer, selected_objects=list(bpy.context.selected_objects))
        self.pushed: list[str] = []
        monkeypatch.setattr(select, "operators",
                            lambda: SimpleNamespace(ed=SimpleNamespace(undo_push=lambda message: self.pushed.append(message))))
        monkeypatch.setattr(select, "picked", self.picked)
        self.running = windowless(self.kind)()
        for name in ("followed", "names", "bl_undo_group"):
            setattr(type(self.running), name, getattr(self.kind, name))
        self.running.follow = True
        type(self.running).following = select.begun(self.context, event)
        assert self.running.invoke(self.context, event) == {"RUNNING_MODAL"} and self.manager.timers == 1

    def picked(self, context: Any, area: Any) -> Any:
        """One's splats fill the left half of 100 x 100 pixels, Two's the right."""
        clipped = area.clipped(100, 100)
        numbers = np.ones((100, 100), int)
        numbers[:, 50:] = 2
        owners = tuple(bpy.data.objects[name].session_uid for name in ("One", "Two"))
        part = numbers[clipped.y : clipped.y + clipped.height, clipped.x : clipped.x + clipped.width]
        return module("addon.viewport.picking").Picked(owners, clipped, part)

    def event(self, kind: str, value: str = "NOTHING", place: tuple[int, int] = (0, 0), shift: bool = False) -> set[str]:
        return self.running.modal(self.context, moment(kind, value, place, shift))

    def end(self, changed: bool) -> set[str]:
        """Blender's operator has ended, and is remembered where it changed anything."""
        self.window.modal_operators = []
        self.manager.operators = [self.blenders] if changed else []
        result = self.event("TIMER")
        assert self.manager.timers == 0
        return result


def moment(kind: str, value: str = "NOTHING", place: tuple[int, int] = (0, 0), shift: bool = False) -> SimpleNamespace:
    return SimpleNamespace(type=kind, value=value, mouse_region_x=place[0], mouse_region_y=place[1], mouse_prev_press_x=place[0],
                           mouse_prev_press_y=place[1], shift=shift)


DRAG, KEY = moment("LEFTMOUSE", "CLICK_DRAG", (10, 10)), moment("B", "PRESS")
LEFT = {"xmin": 10, "xmax": 30, "ymin": 10, "ymax": 40}


@pytest.mark.parametrize(("mode", "before", "after"), [
    ("SET", ("Two",), {"One", "Two"}), ("ADD", ("Two",), {"One", "Two"}), ("SUB", ("One", "Two"), {"Two"}), ("XOR", ("One",), set()),
    ("AND", ("One",), {"One"})])
def test_a_box_takes_the_splats_in_it(select: ModuleType, monkeypatch: pytest.MonkeyPatch, mode: str, before: tuple[str, ...],
                                      after: set[str]) -> None:
    """Blender's operator itself finds nothing here, so that Two, which lies outside, stays."""
    choose(*before)
    gesture = Following(select, "box", DRAG, monkeypatch, mode=mode, **LEFT)
    assert gesture.event("MOUSEMOVE") == {"PASS_THROUGH"}
    gesture.event("LEFTMOUSE", "RELEASE")
    gesture.end(changed=False)
    assert state()[0] == after and gesture.pushed == (["Box Select"] if after != set(before) else [])


def test_blenders_undo_step_is_replaced(select: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    gesture = Following(select, "box", DRAG, monkeypatch, **LEFT)
    gesture.event("LEFTMOUSE", "RELEASE")
    assert gesture.end(changed=True) == {"FINISHED", "PASS_THROUGH"} and not gesture.pushed
    assert "UNDO_GROUPED" in gesture.kind.bl_options and state()[0] == {"One"}
    for name in ("box", "lasso", "circle"):
        kind = getattr(select, f"SPLATWRIGHT_OT_select_{name}")
        assert kind.bl_undo_group == getattr(bpy.ops.view3d, f"select_{name}").get_rna_type().name, "or Blender keeps both steps"


@pytest.mark.parametrize(("button", "shift", "after"), [("LEFTMOUSE", False, {"One", "Two"}), ("MIDDLEMOUSE", False, {"Two"}),
                                                        ("LEFTMOUSE", True, {"Two"})])
def test_the_box_key_adds_or_takes_away(select: ModuleType, monkeypatch: pytest.MonkeyPatch, button: str, shift: bool,
                                        after: set[str]) -> None:
    choose("Two") if after == {"One", "Two"} else choose("One", "Two")
    gesture = Following(select, "box", KEY, monkeypatch, **LEFT)
    gesture.event(button, "RELEASE", shift=shift)
    gesture.end(changed=False)
    assert state()[0] == after


@pytest.mark.parametrize("key", ["ESC", "RIGHTMOUSE"])
def test_a_cancelled_gesture_selects_nothing(select: ModuleType, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    gesture = Following(select, "box", DRAG, monkeypatch, **LEFT)
    gesture.event(key, "PRESS")
    gesture.end(changed=False)
    assert state()[0] == set() and not gesture.pushed


def test_a_lasso_follows_the_mouse(select: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    gesture = Following(select, "lasso", moment("LEFTMOUSE", "CLICK_DRAG", (60, 10)), monkeypatch)
    for place in ((90, 10), (90, 40), (60, 40)):
        gesture.event("MOUSEMOVE", place=place)
    gesture.event("LEFTMOUSE", "RELEASE")
    gesture.end(changed=False)
    assert state()[0] == {"Two"}


def test_a_circle_selects_on_its_way(select: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blender's undo step comes at its end, with all of it."""
    gesture = Following(select, "circle", moment("LEFTMOUSE", "PRESS", (20, 50)), monkeypatch, x=20, y=50, radius=8)
    assert state()[0] == {"One"}
    gesture.blenders.properties.x = 80
    gesture.event("MOUSEMOVE")
    assert state()[0] == {"One", "Two"}
    gesture.blenders.properties.mode = "SUB"
    gesture.blenders.properties.x = 20
    gesture.event("MOUSEMOVE")
    assert state()[0] == {"Two"}
    assert gesture.end(changed=True) == {"CANCELLED", "PASS_THROUGH"} and not gesture.pushed


@pytest.fixture
def keymaps(select: ModuleType) -> Iterator[ModuleType]:
    """Blender's usual keys, which a Blender without a window does not load by itself."""
    found = module("addon.operators.select_keys")
    use_keys(found, "Blender")
    yield found
    use_keys(found, "Blender")


def use_keys(keymaps: ModuleType, name: str) -> None:
    folder = next(path for path in bpy.utils.preset_paths("keyconfig") if "presets" in path)
    bpy.ops.preferences.keyconfig_activate(filepath=f"{folder}/{name}.py")
    if name == "Blender":
        bpy.context.window_manager.keyconfigs.active.preferences.select_mouse = "LEFT"
    refreshed(keymaps)


def refreshed(keymaps: ModuleType) -> list[Any]:
    """The keymap items that select in viewports, by keymap, in the order in which Blender asks them."""
    manager = bpy.context.window_manager
    manager.keyconfigs.update()
    keymaps.refresh()
    manager.keyconfigs.update()
    return [[item for item in found.keymap_items if item.idname.split(".")[-1].startswith("select") and "gesture" not in item.idname
             and item.idname.split(".")[0] in ("view3d", "splatwright")]
            for found in manager.keyconfigs.user.keymaps if found.space_type == "VIEW_3D"]


def check_pairs(keymaps: ModuleType, items: list[Any]) -> int:
    """Each of Blender's is preceded by one of ours with its keys; how many there are."""
    pairs = 0
    for found in items:
        for index, item in enumerate(found):
            if item.idname not in keymaps.BEFORE or not item.active or keymaps._is_blenders_alone(item):
                continue
            ours = [other for other in found[:index] if other.idname == keymaps.BEFORE[item.idname].bl_idname and other.compare(item)]
            assert ours, (item.idname, item.to_string())
            if item.idname == "view3d.select":
                wanted = [getattr(item.properties, name) for name in keymaps.CLICKS]
                assert wanted in [[getattr(other.properties, name) for name in keymaps.CLICKS] for other in ours]
            pairs += 1
    return pairs


@pytest.mark.parametrize(("name", "button"), [("Blender", "LEFT"), ("Blender", "RIGHT"), ("Industry_Compatible", "")])
def test_every_key_that_selects_asks_the_splats_first(keymaps: ModuleType, name: str, button: str) -> None:
    use_keys(keymaps, name)
    if button:
        bpy.context.window_manager.keyconfigs.active.preferences.select_mouse = button
    items = refreshed(keymaps)
    assert check_pairs(keymaps, items) >= 4
    buttons = {item.type for found in items for item in found if item.idname == "splatwright.select"}
    assert ("RIGHTMOUSE" if button == "RIGHT" else "LEFTMOUSE") in buttons
    assert not any(item.properties.enumerate or item.properties.center for found in items for item in found
                   if item.idname == "view3d.select"
                   and any(other.idname == "splatwright.select" and other.compare(item) for other in found))


def test_the_keys_go_with_the_add_on(keymaps: ModuleType) -> None:
    ours = bpy.context.window_manager.keyconfigs.addon
    assert any(item.idname.startswith("splatwright.select") for found in ours.keymaps for item in found.keymap_items)
    keymaps.unregister()
    assert not any(item.idname.startswith("splatwright.select") for found in ours.keymaps for item in found.keymap_items)
    keymaps.register()
    refreshed(keymaps)
    count = len(keymaps._items)
    keymaps.refresh()
    assert len(keymaps._items) == count > 10, "nothing is added twice"


def test_clicks_are_blenders_in_other_modes(select: ModuleType) -> None:
    area = next(area for area in bpy.context.window_manager.windows[0].screen.areas if area.type == "VIEW_3D")
    region = next(region for region in area.regions if region.type == "WINDOW")
    bpy.ops.mesh.primitive_cube_add()
    with bpy.context.temp_override(window=bpy.context.window_manager.windows[0], area=area, region=region):
        assert bpy.ops.splatwright.select.poll() and bpy.ops.splatwright.select_box.poll()
        bpy.ops.object.mode_set(mode="EDIT")
        assert not bpy.ops.splatwright.select.poll() and not bpy.ops.splatwright.select_box.poll()
        bpy.ops.object.mode_set(mode="OBJECT")
