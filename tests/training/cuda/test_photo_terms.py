"""What is learned about photos: exposures without a colour cast, poses within the dataset's frame; and the dome for the sky."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.cameras.camera import Camera
from engine.core.datasets.dataset import Dataset, View
from engine.core.datasets.transforms_json import write_transforms
from engine.core.images.png import write_png
from engine.core.protocol.config import TrainConfig
from engine.core.splats.gaussians import Gaussians
from engine.training.backend import StepSettings, Target
from engine.training.cpu.model import CpuModel
from engine.training.evaluate import evaluate
from engine.training.init.initialize import initial_gaussians
from engine.training.init.sky import DOME, even_directions, seen_by_any, sky_points
from tests.scenes import colored_ball, ring_cameras, write_ball_dataset
from tests.training.test_trainer import finished, make_job, run

torch = pytest.importorskip("torch")

from engine.training.cuda import exposure, poses  # noqa: E402
from engine.training.cuda.model import TorchModel  # noqa: E402
from tests.training.cuda.torch_rasterizer import draw  # noqa: E402

RATES = {"means": 2e-3, "quats": 2e-3, "scales": 5e-3, "opacities": 0.05, "sh0": 0.02, "shN": 0.0}
PLAIN = StepSettings(RATES, 0, (0.0, 0.0, 0.0), 0.0, 0.0, 0.0, 0.0, 1, 0)
CPU = torch.device("cpu")


def small_ball() -> Gaussians:
    ball = colored_ball(40)
    return Gaussians(**{**ball.arrays(), "scales": ball.scales + np.float32(0.7)})


def photos(truth: Gaussians, cameras: list[Camera]) -> list[np.ndarray]:
    """What the cameras see, float32 [H, W, 3]."""
    model = CpuModel(truth, 1)
    images = [model.render(camera, 0, (0.0, 0.0, 0.0)).rgb for camera in cameras]
    model.close()
    return images


def as_bytes(image: np.ndarray) -> np.ndarray:
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)


def trained(gaussians: Gaussians, targets: list[Target], cameras: list[Camera], settings: StepSettings, rounds: int) -> TorchModel:
    model = TorchModel(gaussians, CPU, draw, cameras=cameras)
    for _ in range(rounds):
        for target in targets:
            model.step(target, settings)
    return model


def error(model: TorchModel, cameras: list[Camera], truth: list[np.ndarray]) -> float:
    """Mean difference to photos."""
    seen = [model.render(camera, 0, (0.0, 0.0, 0.0)).rgb for camera in cameras]
    return float(np.mean([np.abs(image - exact).mean() for image, exact in zip(seen, truth, strict=True)]))


def test_exposures_absorb_what_the_camera_did() -> None:
    """Photos of one scene, bright and dark and tinted by turns: with a model of exposure the splats keep the true colours."""
    cameras = ring_cameras(6, 24)
    truth = photos(small_ball(), cameras)
    gains = np.array([[1.3, 1, 0.8], [0.7, 1, 1.2], [1, 0.7, 1], [1, 1.3, 1], [1.2, 0.8, 1.1], [0.8, 1.2, 0.9]])
    targets = [Target(camera, as_bytes(0.7 * image * gain), number)
               for number, (camera, image, gain) in enumerate(zip(cameras, truth, gains, strict=True))]
    errors, casts = [], []
    for rate in (0.0, 0.01):
        model = trained(small_ball(), targets, cameras, replace(PLAIN, exposure_rate=rate), 40)
        seen = [model.render(camera, 0, (0.0, 0.0, 0.0)).rgb for camera in cameras]
        errors.append(error(model, cameras, [0.7 * image for image in truth]))
        casts.append(np.abs(np.mean(seen, (0, 1, 2)) / np.mean(truth, (0, 1, 2)) / 0.7 - 1))
    assert errors[1] < 0.6 * errors[0]
    assert casts[1].max() < 0.03, "no colour cast"
    learned = model.state()["exposure"]
    assert np.abs(learned.mean(axis=0)).max() < 1e-6 and np.abs(learned).max() > 0.1


def test_exposure_leaves_the_background_alone() -> None:
    change = torch.zeros(2, 3, 4)
    change[1, :, :3], change[1, :, 3] = torch.eye(3), 0.25
    drawn = torch.rand(5, 4, 4, generator=torch.Generator().manual_seed(0))
    rgb, alpha = drawn[..., :3], drawn[..., 3]
    assert torch.equal(exposure.exposed(rgb, alpha, change, 0), rgb)
    assert torch.allclose(exposure.exposed(rgb, alpha, change, 1), 2 * rgb + 0.25 * alpha[..., None])
    assert not exposure.exposed(0 * rgb, 0 * alpha, change, 1).any()
    exposure.center_(change)
    assert torch.allclose(change[0], -change[1])


def moved(camera: Camera, turn: np.ndarray, shift: np.ndarray) -> Camera:
    """A camera that turned in the world and was shifted."""
    matrix = camera.camera_to_world.copy()
    matrix[:3, :3] = poses.rotation_matrix(torch.from_numpy(turn)).numpy() @ matrix[:3, :3]
    matrix[:3, 3] += shift
    return replace(camera, camera_to_world=matrix)


def test_poses_find_back() -> None:
    """Photos whose poses are a little off: refined, the cameras come closer to where they were, and the splats stay sharp."""
    cameras = ring_cameras(6, 24)
    truth = photos(small_ball(), cameras)
    rng = np.random.default_rng(3)
    wrong = [moved(camera, 0.03 * rng.standard_normal(3), 0.05 * rng.standard_normal(3)) for camera in cameras]
    targets = [Target(camera, as_bytes(image), number) for number, (camera, image) in enumerate(zip(wrong, truth, strict=True))]
    still = replace(PLAIN, learning_rates={**RATES, "means": 0.0})
    errors = []
    for rate in (0.0, 3e-3):
        model = trained(small_ball(), targets, wrong, replace(still, pose_rate=rate), 40)
        errors.append(error(model, cameras, truth))
    assert errors[1] < 0.7 * errors[0]
    corrections = torch.from_numpy(model.state()["poses"])
    unit = poses.spread(torch.tensor(np.array([camera.position for camera in wrong])))
    off = [mean_projection_error([exact], [camera.viewmat]) for exact, camera in zip(cameras, wrong, strict=True)]
    starts = [torch.from_numpy(camera.viewmat).float() for camera in wrong]
    found = [poses.refined(start, corrections, number, unit).numpy() for number, start in enumerate(starts)]
    refined = [mean_projection_error([exact], [matrix]) for exact, matrix in zip(cameras, found, strict=True)]
    assert np.mean(refined) < 0.5 * np.mean(off)


def mean_projection_error(cameras: list[Camera], viewmats: list[np.ndarray]) -> float:
    """How far, in pixels, points of the ball are from where the true cameras see them."""
    points = colored_ball(40).means.astype(float)
    distances = []
    for camera, viewmat in zip(cameras, viewmats, strict=True):
        local = points @ viewmat[:3, :3].T + viewmat[:3, 3]
        pixels = local[:, :2] / local[:, 2:] * [camera.fl_x, camera.fl_y] + [camera.cx, camera.cy]
        distances.append(np.linalg.norm(pixels - camera.project(points)[0], axis=1).mean())
    return float(np.mean(distances))


def test_refined_poses_turn_and_shift_in_the_world() -> None:
    camera = ring_cameras(3)[1]
    turn, shift = np.array([0.1, -0.2, 0.05]), np.array([0.3, 0.0, -0.1])
    corrections = torch.zeros(4, 6, dtype=torch.float64)
    corrections[2] = torch.from_numpy(np.concatenate([turn, shift / 2.5]))
    found = poses.refined(torch.from_numpy(camera.viewmat), corrections, 2, unit=2.5)
    assert np.allclose(found.numpy(), moved(camera, turn, shift).viewmat, atol=1e-9)
    assert np.allclose(poses.refined(torch.from_numpy(camera.viewmat), corrections, 1, 2.5).numpy(), camera.viewmat)
    assert torch.autograd.gradcheck(lambda c: poses.refined(torch.from_numpy(camera.viewmat), c, 2, 2.5), (corrections.requires_grad_(),))
    at_rest = torch.zeros(1, 6, dtype=torch.float64, requires_grad=True)
    poses.refined(torch.from_numpy(camera.viewmat), at_rest, 0, 1.0).sum().backward()
    assert at_rest.grad is not None and at_rest.grad.isfinite().all() and at_rest.grad[0, :3].abs().min() > 0


@given(st.integers(0, 10**6), st.integers(2, 9))
def test_what_no_image_can_tell_is_taken_out(seed: int, views: int) -> None:
    rng = np.random.default_rng(seed)
    positions = torch.from_numpy(rng.standard_normal((views, 3)))
    own = torch.from_numpy(rng.standard_normal((views, 6)))
    poses.anchor_(own, positions)
    shared = torch.from_numpy(rng.standard_normal(6)).expand(views, 6).clone()
    shared[:, 3:] += 0.3 * positions
    again = own + shared
    poses.anchor_(again, positions)
    assert torch.allclose(again, own, atol=1e-9)
    assert torch.allclose(own.mean(dim=0), torch.zeros(6, dtype=torch.float64), atol=1e-12)


def test_dome_points_lie_far_out_where_cameras_look() -> None:
    cameras = ring_cameras(12)
    near = colored_ball(200).means
    strays = np.concatenate([near, [[1e6, 0, 0], [np.nan, 0, 0]]]).astype(np.float32)
    points = sky_points(cameras, strays, 500).positions
    distance = np.linalg.norm(points - np.median(points, axis=0), axis=1)
    assert 400 < len(points) < 600 and seen_by_any(points.astype(float), cameras).all()
    assert 0.7 * DOME * 4 < np.median(distance) < 1.3 * DOME * 4.4
    assert not len(sky_points(cameras, near, 0)) and not len(sky_points([], near, 0))
    nearest = np.sort(np.linalg.norm(even_directions(300)[:, None] - even_directions(300)[None], axis=2), axis=1)[:, 1]
    assert nearest.min() > 0.6 * nearest.max()


def write_outdoor_dataset(folder: Path, views: int = 12, size: int = 48) -> Dataset:
    """The ball under a sky that is blue above, grey at the horizon and has a bright stripe: opaque photos."""
    dataset = write_ball_dataset(folder, views, size)
    model = CpuModel(colored_ball(), 1)
    for view in dataset.views:
        seen = model.render(view.camera, 0, (0.0, 0.0, 0.0))
        write_png(view.image, as_bytes(seen.rgb + (1 - seen.alpha[..., None]) * sky(view.camera)))
    model.close()
    write_transforms(dataset)
    return dataset


def sky(camera: Camera) -> np.ndarray:
    """Colour of the sky behind every pixel, [H, W, 3]."""
    x, y = np.meshgrid(np.arange(camera.width) + 0.5, np.arange(camera.height) + 0.5)
    local = np.stack([(x - camera.cx) / camera.fl_x, (y - camera.cy) / camera.fl_y, np.ones_like(x)], axis=2)
    ray = local @ camera.viewmat[:3, :3]
    ray /= np.linalg.norm(ray, axis=2, keepdims=True)
    up = ray[..., 2:].clip(0, 1)
    stripe = (np.abs(np.sin(2 * np.arctan2(ray[..., 1:2], ray[..., :1]))) > 0.95) * 0.3
    return (1 - up) * [0.5, 0.5, 0.5] + up * [0.2, 0.4, 0.9] + stripe


def floating(gaussians: Gaussians) -> float:
    """Opacity of what hangs between the ball and well behind the cameras."""
    distance = np.linalg.norm(gaussians.means, axis=1)
    inside = (distance > 1.4) & (distance < 12)
    return float((1 / (1 + np.exp(-gaussians.opacities[inside]))).sum())


def test_a_dome_keeps_the_sky_out_of_the_scene(tmp_path: Path) -> None:
    from engine.core.formats.ply import read_ply

    folder = write_outdoor_dataset(tmp_path / "data").folder
    scores, floats = [], []
    for count in (0, 300):
        job = make_job(tmp_path / f"job{count}", folder, max_steps=400, max_gaussians=1000, sky=count, resolution=48, backend="cpu")
        scores.append(finished(run(job)).psnr)
        floats.append(floating(read_ply(job.result).gaussians))
    assert scores[1] > scores[0] + 2 and floats[1] < 0.1 * floats[0]


def test_the_dome_counts_towards_the_cap() -> None:
    cameras = ring_cameras(8)
    views = tuple(View(f"{i}", Path("x"), camera) for i, camera in enumerate(cameras))
    made = initial_gaussians(Dataset(Path("."), views), TrainConfig(sky=400, max_gaussians=500))
    far = np.linalg.norm(made.means, axis=1) > 20
    assert len(made) <= 500 and 150 < far.sum() <= 260
    assert np.exp(made.scales[far]).min() > np.exp(made.scales[~far]).max()


def test_held_out_views_are_measured_where_their_mask_keeps_them() -> None:
    camera = ring_cameras(3, 32)[0]
    truth = as_bytes(photos(small_ball(), [camera])[0])
    mask = np.zeros((32, 32), np.uint8)
    mask[:, :20] = 255
    spoilt = np.where(mask[..., None] == 255, truth, 255 - truth)
    kernels, torched = CpuModel(small_ball(), 1), TorchModel(small_ball(), CPU, draw)
    for model in (kernels, torched):
        clean, dirty = model.score(Target(camera, truth, mask=mask), 0), model.score(Target(camera, spoilt, mask=mask), 0)
        assert dirty[0] == pytest.approx(clean[0], abs=1e-6) and abs(dirty[1] - clean[1]) < 2e-3
        assert model.score(Target(camera, spoilt), 0)[0] < 20 < clean[0]
    noise = np.random.default_rng(0).integers(0, 256, truth.shape, np.uint8)
    found = [model.score(Target(camera, noise, mask=mask), 0) for model in (kernels, torched)]
    assert found[0] == pytest.approx(found[1], abs=1e-3)
    assert evaluate(kernels, [Target(camera, noise, mask=0 * mask)], 0) is None
