"""What splats cover of a viewport by arithmetic, against what the trainer's rasterizer paints."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mathutils import Matrix

from engine.core.cameras.camera import Camera
from tests.blender.conftest import module
from tests.blender.splats.splat_samples import changed
from tests.blender.viewport.looking import HEIGHT, WIDTH, Region, camera, orthographic, perspective, space, truth
from tests.scenes import colored_ball
from tests.untyped import bpy


@pytest.fixture
def rendered(fresh_scene: bpy.types.Scene) -> ModuleType:
    """A viewport in which EEVEE draws."""
    if module("addon.splats.display").draws_natively():
        pytest.skip("this Blender draws splats itself")
    space().shading.type = "MATERIAL"
    return module("addon.viewport")


def area(*numbers: int) -> Any:
    return module("addon.viewport.picking").Area(*numbers)


MIDDLE, WHOLE = (78, 58, 5, 5), (0, 0, WIDTH, HEIGHT)


def covered(view: Camera, where: tuple[int, int, int, int] = MIDDLE, projection: np.ndarray | None = None) -> Any:
    bpy.context.view_layer.update()
    running = module("addon.viewport").running
    running.forget_stages()
    window = perspective(view) if projection is None else projection
    context = SimpleNamespace(
        region=Region(), region_data=SimpleNamespace(view_matrix=np.linalg.inv(view.camera_to_world), window_matrix=window),
        scene=bpy.context.scene, space_data=space(), view_layer=bpy.context.view_layer,
        evaluated_depsgraph_get=bpy.context.evaluated_depsgraph_get)
    return running.footprints(context, area(*where))


def at_the_middle(view: Camera, **options: Any) -> str:
    """Name of the object that a click in the middle meets."""
    found = covered(view, **options)
    owner = found.picked.at(80, 60) if found is not None else None
    return next((item.name for item in bpy.data.objects if item.session_uid == owner), "")


def create(name: str, gaussians: Any) -> bpy.types.Object:
    return module("addon.splats.splat_object").create_splat_object(name, gaussians)


def plain(gaussians: Any, color: tuple[float, float, float]) -> Any:
    """In one colour from everywhere."""
    sh0 = module("engine.core.splats.gaussians").rgb_to_sh0(np.tile(np.array(color, np.float32), (len(gaussians), 1, 1)))
    return changed(gaussians, sh0=sh0.astype(np.float32), shN=np.zeros_like(gaussians.shN))


def ball(place: tuple[float, float, float], size: float, color: tuple[float, float, float], count: int = 150) -> Any:
    """Splats of all directions around a place; `size` is the logarithm of theirs."""
    random = np.random.default_rng(count + round(100 * abs(size)))
    spread = random.normal(0, 0.3, (count, 3)) + place
    return plain(changed(colored_ball(count), means=spread.astype(np.float32), quats=random.normal(0, 1, (count, 4)).astype(np.float32),
                         scales=(size + random.normal(0, 0.5, (count, 3))).astype(np.float32),
                         opacities=random.normal(0, 1.5, count).astype(np.float32)), color)


def blob(name: str, place: tuple[float, float, float], opacity: float = 0.99, size: float = 1.0) -> bpy.types.Object:
    """One round splat."""
    return create(name, changed(colored_ball(1), means=np.array([place], np.float32), scales=np.full((1, 3), size, np.float32),
                                opacities=np.array([np.log(opacity / (1 - opacity))], np.float32)))


@pytest.mark.parametrize("antialiased", [False, True])
def test_each_pixel_is_whose_the_rasterizer_says(rendered: ModuleType, antialiased: bool) -> None:
    """Two clouds that pass through each other, one red and one green, by small areas one after the other."""
    view, red, green = camera(), ball((0, 0.2, 0), -3.0, (1, 0, 0)), ball((0, -0.2, 0), -2.8, (0, 1, 0))
    made = create("One", red), create("Two", green)
    for target in made:
        target.splatwright.antialiased = antialiased
    picture = truth(module("engine.core.splats.gaussians").concatenate([red, green]), view, antialiased)
    shares = np.dstack([1 - picture[..., 3], picture[..., 0], picture[..., 1]])[::-1]  # the lowest line first
    numbers = np.zeros((HEIGHT, WIDTH), int)
    for y in range(0, HEIGHT, 24):
        for x in range(0, WIDTH, 20):
            part = covered(view, (x, y, 20, 24)).picked
            kinds = np.array([0, *(1 + [target.session_uid for target in made].index(owner) for owner in part.owners)])
            numbers[y : y + 24, x : x + 20] = kinds[part.numbers]
    most = np.sort(shares, axis=2)
    clear = most[..., 2] - most[..., 1] > 0.02
    assert (numbers == shares.argmax(axis=2))[clear].all() and clear.mean() > 0.9
    assert all((numbers == number).sum() > 200 for number in (0, 1, 2))


def test_objects_are_where_they_were_moved_turned_and_scaled_to(rendered: ModuleType) -> None:
    """A long thin splat that lies across the view once its object is turned."""
    thin = create("Thin", changed(colored_ball(1), means=np.zeros((1, 3), np.float32), quats=np.array([[1, 0, 0, 0]], np.float32),
                                  scales=np.array([[0, -3, -3]], np.float32), opacities=np.array([5], np.float32)))
    thin.location, thin.rotation_euler, thin.scale = (0, 0, 1), (0, 0, np.pi / 2), (1.5, 1.5, 1.5)
    view = camera((10, 0, 1))
    place = perspective(view) @ np.linalg.inv(view.camera_to_world) @ (0, 1.2, 1, 1)
    x, y = ((place[:2] / place[3] * 0.5 + 0.5) * (WIDTH, HEIGHT)).astype(int)
    assert covered(view, (x - 2, y - 2, 5, 5)).picked.at(x, y) == thin.session_uid
    assert covered(view, (x - 2, y + 18, 5, 5)).picked.at(x, y + 20) is None


def test_orthographic_views(rendered: ModuleType) -> None:
    front, back = blob("Front", (1, 0, 0), size=-1.0), blob("Back", (-3, 0, 0), size=-0.5)
    view, projection = camera((5, 0, 0)), orthographic(6.0)
    assert at_the_middle(view, projection=projection) == "Front"
    front.hide_set(True)
    assert at_the_middle(view, projection=projection) == "Back"
    assert covered(view, projection=projection).depth(back.session_uid) == pytest.approx(8)


def test_the_nearest_wins_unless_it_is_faint(rendered: ModuleType) -> None:
    view = camera((5, 0, 0))
    front, back = blob("Front", (1, 0, 0), 0.2), blob("Back", (-1, 0, 0))
    assert at_the_middle(view) == "Back"
    found = covered(view)
    assert found.depth(front.session_uid) == pytest.approx(4, abs=1e-4) and found.depth(back.session_uid) == pytest.approx(6, abs=1e-4)
    assert found.depth(12) == float("inf")
    back.hide_select = True
    assert at_the_middle(view) == "", "too faint alone"
    assert covered(camera((50, 0, 0)), (0, 0, 5, 5)).picked.at(2, 2) is None, "beside it"


def test_a_large_area_holds_the_smallest_object_and_the_inside_of_the_largest(rendered: ModuleType) -> None:
    near, far = blob("Near", (0, 0, 0), size=0.5), create("Far", ball((-60, 5, 8), -3.0, (1, 0, 0), 40))
    view = camera((5, 0, 0))
    everywhere = np.ones((HEIGHT, WIDTH), bool)
    assert covered(view, WHOLE).picked.within(everywhere) == {near.session_uid, far.session_uid}
    part = covered(view, (60, 38, 40, 17)).picked
    assert part.within(np.ones(part.numbers.shape, bool)) == {near.session_uid}, "no middle lies in it"


def test_values_that_are_no_numbers_are_not_seen(rendered: ModuleType) -> None:
    made = blob("Splat", (0, 0, 0))
    for name, values in (("scale", "vector"), ("rotation", "value"), ("position", "vector")):
        before = np.zeros(4 if values == "value" else 3, np.float32)
        made.data.attributes[name].data.foreach_get(values, before)
        made.data.attributes[name].data.foreach_set(values, np.full_like(before, np.nan))
        made.data.update_tag()
        assert at_the_middle(camera((5, 0, 0))) == "", name
        made.data.attributes[name].data.foreach_set(values, before)
        made.data.update_tag()
    assert at_the_middle(camera((5, 0, 0))) == "Splat"


@pytest.mark.parametrize("hide", [
    lambda made: setattr(space(), "show_object_viewport_pointcloud", False), lambda made: setattr(space().shading, "type", "SOLID"),
    lambda made: made.hide_set(True), lambda made: setattr(made, "hide_select", True),
    lambda made: setattr(made.splatwright, "viewport", False),
], ids=["no-point-clouds", "drawn-by-us", "hidden", "not-selectable", "points"])
def test_what_is_not_rendered_is_not_met(rendered: ModuleType, hide: Any) -> None:
    made = blob("Splat", (0, 0, 0))
    assert at_the_middle(camera((5, 0, 0))) == "Splat"
    hide(made)
    assert at_the_middle(camera((5, 0, 0))) == ""


def test_a_surface_before_or_behind_the_splats(rendered: ModuleType) -> None:
    """By the depth along the view; what has no surface is before everything."""
    bpy.ops.mesh.primitive_cube_add(size=2, location=(1, 0, 0))
    cube, empty = bpy.context.object, bpy.data.objects.new("Empty", None)
    bpy.context.collection.objects.link(empty)
    bpy.context.view_layer.update()
    view = camera((5, 0, 0))
    upright = np.linalg.inv(view.camera_to_world)
    to_clip = Matrix((perspective(view) @ upright).tolist())
    eye = SimpleNamespace(view_matrix=Matrix(upright.tolist()), is_perspective=True, perspective_matrix=to_clip)
    context = SimpleNamespace(region=Region(), region_data=eye, scene=bpy.context.scene,
                              evaluated_depsgraph_get=bpy.context.evaluated_depsgraph_get)
    depth = module("addon.operators.select_rendered").surface_depth
    assert depth(context, cube, 80, 60) == pytest.approx(3, abs=1e-4)
    assert depth(context, empty, 80, 60) == depth(context, cube, 5, 5) == 0.0
