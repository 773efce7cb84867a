"""Splats and photos in survey coordinates: two of one survey keep their relative place, and exports say where that is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.blender.capture.capturing import ball_scene, capture
from tests.blender.conftest import module
from tests.blender.photos.photo_samples import write_photos
from tests.blender.splats.splat_samples import some_gaussians
from tests.untyped import bpy

FIRST, SECOND = (512300.0, 300.0, -5412300.0), (512800.0, 310.0, -5412250.0)


def written(path: Path, offset: tuple[float, float, float]) -> Path:
    module("engine.core.formats.registry").write_splats(path, some_gaussians(), offset=offset)
    return path


def test_two_of_one_survey_keep_their_relative_place(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    importing = module("addon.splats.importing")
    first, _ = importing.import_splats(written(tmp_path / "a.ply", FIRST))
    second, _ = importing.import_splats(written(tmp_path / "b.spz", SECOND))
    ordinary, _ = importing.import_splats(written(tmp_path / "c.ply", (0.0, 0.0, 0.0)))
    assert list(bpy.context.scene["splatwright_offset"]) == list(FIRST) and list(second["splatwright_offset"]) == list(SECOND)
    assert tuple(first.location) == (0, 0, 0) == tuple(ordinary.location) and tuple(second.location) == (500, 10, 50)
    assert "splatwright_offset" not in ordinary


def test_an_export_says_where_the_scene_is(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    importing, exporting, registry = (module(name) for name in ("addon.splats.importing", "addon.splats.exporting",
                                                                "engine.core.formats.registry"))
    importing.import_splats(written(tmp_path / "a.ply", FIRST))
    second, found = importing.import_splats(written(tmp_path / "b.ply", SECOND))
    bpy.context.view_layer.update()
    for name in ("out.ply", "out.spz", "out.compressed.ply", "out.splat"):
        world = exporting.export_splats([second], tmp_path / name)
        again = registry.read_splats(tmp_path / name)
        assert world.offset == again.offset == FIRST
        wanted = found.gaussians.means.astype(float) + SECOND
        order = np.argsort(wanted[:, 0]), np.argsort(again.gaussians.means[:, 0])
        assert np.abs((again.gaussians.means.astype(float) + again.offset)[order[1]] - wanted[order[0]]).max() < 0.1
    assert (tmp_path / "out_spz_offset.xyz").read_text() == "512300 5412300 300\n"
    exporting.export_splats([importing.import_splats(written(tmp_path / "c.ply", (0.0, 0.0, 0.0)))[0]], tmp_path / "out.spz")
    assert not (tmp_path / "out_spz_offset.xyz").exists()


def test_what_is_near_stays_where_it_is(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    made, _ = module("addon.splats.importing").import_splats(written(tmp_path / "a.ply", (200.0, -100.0, 0.0)))
    assert tuple(made.location) == (200, -100, 0) and list(bpy.context.scene["splatwright_offset"]) == [0, 0, 0]
    assert module("addon.splats.exporting").export_splats([made], tmp_path / "out.ply").offset == (0, 0, 0)


@pytest.mark.parametrize("shift", [FIRST, (0.0, 0.0, 0.0)])
def test_photos_and_the_splats_of_their_training_lie_together(fresh_scene: bpy.types.Scene, tmp_path: Path,
                                                             shift: tuple[float, float, float]) -> None:
    survey, photos, read = (module(name) for name in ("addon.splats.survey", "addon.photos.posed_photos", "engine.core.datasets.read"))
    recentring = module("engine.core.datasets.recentring")
    folder = tmp_path / "survey"
    local = write_photos(folder)
    module("engine.core.datasets.transforms_json").write_transforms(
        type(local)(folder, local.views, local.points, offset=shift))
    dataset = read.read_dataset(folder)
    root = photos.import_photos(dataset, folder)
    camera = photos.photo_cameras(root.children)[0]
    bpy.context.view_layer.update()
    whole = recentring.restored(dataset).views[0].camera.position
    assert np.allclose(np.array(camera.matrix_world.translation, float) + survey.scene_origin(bpy.context.scene), whole, atol=1e-3)
    splats, _ = module("addon.splats.importing").import_splats(written(tmp_path / "a.ply", tuple(np.add(dataset.offset, (0, 0, 7.0)))))
    photos.adopt(root, splats)
    assert np.allclose(np.array(splats.location), (0, 0, 7))
    again = photos.import_photos(read.read_dataset(folder, offset=tuple(np.add(dataset.offset, (10.0, 0, 0)))), folder)
    bpy.context.view_layer.update()
    moved = photos.photo_cameras(again.children)[0].matrix_world.translation
    assert again == root and np.allclose(np.array(moved, float) + survey.scene_origin(bpy.context.scene), whole, atol=1e-3)


def test_a_capture_knows_where_its_scene_is(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """Also where the scene's origin is too near for the coordinates to show it."""
    importing, survey = module("addon.splats.importing"), module("addon.splats.survey")
    ball_scene()
    for origin in (FIRST, (2000.0, 0.0, 0.0)):
        bpy.context.scene["splatwright_offset"] = list(origin)
        capture(tmp_path / "dataset", resolution=16)
        found = module("engine.core.datasets.read").read_dataset(tmp_path / "dataset")
        assert found.offset == origin and np.abs(found.views[0].camera.position).max() < 10
        splats, _ = importing.import_splats(written(tmp_path / "result.ply", found.offset))
        assert tuple(splats.location) == (0, 0, 0) and survey.offset_of_item(splats) == origin


def test_a_tiny_scene_stands_on_the_ground(fresh_scene: bpy.types.Scene) -> None:
    small = module("engine.core.splats.transform").transform_gaussians(some_gaussians(), np.diag([1e-5, 1e-5, 1e-5, 1]))
    made = module("addon.splats.splat_object").create_splat_object("Tiny", small)
    bpy.ops.mesh.primitive_plane_add(size=1e-4, location=(0, 0, -3e-5))
    bpy.context.view_layer.update()
    module("addon.placement").place_on_ground([made], surfaces=True)
    lowest = module("addon.placement").world_places([made]).bottoms.min()
    assert abs(made.location.z) < 1e-4 and lowest < -2.9e-5 and made.location.z != 0
