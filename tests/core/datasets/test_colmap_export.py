"""Any dataset as COLMAP: pycolmap reads the same cameras, other trainers find the images, failures leave nothing behind."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pycolmap
import pytest

from engine.cli.main import run
from engine.core.cameras.camera import Camera
from engine.core.datasets.colmap import read_colmap
from engine.core.datasets.colmap_export import export_colmap, write_colmap
from engine.core.datasets.dataset import Dataset, PointCloud, View
from engine.core.datasets.read import read_dataset
from engine.core.datasets.transforms_json import write_transforms
from engine.core.errors import UserError
from engine.core.protocol.progress import Step
from tests.core.datasets.test_colmap import TO_COLMAP, assert_parity
from tests.scenes import look_at

NAMES = ["a.png", "sub/b c.png", "фото 3.png"]


def made(folder: Path, distortion: tuple[float, ...] = (), masks: bool = False) -> Dataset:
    cameras = [Camera(64, 48, 50 + (i == 2), 51, 32, 24, look_at(np.array([3.0, i, 1.5])), distortion) for i in range(3)]
    points = PointCloud(np.random.default_rng(0).normal(0, 1, (9, 3)).astype(np.float32), np.arange(27, dtype=np.uint8).reshape(9, 3))
    views = []
    for name, camera in zip(NAMES, cameras, strict=True):
        image, mask = folder / "images" / name, folder / "masks" / name
        for path in (image, mask):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(name.encode())
        views.append(View(name, image, camera, mask=mask if masks else None))
    return Dataset(folder, tuple(views), points)


@pytest.mark.parametrize("distortion", [(), (0.1,), (0.1, -0.2, 0.01, 0.02), (0.1, -0.05, 0.001, 0.0, 0.02, 0.03, 0.0, 0.01)], ids=str)
def test_written_models_come_back_and_pycolmap_agrees(tmp_path: Path, distortion: tuple[float, ...]) -> None:
    dataset = made(tmp_path, distortion)
    assert write_colmap(dataset, tmp_path) == tmp_path / "sparse/0"
    back = read_colmap(tmp_path)
    assert back.points and dataset.points and np.abs(back.points.positions - dataset.points.positions).max() < 1e-6
    assert np.array_equal(back.points.colors, dataset.points.colors)
    for before, after in zip(sorted(dataset.views, key=lambda view: view.name), back.views, strict=True):
        assert before.name == after.name and before.camera.distortion == after.camera.distortion
        assert np.abs(before.camera.camera_to_world - after.camera.camera_to_world).max() < 1e-12
        assert np.array_equal(before.camera.K, after.camera.K)
    model = pycolmap.Reconstruction(tmp_path / "sparse/0")
    assert model.num_cameras() == 2 and model.num_points3D() == 9
    assert_parity(back, model)


def test_a_whole_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From nerfstudio's format through the command line, blanks and other alphabets in every name."""
    source = tmp_path / "ein Ordner ü"
    write_transforms(made(source, (0.1,), masks=True))
    target = tmp_path / "für COLMAP"
    assert run(["export-colmap", str(source), str(target)]) == 0
    assert "3 images and 9 points" in capsys.readouterr().out
    for name in NAMES:
        assert (target / "images" / name).read_bytes() == (target / "masks" / f"{name}.png").read_bytes() == name.encode()
    model = pycolmap.Reconstruction(target / "sparse/0")
    assert sorted(image.name for image in model.images.values()) == sorted(NAMES)
    truth = {view.name: view.camera for view in read_dataset(source).views}
    for image in model.images.values():
        assert np.abs(image.projection_center() @ TO_COLMAP - truth[image.name].position).max() < 1e-6
    back = read_dataset(target)
    assert not back.missing and all(view.mask for view in back.views)
    assert [path.name for path in tmp_path.iterdir() if path.name.endswith(".part")] == []


def test_what_cannot_be_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dataset = made(tmp_path / "source")
    flat = replace(dataset, views=tuple(replace(view, camera=replace(view.camera, orthographic=True)) for view in dataset.views))
    twins = replace(dataset, views=(dataset.views[0], dataset.views[0]))
    for wrong, words in ((flat, "orthographic"), (twins, "Two views")):
        with pytest.raises(UserError, match=words):
            export_colmap(wrong, tmp_path / "target")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/notes.txt").touch()
    with pytest.raises(UserError, match="holds other things"):
        export_colmap(dataset, tmp_path / "full")
    dataset.views[2].image.unlink()
    with pytest.raises(UserError, match="cannot be reached"):
        export_colmap(dataset, tmp_path / "target")
    assert run(["export-colmap", str(tmp_path / "nothing"), str(tmp_path / "target")]) == 1
    assert "does not exist" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full", "source"]


def test_a_cancelled_export_leaves_nothing(tmp_path: Path) -> None:
    def stop(step: Step) -> None:
        if step.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        export_colmap(made(tmp_path / "source"), tmp_path / "target", stop)
    assert [path.name for path in tmp_path.iterdir()] == ["source"]


def test_cameras_as_one_shot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "source"
    dataset = made(source)
    write_transforms(replace(dataset, views=tuple(replace(view, camera=replace(view.camera, fl_x=51.0)) for view in dataset.views)))
    assert run(["export-cameras", str(source), str(tmp_path / "shot.txt"), "--fps", "10"]) == 0
    assert [line.split()[0] for line in (tmp_path / "shot.txt").read_text().splitlines()[1:]] == ["0", "100000", "200000"]
    assert run(["export-cameras", str(source), str(tmp_path / "shot.json")]) == 0
    assert len(json.loads((tmp_path / "shot.json").read_text())["camera_path"]) == 3
    for wrong, words in ((["shot.csv"], "neither a .txt nor a .json"), (["b.txt", "--fps", "0"], "frames a second")):
        assert run(["export-cameras", str(source), str(tmp_path / wrong[0]), *wrong[1:]]) == 1
        assert words in capsys.readouterr().err
