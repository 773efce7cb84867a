"""The kernels against the torch reference, in float64 with autograd; hard cases; determinism; bad input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.camera import Camera
from engine.core.errors import UserError
from engine.core.gaussians import Gaussians
from engine.training.backend import StepSettings, Target
from engine.training.cpu import library
from engine.training.cpu.library import Kernels, parameter_shapes
from engine.training.cpu.model import CpuModel, view_struct
from tests.scenes import colored_ball, look_at

torch = pytest.importorskip("torch")

from tests.training import reference  # noqa: E402

IMAGE_TOLERANCE, GRADIENT_TOLERANCE = 1e-5, 1e-3
RATES = {"means": 1e-3, "quats": 1e-3, "scales": 5e-3, "opacities": 5e-2, "sh0": 5e-3, "shN": 1e-3}
SETTINGS = StepSettings(RATES, 0, (0.2, 0.4, 0.6), 0.2, 0.01, 0.01, 1.0, 7)


def scene(count: int, seed: int, scale: float = 0.08, degree: int = 3, opacity: float = 0.0) -> Gaussians:
    rng = np.random.default_rng(seed)
    return Gaussians(
        means=rng.uniform(-1, 1, (count, 3)).astype(np.float32),
        quats=rng.standard_normal((count, 4)).astype(np.float32),
        scales=(np.log(scale) + 0.5 * rng.standard_normal((count, 3))).astype(np.float32),
        opacities=(opacity + 1.5 * rng.standard_normal(count)).astype(np.float32),
        sh0=(0.5 * rng.standard_normal((count, 1, 3))).astype(np.float32),
        shN=(0.15 * rng.standard_normal((count, (degree + 1) ** 2 - 1, 3))).astype(np.float32),
    )


def camera(width: int = 41, height: int = 35, distance: float = 3.0) -> Camera:
    pose = look_at(distance * np.array([0.6, -0.7, 0.4]))
    return Camera(width, height, 1.2 * width, 1.3 * width, 0.48 * width, 0.53 * height, pose)


def ours(gaussians: Gaussians, view: Camera, degree: int, gradient: np.ndarray, threads: int = 2) -> tuple[dict, dict]:
    """Images by name and gradients by parameter."""
    kernels = Kernels(threads)
    parameters = gaussians.arrays()
    images = kernels.forward(parameters, degree, view_struct(view, (0.1, 0.5, 0.9)), with_depth=True)
    shapes = parameter_shapes(len(gaussians), gaussians.shN.shape[1])
    gradients = {name: np.full(shape, np.nan, np.float32) for name, shape in shapes.items()}
    kernels.backward(np.ascontiguousarray(gradient[:3]), gradients, np.ascontiguousarray(gradient[3]))
    kernels.close()
    return {"rgb": images.rgb, "transmittance": images.transmittance, "depth": images.depth}, gradients


def theirs(gaussians: Gaussians, view: Camera, degree: int, gradient: np.ndarray) -> tuple[dict, dict]:
    parameters = {name: torch.from_numpy(array).double().requires_grad_() for name, array in gaussians.arrays().items()}
    rgb, rest, depth = reference.render(parameters, view, degree, torch.tensor([0.1, 0.5, 0.9], dtype=torch.double))
    weights = torch.from_numpy(gradient).double()
    value = (rgb * weights[:3]).sum() + (rest * weights[3]).sum()
    if value.requires_grad:
        value.backward()
    gradients = {name: (value.grad if value.grad is not None else torch.zeros_like(value)).numpy() for name, value in parameters.items()}
    return {"rgb": rgb.detach().numpy(), "transmittance": rest.detach().numpy(), "depth": depth.detach().numpy()}, gradients


def assert_agree(gaussians: Gaussians, view: Camera, degree: int, seed: int = 0, tolerance: float = IMAGE_TOLERANCE) -> None:
    gradient = np.random.default_rng(seed).standard_normal((4, view.height, view.width)).astype(np.float32)
    images, gradients = ours(gaussians, view, degree, gradient)
    truth, truth_gradients = theirs(gaussians, view, degree, gradient)
    near_threshold = borderline(gaussians, view)
    for name in ("rgb", "transmittance"):
        error = np.abs(images[name] - truth[name])[..., ~near_threshold]
        assert error.size == 0 or error.max() < tolerance * max(1.0, np.abs(truth[name]).max()), name
    if near_threshold.any():
        return
    whole = np.sqrt(sum((truth_gradient**2).sum() for truth_gradient in truth_gradients.values()))
    for name, truth_gradient in truth_gradients.items():
        size = np.linalg.norm(truth_gradient) + 1e-4 * whole  # round Gaussians have no gradient of rotation at all
        assert np.linalg.norm(gradients[name] - truth_gradient) <= GRADIENT_TOLERANCE * size, name


def borderline(gaussians: Gaussians, view: Camera) -> np.ndarray:
    """Pixels [H, W] where float32 and float64 may decide differently: an alpha or a transmittance within 1e-4 of its limit."""
    with torch.no_grad():
        parameters = {name: torch.from_numpy(array).double() for name, array in gaussians.arrays().items()}
        center, covariance, depth, in_front = reference.project(parameters, view)
        rows = torch.nonzero(in_front)[:, 0]
        if not len(rows):
            return np.zeros((view.height, view.width), bool)
        rows = rows[torch.argsort(depth[rows])]
        y, x = torch.meshgrid(torch.arange(view.height), torch.arange(view.width), indexing="ij")
        offset = torch.stack([x, y], dim=-1).double()[None] + 0.5 - center[rows, None, None]
        power = -0.5 * torch.einsum("nhwi,nij,nhwj->nhw", offset, torch.linalg.inv(covariance[rows]), offset)
        alpha = parameters["opacities"][rows].sigmoid()[:, None, None] * power.exp()
        close = ((alpha * 255 - 1).abs() < 1e-4).any(0) | ((alpha - reference.ALPHA_MAX).abs() < 1e-5).any(0)
        drawn = torch.where(alpha >= reference.ALPHA_MIN, alpha.clamp_max(reference.ALPHA_MAX), torch.zeros_like(alpha))
        rest = torch.cumprod(1 - drawn, dim=0)
        return (close | ((rest / reference.TRANSMITTANCE_MIN - 1).abs() < 1e-3).any(0)).numpy()


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_images_and_gradients_agree_with_the_reference(degree: int) -> None:
    assert_agree(scene(60, degree, degree=degree), camera(), degree)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 40), st.integers(0, 10**6), st.sampled_from([0.01, 0.1, 0.6]), st.integers(0, 3), st.integers(3, 50),
       st.integers(3, 50), st.sampled_from([0.0, 3.0]))
def test_random_scenes_agree(count: int, seed: int, scale: float, degree: int, width: int, height: int, opacity: float) -> None:
    assert_agree(scene(count, seed, scale, 3, opacity), camera(width, height), degree, seed)


def test_expected_depth_agrees() -> None:
    gaussians, view = scene(40, 3), camera()
    gradient = np.zeros((4, view.height, view.width), np.float32)
    images, truth = ours(gaussians, view, 0, gradient)[0], theirs(gaussians, view, 0, gradient)[0]
    sure = (truth["transmittance"] < 0.9) & ~borderline(gaussians, view)
    assert np.abs(images["depth"] - truth["depth"])[sure].max() < 1e-4


def hard_cases() -> dict[str, Gaussians]:
    base = scene(20, 1)
    arrays = base.arrays()

    def changed(**changes: np.ndarray) -> Gaussians:
        return Gaussians(**{**arrays, **{name: value.astype(np.float32) for name, value in changes.items()}})

    toward = np.array([0.6, -0.7, 0.4])
    return {
        "behind the camera": changed(means=arrays["means"] + 6 * toward),
        "at the near plane": changed(means=3 * toward - 0.02 * toward + 0.005 * arrays["means"], scales=np.full((20, 3), -6.0)),
        "huge": changed(scales=np.full((20, 3), 1.5)),
        "needles": changed(scales=np.tile([-6.0, -6.0, 0.0], (20, 1))),
        "opaque stack": changed(means=np.linspace(-1, 1, 20)[:, None] * toward, opacities=np.full(20, 8.0), scales=np.full((20, 3), -1.5)),
        "invisible": changed(opacities=np.full(20, -8.0)),
        "one": base.take(slice(0, 1)),
        "none": base.take(slice(0, 0)),
    }


@pytest.mark.parametrize("name", list(hard_cases()))
def test_hard_cases_agree(name: str) -> None:
    # Two centimetres from the lens, a float32 coordinate of the world is itself half a thousandth of a pixel off.
    assert_agree(hard_cases()[name], camera(), 3, tolerance=1e-4 if name == "at the near plane" else IMAGE_TOLERANCE)


def test_gradients_agree_with_finite_differences() -> None:
    gaussians, view = scene(8, 5, scale=0.3), camera(24, 20)
    weights = np.random.default_rng(0).standard_normal((4, 20, 24)).astype(np.float32)
    gradients = ours(gaussians, view, 3, weights)[1]
    parameters = {name: torch.from_numpy(array).double() for name, array in gaussians.arrays().items()}

    def value(changed: dict) -> float:
        rgb, rest, _ = reference.render(changed, view, 3, torch.tensor([0.1, 0.5, 0.9], dtype=torch.double))
        return float((rgb * torch.from_numpy(weights[:3])).sum() + (rest * torch.from_numpy(weights[3])).sum())

    for name in parameters:
        direction = torch.from_numpy(np.random.default_rng(1).standard_normal(parameters[name].shape))
        step = 1e-6
        up, down = ({**parameters, name: parameters[name] + sign * step * direction} for sign in (1, -1))
        slope = (value(up) - value(down)) / (2 * step)
        assert slope == pytest.approx(float((direction.numpy() * gradients[name]).sum()), rel=5e-3, abs=5e-3), name


def test_any_number_of_threads_gives_the_same_bits() -> None:
    gaussians, view = scene(3000, 2), camera(150, 110)
    gradient = np.random.default_rng(0).standard_normal((4, 110, 150)).astype(np.float32)
    first = ours(gaussians, view, 3, gradient, 1)
    for threads in (2, 3, 7):
        again = ours(gaussians, view, 3, gradient, threads)
        for one, other in zip(first, again, strict=True):
            assert all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(("width", "height"), [(41, 35), (8, 8), (5, 3), (64, 33), (17, 90)])
def test_loss_and_its_gradient_agree(width: int, height: int) -> None:
    rng = np.random.default_rng(width)
    image, target = (rng.random((3, height, width), np.float32) for _ in range(2))
    gradient = np.empty_like(image)
    kernels = Kernels(2)
    value = kernels.loss(image, target, 0.2, gradient)
    kernels.close()
    variable = torch.from_numpy(image).double().requires_grad_()
    truth = reference.loss(variable, torch.from_numpy(target).double(), 0.2)
    truth.backward()
    assert value == pytest.approx(truth.item(), rel=1e-5)
    np.testing.assert_allclose(gradient, variable.grad.numpy(), atol=1e-5 * np.abs(variable.grad.numpy()).max())


def test_adam_agrees_with_torch() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal(9001).astype(np.float32)
    variable = torch.from_numpy(values.copy()).requires_grad_()
    optimiser = torch.optim.Adam([variable], lr=0.01, eps=1e-15)
    first, second = np.zeros_like(values), np.zeros_like(values)
    kernels = Kernels(2)
    for step in range(1, 6):
        gradient = rng.standard_normal(9001).astype(np.float32)
        variable.grad = torch.from_numpy(gradient.copy())
        optimiser.step()
        kernels.adam(values, gradient, first, second, 0.01, step)
    kernels.close()
    np.testing.assert_allclose(values, variable.detach().numpy(), atol=1e-6)


def test_compose_lays_straight_alpha_over_the_background() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 4), np.uint8)
    kernels = Kernels(1)
    planar = kernels.compose(image, (0.2, 0.4, 0.6))
    kernels.close()
    alpha = image[..., 3:] / 255
    truth = image[..., :3] / 255 * alpha + np.array([0.2, 0.4, 0.6]) * (1 - alpha)
    np.testing.assert_allclose(planar.transpose(1, 2, 0), truth, atol=1e-6)


def test_steps_lower_the_loss_and_repeat() -> None:
    truth = CpuModel(colored_ball(), 1)
    view = camera(48, 48)
    target = Target(view, (truth.render(view, 0, SETTINGS.background).rgb.clip(0, 1) * 255).astype(np.uint8))
    losses = []
    for _ in range(2):
        model = CpuModel(colored_ball(seed=9), 2)
        losses.append([model.step(target, SETTINGS) for _ in range(30)])
        model.close()
    assert losses[0][-1] < 0.7 * losses[0][0] and losses[0] == losses[1]


def test_state_goes_on_exactly() -> None:
    view = camera(32, 32)
    target = Target(view, np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8))
    model, other = CpuModel(scene(50, 0, degree=0), 2), CpuModel(scene(9, 1, degree=0), 1)
    model.step(target, SETTINGS)
    other.load_state({name: array.copy() for name, array in model.state().items()})
    assert [model.step(target, SETTINGS) for _ in range(3)] == [other.step(target, SETTINGS) for _ in range(3)]


def test_rebuild_copies_rows_and_forgets_their_moments() -> None:
    model = CpuModel(scene(5, 0, degree=0), 1)
    model.step(Target(camera(32, 32), np.zeros((32, 32, 3), np.uint8)), SETTINGS)
    before = model.state()["first_sh0"].copy()
    model.rebuild(np.array([0, 3, 3, 1]), np.array([2]))
    assert model.count == 4 and np.array_equal(model.read("means")[1], model.read("means")[2])
    after = model.state()["first_sh0"]
    assert np.array_equal(after[1], before[3]) and not after[2].any()


@pytest.mark.parametrize("name", ["means", "quats", "scales", "opacities", "sh0"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_never_crash(name: str, value: float) -> None:
    arrays = scene(50, 0, degree=0).arrays()
    arrays[name][7] = value
    model = CpuModel(Gaussians(**arrays), 2)
    target = Target(camera(), np.zeros((35, 41, 3), np.uint8))
    try:
        model.step(target, SETTINGS)
        model.render(camera(), 0, SETTINGS.background)
    except UserError as error:
        assert name in error.message and error.hint
    model.close()


def test_a_broken_color_is_named() -> None:
    arrays = scene(50, 0, degree=0).arrays()
    arrays["sh0"][:] = np.nan
    model = CpuModel(Gaussians(**arrays), 1)
    with pytest.raises(UserError, match="sh0"):
        model.step(Target(camera(), np.zeros((35, 41, 3), np.uint8)), SETTINGS)


@pytest.mark.parametrize("change", [
    {"width": 0}, {"height": -3}, {"width": 10**6}, {"fl_x": 0.0}, {"fl_y": np.nan}, {"cx": np.inf},
    {"camera_to_world": np.full((4, 4), np.nan)},
])
def test_impossible_cameras_are_one_sentence(change: dict) -> None:
    from dataclasses import replace

    model = CpuModel(scene(5, 0), 1)
    with pytest.raises(UserError) as caught:
        model.render(replace(camera(), **change), 0, (0, 0, 0))
    assert caught.value.hint
    model.close()


def test_many_gaussians_on_one_pixel() -> None:
    count = 200_000
    base = scene(1, 0, degree=0)
    pile = Gaussians(**{name: np.repeat(array, count, axis=0) for name, array in base.arrays().items()})
    model = CpuModel(pile, 2)
    assert np.isfinite(model.step(Target(camera(), np.zeros((35, 41, 3), np.uint8)), SETTINGS))
    model.close()


def test_wrong_arrays_are_refused_before_c_sees_them() -> None:
    arrays = scene(5, 0).arrays()
    kernels = Kernels(1)
    with pytest.raises(ValueError, match="float32"):
        kernels.forward({**arrays, "quats": arrays["quats"][:4]}, 0, view_struct(camera(), (0, 0, 0)), False)
    with pytest.raises(ValueError, match="float32"):
        kernels.forward({**arrays, "means": arrays["means"].astype(np.float64)}, 0, view_struct(camera(), (0, 0, 0)), False)
    kernels.close()


@pytest.fixture
def other_kernels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv(library.OVERRIDE, str(tmp_path))
    library.load.cache_clear()
    yield tmp_path
    library.load.cache_clear()


def test_missing_kernels_are_one_sentence(other_kernels: Path) -> None:
    with pytest.raises(UserError, match="missing") as caught:
        library.load()
    assert "make kernels" in caught.value.hint


def test_kernels_for_other_computers_are_one_sentence(other_kernels: Path) -> None:
    (other_kernels / "splat-amiga-m68k.so").write_bytes(b"")
    with pytest.raises(UserError, match="other computers"):
        library.load()


def test_damaged_kernels_are_one_sentence(other_kernels: Path) -> None:
    (other_kernels / library.host_builds()[0]).write_bytes(b"not a library")
    with pytest.raises(UserError, match="damaged or made for another computer"):
        library.load()
