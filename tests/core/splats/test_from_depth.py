"""Splats from one picture with depth: where they are, how large, how turned, and what is left out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.cameras.camera import Camera
from engine.core.splats.from_depth import SPREAD, THICKNESS, gaussians_from_depth
from engine.core.splats.gaussians import Gaussians, sh0_to_rgb
from engine.core.splats.transform import rotation_matrices
from engine.training.cpu.model import CpuModel
from engine.training.evaluate import psnr
from tests.scenes import look_at, ring_cameras


def camera_at(place: tuple[float, float, float] = (1.0, -4.0, 1.5), width: int = 64, height: int = 48) -> Camera:
    return Camera(width, height, 70.0, 70.0, width / 2 + 1.5, height / 2 - 2, look_at(np.array(place)))


def plane_depth(camera: Camera, point: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """Depth [H, W] of a plane, 0 where the rays miss it."""
    rows, columns = np.mgrid[0 : camera.height, 0 : camera.width]
    pixels = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
    origin = camera.unproject(pixels, np.zeros(len(pixels)))
    rays = camera.unproject(pixels, np.ones(len(pixels))) - origin
    with np.errstate(divide="ignore", invalid="ignore"):
        depth = ((point - origin) @ normal) / (rays @ normal)
    return np.where(np.isfinite(depth) & (depth > 0) & (depth < 100), depth, 0).reshape(camera.height, camera.width)


def picture(camera: Camera, alpha: bool = False) -> np.ndarray:
    rng = np.random.default_rng(0)
    colors = rng.random((camera.height, camera.width, 3))
    return np.concatenate([colors, np.ones((camera.height, camera.width, 1))], axis=2) if alpha else colors


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.floats(-1, 1)] * 3), st.booleans())
def test_splats_lie_on_a_plane_and_along_it(direction: tuple[float, float, float], orthographic: bool) -> None:
    camera = replace(camera_at(), orthographic=orthographic)
    normal = np.array(direction) + 1e-3
    normal /= np.linalg.norm(normal)
    if abs(normal @ camera.camera_to_world[:3, 2]) < 0.3:
        return  # seen too much from the side
    depth = plane_depth(camera, np.zeros(3), normal)
    found = gaussians_from_depth(camera, depth, picture(camera))
    assert len(found) == np.count_nonzero(depth), "a plane has no edge, however it lies"
    assert np.abs(found.means @ normal).max() < 1e-4 * max(1, np.abs(found.means).max())
    axes = rotation_matrices(found.quats)
    assert np.abs(np.abs(axes[:, :, 2] @ normal) - 1).max() < 1e-3
    assert np.abs(axes[:, :, :2].transpose(0, 2, 1) @ normal).max() < 0.05


def test_sizes_are_the_pixels_on_the_surface() -> None:
    camera = camera_at()
    towards = camera.camera_to_world[:3, 2]
    found = gaussians_from_depth(camera, plane_depth(camera, np.zeros(3), towards), picture(camera))
    depth = camera.project(found.means.astype(np.float64))[1]
    assert np.allclose(np.exp(found.scales), np.outer(depth / 70, [SPREAD, SPREAD, SPREAD * THICKNESS / SPREAD]), rtol=1e-3)


def test_colours_and_alpha() -> None:
    camera = camera_at()
    image = picture(camera, alpha=True)
    image[:, :20, 3], image[:, 20:30, 3] = 0.2, 0.7
    found = gaussians_from_depth(camera, np.full((48, 64), 3.0), image)
    assert len(found) == 48 * 44, "transparent pixels are no splats"
    assert np.allclose(sh0_to_rgb(found.sh0[:44, 0]), image[0, 20:, :3], atol=1e-5)
    assert found.opacities[0] < found.opacities[-1]


def test_depth_edges_and_unknown_depth_are_left_out() -> None:
    camera = camera_at()
    depth = np.full((48, 64), 3.0)
    depth[10:30, 20:40] = 2.0
    depth[:, 0], depth[:, 1], depth[0] = np.nan, np.inf, 0.0
    found = gaussians_from_depth(camera, depth, picture(camera))
    pixels, distance = camera.project(found.means.astype(np.float64))
    seen = set(map(tuple, np.floor(pixels).astype(int)))
    assert (np.isclose(distance, 2) | np.isclose(distance, 3)).all()
    for row, column in ((10, 25), (9, 25), (29, 39), (30, 30), (20, 19), (20, 20)):
        assert (column, row) not in seen, "on the edge"
    assert {(30, 20), (25, 12), (5, 5), (62, 46)} <= seen
    assert np.exp(found.scales).max() < 4 * SPREAD * 3 / 70, "no splat stretches across an edge"


def test_nothing_known_and_single_pixels() -> None:
    camera = camera_at()
    assert len(gaussians_from_depth(camera, np.zeros((48, 64)), picture(camera))) == 0
    depth = np.zeros((48, 64))
    depth[20, 20] = 2.0
    found = gaussians_from_depth(camera, depth, picture(camera))
    assert len(found) == 1 and np.isfinite(found.scales).all() and found.finite_rows().all()


@pytest.mark.parametrize("most", [100, 1000])
def test_fewer_splats_are_larger(most: int) -> None:
    camera = camera_at()
    depth, image = np.full((48, 64), 3.0), picture(camera)
    all_of_them, found = gaussians_from_depth(camera, depth, image), gaussians_from_depth(camera, depth, image, most)
    assert 0.4 * most < len(found) <= most
    larger = (len(all_of_them) / len(found)) ** 0.5
    assert np.exp(found.scales[:, 0]).mean() == pytest.approx(np.exp(all_of_them.scales[:, 0]).mean() * larger, rel=0.2)


def draw(gaussians: Gaussians, camera: Camera) -> np.ndarray:
    model = CpuModel(gaussians, 1)
    seen = model.render(camera, 0, (0.0, 0.0, 0.0)).rgb.clip(0, 1)
    model.close()
    return seen


def test_it_looks_like_the_picture_from_where_it_was_taken_and_beside() -> None:
    """A chequered ball, its depth and colours computed ray by ray."""
    def ball(camera: Camera) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = np.mgrid[0 : camera.height, 0 : camera.width]
        pixels = np.stack([columns.ravel(), rows.ravel()], axis=1) + 0.5
        rays = camera.unproject(pixels, np.ones(len(pixels))) - camera.position
        a, b = (rays**2).sum(axis=1), rays @ camera.position
        root = b**2 - a * (camera.position @ camera.position - 1)
        depth = np.where(root > 0, (-b - np.sqrt(root.clip(0))) / a, 0)
        places = camera.position + rays * depth[:, None]
        colors = np.where((depth > 0)[:, None], 0.5 + 0.4 * np.sign(np.sin(4 * places)), 0)
        return depth.reshape(rows.shape), colors.reshape(*rows.shape, 3)

    here, beside = (ring_cameras(48, size=160)[index] for index in (0, 1))
    found = gaussians_from_depth(here, *ball(here))
    assert psnr(draw(found, here), ball(here)[1]) > 20
    assert psnr(draw(found, beside), ball(beside)[1]) > 16
