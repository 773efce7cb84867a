"""Convert Images: any picture that Blender reads becomes the PNG that the built-in engine reads."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.untyped import bpy

from ..conftest import empty_scene, module


def gradient(alpha: bool) -> np.ndarray:
    rows, columns = np.mgrid[0:24, 0:32]
    channels = [rows * 8, columns * 6, 255 - rows * 5, *([columns * 8] if alpha else [])]
    return np.stack(channels, axis=2).astype(np.uint8)


@pytest.fixture(params=["jpg", "png", "tif", "webp"])
def dataset(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Three views of one kind of picture, two of them in a folder of their own."""
    core, camera = module("engine.core.datasets.dataset"), module("engine.core.cameras.camera").Camera
    folder, views = tmp_path / "photos – 写真", []
    for number in range(3):
        path = folder / "images" / ("left" if number else "") / f"{number}.{request.param}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(gradient(alpha=request.param == "png")).save(path, quality=98)
        pose = np.eye(4)
        pose[:3, 3] = (number, 0, 3)
        name = path.relative_to(folder / "images").as_posix()
        views.append(core.View(name, path, camera(32, 24, 30.0, 30.0, 16.0, 12.0, pose), number == 0))
    module("engine.core.datasets.transforms_json").write_transforms(core.Dataset(folder, tuple(views)))
    return folder


def test_pictures_keep_their_pixels_and_cameras(dataset: Path) -> None:
    empty_scene()
    settings = bpy.context.scene.splatwright.train
    settings.dataset = str(dataset)
    images = len(bpy.data.images)
    assert bpy.ops.splatwright.convert_images() == {"FINISHED"}
    assert len(bpy.data.images) == images
    read, decode = module("engine.core.datasets.read").read_dataset, module("engine.core.images.png").decode_png
    before, after = read(dataset), read(Path(settings.dataset))
    assert after.folder == dataset.with_name(dataset.name + "_png") and len(after.views) == len(before.views)
    for old, new in zip(before.views, after.views, strict=True):
        assert new.image.suffix == ".png" and new.held_out == old.held_out
        np.testing.assert_allclose(new.camera.camera_to_world, old.camera.camera_to_world)
        expected, got = np.asarray(Image.open(old.image)), decode(new.image.read_bytes())
        assert got.shape == expected.shape
        assert np.abs(got.astype(int) - expected).max() <= 4


def test_a_damaged_picture_is_left_out_and_named(dataset: Path, capfd: pytest.CaptureFixture[str]) -> None:
    empty_scene()
    victim, *others = sorted(path for path in (dataset / "images").rglob("*") if path.is_file())
    victim.write_bytes(victim.read_bytes()[:20])
    bpy.context.scene.splatwright.train.dataset = str(dataset)
    bpy.ops.splatwright.convert_images()
    target = dataset.with_name(dataset.name + "_png")
    assert len(module("engine.core.datasets.read").read_dataset(target).views) == len(others)
    assert f"cannot be used: {victim.name}" in capfd.readouterr().out
    shutil.rmtree(target)
    for path in others:
        path.write_bytes(path.read_bytes()[:20])
    bpy.context.scene.splatwright.train.dataset = str(dataset)
    with pytest.raises(RuntimeError, match=victim.name):
        bpy.ops.splatwright.convert_images()
    assert not (target / "transforms.json").exists()


def test_linear_light_becomes_display_values(tmp_path: Path) -> None:
    image = bpy.data.images.new("light", 2, 1, float_buffer=True)
    image.colorspace_settings.name = "Non-Color"
    image.pixels.foreach_set(np.array([0.2140, 0.2140, 0.2140, 1, 7.5, 7.5, 7.5, 1], np.float32))
    image.file_format, image.filepath_raw = "OPEN_EXR", str(tmp_path / "light.exr")
    image.save()
    bpy.data.images.remove(image)
    pixels = module("addon.photos.convert_images")._pixels(tmp_path / "light.exr")
    assert np.abs(pixels[0, :, :3].astype(int) - [[127] * 3, [255] * 3]).max() <= 1
