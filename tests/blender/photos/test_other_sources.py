"""Datasets of other programs come into the scene as any other: by folder, by file, by ZIP; cuts of panoramas as cameras without photos."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.blender.conftest import module
from tests.untyped import bpy


def write_registration(folder: Path) -> Path:
    """Three photos and RealityScan's CSV of their cameras."""
    folder.mkdir(parents=True)
    rows = ["#name,x,y,alt,heading,pitch,roll,f"]
    for number in range(3):
        module("engine.core.images.png").write_png(folder / f"photo {number}.png", np.full((48, 64, 3), 60 * number, np.uint8))
        rows.append(f"photo {number}.png,{number},-4.0,1.5,{10 * number},80,5,30.0")
    (folder / "cameras.csv").write_text("\n".join(rows))
    return folder


def check_cameras(source: Path) -> None:
    photos = module("addon.photos.posed_photos")
    views = module("engine.core.datasets.read").read_dataset(source).views
    cameras = photos.photo_cameras(bpy.context.active_object.children)
    assert [camera.splatwright.photo for camera in cameras] == [view.name for view in views] == [f"photo {n}.png" for n in range(3)]
    for camera, view in zip(cameras, views, strict=True):
        assert np.allclose(np.array(camera.matrix_world), view.camera.camera_to_world, atol=1e-5)
        assert Path(bpy.path.abspath(camera.data.background_images[0].image.filepath)) == view.image


@pytest.mark.parametrize("kind", ["folder", "file", "zip"])
def test_a_registration_of_realityscan(
        fresh_scene: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setenv("SPLATWRIGHT_CACHE", str(tmp_path / "cache"))
    folder = write_registration(tmp_path / "scan")
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "scan.zip", "w") as archive:
            for path in sorted(folder.iterdir()):
                archive.write(path, f"scan/{path.name}")
    source = {"folder": folder, "file": folder / "cameras.csv", "zip": tmp_path / "scan.zip"}[kind]
    chosen = {"directory": str(source)} if kind == "folder" else {"filepath": str(source)}
    assert bpy.ops.splatwright.import_photos(**chosen) == {"FINISHED"}
    check_cameras(source)
    assert bpy.context.scene.splatwright.train.dataset == str(source)


def test_panoramas(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    module("engine.core.images.png").write_png(tmp_path / "a.png", np.zeros((64, 128, 3), np.uint8))
    frame = {"file_path": "a.png", "transform_matrix": np.eye(4).tolist()}
    (tmp_path / "transforms.json").write_text(json.dumps({"camera_model": "EQUIRECTANGULAR", "frames": [frame]}))
    assert bpy.ops.splatwright.import_photos(directory=str(tmp_path)) == {"FINISHED"}
    cameras = module("addon.photos.posed_photos").photo_cameras(bpy.context.active_object.children)
    sides = ("back", "down", "front", "left", "right", "up")
    assert [camera.splatwright.photo for camera in cameras] == [f"a_{side}.png" for side in sides]
    assert not any(len(camera.data.background_images) for camera in cameras)
    assert all(np.isclose(camera.data.angle, np.pi / 2) for camera in cameras)
