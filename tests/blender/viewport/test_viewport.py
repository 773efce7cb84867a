"""The viewport drawing against the trainer's rasterizer, pixel by pixel."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import gpu
import numpy as np
import pytest

from engine.training.evaluate import psnr
from tests.blender.conftest import module
from tests.blender.splats.splat_samples import changed, keep_first
from tests.blender.viewport.graphics import why_no_graphics
from tests.blender.viewport.looking import camera, look, look_again, orthographic, space, truth, wall_depth
from tests.scenes import colored_ball
from tests.untyped import bpy


@pytest.fixture
def viewport(fresh_scene: bpy.types.Scene) -> ModuleType:
    found = module("addon.viewport")
    if module("addon.splats.display").draws_natively():
        pytest.skip("this Blender draws splats itself")
    if why_no_graphics():
        pytest.skip(why_no_graphics())
    space().overlay.show_overlays = False
    return found


def show(gaussians: Any, name: str = "Splats") -> bpy.types.Object:
    return module("addon.splats.splat_object").create_splat_object(name, gaussians)


def baked(gaussians: Any, target: bpy.types.Object) -> Any:
    bpy.context.view_layer.update()
    return module("engine.core.splats.transform").transform_gaussians(gaussians, np.array(target.matrix_world, float))


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_it_draws_what_the_trainer_sees(viewport: ModuleType, degree: int) -> None:
    ball, view = colored_ball(400, sh_degree=degree), camera()
    show(ball)
    expected = truth(ball, view)
    assert expected[..., 3].max() > 0.95
    assert psnr(look(view), expected) > 50
    assert viewport.failure() == ""


def test_it_draws_from_within(viewport: ModuleType) -> None:
    """Splats beside and behind the camera, and a wide lens."""
    ball, view = colored_ball(400, sh_degree=2), camera((0.1, 0.3, 0.2), focal=70.0)
    show(ball)
    assert psnr(look(view), truth(ball, view)) > 45


@pytest.mark.parametrize("scale", [(0.8, 0.8, 0.8), (0.5, 1.2, 0.8), (-1, 1, 1), (0.4, -1.1, 0.9)],
                         ids=["uniform", "stretched", "mirrored", "both"])
def test_it_respects_the_object(viewport: ModuleType, scale: tuple[float, float, float]) -> None:
    ball, view = colored_ball(400, sh_degree=3), camera()
    made = show(ball)
    made.rotation_euler, made.location, made.scale = (0.4, 0.8, -0.3), (0.2, 0.1, -0.1), scale
    assert psnr(look(view), truth(baked(ball, made), view)) > 48


def test_antialiased_splats_pale_where_they_are_widened(viewport: ModuleType) -> None:
    """Beside an object of the other kind."""
    ball, view = colored_ball(600, sh_degree=1), camera()
    ball.scales[:] -= 2.0
    made = show(ball)
    widened = truth(ball, view)
    made.splatwright.antialiased = True
    assert psnr(look(view), truth(ball, view, antialiased=True)) > 48
    assert psnr(look(view), widened) < 40
    made.hide_set(True)
    show(ball)
    assert psnr(look(view), widened) > 48


def test_several_objects_are_sorted_together(viewport: ModuleType) -> None:
    """Every other splat in an object of its own: drawn one object after the other they would look otherwise."""
    ball, view = colored_ball(600, sh_degree=1), camera()
    show(ball.take(slice(0, None, 2)))
    second = show(ball.take(slice(1, None, 2)).with_sh_degree(0))
    second.rotation_euler = (0.0, 0.0, 0.5)
    parts = [ball.take(slice(0, None, 2)), baked(ball.take(slice(1, None, 2)).with_sh_degree(0), second)]
    together = module("engine.core.splats.gaussians").concatenate(parts)
    assert psnr(look(view), truth(together, view)) > 48


def test_orthographic_views(viewport: ModuleType) -> None:
    """Against a long lens from far away, whose rays are almost parallel."""
    ball, far = colored_ball(400, sh_degree=2), camera((240, -160, 120), focal=120 / 2.6 * 312.4)
    show(ball)
    near = camera((3, -2, 1.5))
    assert psnr(look(near, orthographic(2.6)), truth(ball, far)) > 38


def test_meshes_hide_what_is_behind_them(viewport: ModuleType) -> None:
    ball, view = colored_ball(400), camera()
    show(ball)
    depths = view.project(ball.means)[1]
    distance = float(np.median(depths))
    in_front = ball.take(depths < distance)
    assert psnr(look(view, wall=wall_depth(distance)), truth(in_front, view)) > 45
    assert not look(view, wall=wall_depth(1.0)).any()


def test_modifiers_count(viewport: ModuleType) -> None:
    ball, view = colored_ball(300, sh_degree=1), camera()
    keep_first(show(ball), 120)
    assert psnr(look(view), truth(ball.take(slice(0, 120)), view)) > 50


def test_it_paints_only_what_changed(viewport: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mouse that hovers over buttons draws the viewport again and again."""
    if not hasattr(gpu, "init"):
        pytest.skip("without gpu.init() every picture is taken in a render, which changes the scene")
    ball, view = colored_ball(400), camera()
    made = show(ball)
    first = look(view)
    painter, painted = module("addon.viewport.canvas").Painter, []
    paint = painter.paint

    def settled(view: Any) -> np.ndarray:
        """The picture once the sort in the thread has ended."""
        look_again(view)
        while viewport.running.busy_sorters():
            look_again(view)
        return look_again(view)

    monkeypatch.setattr(painter, "paint", lambda *arguments: (painted.append(1), paint(*arguments)))
    assert np.array_equal(look_again(view), first) and not painted
    assert psnr(settled(camera((3, 2, 1.5))), truth(ball, camera((3, 2, 1.5)))) > 48 and painted
    made.location.x = 0.3
    assert psnr(settled(view), truth(baked(ball, made), view)) > 48
    count = len(painted)
    look_again(view)
    assert len(painted) == count
    space().shading.show_xray = not space().shading.show_xray
    look_again(view)
    assert len(painted) == count + 1, "other meshes may stand before it now"
    space().shading.show_xray = not space().shading.show_xray


def test_instances_are_drawn(viewport: ModuleType) -> None:
    ball, view = colored_ball(300, sh_degree=2), camera()
    collection = bpy.data.collections.new("Asset")  # not linked: seen through its instance alone
    module("addon.splats.splat_object").create_splat_object("Splats", ball, collection)
    instance = bpy.data.objects.new("Instance", None)
    instance.instance_type, instance.instance_collection = "COLLECTION", collection
    instance.location, instance.rotation_euler, instance.scale = (0.3, 0, 0.2), (0.5, 0, 1), (0.6, 0.6, 0.6)
    bpy.context.collection.objects.link(instance)
    assert psnr(look(view), truth(baked(ball, instance), view)) > 48


def test_a_preview_replaces_what_is_drawn(viewport: ModuleType) -> None:
    view = camera()
    made = show(colored_ball(300))
    look(view)
    for count in (300, 500):  # as many, and more
        ball = colored_ball(count, seed=1, sh_degree=1)
        module("addon.splats.splat_object").update_splat_object(made, ball)
        assert psnr(look(view), truth(ball, view)) > 50


@pytest.fixture
def slowly(monkeypatch: pytest.MonkeyPatch) -> int:
    """Each look takes one step of the loading; how many splats a slice has."""
    cloud = module("addon.viewport.cloud")
    monkeypatch.setattr(cloud, "SLICE", cloud.WIDTH)
    monkeypatch.setattr(cloud, "LOADED_AT_ONCE", 0)
    monkeypatch.setattr(module("addon.viewport.drawing"), "STEP_SECONDS", 0.0)
    return cloud.WIDTH


def looks_while_loading(viewport: ModuleType, view: Any) -> list[np.ndarray]:
    """What is seen after each step, until everything is there."""
    seen = [look_again(view)]
    while viewport.running.is_loading:
        seen.append(look_again(view))
        assert len(seen) < 200
    return seen


def test_splats_are_seen_while_they_are_loaded(viewport: ModuleType, slowly: int) -> None:
    if not hasattr(gpu, "init"):
        pytest.skip("without gpu.init() every picture is taken in a render, which changes the scene")
    ball, view = colored_ball(4 * slowly, sh_degree=1), camera()
    show(ball)
    seen = looks_while_loading(viewport, view)
    parts = {picture.tobytes(): picture for picture in seen if picture.any()}
    assert len(parts) == 3, "one slice, two, the whole"
    assert psnr(next(iter(parts.values())), truth(ball.take(slice(0, slowly)), view)) > 45
    assert psnr(seen[-1], truth(ball, view)) > 40  # so many are sorted to 16 bits


def test_what_is_shown_stays_while_more_is_loaded(viewport: ModuleType, slowly: int) -> None:
    if not hasattr(gpu, "init"):
        pytest.skip("without gpu.init() every picture is taken in a render, which changes the scene")
    view, first = camera(), colored_ball(400)
    made = show(first, "Z")
    before = looks_while_loading(viewport, view)[-1]
    second = colored_ball(3 * slowly, seed=1)
    other = show(second, "A")
    other.hide_set(True)
    seen = looks_while_loading(viewport, view)
    assert all(np.array_equal(picture, before) for picture in seen), "what was there is never away"
    module("addon.splats.splat_object").update_splat_object(made, second)
    seen = looks_while_loading(viewport, view)
    assert all(np.array_equal(picture, before) for picture in seen[:-1]), "no preview makes way for a part of the next one"
    assert psnr(seen[-1], truth(second, view)) > 45


def test_what_moves_is_drawn_where_it_is(viewport: ModuleType) -> None:
    ball, view = colored_ball(400), camera()
    made = show(ball)
    look(view)
    made.location = (0.4, -0.3, 0.2)
    made.rotation_euler = (0, 0, 2)
    assert psnr(look(view), truth(baked(ball, made), view)) > 48


@pytest.mark.parametrize("hide", [
    lambda made: made.hide_set(True),
    lambda made: setattr(made, "hide_viewport", True),
    lambda made: setattr(space(), "show_object_viewport_pointcloud", False),
    lambda made: setattr(space().shading, "type", "MATERIAL"),
    lambda made: setattr(made.splatwright, "viewport", False),
    lambda made: setattr(made.splatwright, "display", "POINTS"),
    lambda made: bpy.data.objects.remove(made),
], ids=["hidden", "disabled", "no-point-clouds", "eevee", "off", "points", "deleted"])
def test_hidden_splats_are_not_drawn(viewport: ModuleType, hide: Any) -> None:
    made = show(colored_ball(100))
    assert look(camera()).any()
    hide(made)
    assert not look(camera()).any()


def bounds_kind(made: bpy.types.Object) -> int:
    """The number behind Display As Bounds; Python knows no name for ours."""
    kinds = [0] * len(bpy.data.objects)
    bpy.data.objects.foreach_get("display_bounds_type", kinds)
    return kinds[bpy.data.objects.find(made.name)]


def test_blender_draws_nothing_where_splats_are_drawn(viewport: ModuleType) -> None:
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    cube.display_bounds_type = "CONE"
    made = show(colored_ball(100))
    assert made.display_type == "BOUNDS" and bounds_kind(made) == 4
    made.splatwright.viewport = False
    assert made.display_type == "TEXTURED" and bounds_kind(made) == 0
    made.splatwright.viewport = True
    assert bounds_kind(made) == 4 and cube.display_bounds_type == "CONE"
    made.display_type = "WIRE"  # somebody's choice
    module("addon.splats.display").show(made)
    assert made.display_type == "WIRE" and not look(camera()).any()


def test_files_hold_points_for_a_blender_without_the_extension(viewport: ModuleType, tmp_path: Path) -> None:
    made = show(colored_ball(100))
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert made.display_type == "BOUNDS" and bounds_kind(made) == 4 and look(camera()).any(), "here nothing has changed"
    assert without_extension(tmp_path / "saved.blend") == "TEXTURED"
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "saved.blend"))
    assert bounds_kind(bpy.data.objects["Splats"]) == 4 and look(camera()).any()
    bpy.ops.wm.read_homefile(use_empty=True)
    with bpy.data.libraries.load(str(tmp_path / "saved.blend"), link=True) as (_, wanted):
        wanted.objects = ["Splats"]
    linked = bpy.data.objects["Splats"]
    bpy.context.scene.collection.objects.link(linked)
    assert linked.library is not None and bounds_kind(linked) == 4 and look(camera()).any()


def without_extension(path: Path) -> str:
    """How splats are displayed in a Blender that has nothing but the file."""
    code = (f"import bpy, os; bpy.ops.wm.open_mainfile(filepath={str(path)!r}); made = bpy.data.objects['Splats']; "
            "print('SEEN', made.display_type, flush=True); os._exit(0)")
    environment = {**os.environ, "BLENDER_USER_RESOURCES": str(path.parent / "nothing")}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True).stdout
    return next(line.split()[1] for line in said.splitlines() if line.startswith("SEEN"))


def test_a_disabled_extension_leaves_points(viewport: ModuleType) -> None:
    made, drawing = show(colored_ball(100)), module("addon.splats.blender_drawing")
    drawing.unregister()
    try:
        assert made.display_type == "TEXTURED" and bounds_kind(made) == 0
    finally:
        drawing.register()
    drawing._settle_later()
    assert made.display_type == "BOUNDS" and bounds_kind(made) == 4


def test_a_box_is_drawn_around_the_dense_splats_of_what_is_selected(viewport: ModuleType) -> None:
    ball = colored_ball(3000)
    ball.means[::1500] *= 1000  # two stray ones, less than a thousandth
    made, view = show(ball), camera((0, -9, 0))
    space().overlay.show_overlays = True
    unselected = look(view)
    made.select_set(True)
    for kind in ("SOLID", "MATERIAL"):
        space().shading.type = kind
        made.select_set(False)
        plain = look(view)
        made.select_set(True)
        rows, columns = np.nonzero(np.abs(look(view) - plain).max(axis=2) > 0.05)
        assert len(rows) > 100 and rows.min() > 30 and columns.min() > 50, "near the ball, and not where the stray ones are"
    assert unselected.any()
    space().overlay.show_overlays = False
    assert np.array_equal(look(view), plain)


@pytest.mark.parametrize("stray", [0, 1, 5])
def test_the_box_holds_nearly_all_splats(stray: int) -> None:
    box = module("addon.viewport.selection_box").dense_box
    means = np.random.default_rng(0).uniform((-1, -2, 0), (1, 2, 0), (20_000, 3)).astype(np.float32)
    means[: stray] = 1e6
    assert np.allclose(box(means), [[-1, -2, 0], [1, 2, 0]], atol=0.02)
    assert not box(means[:0]).any() and not box(np.full((5, 3), np.nan, np.float32)).any()
    assert np.allclose(box(means[-1:]), means[-1])


def test_no_more_are_drawn_than_asked_for(viewport: ModuleType) -> None:
    ball, view = colored_ball(2500), camera()
    made = show(ball)
    made.splatwright.most_shown = 1000
    assert psnr(look(view), truth(ball.take(slice(0, None, 3)), view)) > 50


def test_rows_without_a_place_draw_nothing(viewport: ModuleType) -> None:
    ball, view = colored_ball(300), camera()
    made = show(ball)
    places = ball.means.copy()
    places[::3] = np.nan
    made.data.attributes["position"].data.foreach_set("vector", places.ravel())
    made.data.update_tag()
    keep = np.isfinite(places).all(axis=1)
    assert psnr(look(view), truth(ball.take(keep), view)) > 48


def test_selected_splats_have_an_outline(viewport: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("addon.viewport.selection_box").SelectionBoxes, "draw", lambda *_: None)
    made, view = show(colored_ball(400)), camera()
    plain = look(view)
    space().overlay.show_overlays = True
    made.select_set(True)
    outlined = look(view)
    changed_pixels = np.abs(outlined - plain).max(axis=2) > 0.1
    assert 100 < changed_pixels.sum() < 1500
    theme = bpy.context.preferences.themes[0].view_3d
    colors = outlined[changed_pixels][:, :3]
    assert np.allclose(colors, theme.object_selected, atol=0.01)
    bpy.context.view_layer.objects.active = made
    assert np.allclose(look(view)[changed_pixels][:, :3], theme.object_active, atol=0.01)
    made.select_set(False)
    assert np.array_equal(look(view), plain)


def test_one_huge_splat_has_its_exact_colour(viewport: ModuleType) -> None:
    color = np.array([[0.5, 0.02, 1.2]])
    blob = changed(colored_ball(1), means=np.zeros((1, 3), np.float32), scales=np.full((1, 3), 0.5, np.float32),
                   opacities=np.array([30], np.float32), sh0=module("engine.core.splats.gaussians").rgb_to_sh0(color)[:, None])
    show(blob)
    assert np.allclose(look(camera())[60, 80], [0.5, 0.02, 1.0, 0.999], atol=2e-3)


def test_a_failure_is_told_in_a_sentence(viewport: ModuleType, monkeypatch: pytest.MonkeyPatch,
                                         capfd: pytest.CaptureFixture[str]) -> None:
    def fail(context: bpy.types.Context) -> None:
        raise RuntimeError("no memory")

    monkeypatch.setattr(viewport, "running", viewport.ViewportDrawing())
    monkeypatch.setattr(viewport.running, "draw", fail)
    viewport._draw()
    assert viewport.failure() == "Splats cannot be drawn in the viewport: no memory"
    assert "Traceback" not in capfd.readouterr().err
    viewport.running.close()


def test_disabling_leaves_nothing_behind(viewport: ModuleType) -> None:
    show(colored_ball(50))
    look(camera())
    handlers = [getattr(bpy.app.handlers, name) for name, _ in viewport._HANDLERS]
    before = [len(found) for found in handlers]
    viewport.unregister()
    try:
        assert viewport.running is None and viewport.failure() == ""
        assert [len(found) for found in handlers] == [count - 1 for count in before]
        assert not bpy.app.timers.is_registered(viewport.look_at_work)
    finally:
        viewport.register()
    assert look(camera()).any()
