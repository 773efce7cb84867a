"""What Train asks for: the splats that a training begins with, and the region that it is about."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engine.core.formats.ply import read_ply
from engine.core.splats.region import Region
from tests.scenes import colored_ball
from tests.untyped import bpy

from ..conftest import module
from .training import Desk


def settings():
    return bpy.context.scene.splatwright.train


def cube(size: tuple[float, float, float] = (1, 1, 1)) -> bpy.types.Object:
    bpy.ops.mesh.primitive_cube_add(size=2)
    made = bpy.context.object
    made.scale = size
    bpy.context.view_layer.update()
    return made


def test_a_region_is_the_objects_box_as_it_stands(desk: Desk) -> None:
    made = cube((1, 2, 3))
    made.location, made.rotation_euler = (4, 5, 6), (0, 0, np.pi / 2)
    bpy.context.view_layer.update()
    settings().region = made
    spec = module("addon.jobs.training_spec").spec_of(bpy.context.scene)
    corners = Region(spec.region).corners
    assert np.allclose(corners.mean(axis=0), [4, 5, 6], atol=1e-5) and np.allclose(np.ptp(corners, axis=0), [4, 2, 6], atol=1e-5)


def test_an_empty_is_a_region_and_an_object_without_size_is_none(desk: Desk) -> None:
    empty = bpy.data.objects.new("Around", None)
    empty.empty_display_size = 2.0
    bpy.context.scene.collection.objects.link(empty)
    bpy.context.view_layer.update()
    found = module("addon.jobs.training_spec").region_of_object(empty, desk.dataset)
    assert np.allclose(np.ptp(found.corners, axis=0), 4)
    bpy.ops.mesh.primitive_plane_add()
    settings().region = bpy.context.object
    with pytest.raises(RuntimeError, match="no width, depth or height"):
        bpy.ops.splatwright.train()


def test_train_begins_with_a_file_and_a_region(desk: Desk, tmp_path: Path) -> None:
    """The operator's job is the function's."""
    path = tmp_path / "start.ply"
    module("engine.core.formats.ply").write_ply(path, colored_ball(40))
    settings().start_file, settings().region = str(path), cube()
    wanted = module("addon.jobs.training_spec").spec_of(bpy.context.scene)
    desk.train("happy")
    asked = desk.job.engine.folder(desk.name).read_spec()
    assert asked.region == wanted.region and wanted.start_file == path.resolve()
    assert asked.start_file == desk.folder / "start.ply" and asked.start_file.read_bytes() == path.read_bytes()
    assert module("addon.jobs.estimate").wanted(bpy.context.scene).start_file == path.resolve()


def test_train_begins_with_splats_of_the_scene_as_they_stand(desk: Desk) -> None:
    made = module("addon.splats.splat_object").create_splat_object("Begun", colored_ball(40))
    made.location = (0, 0, 3)
    bpy.context.view_layer.update()
    settings().start_file, settings().start_object = "/nowhere.ply", made
    desk.train("happy")
    start = desk.job.engine.folder(desk.name).read_spec().start_file
    found = read_ply(start).gaussians
    assert np.allclose(np.sort(found.means[:, 2]), np.sort(colored_ball(40).means[:, 2] + 3), atol=1e-5)


def test_a_start_that_is_not_there_is_a_sentence(desk: Desk, tmp_path: Path) -> None:
    settings().start_file = str(tmp_path / "gone.ply")
    with pytest.raises(RuntimeError, match="does not exist"):
        bpy.ops.splatwright.train()
    assert not bpy.context.scene.splatwright.job
