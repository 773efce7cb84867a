"""Whose splats are seen: the numbers that the canvas keeps, against shares that a test knows."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.cameras.camera import Camera
from tests.blender.conftest import module
from tests.blender.splats.splat_samples import changed
from tests.blender.viewport.graphics import why_no_graphics, with_graphics
from tests.blender.viewport.looking import HEIGHT, WIDTH, Region, camera, look, space, wall_depth
from tests.scenes import colored_ball
from tests.untyped import bpy

ONE, TWO = 101, 102
PLACES = st.tuples(st.integers(-30, 60), st.integers(-30, 60))


def picking() -> ModuleType:
    return module("addon.viewport.picking")


def seen(numbers: np.ndarray, owners: tuple[int, ...] = (ONE, TWO, ONE)) -> Any:
    """A picture of numbers whose middle is at (10, 20)."""
    height, width = numbers.shape
    return picking().Picked(owners, picking().Area(10 - width // 2, 20 - height // 2, width, height), numbers)


def test_most_of_what_is_seen_around_the_mouse_wins() -> None:
    numbers = np.zeros((5, 5), int)
    assert seen(numbers).at(10, 20) is None
    numbers[:1] = 1
    assert seen(numbers).at(10, 20) is None, "too faint"
    numbers[:2] = 1
    assert seen(numbers).at(10, 20) == ONE
    numbers[2:4], numbers[4, :2] = 2, 2
    assert seen(numbers).at(10, 20) == TWO
    numbers[4, :3] = 3
    assert seen(numbers).at(10, 20) == ONE, "placements of one object count together"


def test_what_blender_drew_before_the_splats_wins() -> None:
    numbers = np.ones((5, 5), int)
    numbers[0] = picking().HIDDEN
    assert seen(numbers).at(10, 20) == ONE, "beside the mouse"
    numbers[:, 2] = picking().HIDDEN
    assert seen(numbers).at(10, 20) is None, "a wire"


def test_a_few_pixels_are_no_object() -> None:
    numbers = np.zeros((5, 5), int)
    numbers[0, :3], numbers[1:3] = 1, 2
    everywhere = np.ones((5, 5), bool)
    assert seen(numbers).within(everywhere) == {TWO}
    assert seen(numbers).within(~everywhere) == set()


@given(PLACES, st.integers(0, 60), st.integers(0, 60))
def test_areas_are_clipped_to_their_region(place: tuple[int, int], width: int, height: int) -> None:
    area = picking().Area(*place, width, height)
    clipped = area.clipped(40, 30)
    left, low = place
    inside = [(x, y) for x in range(max(0, left), min(40, left + width)) for y in range(max(0, low), min(30, low + height))]
    assert clipped.width * clipped.height == len(inside)
    assert not inside or (clipped.x, clipped.y) == inside[0]


@given(st.lists(PLACES, min_size=3, max_size=8))
def test_a_lasso_holds_what_the_even_odd_rule_says(path: list[tuple[int, int]]) -> None:
    area = picking().Area(-5, -5, 40, 40)
    points = [(x + 0.25, y + 0.25) for x, y in path]  # no pixel lies on a line's end
    mask = picking().lasso_mask(area, points)
    for row in range(0, 40, 7):
        for column in range(0, 40, 7):
            x, y = column - 5, row - 5
            crossings, near = 0, False
            for (x1, y1), (x2, y2) in zip(points, [*points[1:], points[0]], strict=True):
                if (y1 > y) != (y2 > y):
                    at = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
                    near |= abs(at - x) < 1e-6
                    crossings += at < x
            assert near or mask[row, column] == bool(crossings % 2)


@given(st.lists(PLACES, min_size=3, max_size=8))
def test_the_area_of_a_lasso_holds_all_of_it(path: list[tuple[int, int]]) -> None:
    area = picking().lasso_area(path)
    larger = picking().Area(area.x - 3, area.y - 3, area.width + 6, area.height + 6)
    assert picking().lasso_mask(larger, path).sum() == picking().lasso_mask(area, path).sum()


def test_a_circle() -> None:
    area = picking().Area.around(50, 40, 10)
    assert (area.x, area.y, area.width, area.height) == (40, 30, 21, 21)
    mask = picking().circle_mask(area, 50, 40, 10)
    assert mask[10, 0] and mask[0, 10] and not mask[0, 0] and abs(mask.sum() - np.pi * 100) < 10


@pytest.fixture
def drawing(fresh_scene: bpy.types.Scene) -> ModuleType:
    if module("addon.splats.display").draws_natively():
        pytest.skip("this Blender draws splats itself")
    if why_no_graphics():
        pytest.skip(why_no_graphics())
    return module("addon.viewport")


def picture(view: Camera, wall: float = 1.0) -> Any:
    """What is picked over a viewport that shows the scene."""
    look(view, wall=wall)
    context = SimpleNamespace(region=Region(), scene=bpy.context.scene, space_data=space())
    running = module("addon.viewport").running
    return with_graphics(lambda: running.picked(context, picking().Area(0, 0, WIDTH, HEIGHT)))


def blob(opacity: float, place: tuple[float, float, float], name: str) -> bpy.types.Object:
    """One large splat that is about as opaque everywhere near its middle."""
    made = changed(colored_ball(1), means=np.array([place], np.float32), scales=np.full((1, 3), 1.0, np.float32),
                   opacities=np.array([np.log(opacity / (1 - opacity))], np.float32))
    return module("addon.splats.splat_object").create_splat_object(name, made)


def share(found: Any, owner: bpy.types.Object) -> float:
    """Share of the pixels in the middle in which an object is seen."""
    middle = np.zeros((HEIGHT, WIDTH), bool)
    middle[50:70, 70:90] = True
    return found._counts(middle).get(owner.session_uid, 0) / 400


def test_each_object_has_the_share_that_is_seen_of_it(drawing: ModuleType) -> None:
    view = camera((5, 0, 0))
    front, back = blob(0.6, (1, 0, 0), "Front"), blob(0.9, (-1, 0, 0), "Back")
    found = picture(view)
    assert abs(share(found, front) - 0.6) < 0.06 and abs(share(found, back) - 0.4 * 0.9) < 0.06
    assert found.at(80, 60) == front.session_uid


def test_faint_splats_add_up(drawing: ModuleType) -> None:
    many = changed(colored_ball(60), means=np.random.default_rng(5).normal(0, 0.1, (60, 3)).astype(np.float32),
                   scales=np.full((60, 3), 1.0, np.float32), opacities=np.full(60, np.log(0.05 / 0.95), np.float32))
    made = module("addon.splats.splat_object").create_splat_object("Haze", many)
    found = picture(camera((5, 0, 0)))
    assert abs(share(found, made) - (1 - 0.95**60)) < 0.06 and found.at(80, 60) == made.session_uid


def test_walls_hide_splats_from_clicks(drawing: ModuleType) -> None:
    made, view = blob(0.99, (0, 0, 0), "Splat"), camera((5, 0, 0))
    assert picture(view, wall_depth(6)).at(80, 60) == made.session_uid
    assert picture(view, wall_depth(3)).at(80, 60) is None


def test_clicks_go_through_what_cannot_be_selected(drawing: ModuleType) -> None:
    front, back = blob(0.99, (1, 0, 0), "Front"), blob(0.99, (-1, 0, 0), "Back")
    assert picture(camera((5, 0, 0))).at(80, 60) == front.session_uid
    front.hide_select = True
    assert picture(camera((5, 0, 0))).at(80, 60) == back.session_uid
    group = bpy.data.collections.new("Group")
    bpy.context.scene.collection.children.link(group)
    group.objects.link(front)
    for other in set(front.users_collection) - {group}:
        other.objects.unlink(front)
    front.hide_select, group.hide_select = False, True
    assert picture(camera((5, 0, 0))).at(80, 60) == back.session_uid


@pytest.mark.parametrize("hide", [
    lambda made: setattr(space(), "show_object_viewport_pointcloud", False),
    lambda made: setattr(space().shading, "type", "MATERIAL"),
    lambda made: made.hide_set(True),
    lambda made: setattr(made.splatwright, "viewport", False),
], ids=["no-point-clouds", "eevee", "hidden", "off"])
def test_nothing_is_picked_where_nothing_is_drawn(drawing: ModuleType, hide: Any) -> None:
    made = blob(0.99, (0, 0, 0), "Splat")
    assert picture(camera((5, 0, 0))) is not None
    hide(made)
    found = picture(camera((5, 0, 0)))
    assert found is None or found.at(80, 60) is None


def test_outlines_of_overlapping_objects(drawing: ModuleType) -> None:
    """The active object's goes all around it where it stands before another selected one; a hidden one is paler."""
    view, overlay = camera((5, 0, 0)), space().overlay
    small = changed(colored_ball(1), means=np.array([[1, 0, 0]], np.float32), scales=np.full((1, 3), -2.0, np.float32),
                    opacities=np.array([30], np.float32))
    front = module("addon.splats.splat_object").create_splat_object("Front", small)
    back = blob(0.999, (-2, 0, 0), "Back")
    overlay.show_overlays = True
    theme = bpy.context.preferences.themes[0].view_3d

    def lines(color: Any, wall: float = 1.0) -> int:
        straight = look(view, wall=wall)
        return int((np.abs(straight[..., :3] - np.array(color)).max(axis=2) < 0.02).sum())

    front.select_set(True)
    back.select_set(True)
    bpy.context.view_layer.objects.active = front
    both = lines(theme.object_active)
    back.select_set(False)
    assert both > 30 and lines(theme.object_active) == both
    assert lines(theme.object_active, wall_depth(3)) == 0, "paler behind a wall"
    assert look(view, wall=wall_depth(3))[..., 3].max() == pytest.approx(0.35, abs=0.02)
    front.location.x, back.location.x = -4, 3
    front.select_set(True)
    pale = look(view)
    assert lines(theme.object_active) == 0 and pale[..., 3].max() > 0.9, "behind splats that are not selected"
    overlay.show_overlays = False
