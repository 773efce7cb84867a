"""Trouble in poses, lenses, start points, coverage and budget is found and named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.cameras.camera import FLIP_YZ, look_at
from engine.core.datasets.colmap_export import write_colmap
from engine.core.datasets.dataset import Dataset, PointCloud
from engine.core.datasets.read import read_dataset
from engine.core.datasets.transforms_json import write_transforms
from engine.core.protocol.config import TrainConfig
from engine.estimate.budget import budget_here, check_budget, needs
from engine.preflight import check_dataset

from .planting import moved, only, sound_dataset, with_camera, with_cameras, with_points, with_poses

Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


@pytest.fixture
def sound(tmp_path: Path) -> Dataset:
    return sound_dataset(tmp_path)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_too_few_views(sound: Dataset, count: int) -> None:
    finding = check_dataset(replace(sound, views=sound.views[:count]))[0]
    assert (finding.severity, finding.kind) == ("error", "few_views") and f"has {count} images" in finding.message


def test_nothing_to_train_on(sound: Dataset) -> None:
    finding = only(replace(sound, views=tuple(replace(view, held_out=True) for view in sound.views)))
    assert finding.severity == "error" and "held out" in finding.message


def test_interrupted_capture(sound: Dataset) -> None:
    write_transforms(replace(sound, complete=False))
    finding = only(read_dataset(sound.folder))
    assert finding.severity == "warning" and "capture was interrupted: 16 views" in finding.message and finding.fixes == ("recapture",)


def test_missing_images_of_a_colmap_model(sound: Dataset) -> None:
    write_colmap(sound, sound.folder)
    (sound.folder / "transforms.json").unlink()
    for number in (3, 4):
        sound.views[number].image.unlink()
    finding = only(read_dataset(sound.folder))
    assert finding.severity == "warning"
    assert finding.message == "Images that have a camera but are not there (2 of 16): view_003.png, view_004.png."


@pytest.mark.parametrize("pose", [
    np.full((4, 4), np.nan), np.diag([1.0, 1, -1, 1]), np.diag([2.0, 2, 2, 1]), np.diag([1.0, 1, 0, 1]), np.eye(3),
], ids=["nan", "mirror", "scale", "flat", "shape"])
def test_improper_poses(sound: Dataset, pose: np.ndarray) -> None:
    finding = only(with_camera(sound, 3, camera_to_world=pose))
    assert (finding.severity, finding.kind, finding.images) == ("warning", "left_out", ("view_003.png",))


def test_cameras_on_one_spot(sound: Dataset) -> None:
    finding = only(with_poses(sound, lambda pose: moved(pose, (4, 0, 0))))
    assert finding.severity == "error" and "on one spot" in finding.message


def test_cameras_on_one_line(sound: Dataset) -> None:
    """Dollied past the ball."""
    places = iter(np.linspace(-1, 1, len(sound.views)))
    line = with_poses(sound, lambda pose: look_at(np.array([5.0, next(places), 1.0]), np.zeros(3)))
    assert "one_line" in {found.kind for found in check_dataset(line) if found.severity == "warning"}


def test_the_same_camera_twice(sound: Dataset) -> None:
    findings = check_dataset(with_camera(sound, 4, camera_to_world=sound.views[3].camera.camera_to_world + 1e-12))
    assert ("warning", "same_camera", ("view_004.png",)) in [(found.severity, found.kind, found.images) for found in findings]


@pytest.mark.parametrize(("changes", "kind"), [
    ({"fl_x": 9000.0, "fl_y": 9000.0}, "field_of_view"), ({"fl_x": 10.0, "fl_y": 10.0}, "field_of_view"),
    ({"cx": 96.0, "cy": 96.0}, "principal_point"), ({"fl_x": 160.0}, "focal")])
def test_unlikely_intrinsics(sound: Dataset, changes: dict[str, float], kind: str) -> None:
    findings = check_dataset(with_camera(sound, 3, **changes))
    assert ("warning", kind, ("view_003.png",)) in [(found.severity, found.kind, found.images) for found in findings]


@pytest.mark.parametrize(("plant", "said"), [
    (lambda pose: pose @ FLIP_YZ, "y and z axes are flipped"),
    (np.linalg.inv, "inverted (world to camera)"),
    (lambda pose: FLIP_YZ @ np.linalg.inv(pose), "inverted (world to camera) and in OpenCV's axes"),
    (lambda pose: pose @ np.diag([-1.0, -1, 1, 1]), "upside down"),
    (lambda pose: Y_UP @ pose, "poses are Y-up"),
    (lambda pose: Y_UP.T @ pose, "start points are Y-up"),
], ids=["opencv", "inverted", "inverted opencv", "upside down", "y up poses", "y up points"])
def test_poses_of_another_convention(sound: Dataset, plant: Callable[[np.ndarray], np.ndarray], said: str) -> None:
    finding = only(with_poses(sound, plant))
    assert (finding.severity, finding.kind) == ("error", "convention") and said in finding.message


def test_flipped_axes_without_start_points(sound: Dataset) -> None:
    kinds = {found.kind: found.severity for found in check_dataset(with_poses(replace(sound, points=None), lambda pose: pose @ FLIP_YZ))}
    assert kinds == {"outward": "warning", "no_points": "info"}


@pytest.mark.parametrize("read_as, cause", [
    (np.linalg.inv, "inverted (world to camera)."),
    (lambda pose: np.linalg.inv(pose @ FLIP_YZ), "inverted (world to camera) and in OpenCV's axes."),
], ids=["OpenGL", "OpenCV"])
def test_inverted_poses_without_points_are_told_with_their_cause(
        sound: Dataset, read_as: Callable[[np.ndarray], np.ndarray], cause: str) -> None:
    bare = replace(sound, points=None)
    findings = [finding for finding in check_dataset(with_poses(bare, read_as)) if finding.kind != "no_points"]
    assert any(finding.kind == "convention" and finding.message.endswith(cause) for finding in findings), findings
    assert not [finding for finding in check_dataset(bare) if finding.kind in ("convention", "outward")]


def test_an_image_at_the_wrong_pose(sound: Dataset) -> None:
    a, b = sound.views[2], sound.views[12]
    views = list(sound.views)
    views[2], views[12] = replace(a, image=b.image), replace(b, image=a.image)
    strangers = next(found for found in check_dataset(replace(sound, views=tuple(views))) if found.kind == "stranger")
    assert strangers.severity == "warning" and set(strangers.images) == {a.name, b.name}


@pytest.mark.parametrize("order", ["shuffled", "shifted", "reversed"])
def test_images_and_poses_mixed_up(sound: Dataset, order: str) -> None:
    """As when files were renamed, or one was left out of the list."""
    count = len(sound.views)
    rows = {"shuffled": np.random.default_rng(3).permutation(count), "shifted": np.roll(np.arange(count), count // 3),
            "reversed": np.arange(count)[::-1]}[order]
    mixed = tuple(replace(view, image=sound.views[row].image) for view, row in zip(sound.views, rows, strict=True))
    finding = only(replace(sound, views=mixed))
    assert (finding.severity, finding.kind) == ("error", "mixed_up")


def test_points_of_another_scene(sound: Dataset) -> None:
    assert sound.points
    colors = np.random.default_rng(0).permutation(sound.points.colors)
    finding = only(with_points(sound, sound.points.positions, colors))
    assert (finding.severity, finding.kind) == ("warning", "disagreement")


def test_no_start_points(sound: Dataset) -> None:
    nothing = PointCloud(np.zeros((0, 3), np.float32), np.zeros((0, 3), np.uint8))
    assert only(replace(sound, points=None)).severity == only(replace(sound, points=nothing)).severity == "info"


def planted_points(sound: Dataset, kind: str) -> Dataset:
    assert sound.points
    positions, colors = sound.points.positions.copy(), sound.points.colors.copy()
    match kind:
        case "broken_points":
            positions[-1] = np.nan
        case "few_points":
            positions, colors = positions[::20], colors[::20]
        case "tiny_extent":
            positions = positions * 1e-3
        case "far_points":
            positions[::10] *= 100
        case "same_points":
            positions[: len(positions) // 2] = positions[-(len(positions) // 2) :]
        case "point_colors":
            colors[:] = 99
        case "unseen_points":
            positions[: int(0.7 * len(positions))] += (0, 0, 500)
    return with_points(sound, positions, colors)


@pytest.mark.parametrize(("kind", "severity"), [
    ("broken_points", "warning"), ("few_points", "warning"), ("tiny_extent", "warning"), ("far_points", "warning"),
    ("same_points", "warning"), ("point_colors", "info"), ("unseen_points", "warning")])
def test_unfit_start_points(sound: Dataset, kind: str, severity: str) -> None:
    findings = {found.kind: found.severity for found in check_dataset(planted_points(sound, kind))}
    assert findings.get(kind) == severity and "error" not in findings.values()


def test_points_that_no_camera_sees(sound: Dataset) -> None:
    assert sound.points
    finding = only(with_points(sound, sound.points.positions + np.array([0, 0, 500])))
    assert finding.severity == "error" and "No camera sees any" in finding.message


def test_a_side_that_few_cameras_see(sound: Dataset) -> None:
    """Cameras on one half of the ring alone: the other side is named."""
    views = tuple(view for view in sound.views if view.camera.position[0] > 0.5)
    finding = only(replace(sound, views=views))
    assert (finding.severity, finding.kind, finding.fixes) == ("warning", "coverage", ("cover",))
    assert finding.measure is not None and 0.2 < finding.measure < 0.6 and "(-X)" in finding.hint


def test_a_training_larger_than_the_computer(sound: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a little it is a warning, for sizes tell no more than that; by far it is an error that names what fits."""
    huge = TrainConfig(max_steps=1_000_000, max_gaussians=50_000_000, sh_degree=3)
    needed = needs(sound, huge, "cpu").memory
    monkeypatch.setattr("engine.estimate.usual_probe.free_memory", lambda: needed)
    told = {(found.kind, found.severity) for found in check_budget(sound, huge, "cpu", sound.folder)}
    assert {("memory", "warning"), ("time", "info")} <= told
    monkeypatch.setattr("engine.estimate.usual_probe.free_memory", lambda: needed / 2)
    (finding,) = check_budget(sound, huge, "cpu", sound.folder)
    assert (finding.severity, finding.kind) == ("error", "fit") and finding.hint.startswith("Set max_gaussians to 2")
    usual, findings = budget_here(sound, TrainConfig(backend="cpu"))
    assert not findings and usual.memory < 1e9 and "min" in usual.sentence
    assert needs(sound, huge, "cpu").memory > 30e9 and "hours" in needs(sound, huge, "cpu").sentence
    assert needs(sound, huge, "cuda").seconds is None and "graphics card decides" in needs(sound, huge, "cuda").sentence


def test_a_limit_of_minutes(sound: Dataset) -> None:
    asked = TrainConfig(backend="cpu", max_steps=100_000, max_gaussians=50_000, max_minutes=2)
    (finding,) = check_budget(sound, asked, "cpu", sound.folder)
    assert (finding.severity, finding.kind) == ("warning", "time") and "more than the 2 min that it may" in finding.message


def test_a_full_disk(sound: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk's size is the only thing here that a test cannot really change."""
    monkeypatch.setattr("engine.estimate.budget.free_disk", lambda folder: 1e6)
    assert [found.kind for found in check_budget(sound, TrainConfig(max_gaussians=9000), "cpu", sound.folder)] == ["disk"]


def test_lenses_may_differ(sound: Dataset) -> None:
    assert check_dataset(with_cameras(sound, lambda camera: camera)) == []


def test_a_stray_camera(sound: Dataset) -> None:
    pose = sound.views[4].camera.camera_to_world
    finding = next(found for found in check_dataset(with_camera(sound, 4, camera_to_world=moved(pose, (0, 0, -3000))))
                   if found.kind == "stray_camera")
    assert (finding.severity, finding.images, finding.fixes) == ("warning", ("view_004.png",), ("exclude",))
    assert finding.measure and finding.measure > 100 and finding.code == "preflight.stray_camera"


@pytest.mark.parametrize("size", [1e-6, 1e4])
def test_a_sound_scene_of_any_size_has_no_findings(sound: Dataset, size: float) -> None:
    assert sound.points
    grown = with_points(with_poses(sound, lambda pose: moved(pose, size * pose[:3, 3])), size * sound.points.positions.astype(np.float64))
    assert check_dataset(grown) == check_dataset(sound)


def test_cameras_on_one_spot_far_from_the_origin(sound: Dataset) -> None:
    spot = np.array([512345.67, 5412345.89, 321.5])
    finding = check_dataset(with_poses(replace(sound, points=None), lambda pose: moved(pose, spot)))[0]
    assert (finding.severity, finding.kind) == ("error", "one_spot")


def test_a_survey_is_told(sound: Dataset) -> None:
    write_transforms(replace(sound, offset=(512346.0, 5412346.0, 322.0)))
    finding = only(read_dataset(sound.folder))
    assert finding.severity == "info" and finding.code == "preflight.recentred" and "5412" in finding.message
