"""Normal maps of a capture: vectors in the world, as the trainer reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.untyped import bpy

from ..conftest import module
from .capturing import ball_scene, capture, folder_contents, snapshot, steps


def test_normals_of_a_ball_point_away_from_its_middle(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    bpy.ops.object.select_all(action="SELECT")
    bpy.data.objects["Sphere"].select_set(False)
    for polygon in bpy.data.objects["Sphere"].data.polygons:
        polygon.use_smooth = True
    dataset = capture(tmp_path / "Würfel 1", normals=True, depth=True)
    read = module("engine.core.datasets.transforms_json").read_transforms(tmp_path / "Würfel 1")
    assert [view.normals for view in read.views] == [view.normals for view in dataset.views]
    for view in read.views:
        maps = module("engine.training.data.maps")
        normals, depth = maps.read_normals(view.normals), maps.read_depth(view.depth)
        y, x = np.nonzero((np.linalg.norm(normals, axis=2) > 0) & (depth > 0))
        assert len(x) > 300
        camera = view.camera
        rays = np.stack([(x + 0.5 - camera.cx) / camera.fl_x, (y + 0.5 - camera.cy) / camera.fl_y, np.ones(len(x))], axis=1)
        points = (rays * depth[y, x, None]) @ camera.viewmat[:3, :3] + camera.position
        cosine = (normals[y, x] * points / np.linalg.norm(points, axis=1, keepdims=True)).sum(axis=1)
        assert np.median(cosine) > 0.995 and np.percentile(cosine, 5) > 0.9


def test_normals_are_written_only_when_asked_for(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=1)
    before = snapshot()
    assert capture(tmp_path).views[0].normals is None
    assert not [name for name in folder_contents(tmp_path) if name.startswith("normals")]
    assert capture(tmp_path, normals=True).views[0].normals is not None
    assert snapshot() == before


@pytest.mark.parametrize("again", [True, False])
def test_normals_move_with_the_dataset_that_they_belong_to(fresh_scene: bpy.types.Scene, tmp_path: Path, again: bool) -> None:
    """A finished dataset is replaced by a finished one: old maps go, and new ones come from the folder beside."""
    ball_scene(cameras=2)
    folder = tmp_path / "dataset"
    capture(folder, normals=True)
    for _ in steps(folder, normals=again, resolution=48):
        pass
    found = sorted(name for name in folder_contents(folder) if name.startswith("normals"))
    assert found == (["normals/0001.npy", "normals/0002.npy"] if again else [])
    assert not (tmp_path / "dataset-incomplete").exists()
    if again:
        assert np.load(folder / "normals" / "0001.npy").shape == (32, 48, 3)
