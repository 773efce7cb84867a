"""Transforms, judged by pictures: what moves together with its camera must look the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.linalg import polar as scipy_polar
from scipy.spatial.transform import Rotation

from engine.core.cameras.camera import Camera
from engine.core.splats.gaussians import Gaussians
from engine.core.splats.sh import sh_basis
from engine.core.splats.transform import (
    BLENDER_TO_PLY,
    PLY_TO_BLENDER,
    multiply_quats,
    quats_from_matrices,
    rebase_gaussians,
    rotation_matrices,
    transform_gaussians,
)
from engine.training.cpu.model import CpuModel
from tests.core.splats.numpy_splats import covariances, draw, seen_colors
from tests.scenes import colored_ball, look_at

SIZE = 40
angles = st.floats(-np.pi, np.pi)


def camera_at(position: tuple[float, float, float]) -> Camera:
    return Camera(SIZE, SIZE, 1.4 * SIZE, 1.4 * SIZE, SIZE / 2, SIZE / 2, look_at(np.array(position)))


def moved(camera: Camera, matrix: np.ndarray) -> Camera:
    """The camera after a rotation or translation of the world."""
    return Camera(camera.width, camera.height, camera.fl_x, camera.fl_y, camera.cx, camera.cy, matrix @ camera.camera_to_world)


def matrix_of(linear: np.ndarray, shift: tuple[float, float, float] = (0, 0, 0)) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3], matrix[:3, 3] = linear, shift
    return matrix


@pytest.fixture(scope="module")
def ball() -> Gaussians:
    return colored_ball(60, sh_degree=3)


@pytest.mark.parametrize("seed", range(3))
def test_turning_object_and_camera_together_changes_no_pixel(ball: Gaussians, seed: int) -> None:
    matrix = matrix_of(Rotation.random(random_state=seed).as_matrix(), (1.5, -2.0, 0.7))
    camera = camera_at((3, -2, 1.5))
    before, after = draw(ball, camera), draw(transform_gaussians(ball, matrix), moved(camera, matrix))
    assert before[..., 3].max() > 0.5
    assert np.abs(after - before).max() < 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_the_engine_draws_the_same_pixels_too(ball: Gaussians, seed: int) -> None:
    matrix = matrix_of(Rotation.random(random_state=seed).as_matrix(), (1.5, -2.0, 0.7))
    camera = camera_at((3, -2, 1.5))
    before, after = render(ball, camera), render(transform_gaussians(ball, matrix), moved(camera, matrix))
    assert np.abs(after - before).max() <= 1e-4


def render(gaussians: Gaussians, camera: Camera) -> np.ndarray:
    """Colour over black [H, W, 3] by the built-in engine."""
    model = CpuModel(gaussians, 1)
    picture = model.render(camera, gaussians.sh_degree, (0.0, 0.0, 0.0)).rgb
    model.close()
    return picture


def test_turning_the_object_alone_changes_pixels(ball: Gaussians) -> None:
    turn = matrix_of(Rotation.from_euler("z", 0.3).as_matrix())
    camera = camera_at((3, -2, 1.5))
    assert np.abs(draw(transform_gaussians(ball, turn), camera) - draw(ball, camera)).max() > 0.05


def test_harmonics_are_needed_for_that(ball: Gaussians) -> None:
    """The test above would notice a wrong SH rotation: without turning them the picture differs."""
    matrix = matrix_of(Rotation.from_euler("xyz", [0.4, 0.8, -0.3]).as_matrix())
    camera = camera_at((3, -2, 1.5))
    wrong = Gaussians(**{**transform_gaussians(ball, matrix).arrays(), "shN": ball.shN})
    assert np.abs(draw(wrong, moved(camera, matrix)) - draw(ball, camera)).max() > 1e-2


def test_uniform_scale_with_the_camera_farther_away(ball: Gaussians) -> None:
    near, far = camera_at((3, -2, 1.5)), camera_at((7.5, -5, 3.75))
    scaled = transform_gaussians(ball, np.diag([2.5, 2.5, 2.5, 1.0]))
    assert np.abs(draw(scaled, far) - draw(ball, near)).max() < 1e-5
    assert np.allclose(scaled.scales, ball.scales + np.log(2.5), atol=1e-6)


@pytest.mark.parametrize("linear", [np.diag([-1.0, 1, 1]), np.diag([-2.0, -2, -2])], ids=["one axis", "all axes, doubled"])
def test_mirror_shows_the_mirrored_picture(ball: Gaussians, linear: np.ndarray) -> None:
    """A camera in the mirror's x = 0 plane sees left and right exchanged; a point reflection adds a half turn about x."""
    size = abs(linear[0, 0])
    camera = camera_at((0, -3.5, 0))
    half_turn = matrix_of(np.diag([1.0, -1, -1]) if linear[1, 1] < 0 else np.eye(3))
    mirrored = transform_gaussians(transform_gaussians(ball, matrix_of(linear)), half_turn)
    seen = draw(mirrored, camera_at((0, -3.5 * size, 0)))
    assert np.abs(seen[:, ::-1] - draw(ball, camera)).max() < 1e-5


def test_shear_gives_the_sheared_covariances(ball: Gaussians) -> None:
    linear = np.array([[1.5, 0.4, 0.0], [0.0, 0.7, -0.3], [0.2, 0.0, 2.0]])
    sheared = transform_gaussians(ball, matrix_of(linear, (1, 2, 3)))
    assert np.allclose(covariances(sheared), linear @ covariances(ball) @ linear.T, rtol=1e-5, atol=1e-7)
    assert np.allclose(sheared.means, ball.means @ linear.T + [1, 2, 3], atol=1e-6)
    assert np.array_equal(sheared.opacities, ball.opacities) and np.array_equal(sheared.sh0, ball.sh0)


def test_nearly_uniform_and_uniform_agree(ball: Gaussians) -> None:
    rotation = Rotation.from_euler("xyz", [0.4, 0.8, -0.3]).as_matrix()
    uniform = transform_gaussians(ball, matrix_of(2 * rotation))
    nearly = transform_gaussians(ball, matrix_of(rotation @ np.diag([2.0, 2.0, 2.0002])))
    assert np.allclose(covariances(uniform), covariances(nearly), rtol=1e-3, atol=1e-5)
    assert np.allclose(uniform.shN, nearly.shN, atol=1e-4)


def test_float32_matrices_of_blender_count_as_uniform(ball: Gaussians) -> None:
    """Row order of the scales stays, so nothing was decomposed again."""
    rotation = np.eye(3, dtype=np.float32)
    for angle in (0.3, 1.1, -2.0, 0.7):
        rotation = rotation @ Rotation.from_euler("xyz", [angle, -angle, 2 * angle]).as_matrix().astype(np.float32)
    scaled = transform_gaussians(ball, matrix_of(rotation * np.float32(0.8)))
    assert np.allclose(scaled.scales, ball.scales + np.log(0.8), atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(angles, angles, angles, st.floats(0.01, 100), st.tuples(*[st.floats(-10, 10)] * 3))
def test_there_and_back(x: float, y: float, z: float, size: float, shift: tuple[float, float, float]) -> None:
    ball = colored_ball(20, sh_degree=3)
    matrix = matrix_of(size * Rotation.from_euler("xyz", [x, y, z]).as_matrix(), shift)
    back = transform_gaussians(transform_gaussians(ball, matrix), np.linalg.inv(matrix))
    assert np.allclose(back.means, ball.means, atol=2e-6 * (1 + 10 / size))
    assert np.allclose(back.scales, ball.scales, atol=1e-6 * (1 + abs(np.log(size))))
    assert np.allclose(back.shN, ball.shN, atol=1e-6)
    assert np.allclose(rotation_matrices(back.quats), rotation_matrices(ball.quats), atol=1e-5)


def test_identity_is_the_same_object(ball: Gaussians) -> None:
    assert transform_gaussians(ball, np.eye(4)) is ball


def test_ply_axes_move_values_exactly(ball: Gaussians) -> None:
    ply = transform_gaussians(ball, BLENDER_TO_PLY)
    assert np.array_equal(ply.means, ball.means[:, [0, 2, 1]] * np.array([1, -1, 1], np.float32))
    assert np.array_equal(ply.scales, ball.scales)
    assert np.array_equal(transform_gaussians(ply, PLY_TO_BLENDER).means, ball.means)


def test_flattened_object_stays_finite(ball: Gaussians) -> None:
    """A scale of 0 on one axis, or on all."""
    for factors in ([1.0, 1, 0, 1], [0.0, 0, 0, 1]):
        flat = transform_gaussians(ball, np.diag(factors))
        assert flat.finite_rows().all()


def test_colours_follow_the_object(ball: Gaussians) -> None:
    matrix = matrix_of(Rotation.random(random_state=9).as_matrix(), (4, 5, 6))
    eye = np.array([2.0, 1.0, -3.0])
    after = seen_colors(transform_gaussians(ball, matrix), matrix[:3, :3] @ eye + matrix[:3, 3])
    assert np.allclose(after, seen_colors(ball, eye), atol=1e-5)


def test_quaternions_against_scipy() -> None:
    turns = Rotation.random(100, random_state=0)
    wxyz = np.roll(turns.as_quat(), 1, axis=1)
    assert np.allclose(rotation_matrices(3.7 * wxyz), turns.as_matrix(), atol=1e-12)
    back = quats_from_matrices(turns.as_matrix())
    assert np.allclose(np.abs((back * wxyz).sum(axis=1)), 1, atol=1e-12)
    first = turns[0]
    assert np.allclose(rotation_matrices(multiply_quats(wxyz[0], wxyz)), first.as_matrix() @ turns.as_matrix(), atol=1e-12)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_half_turns_have_quaternions(axis: str) -> None:
    """Where the trace is smallest."""
    matrix = Rotation.from_euler(axis, np.pi).as_matrix()
    assert np.allclose(rotation_matrices(quats_from_matrices(matrix[None]))[0], matrix, atol=1e-12)


matrices = hnp.arrays(np.float64, (3, 3), elements=st.floats(-4, 4))


def usable(linear: np.ndarray) -> bool:
    """Not flat: singular values within a factor of a thousand."""
    singular = np.linalg.svd(linear, compute_uv=False)
    return singular[0] > 1e-2 and singular[2] > 1e-3 * singular[0]


@settings(max_examples=60, deadline=None)
@given(linear=matrices, shift=st.tuples(*[st.floats(-10, 10)] * 3))
def test_any_map_gives_the_mapped_covariances(linear: np.ndarray, shift: tuple[float, float, float]) -> None:
    """Sheared, stretched, mirrored: each Gaussian by itself, against its own largest axis."""
    assume(usable(linear))
    ball = colored_ball(20, sh_degree=1)
    after = transform_gaussians(ball, matrix_of(linear, shift))
    expected = linear @ covariances(ball) @ linear.T
    error = np.abs(covariances(after) - expected).max(axis=(1, 2)) / np.trace(expected, axis1=1, axis2=2)
    assert error.max() < 2e-5
    assert np.allclose(after.means, ball.means @ linear.T + shift, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(linear=matrices)
def test_colours_turn_by_the_polar_factor(linear: np.ndarray) -> None:
    """What was seen along d is seen along O d, where O is the orthogonal factor, a reflection for a mirror."""
    assume(usable(linear))
    ball = colored_ball(5, sh_degree=3)
    turn, stretch = scipy_polar(linear)
    assert (np.linalg.eigvalsh(stretch) > 0).all()
    after = transform_gaussians(ball, matrix_of(linear))
    directions = Rotation.random(7, random_state=0).as_matrix()[:, 0]
    for before_seen, after_seen in zip(colors_along(ball, directions), colors_along(after, directions @ turn.T), strict=True):
        assert np.allclose(before_seen, after_seen, atol=2e-5)


def colors_along(gaussians: Gaussians, directions: np.ndarray) -> np.ndarray:
    """Colours [D, N, 3] before clamping."""
    coefficients = np.concatenate([gaussians.sh0, gaussians.shN], axis=1).astype(np.float64)
    return np.einsum("dk,nkc->dnc", sh_basis(gaussians.sh_degree, directions), coefficients)


@settings(max_examples=40, deadline=None)
@given(linear=matrices, x=angles, y=angles, z=angles, mirrored=st.booleans())
def test_one_after_the_other_is_the_product(linear: np.ndarray, x: float, y: float, z: float, mirrored: bool) -> None:
    """A turn or mirror after any map, harmonics included: the polar factor of O A is O times that of A."""
    assume(usable(linear))
    ball = colored_ball(10, sh_degree=3)
    turn = Rotation.from_euler("xyz", [x, y, z]).as_matrix() * (-1 if mirrored else 1)
    stepwise = transform_gaussians(transform_gaussians(ball, matrix_of(linear)), matrix_of(turn))
    at_once = transform_gaussians(ball, matrix_of(turn @ linear))
    sizes = np.trace(covariances(at_once), axis1=1, axis2=2)[:, None, None]
    assert np.allclose(covariances(stepwise) / sizes, covariances(at_once) / sizes, atol=2e-5)
    assert np.allclose(stepwise.shN, at_once.shN, atol=1e-5) and np.allclose(stepwise.means, at_once.means, atol=1e-4)


@settings(max_examples=30, deadline=None)
@given(linear=matrices)
def test_there_and_back_through_any_map(linear: np.ndarray) -> None:
    assume(usable(linear) and np.linalg.cond(linear) < 30)
    ball = colored_ball(10, sh_degree=2)
    back = transform_gaussians(transform_gaussians(ball, matrix_of(linear)), np.linalg.inv(matrix_of(linear)))
    sizes = np.trace(covariances(ball), axis1=1, axis2=2)[:, None, None]
    assert np.allclose(covariances(back) / sizes, covariances(ball) / sizes, atol=1e-3)
    assert np.allclose(back.means, ball.means, atol=1e-4)


@settings(max_examples=40, deadline=None)
@given(before=matrices, after=matrices, shift=st.tuples(*[st.floats(-10, 10)] * 3))
def test_another_matrix_of_the_object_changes_nothing_that_is_seen(
    before: np.ndarray, after: np.ndarray, shift: tuple[float, float, float],
) -> None:
    assume(usable(before) and usable(after) and np.linalg.cond(before) < 30 and np.linalg.cond(after) < 30)
    ball = colored_ball(10, sh_degree=3)
    seen = transform_gaussians(ball, matrix_of(before, shift))
    again = transform_gaussians(rebase_gaussians(ball, matrix_of(before, shift), matrix_of(after)), matrix_of(after))
    sizes = np.trace(covariances(seen), axis1=1, axis2=2)[:, None, None]
    assert np.allclose(covariances(again) / sizes, covariances(seen) / sizes, atol=2e-3)
    assert np.allclose(again.shN, seen.shN, atol=1e-5) and np.allclose(again.means, seen.means, atol=1e-3)
