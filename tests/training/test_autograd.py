"""The torch operation around the kernels: its gradients against the reference's, through losses that the kernels do not know."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from engine.core.cameras.camera import Camera  # noqa: E402
from engine.training.cpu.blocks import NAMES  # noqa: E402
from engine.training.cpu.model import view_struct  # noqa: E402
from tests.scenes import colored_ball, ring_cameras  # noqa: E402
from tests.training import reference  # noqa: E402
from tests.training.autograd import rasterize  # noqa: E402

BACKGROUND = (0.1, 0.5, 0.9)
LOSSES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "squares": lambda rgb, rest: (rgb - 0.3).square().mean() + rest.square().mean(),
    "colours alone": lambda rgb, rest: (rgb[0] * rgb[1] - rgb[2]).abs().mean(),
    "transmittance alone": lambda rgb, rest: (rest.clamp_min(1e-3).log()).mean(),
    "SSIM": lambda rgb, rest: 1 - reference.ssim(rgb, rgb.new_full((), 0.4).expand_as(rgb)),
}


def camera() -> Camera:
    return ring_cameras(3, 40)[1]


def parameters() -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(array).double().requires_grad_() for name, array in colored_ball(40, sh_degree=2).arrays().items()}


def gradients(draw: Callable[[dict[str, torch.Tensor]], tuple[torch.Tensor, ...]], name: str) -> dict[str, np.ndarray]:
    """Gradients of a loss through one of the two rasterizers."""
    variables = parameters()
    LOSSES[name](*draw(variables)).backward()
    return {name: variable.grad.numpy() for name, variable in variables.items() if variable.grad is not None}


def by_the_reference(parameters: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    frame = reference.render(parameters, camera(), 2, torch.tensor(BACKGROUND, dtype=torch.double))
    return frame.rgb, frame.transmittance


@pytest.mark.parametrize("name", list(LOSSES))
def test_torch_losses_flow_through_the_kernels(name: str) -> None:
    ours = gradients(lambda p: rasterize(p, view_struct(camera(), BACKGROUND), 2), name)
    truth = gradients(by_the_reference, name)
    assert np.linalg.norm(truth["opacities"]) > 0
    for parameter in NAMES:
        expected = truth.get(parameter, np.zeros_like(ours[parameter]))
        assert np.linalg.norm(ours[parameter] - expected) <= 1e-3 * np.linalg.norm(expected) + 1e-9, parameter


def test_two_frames_keep_their_own_gradients() -> None:
    """The first frame's way back comes after the second frame has been drawn."""
    variables, views = parameters(), [view_struct(each, BACKGROUND) for each in ring_cameras(3, 40)[:2]]
    first, second = (rasterize(variables, view, 2)[0].sum() for view in views)
    (first + second).backward()
    together = variables["means"].grad.clone()
    variables["means"].grad = None
    for view in views:
        rasterize(variables, view, 2)[0].sum().backward()
    assert torch.allclose(together, variables["means"].grad)


def test_finite_differences_agree_along_a_direction() -> None:
    """The kernels against themselves; float32 images allow no smaller steps than these."""
    view, rng = view_struct(camera(), BACKGROUND), np.random.default_rng(0)
    start = {name: values.detach() for name, values in parameters().items()}
    direction = {name: torch.from_numpy(rng.standard_normal(values.shape)) for name, values in start.items()}
    slope = gradients(lambda p: rasterize(p, view, 2), "squares")

    def value(step: float) -> float:
        moved = {name: values + step * direction[name] for name, values in start.items()}
        return float(LOSSES["squares"](*rasterize(moved, view, 2)))

    along = sum(float((slope[name] * direction[name].numpy()).sum()) for name in NAMES)
    assert (value(2e-3) - value(-2e-3)) / 4e-3 == pytest.approx(along, rel=0.02, abs=1e-4)
