"""The check in Blender: findings by a real worker, buttons that mend, the contact sheet, and coverage on meshes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mathutils import Vector

from tests.fakes.programs import program
from tests.preflight.planting import repaint, sound_dataset, tinted
from tests.untyped import bpy

from ..conftest import module
from ..panels.test_panels import drawn
from .training import Desk

SHEET = "Contact Sheet"


@pytest.fixture
def desk(desk: Desk) -> Iterator[Desk]:
    yield desk
    module("addon.jobs.dataset_check").forget()


@pytest.fixture
def planted(desk: Desk, tmp_path: Path) -> Path:
    """A dataset with one image too dark and one unreadable."""
    dataset = sound_dataset(tmp_path / "my dataset – 写真")
    repaint(dataset, 4, tinted(0.4))
    dataset.views[9].image.write_bytes(b"no image")
    bpy.context.scene.splatwright.train.dataset = str(dataset.folder)
    return dataset.folder


def check() -> Any:
    assert bpy.ops.splatwright.check_dataset() == {"FINISHED"}
    return module("addon.jobs.dataset_check").current(bpy.context.scene)


def test_the_button_finds_what_the_function_finds(planted: Path) -> None:
    checked = check()
    expected = module("engine.preflight").check_dataset(module("engine.core.datasets.read").read_dataset(planted))
    assert checked.findings == expected and not checked.running
    assert {found.kind: found.images for found in checked.findings} == {"unreadable": ("view_009.png",), "exposure": ("view_004.png",)}


def test_leaving_images_out_and_taking_them_in_again(planted: Path) -> None:
    check()
    for _ in range(2):
        assert bpy.ops.splatwright.exclude_images(finding=0) == {"FINISHED"}
    assert (planted / "excluded.txt").read_text().split() == ["images/view_004.png", "images/view_009.png"]
    checked = module("addon.jobs.dataset_check").current(bpy.context.scene)
    assert [found.kind for found in checked.findings] == ["excluded"]
    assert len(module("engine.core.datasets.read").read_dataset(planted).views) == 14
    with pytest.raises(RuntimeError, match="no such finding"):
        bpy.ops.splatwright.exclude_images(finding=7)
    assert bpy.ops.splatwright.include_images() == {"FINISHED"}
    assert len(module("engine.core.datasets.read").read_dataset(planted).views) == 16


def test_the_contact_sheet_comes_as_an_image(planted: Path) -> None:
    assert not bpy.ops.splatwright.show_contact_sheet.poll()
    check()
    for _ in range(2):
        assert bpy.ops.splatwright.show_contact_sheet() == {"FINISHED"}
    images = [image for image in bpy.data.images if image.name.startswith(SHEET)]
    assert len(images) == 1 and min(images[0].size) > 500 and images[0].packed_file


def test_the_panel_shows_findings_with_their_buttons(planted: Path) -> None:
    assert drawn("check", "addon.panels.check").operators == [
        "check_dataset", "show_contact_sheet", "estimate", "show_coverage", "suggest_cameras"]
    check()
    layout = drawn("check", "addon.panels.check")
    assert "view_009.png" in layout.text and "Lock the exposure" in layout.text
    assert layout.operators[2:5] == ["exclude_images", "exclude_images", "capture_dataset"]


def test_a_sound_dataset_is_said_to_be_sound(desk: Desk, tmp_path: Path) -> None:
    bpy.context.scene.splatwright.train.dataset = str(sound_dataset(tmp_path / "sound").folder)
    check()
    said = drawn("check", "addon.panels.check").text
    assert "Nothing suspicious was found." in said and "A training needs about" in said and "min" in said


def test_no_dataset_and_no_images_are_one_sentence(desk: Desk, tmp_path: Path) -> None:
    bpy.context.scene.splatwright.train.dataset = str(tmp_path / "nowhere")
    with pytest.raises(RuntimeError, match="There is no dataset yet"):
        bpy.ops.splatwright.check_dataset()
    (tmp_path / "empty").mkdir()
    bpy.context.scene.splatwright.train.dataset = str(tmp_path / "empty")
    with pytest.raises(RuntimeError, match="holds no dataset"):
        bpy.ops.splatwright.check_dataset()
    assert "holds no dataset" in drawn("check", "addon.panels.check").text


def test_an_engine_that_crashes_is_said(planted: Path, tmp_path: Path) -> None:
    script = program(tmp_path, "crash", "raise SystemExit(3)")
    module("addon.engines.locations").preferences().python = str(script)
    with pytest.raises(RuntimeError, match="ended before it was done"):
        bpy.ops.splatwright.check_dataset()


def test_a_check_under_way_ends_with_the_extension(planted: Path) -> None:
    checks = module("addon.jobs.dataset_check")
    process = checks.start(bpy.context.scene).process
    assert "Looking at images" in drawn("check", "addon.panels.check").text and bpy.app.timers.is_registered(checks.poll)
    module("addon.ui.background").unregister()
    assert process.poll() is not None and not bpy.app.timers.is_registered(checks.poll)


def camera_at(x: float, y: float, z: float, target: tuple[float, float, float] = (0, 0, 0)) -> Any:
    cameras = module("engine.core.cameras.camera")
    pose = cameras.look_at(np.array([x, y, z], float), np.array(target, float))
    return cameras.Camera(96, 96, 120.0, 120.0, 48.0, 48.0, pose)


def dataset_of(folder: Path, cameras: list[Any]) -> Path:
    """A dataset of grey images; coverage asks for cameras alone."""
    datasets, png = module("engine.core.datasets.dataset"), module("engine.core.images.png")
    folder.mkdir()
    views = []
    for number, camera in enumerate(cameras):
        image = folder / f"{number}.png"
        png.write_png(image, np.full((96, 96, 3), 128, np.uint8))
        views.append(datasets.View(image.name, image, camera))
    module("engine.core.datasets.transforms_json").write_transforms(datasets.Dataset(folder, tuple(views)))
    bpy.context.scene.splatwright.train.dataset = str(folder)
    return folder


def cube_faces(cube: bpy.types.Object) -> dict[tuple[int, int, int], int]:
    """Row of each face by its direction in the world."""
    turn = cube.matrix_world.to_3x3()
    return {tuple(round(value) for value in (turn @ face.normal).normalized()): face.index for face in cube.data.polygons}


@pytest.fixture
def cube(desk: Desk, tmp_path: Path) -> bpy.types.Object:
    """A cube that five cameras see from +X, turned and scaled so that its own axes are not the world's."""
    bpy.ops.mesh.primitive_cube_add(size=1.0, rotation=(0, 0, np.pi / 2), scale=(1.0, 0.5, 1.0))
    bpy.context.view_layer.update()
    dataset_of(tmp_path / "side", [camera_at(4, y, 0.1) for y in (-0.2, -0.1, 0.0, 0.1, 0.2)])
    return bpy.context.object


def counts_of(cube: bpy.types.Object, cameras: list[Any]) -> np.ndarray:
    coverage = module("addon.capture.surface_coverage")
    surfaces = [surface for surface in coverage.visible_surfaces(bpy.context) if surface.target == cube]
    return coverage.count_views(bpy.context, surfaces, cameras)[0]


def test_each_face_counts_the_cameras_that_see_it(cube: bpy.types.Object) -> None:
    cameras = [camera_at(4, 0, 0.1), camera_at(4, 0.2, 0.1), camera_at(0, 0.1, -5)]
    counts, faces = counts_of(cube, cameras), cube_faces(cube)
    assert counts[faces[1, 0, 0]] == 2 and counts[faces[0, 0, -1]] == 1
    assert all(counts[faces[side]] == 0 for side in ((-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1)))


def test_what_stands_before_a_face_hides_it(cube: bpy.types.Object) -> None:
    bpy.ops.mesh.primitive_plane_add(size=3, location=(2, 0, 0), rotation=(0, np.pi / 2, 0))
    bpy.context.view_layer.update()
    assert not counts_of(cube, [camera_at(4, 0, 0.1)]).any()
    assert counts_of(cube, [camera_at(1.5, 0, 0.1)])[cube_faces(cube)[1, 0, 0]] == 1


def test_fine_meshes_are_sampled(cube: bpy.types.Object, monkeypatch: pytest.MonkeyPatch) -> None:
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.subdivide(number_cuts=7)
    bpy.ops.object.mode_set(mode="OBJECT")
    exact = counts_of(cube, [camera_at(4, 0, 0.1), camera_at(0, 0.1, 5)])
    monkeypatch.setattr(module("addon.capture.surface_coverage"), "MOST_FACES", 128)
    sampled = counts_of(cube, [camera_at(4, 0, 0.1), camera_at(0, 0.1, 5)])
    assert len(exact) == len(sampled) == 384 and (exact == sampled).mean() > 0.85


def test_the_heat_map_lies_on_the_mesh_and_goes_again(cube: bpy.types.Object) -> None:
    assert bpy.ops.splatwright.show_coverage() == {"FINISHED"}
    layer, faces = cube.data.color_attributes["splatwright:coverage"], cube_faces(cube)
    seen, unseen = (layer.data[cube.data.polygons[faces[side]].loop_start].color for side in ((1, 0, 0), (-1, 0, 0)))
    assert unseen[0] > 3 * unseen[1] and seen[1] > unseen[1] and cube.data.color_attributes.active_color == layer
    assert "clear_coverage" in drawn("check", "addon.panels.check").operators
    assert bpy.ops.splatwright.clear_coverage() == {"FINISHED"}
    assert not len(cube.data.color_attributes)


def test_suggested_cameras_see_what_is_missing(cube: bpy.types.Object, tmp_path: Path) -> None:
    assert bpy.ops.splatwright.suggest_cameras(count=8, with_dataset=False) == {"FINISHED"}
    made = list(bpy.data.collections["Suggested Cameras"].objects)
    bpy.context.view_layer.update()
    assert 3 <= len(made) <= 8 and set(bpy.context.selected_objects) == set(made)
    assert not any((camera.matrix_world.translation - Vector((4, 0, 0))).length < 1.0 for camera in made)
    scene = bpy.context.scene
    scene.render.resolution_x = scene.render.resolution_y = 96
    cameras = [module("addon.cameras").camera_from_blender(scene, camera) for camera in made]
    counts = counts_of(cube, [*cameras, *(camera_at(4, y, 0.1) for y in (0.0, 0.1, 0.2))])
    assert (counts > 0).sum() >= 5 and counts.sum() > 3 * 3


def test_suggested_cameras_come_with_the_datasets(cube: bpy.types.Object) -> None:
    bpy.ops.splatwright.suggest_cameras(count=4)
    made = bpy.data.collections["Suggested Cameras"].objects
    assert sum(camera.name.startswith("Dataset") for camera in made) == 5
    assert bpy.context.scene.splatwright.capture.source == "SELECTED"


def test_a_scene_without_meshes_says_so(desk: Desk, tmp_path: Path) -> None:
    dataset_of(tmp_path / "side", [camera_at(4, y, 0) for y in (-1, 0, 1)])
    with pytest.raises(RuntimeError, match="no mesh"):
        bpy.ops.splatwright.show_coverage()
    with pytest.raises(RuntimeError, match="neither meshes nor start points"):
        bpy.ops.splatwright.suggest_cameras()


def test_photos_get_cameras_by_their_start_points(desk: Desk, tmp_path: Path) -> None:
    dataset = sound_dataset(tmp_path / "half")
    half = [index for index, view in enumerate(dataset.views) if view.camera.position[0] < 0.5]
    module("engine.core.datasets.excluded").exclude(dataset, [dataset.views[index].name for index in half])
    bpy.context.scene.splatwright.train.dataset = str(dataset.folder)
    bpy.ops.splatwright.suggest_cameras(count=4, with_dataset=False)
    bpy.context.view_layer.update()
    made = bpy.data.collections["Suggested Cameras"].objects
    assert made and any(camera.matrix_world.translation.x < -1 for camera in made)


def test_a_dark_scene_gets_light(desk: Desk) -> None:
    scene = bpy.context.scene
    assert bpy.ops.splatwright.relight(brighter=True) == {"FINISHED"}
    sun = next(item for item in scene.objects if item.type == "LIGHT")
    strength = sun.data.energy
    assert strength > 0 and (sun.matrix_world.to_3x3() @ Vector((0, 0, -1))).z < 0
    bpy.ops.splatwright.relight(brighter=True)
    assert sun.data.energy == 4 * strength and sum(item.type == "LIGHT" for item in scene.objects) == 1
    bpy.ops.splatwright.relight(brighter=False)
    assert sun.data.energy == 2 * strength


def test_black_renders_offer_light_and_another_capture(desk: Desk, tmp_path: Path) -> None:
    dataset = sound_dataset(tmp_path / "black")
    repaint(dataset, 4, lambda pixels: np.full_like(pixels, (0, 0, 0, 255)))
    bpy.context.scene.splatwright.train.dataset = str(dataset.folder)
    check()
    assert {"exclude_images", "relight", "capture_dataset"} <= set(drawn("check", "addon.panels.check").operators)
