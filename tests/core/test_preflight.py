"""The check before training: each kind of trouble is found, named and rated; a good dataset has none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.core.camera import Camera
from engine.core.colmap_export import write_colmap
from engine.core.dataset import Dataset, PointCloud, View
from engine.core.events import Finding
from engine.core.sources import read_dataset
from engine.core.transforms_json import write_transforms
from engine.preflight import check_dataset
from tests.scenes import ring_cameras

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
POINTS = PointCloud(np.random.default_rng(0).normal(0, 0.3, (500, 3)).astype(np.float32), np.full((500, 3), 99, np.uint8))


@pytest.fixture
def good(tmp_path: Path) -> Dataset:
    views = []
    for index, camera in enumerate(ring_cameras(9, 32)):
        path = tmp_path / f"images/{index}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(index).integers(0, 255, (32, 32, 3), np.uint8)).save(path)
        views.append(View(path.name, path, camera, index == 0))
    return Dataset(tmp_path, tuple(views), POINTS)


def with_camera(dataset: Dataset, index: int, **changes: object) -> Dataset:
    views = list(dataset.views)
    views[index] = replace(views[index], camera=replace(views[index].camera, **changes))  # type: ignore[arg-type]
    return replace(dataset, views=tuple(views))


def moved(camera: Camera, position: tuple[float, float, float]) -> np.ndarray:
    pose = camera.camera_to_world.copy()
    pose[:3, 3] = position
    return pose


def only(dataset: Dataset) -> Finding:
    findings = check_dataset(dataset)
    assert len(findings) == 1, findings
    assert findings[0].hint
    return findings[0]


def test_a_good_dataset_has_no_findings(good: Dataset) -> None:
    ticks: list[int] = []
    assert check_dataset(good, lambda: ticks.append(1)) == [] and len(ticks) == len(good.views)


@pytest.mark.parametrize("name", ["banana", "snowmiku"])
def test_real_photos_have_no_findings(name: str) -> None:
    if not (DATA / name).is_dir():
        pytest.skip(f"shared/data/{name} is not beside this checkout")
    assert check_dataset(read_dataset(DATA / name)) == []


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_views(good: Dataset, count: int) -> None:
    finding = only(replace(good, views=good.views[:count]))
    assert finding.severity == "error" and f"has {count} images" in finding.message


def test_nothing_to_train_on(good: Dataset) -> None:
    finding = only(replace(good, views=tuple(replace(view, held_out=True) for view in good.views)))
    assert finding.severity == "error" and "held out" in finding.message


def test_interrupted_capture(good: Dataset) -> None:
    write_transforms(replace(good, complete=False))
    finding = only(read_dataset(good.folder))
    assert finding.severity == "warning" and "capture was interrupted: 9 views" in finding.message


def test_missing_images_of_a_colmap_model(good: Dataset) -> None:
    write_colmap(good, good.folder)
    for number in (3, 4):
        good.views[number].image.unlink()
    finding = only(read_dataset(good.folder))
    assert (finding.severity, finding.message) == ("warning", "Images that have a camera but are not there (2 of 9): 3.png, 4.png.")


def test_unreadable_images_are_named_and_then_counted(good: Dataset) -> None:
    good.views[2].image.write_bytes(b"no image")
    assert only(good).severity == "error" and "2.png" in only(good).message
    for number in range(1, 8):
        good.views[number].image.write_bytes(b"no image")
    findings = check_dataset(good)
    assert [finding.severity for finding in findings] == ["error"] * 4
    assert "1.png" in findings[0].message and findings[3].message == "4 more images cannot be used."


def test_images_of_another_shape(good: Dataset) -> None:
    Image.new("RGB", (32, 16), "red").save(good.views[5].image)
    finding = only(good)
    assert finding.severity == "error" and finding.message == "5.png is 32 x 16 pixels, its camera says 32 x 32."


def test_impossible_lens(good: Dataset) -> None:
    finding = only(with_camera(good, 3, distortion=(-90.0,)))
    assert finding.severity == "error" and "no usable image" in finding.message


@pytest.mark.parametrize("color", [(0, 0, 0), (1, 1, 1), (0, 0, 0, 255), (255, 255, 255, 0)], ids=str)
def test_black_and_empty_images(good: Dataset, color: tuple[int, ...]) -> None:
    for number in (1, 5):
        Image.new("RGBA" if len(color) == 4 else "RGB", (32, 32), color).save(good.views[number].image)
    finding = only(good)
    assert (finding.severity, finding.message) == ("warning", "Black or empty images (2 of 9): 1.png, 5.png.")
    for view in good.views:
        Image.new("RGB", (32, 32)).save(view.image)
    assert only(good).severity == "error" and only(good).message.endswith("0.png, 1.png, 2.png and 6 more.")


def test_a_small_object_before_nothing_is_no_black_image(good: Dataset) -> None:
    picture = Image.new("RGBA", (32, 32), (0, 0, 0, 0))
    picture.paste((180, 120, 60, 255), (14, 14, 18, 18))
    for view in good.views:
        picture.save(view.image)
    assert check_dataset(good) == []


@pytest.mark.parametrize("pose", [
    np.full((4, 4), np.nan), np.diag([1.0, 1, -1, 1]), np.diag([2.0, 2, 2, 1]), np.diag([1.0, 1, 0, 1]), np.eye(3),
], ids=["nan", "mirror", "scale", "flat", "shape"])
def test_improper_poses(good: Dataset, pose: np.ndarray) -> None:
    finding = only(with_camera(good, 3, camera_to_world=pose))
    assert (finding.severity, finding.message) == ("error", "Images without a proper pose (1 of 9): 3.png.")


def test_cameras_on_one_spot(good: Dataset) -> None:
    for index, view in enumerate(good.views):
        good = with_camera(good, index, camera_to_world=moved(view.camera, (4, 0, 0)))
    finding = only(good)
    assert finding.severity == "error" and "on one spot" in finding.message


def test_the_same_camera_twice(good: Dataset) -> None:
    dataset = with_camera(good, 4, camera_to_world=good.views[2].camera.camera_to_world + 1e-12)
    finding = only(dataset)
    assert (finding.severity, finding.message) == ("warning", "Images with the same camera as another one (1 of 9): 4.png.")
    turned = with_camera(good, 4, camera_to_world=moved(good.views[4].camera, tuple(good.views[2].camera.position)))
    assert check_dataset(turned) == []


def test_no_start_points(good: Dataset) -> None:
    nothing = PointCloud(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    assert only(replace(good, points=None)).severity == only(replace(good, points=nothing)).severity == "info"


@pytest.mark.parametrize("share, severity", [(0.3, None), (0.7, "warning"), (1.0, "error")])
def test_points_that_no_camera_sees(good: Dataset, share: float, severity: str | None) -> None:
    positions = POINTS.positions.copy()
    positions[: int(share * len(positions))] += (0, 0, 500)
    positions[-1] = np.nan
    findings = check_dataset(replace(good, points=PointCloud(positions, POINTS.colors)))
    assert [finding.severity for finding in findings] == ([severity] if severity else [])
