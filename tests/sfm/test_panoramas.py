"""Equirectangular photos without poses: cut into cubes, found by real COLMAP as frames of a rig."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli.photos import is_of
from engine.core.cameras.camera import Camera
from engine.core.cameras.panorama import FACES
from engine.core.datasets.read import read_dataset
from engine.core.protocol.sfm_options import FrameOptions, PosesOptions
from engine.sfm.frames import extract_frames
from engine.sfm.panoramas import is_closed, with_cuts
from engine.sfm.photos import find_photos
from engine.sfm.poses import find_poses
from tests.bench.bench_sfm import aligned
from tests.sfm.photo_scene import photograph, save, seen_along, walk
from tests.sfm.videos import write_video

WIDTH = 1024
QUICK = PosesOptions(features="quick", max_features=600)


def sphere(pose: np.ndarray) -> np.ndarray:
    """What a camera that sees the whole sphere shows of the scene, by the definition of its pixels: uint8 [H, W, 3]."""
    longitude = (np.arange(WIDTH) + 0.5) / WIDTH * 2 * np.pi - np.pi
    latitude = np.pi / 2 - (np.arange(WIDTH // 2) + 0.5) / (WIDTH // 2) * np.pi
    rays = np.stack([np.cos(latitude)[:, None] * np.sin(longitude), np.repeat(np.sin(latitude)[:, None], WIDTH, axis=1),
                     -np.cos(latitude)[:, None] * np.cos(longitude)], axis=2).reshape(-1, 3)
    return seen_along(pose[:3, 3], rays @ pose[:3, :3].T).reshape(WIDTH // 2, WIDTH, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sphere")


@pytest.fixture(scope="module")
def truth(folder: Path) -> list[Camera]:
    cameras = walk(9)[3:7]
    for number, camera in enumerate(cameras):
        save(folder / "photos" / f"sphere_{number}.jpg", sphere(camera.camera_to_world), quality=95)
    return cameras


def test_the_cameras_of_panoramas_are_found(folder: Path, truth: list[Camera]) -> None:
    report = find_poses(folder / "photos", folder / "dataset", QUICK)
    found = read_dataset(folder / "dataset")
    fronts = {view.name.removesuffix("_front.jpg"): view.camera for view in found.views if view.name.endswith("_front.jpg")}
    assert len(fronts) == len(truth) and len(found.views) == 6 * len(truth) == len(report.placed)
    true = np.array([camera.position for camera in truth])
    places = np.array([fronts[f"sphere_{number}"].position for number in range(len(truth))])
    assert np.linalg.norm(aligned(places, true) - true, axis=1).max() < 0.01 * np.linalg.norm(true[-1] - true[0])
    for view in found.views:
        panorama_name, _, face = view.name.removesuffix(".jpg").rpartition("_")
        front = fronts[panorama_name]
        assert np.allclose(view.camera.position, front.position, atol=1e-6), "all cuts of a panorama look from one place"
        assert np.allclose(front.camera_to_world[:3, :3].T @ view.camera.camera_to_world[:3, :3], FACES[face][:3, :3], atol=1e-6)
        assert view.camera.width == view.camera.height and view.camera.fl_x == pytest.approx(view.camera.width / 2, rel=1e-3)
    assert is_of(folder / "dataset", folder / "photos"), "the next training takes what was found"


def test_what_is_no_sphere_is_no_panorama(folder: Path, truth: list[Camera]) -> None:
    assert is_closed(np.asarray(Image.open(folder / "photos" / "sphere_0.jpg").convert("L").resize((512, 256)), np.float32))
    wide = photograph(dataclasses.replace(truth[0], width=512, height=256, cx=256.0, cy=128.0))
    assert not is_closed(np.asarray(Image.fromarray(wide).convert("L"), np.float32))
    assert not is_closed(np.full((256, 512), 9.0, np.float32))


def test_frames_of_a_spherical_video_are_cut_with_their_masks(folder: Path, truth: list[Camera], tmp_path: Path) -> None:
    pictures = [np.asarray(Image.open(path)) for path in sorted((folder / "photos").glob("*.jpg"))]
    write_video(tmp_path / "walk.mp4", pictures, fps=2)
    extract_frames(tmp_path / "walk.mp4", tmp_path / "photos", FrameOptions(rate=2.0))
    frames, _ = find_photos(tmp_path / "photos")
    left = np.zeros((WIDTH // 2, WIDTH), np.uint8)
    left[:, : WIDTH // 2] = 255
    save(tmp_path / "photos" / "masks" / f"{Path(frames[0].name).stem}.png", left)
    cuts, excluded = with_cuts(find_photos(tmp_path / "photos")[0], tmp_path / "work", lambda _: None)
    assert len(frames) >= 3 and len(cuts) == 6 * len(frames) and not excluded
    assert {(cut.width, cut.height, cut.focal) for cut in cuts} == {(WIDTH // 4, WIDTH // 4, WIDTH / 8)}
    masked = {cut.face: np.asarray(Image.open(cut.mask)).mean() for cut in cuts if cut.mask}
    assert len(masked) == 6 and masked["left"] == 255 and masked["right"] == 0
    (tmp_path / "photos" / frames[1].name).write_bytes((tmp_path / "photos" / frames[1].name).read_bytes()[:4000])
    _, excluded = with_cuts(find_photos(tmp_path / "photos")[0], tmp_path / "work", lambda _: None)
    assert [photo.name for photo in excluded] == [frames[1].name], "one damaged frame among panoramas is named"
