"""Panoramas of a whole sphere: six cuts, each of which shows what lies before its camera."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.cameras.camera import Camera
from engine.core.cameras.panorama import FACES, cut_face, face_camera, face_name
from engine.core.datasets.dataset import Dataset
from engine.core.datasets.excluded import exclude
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.splats.transform import quats_from_matrices
from engine.preflight import check
from engine.training.data.view_files import ViewFiles
from tests.core.datasets.test_sources import NAMES, PLACES, TURNS, axis_angle, metashape

WIDTH, HEIGHT = 512, 256
SPOTS = np.array([[1.0, 0.2, 0.3], [-1, 0.4, 0.1], [0.2, 1, -0.3], [0.1, -1, 0.2],
                  [-0.2, 0.3, 1], [0.3, 0.1, -1], [1, 1, 1], [-1, -0.4, 0.7]])
"""Directions in the world; each has a colour of its own in a painted panorama."""
COLORS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [255, 0, 255], [0, 255, 255], [255, 255, 255], [255, 128, 0]])


def painted(turn: np.ndarray) -> np.ndarray:
    """A panorama whose camera (OpenCV's axes) is turned so, by OpenSfM's text: u = lon / 2π, v = -lat / 2π from the middle."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    for direction, color in zip(SPOTS, COLORS, strict=True):
        x, y, z = turn.T @ direction
        longitude, latitude = math.atan2(x, z), math.atan2(-y, math.hypot(x, z))
        u, v = longitude / (2 * math.pi) * WIDTH + WIDTH / 2, -latitude / (2 * math.pi) * WIDTH + HEIGHT / 2
        for row in range(max(0, int(v) - 2), min(HEIGHT, int(v) + 3)):
            for column in range(int(u) - 2, int(u) + 3):
                image[row, column % WIDTH] = color
    return image


def check_spots(dataset: Dataset) -> None:
    """Every spot is seen by one cut at least of each panorama, in its own colour where that camera says."""
    seen = np.zeros((len(dataset.views), len(SPOTS)), bool)
    for number, view in enumerate(dataset.views):
        image = ViewFiles(view).image
        assert image.shape == (128, 128, 3) and (view.camera.width, view.camera.height) == (128, 128)
        pixels, depth = view.camera.project(view.camera.position + 10 * SPOTS)
        for spot, ((u, v), z) in enumerate(zip(pixels, depth, strict=True)):
            if z > 0 and 2 < u < 126 and 2 < v < 126:
                assert np.abs(image[int(v), int(u)].astype(int) - COLORS[spot]).max() < 60, (view.name, spot)
                seen[number, spot] = True
    assert (seen.reshape(-1, 6, len(SPOTS)).sum(axis=1) == 1).all()


def folder_of(path: Path) -> Path:
    for name, turn in zip(NAMES, TURNS, strict=True):
        Image.fromarray(painted(turn)).save(path / name)
    return path


def test_transforms(tmp_path: Path) -> None:
    """nerfstudio's camera model EQUIRECTANGULAR; its poses have OpenGL's axes."""
    frames = []
    for name, turn, place in zip(folder_of(tmp_path) and NAMES, TURNS, PLACES, strict=True):
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = turn @ np.diag([1, -1, -1]), place
        frames.append({"file_path": name, "transform_matrix": pose.tolist()})
    (tmp_path / "transforms.json").write_text(json.dumps({"camera_model": "equirectangular", "frames": frames}))
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.repeat([[255] * 256 + [0] * 256], 256, axis=0).astype(np.uint8)).save(tmp_path / "masks/photo_0.png")
    found = read_dataset(tmp_path)
    check_spots(found)
    assert len(found.views) == 6 * len(NAMES) and len({view.name for view in found.views}) == 6 * len(NAMES)
    assert {view.name.rpartition("_")[0] for view in found.eval_views} == {"photo_0", "photo_8"}, "all cuts of a panorama or none"
    masks = {view.face: ViewFiles(view).mask for view in found.views if view.image.name == "photo_0.png"}
    assert masks["left"] is not None and masks["left"].all() and masks["right"] is not None and not masks["right"].any()
    assert not [finding for finding in check(found).findings if finding.kind in ("one_spot", "field_of_view", "size", "unreadable")]


def test_one_cut_is_left_out(tmp_path: Path) -> None:
    test_transforms(tmp_path)
    assert exclude(read_dataset(tmp_path), ["photo_3_down.png"]) == 1
    assert len(read_dataset(tmp_path).views) == 6 * len(NAMES) - 1
    (tmp_path / "excluded.txt").write_text("photo_3.png\n")
    assert len(read_dataset(tmp_path).views) == 6 * (len(NAMES) - 1), "the image's name stands for all of its cuts"


def test_metashape_spherical(tmp_path: Path) -> None:
    folder_of(tmp_path)
    sensor = f'<sensor id="3" type="spherical"><resolution width="{WIDTH}" height="{HEIGHT}"/></sensor>'
    (tmp_path / "cameras.xml").write_text(metashape(sensor))
    check_spots(read_dataset(tmp_path))


@pytest.mark.parametrize("kind", ["spherical", "equirectangular"])
def test_opensfm_spherical(tmp_path: Path, kind: str) -> None:
    folder_of(tmp_path)
    shots = {name: {"camera": "c", "rotation": axis_angle(turn.T), "translation": (-turn.T @ place).tolist()}
             for name, turn, place in zip(NAMES, TURNS, PLACES, strict=True)}
    model = {"cameras": {"c": {"width": WIDTH, "height": HEIGHT, "projection_type": kind}}, "shots": shots, "points": {}}
    (tmp_path / "reconstruction.json").write_text(json.dumps([model]))
    check_spots(read_dataset(tmp_path))


def test_colmap(tmp_path: Path) -> None:
    """COLMAP's model 17; its frame is Blender's by (x, z, -y)."""
    folder_of(tmp_path)
    (tmp_path / "sparse").mkdir()
    (tmp_path / "sparse/cameras.txt").write_text(f"1 EQUIRECTANGULAR {WIDTH} {HEIGHT} {WIDTH} {HEIGHT}\n")
    y_down = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # Blender's world in COLMAP's
    lines = []
    for number, (name, turn, place) in enumerate(zip(NAMES, TURNS, PLACES, strict=True), 1):
        to_camera = turn.T @ y_down.T
        numbers = (*quats_from_matrices(to_camera[None])[0], *(-turn.T @ place))
        lines.append(f"{number} {' '.join(str(float(value)) for value in numbers)} 1 {name}\n\n")
    (tmp_path / "sparse/images.txt").write_text("".join(lines))
    check_spots(read_dataset(tmp_path))


def test_panoramas_of_a_part_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (400, 100)).save(tmp_path / "a.png")
    values = {"camera_model": "EQUIRECTANGULAR", "frames": [{"file_path": "a.png", "transform_matrix": np.eye(4).tolist()}]}
    (tmp_path / "transforms.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match="400 x 100 pixels; one of the whole sphere is twice as wide as high"):
        read_dataset(tmp_path)


def test_cuts_meet_at_their_borders() -> None:
    """A smooth sphere looks the same from both sides of every edge of the cube."""
    longitude = (np.arange(1024) + 0.5) / 1024 * 2 * np.pi - np.pi
    latitude = np.pi / 2 - (np.arange(512) + 0.5) / 512 * np.pi
    rays = np.stack([np.cos(latitude)[:, None] * np.sin(longitude), np.repeat(np.sin(latitude)[:, None], 1024, axis=1),
                     -np.cos(latitude)[:, None] * np.cos(longitude)], axis=2)
    image = (127 + 60 * rays + 60 * rays[..., [1, 2, 0]]).astype(np.uint8)
    for face in FACES:
        camera = face_camera(np.eye(4), face, 1024)
        pixels = np.stack(np.meshgrid(np.arange(256) + 0.5, np.arange(256) + 0.5), axis=2).reshape(-1, 2)
        there = camera.unproject(pixels, np.ones(len(pixels)))
        there /= np.linalg.norm(there, axis=1, keepdims=True)
        wanted = 127 + 60 * there + 60 * there[:, [1, 2, 0]]
        assert np.abs(cut_face(image, face).reshape(-1, 3) - wanted).max() < 2


def test_names_of_cuts() -> None:
    assert face_name("a/b.c.jpg", "up") == "a/b.c_up.jpg" and face_name("a.b/c", "up") == "a.b/c_up" and face_name("c", "up") == "c_up"
    assert all(np.isclose(np.linalg.det(turn), 1) for turn in FACES.values()) and isinstance(face_camera(np.eye(4), "up", 8), Camera)


def test_cuts_become_files_for_other_programs(tmp_path: Path) -> None:
    from engine.cli.datasets import export_colmap

    (tmp_path / "in").mkdir()
    test_transforms(tmp_path / "in")
    assert export_colmap(tmp_path / "in", tmp_path / "out") == 0
    found = read_dataset(tmp_path / "out")
    assert len(found.views) == 6 * len(NAMES) and not any(view.face for view in found.views)
    before = {view.name.removesuffix(".png"): view for view in read_dataset(tmp_path / "in").views}
    for view in found.views:
        same = before[view.name.removesuffix(".png")]
        assert np.allclose(view.camera.camera_to_world, same.camera.camera_to_world, atol=1e-9)
        assert np.array_equal(ViewFiles(view).image, ViewFiles(same).image)
    assert sum(view.mask is not None for view in found.views) == 6
