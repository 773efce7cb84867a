"""The one call into gsplat: its arguments and what we read from its answer, with the reference in gsplat's place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from engine.core.cameras.camera import Camera
from engine.training.low_pass import ANTIALIASED, CLASSIC, LowPass
from tests.scenes import look_at

torch = pytest.importorskip("torch")
gsplat = pytest.importorskip("gsplat")

from engine.training.cuda import rasterize  # noqa: E402
from engine.training.cuda.compose import RenderedFeatures, features  # noqa: E402
from engine.training.cuda.geometry import view_directions  # noqa: E402
from engine.training.cuda.tensors import Drawn, Parameters, RenderRequest, tensor_camera  # noqa: E402
from tests.training import reference  # noqa: E402
from tests.training.cpu.test_kernels import camera, scene  # noqa: E402
from tests.training.cuda import gsplat_stand_in, torch_rasterizer  # noqa: E402

CPU = torch.device("cpu")
FLAT = Camera(41, 35, 12.0, 13.0, 20.0, 17.0, look_at(np.array([2.0, -3.0, 1.0])), orthographic=True)


@pytest.fixture(autouse=True)
def reference_for_gsplat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gsplat, "rasterization", gsplat_stand_in.rasterization)
    monkeypatch.setattr(gsplat, "spherical_harmonics", gsplat_stand_in.spherical_harmonics)


def learned(count: int = 60) -> Parameters:
    return {name: torch.from_numpy(array).requires_grad_() for name, array in scene(count, 11, degree=2).arrays().items()}


def backward(drawn: Drawn, parameters: Parameters) -> dict[str, torch.Tensor]:
    """Gradients of a sum with weights that differ everywhere."""
    generator = torch.Generator().manual_seed(0)
    images = torch.cat([drawn.rgb, drawn.alpha[..., None], drawn.features], dim=2)
    (images * torch.randn(images.shape, generator=generator)).sum().backward()
    return {name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in parameters.items()}


@pytest.mark.parametrize("view", [camera(), FLAT], ids=["pinhole", "orthographic"])
@pytest.mark.parametrize("low_pass", [CLASSIC, ANTIALIASED, ANTIALIASED.reduced(2)])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("degree", [0, 2])
def test_the_call_and_its_answer(view: Camera, low_pass: LowPass, packed: bool, degree: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rasterize, "PACKED_FROM", 0 if packed else 10**9)
    sums = []
    for draw in (rasterize.draw, torch_rasterizer.draw):
        parameters, seen = learned(), tensor_camera(view, CPU)
        request = RenderRequest(degree, low_pass, features(parameters, seen, RenderedFeatures(True, True, True)), absolute=True)
        drawn = draw(parameters, seen, request)
        gradients = backward(drawn, parameters)
        pull, radius = torch.zeros(60, 2), torch.zeros(60)
        rows = torch.arange(60) if drawn.footprint.rows is None else drawn.footprint.rows
        visible = drawn.footprint.radius > 0
        pull[rows[visible]], radius[rows[visible]] = drawn.footprint.gradient()[visible], drawn.footprint.radius[visible]
        sums.append({"rgb": drawn.rgb, "alpha": drawn.alpha, "features": drawn.features, "pull": pull, "radius": radius, **gradients})
    for name, mine in sums[0].items():
        torch.testing.assert_close(mine, sums[1][name], rtol=1e-3, atol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize("view", [camera(), FLAT], ids=["pinhole", "orthographic"])
@pytest.mark.parametrize("reduction", [2, 4])
def test_reduced_photos_are_drawn_nearly_as_by_the_kernels(view: Camera, reduction: int) -> None:
    """gsplat cannot dilate and blur at once; longer axes come close."""
    small = tensor_camera(view.resized(view.width // reduction, view.height // reduction), CPU)
    with torch.no_grad():
        expected = torch_rasterizer.draw(learned(), small, RenderRequest(2, CLASSIC.reduced(reduction))).rgb
        error = (rasterize.draw(learned(), small, RenderRequest(2, CLASSIC.reduced(reduction))).rgb - expected).abs().mean()
        unaware = (rasterize.draw(learned(), small, RenderRequest(2, CLASSIC)).rgb - expected).abs().mean()
    assert error < 0.05 * unaware


@pytest.mark.parametrize("view", [camera(), FLAT], ids=["pinhole", "orthographic"])
def test_the_reference_projects_and_colours_as_gsplat_does(view: Camera) -> None:
    """gsplat's own projection and harmonics in plain torch, which it checks its kernels against."""
    from gsplat.cuda import _torch_impl as theirs

    parameters = {name: torch.from_numpy(array) for name, array in scene(200, 4, degree=3).arrays().items()}
    viewmat, K = torch.from_numpy(view.viewmat).float(), torch.from_numpy(view.K).float()
    covariances, _ = theirs._quat_scale_to_covar_preci(parameters["quats"], parameters["scales"].exp(), compute_preci=False, triu=False)
    radii, centers, depths, conics, compensations = theirs._fully_fused_projection(
        parameters["means"], covariances, viewmat[None], K[None], view.width, view.height, calc_compensations=True,
        camera_model="ortho" if view.orthographic else "pinhole")
    seen = reference.project(parameters, view, viewmat, ANTIALIASED)
    drawn = radii[0, :, 0] > 0
    assert drawn.sum() > 50
    inverse = torch.linalg.inv(seen.covariance)
    for mine, told in ((seen.center, centers), (seen.depth, depths), (seen.compensation, compensations),
                       (torch.stack([inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 1]], dim=1), conics)):
        torch.testing.assert_close(mine[drawn], told[0, drawn], rtol=1e-3, atol=1e-3)
    directions = view_directions(parameters["means"], tensor_camera(view, CPU))
    for degree in range(4):
        coefficients = torch.cat([parameters["sh0"], parameters["shN"]], dim=1)[:, : (degree + 1) ** 2]
        told = theirs._spherical_harmonics(degree, directions, coefficients)
        torch.testing.assert_close(reference.colors(parameters, viewmat, degree, view.orthographic), (told + 0.5).clamp_min(0))


def test_poses_get_gradients() -> None:
    parameters, seen = learned(), tensor_camera(camera(), CPU)
    viewmat = seen.viewmat.clone().requires_grad_()
    rasterize.draw(parameters, replace(seen, viewmat=viewmat), RenderRequest(2)).rgb.square().sum().backward()
    assert viewmat.grad is not None and viewmat.grad[:3].abs().min() > 0


def test_calls_that_gsplat_would_not_take_fail_here_too() -> None:
    with pytest.raises(TypeError):
        gsplat_stand_in.rasterization(torch.zeros(1, 3), no_such_option=True)
