"""Start points that lie beside the poses of a dataset."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.cameras.camera import Camera
from engine.core.datasets.colmap import read_colmap
from engine.core.datasets.dataset import PointCloud
from engine.core.datasets.model_points import points_of_model
from engine.core.datasets.points_ply import write_points
from engine.core.datasets.read import read_dataset
from engine.core.datasets.transforms_json import read_transforms, write_transforms
from engine.core.formats.ply import write_ply
from engine.core.splats.transform import rotation_matrices
from tests.core.datasets.test_colmap import put, put_text, synthetic
from tests.scenes import colored_ball, write_ball_dataset

CLOUD = PointCloud(np.arange(12, dtype=np.float32).reshape(4, 3), np.full((4, 3), 9, np.uint8))


def without_names(folder: Path) -> Path:
    """A ball's transforms.json as another program would have written it, without start points."""
    write_transforms(replace(write_ball_dataset(folder, views=6, size=16), points=None))
    path = folder / "transforms.json"
    values = json.loads(path.read_text())
    del values["splatwright"]
    path.write_text(json.dumps(values))
    for found in folder.glob("*.ply"):
        found.unlink()
    return folder


@pytest.mark.parametrize("name", ["sparse_pc.ply", "points3D.ply", "Points3d.PLY", "pointcloud.ply"])
def test_a_ply_beside_transforms_json(tmp_path: Path, name: str) -> None:
    folder = without_names(tmp_path)
    assert read_transforms(folder).points is None
    write_points(folder / name, CLOUD)
    points = read_transforms(folder).points
    assert points and np.array_equal(points.positions, CLOUD.positions)


def test_splats_and_damaged_files_are_no_start_points(tmp_path: Path) -> None:
    folder = without_names(tmp_path)
    write_ply(folder / "point_cloud.ply", colored_ball(20))
    (folder / "points.ply").write_bytes(b"no ply")
    dataset = read_transforms(folder)
    assert dataset.points is None and not dataset.left_out


def test_what_we_wrote_ourselves_names_what_it_has(tmp_path: Path) -> None:
    write_transforms(replace(write_ball_dataset(tmp_path, views=6, size=16), points=None))
    write_points(tmp_path / "points3d.ply", CLOUD)
    assert read_transforms(tmp_path).points is None


@pytest.mark.parametrize("where", ["sparse/points3D.ply", "points3D.ply"])
def test_a_ply_beside_a_model_is_in_its_frame(tmp_path: Path, where: str) -> None:
    put_text(tmp_path, "1 PINHOLE 8 6 7 7 4 3", "1 1 0 0 0 0 0 0 1 a.png\n")
    write_points(tmp_path / where, CLOUD)
    points = read_colmap(tmp_path).points
    assert points and np.allclose(points.positions, CLOUD.positions[:, [0, 2, 1]] * [1, 1, -1])


def test_points_without_error_or_colour(tmp_path: Path) -> None:
    put_text(tmp_path, "1 PINHOLE 8 6 7 7 4 3", "1 1 0 0 0 0 0 0 1 a.png\n", "1 1 2 3 10 20 30\n2 4 5 6\n3 seven 8 9\n4 1 1 1 1 2 3\n")
    dataset = read_colmap(tmp_path)
    assert dataset.points and dataset.points.positions.tolist() == [[1, 3, -2], [4, 6, -5], [1, 1, -1]]
    assert dataset.points.colors.tolist() == [[10, 20, 30], [128, 128, 128], [1, 2, 3]]
    assert [each.reason for each in dataset.left_out] == [
        "points3D.txt, line 2 has no reprojection error: 1 1 2 3 10 20 30 (and 1 more lines)",
        "points3D.txt, line 3 has no colour: 2 4 5 6", "points3D.txt, line 4 is no point and is left out: 3 seven 8 9"]


def moved(camera: Camera, scale: float, rotation: np.ndarray, shift: np.ndarray) -> Camera:
    pose = camera.camera_to_world.copy()
    pose[:3, 3] = scale * rotation @ pose[:3, 3] + shift
    pose[:3, :3] = rotation @ pose[:3, :3]
    return replace(camera, camera_to_world=pose)


def test_points_of_a_model_follow_its_cameras(tmp_path: Path) -> None:
    """Poses that another program turned, moved and scaled: turned about every axis."""
    put(synthetic(), tmp_path, where="colmap/sparse/0")
    model = read_colmap(tmp_path)
    assert model.points
    rotation, shift = rotation_matrices(np.array([[0.7, 0.2, -0.5, 0.4]]))[0], np.array([3.0, -2.0, 1.0])
    cameras = {f"images/{view.name}": moved(view.camera, 0.25, rotation, shift) for view in model.views}
    points, problem = points_of_model(tmp_path, cameras)
    assert points and not problem
    assert np.allclose(points.positions, 0.25 * model.points.positions @ rotation.T + shift, atol=1e-4)
    other = {name: replace(camera, camera_to_world=np.eye(4)) for name, camera in cameras.items()}
    points, problem = points_of_model(tmp_path, other)
    assert points is None and "its cameras are not those of the images" in problem


def test_no_model_says_nothing(tmp_path: Path) -> None:
    assert points_of_model(tmp_path, {}) == (None, "")
    folder = without_names(tmp_path / "data")
    (folder / "masks").mkdir()
    (folder / "masks/view_001.png").touch()
    assert [view.name for view in read_dataset(folder).views if view.mask] == ["view_001.png"], "masks are found for this format too"
