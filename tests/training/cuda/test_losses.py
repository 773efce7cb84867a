"""Every term of the loss: its gradient by finite differences, and what it does to a scene made for it. All on CPU tensors."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from engine.core.cameras.camera import Camera
from engine.core.splats.gaussians import Gaussians, rgb_to_sh0
from engine.training.backend import StepSettings, Target
from tests.scenes import look_at

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402

from engine.training.cuda import losses  # noqa: E402
from engine.training.cuda.model import TorchModel  # noqa: E402
from engine.training.cuda.ssim import plain_ssim, ssim  # noqa: E402
from engine.training.cuda.tensors import Composite, GroundTruth  # noqa: E402
from tests.training import reference  # noqa: E402
from tests.training.cuda.torch_rasterizer import draw  # noqa: E402

SIZE = 20
CAMERA = Camera(SIZE, SIZE, 24.0, 24.0, SIZE / 2, SIZE / 2, look_at(np.array([0.0, -4.0, 0.0])))
RATES = {"means": 0.02, "quats": 0.02, "scales": 0.02, "opacities": 0.1, "sh0": 0.02, "shN": 0.0}
PLAIN = StepSettings(RATES, 0, (0.0, 0.0, 0.0), 0.0, 0.0, 0.0, 0.0, 1, 0)
GREY = np.full((SIZE, SIZE, 3), 128, np.uint8)


def uniform(seed: int, *shape: int) -> Tensor:
    return torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


KNOWN = uniform(9, 6, 7) > 0.3
NORMALS = torch.nn.functional.normalize(uniform(8, 6, 7, 3) - 0.5, dim=-1) * (uniform(7, 6, 7, 1) > 0.2)
DEPTHS = 3 * uniform(6, 6, 7) * (uniform(5, 6, 7) > 0.2)
TERMS: dict[str, tuple[Callable[[Tensor], Tensor], Tensor]] = {
    "l1": (lambda x: losses.image_loss(x, uniform(1, 6, 7, 3), None, 0.0), uniform(0, 6, 7, 3)),
    "l1 and ssim": (lambda x: losses.image_loss(x, uniform(1, 6, 7, 3), None, 0.2), uniform(0, 6, 7, 3)),
    "alpha": (lambda x: losses.alpha_loss(x, uniform(1, 6, 7), KNOWN), uniform(0, 6, 7)),
    "depth": (lambda x: losses.depth_loss(x, DEPTHS, KNOWN), 0.1 + 3 * uniform(0, 6, 7)),
    "normals": (lambda x: losses.normal_loss(x, uniform(1, 6, 7), NORMALS, KNOWN), uniform(0, 6, 7, 3)),
    "distortion": (lambda x: losses.distortion_loss(x, 0.1 + uniform(1, 6, 7), KNOWN), uniform(0, 6, 7)),
    "transmittance": (lambda x: losses.transmittance_loss(x, KNOWN), uniform(0, 6, 7)),
    "opacity": (losses.opacity_loss, 4 * uniform(0, 9) - 2),
    "scale": (losses.scale_loss, uniform(0, 9, 3) - 3),
    "needle": (losses.needle_loss, 9 * uniform(0, 9, 3) - 9),
}


@pytest.mark.parametrize("name", TERMS)
def test_gradients_by_finite_differences(name: str) -> None:
    term, at = TERMS[name]
    assert torch.autograd.gradcheck(term, (at.requires_grad_(),), eps=1e-7, atol=1e-6)
    assert term(at).item() > 0 and torch.autograd.grad(term(at), at)[0].abs().max() > 0


def test_terms_are_zero_where_all_is_right() -> None:
    image, alpha, depth = uniform(0, 6, 7, 3), uniform(1, 6, 7), 1 + uniform(2, 6, 7)
    assert losses.image_loss(image, image, None, 0.2).item() == pytest.approx(0, abs=1e-12)
    assert losses.alpha_loss(alpha, alpha).item() == losses.depth_loss(depth, depth).item() == 0
    known = NORMALS * (NORMALS.norm(dim=-1, keepdim=True) > 0)
    assert losses.normal_loss(known, torch.ones(6, 7), known).item() == pytest.approx(0, abs=1e-12)
    assert losses.transmittance_loss((alpha > 0.5).double()).item() == 0
    assert losses.needle_loss(torch.log(torch.tensor([[5.0, 1.0, 0.01]]))).item() == 0, "disks and short needles are free"


def test_depth_counts_the_same_in_every_unit() -> None:
    depth, truth = 1 + uniform(0, 6, 7), 1 + uniform(1, 6, 7)
    assert losses.depth_loss(depth, truth).item() == pytest.approx(losses.depth_loss(1000 * depth, 1000 * truth).item())


def test_ssim_is_the_reference() -> None:
    a, b = uniform(0, 31, 40, 3), uniform(1, 31, 40, 3)
    assert ssim(a, b).item() == pytest.approx(reference.ssim(a.permute(2, 0, 1), b.permute(2, 0, 1)).item(), abs=1e-12)
    assert plain_ssim(a, a).item() == pytest.approx(1)


def test_ignored_pixels_have_exactly_no_gradient() -> None:
    learned = torch.ones(24, 24, dtype=torch.bool)
    learned[:, 12:] = False
    image, truth = uniform(0, 24, 24, 3).requires_grad_(), uniform(1, 24, 24, 3)
    losses.image_loss(image, truth, learned, 0.2).backward()
    assert image.grad is not None and not image.grad[:, 12:].any() and image.grad[:, :12].abs().min() > 0
    drawn = (uniform(2, 24, 24, 3), uniform(3, 24, 24), uniform(4, 24, 24), uniform(5, 24, 24))
    seen = Composite(*(value.requires_grad_() for value in drawn))
    all_terms = replace(PLAIN, ssim_lambda=0.2, alpha_weight=1.0, depth_weight=1.0, distortion_weight=1.0, transmittance_weight=1.0)
    losses.view_loss(seen, GroundTruth(truth, uniform(6, 24, 24), learned.double(), uniform(7, 24, 24)), all_terms).backward()
    for value in (seen.rgb, seen.alpha, seen.depth, seen.spread):
        assert value is not None and value.grad is not None and not value.grad[:, 12:].any() and value.grad[:, :12].any()


def wall(depth: float, side: int = 5, color: float = 0.5, opacity: float = 3.0, thickness: float = 0.02) -> Gaussians:
    """A grey wall of flat Gaussians across the view, at a distance from the camera."""
    x, z = np.meshgrid(*[np.linspace(-0.45, 0.45, side) * depth] * 2)
    count = side * side
    means = np.stack([x.ravel(), np.full(count, depth - 4.0), z.ravel()], axis=1)
    scales = np.log(np.tile([0.16 * depth, thickness, 0.16 * depth], (count, 1)))
    return Gaussians(means.astype(np.float32), np.tile(np.float32([1, 0, 0, 0]), (count, 1)), scales.astype(np.float32),
                     np.full(count, opacity, np.float32), rgb_to_sh0(np.full((count, 1, 3), color)), np.zeros((count, 0, 3), np.float32))


def both(*parts: Gaussians) -> Gaussians:
    return Gaussians(**{name: np.concatenate([part.arrays()[name] for part in parts]) for name in parts[0].arrays()})


def trained(gaussians: Gaussians, target: Target, settings: StepSettings, steps: int) -> TorchModel:
    model = TorchModel(gaussians, torch.device("cpu"), draw)
    for _ in range(steps):
        model.step(target, settings)
    return model


def test_depth_maps_put_a_plain_wall_where_it_is() -> None:
    """A wall of one colour: from one image alone its distance cannot be told."""
    target = Target(CAMERA, GREY, depth=np.full((SIZE, SIZE), 4.0, np.float32))
    errors = []
    for weight in (0.0, 1.0):
        seen = trained(wall(3.2), target, replace(PLAIN, depth_weight=weight), 80).render(CAMERA, 0, (0.0, 0.0, 0.0))
        errors.append(float(np.abs(seen.depth - 4.0)[seen.alpha > 0.5].mean()))
    assert errors[0] > 0.5 and errors[1] < 0.08


def test_unknown_depth_teaches_nothing() -> None:
    unknown = Target(CAMERA, GREY, depth=np.zeros((SIZE, SIZE), np.float32))
    models = [trained(wall(3.2), unknown, replace(PLAIN, depth_weight=weight), 3) for weight in (0.0, 1.0)]
    assert np.array_equal(models[0].read("means"), models[1].read("means"))


def test_normal_maps_turn_gaussians() -> None:
    tilted = wall(4.0)
    tilted.quats[:] = [np.cos(0.35), 0.0, 0.0, np.sin(0.35)]  # 40° about the vertical
    target = Target(CAMERA, GREY, normals=np.tile(np.float32([0, -1, 0]), (SIZE, SIZE, 1)))
    angles = []
    for weight in (0.0, 0.2):
        quats = trained(tilted, target, replace(PLAIN, normal_weight=weight), 60).read("quats")
        axes = reference.rotation_matrices(torch.from_numpy(quats))[:, :, 1].numpy()
        angles.append(np.degrees(np.arccos(np.abs(axes[:, 1]).clip(0, 1))).mean())
    assert angles[0] > 20 and angles[1] < 8


def test_alpha_clears_what_the_background_hides() -> None:
    """A black wall before a black background: colours are right, and yet the photo says that nothing is there."""
    nothing = Target(CAMERA, np.zeros((SIZE, SIZE, 4), np.uint8))
    left = [trained(wall(4.0, color=0.0), nothing, replace(PLAIN, alpha_weight=weight), 60).render(CAMERA, 0, (0.0, 0.0, 0.0)).alpha.mean()
            for weight in (0.0, 1.0)]
    assert left[0] > 0.8 and left[1] < 0.2


def floaters() -> Gaussians:
    """Three grey puffs half way between the camera and a grey wall: no image of one view shows them."""
    puffs = wall(2.0, side=2, opacity=0.0, thickness=0.2)
    return both(wall(4.0), puffs)


def test_distortion_removes_floaters_that_no_image_shows() -> None:
    haze, images = [], []
    for weight in (0.0, 1.0):
        model = trained(floaters(), Target(CAMERA, GREY), replace(PLAIN, distortion_weight=weight), 80)
        images.append(model.render(CAMERA, 0, (0.0, 0.0, 0.0)).rgb[4:-4, 4:-4])
        puffs = TorchModel(model.gaussians().take(slice(25, None)), torch.device("cpu"), draw)
        haze.append(float(puffs.render(CAMERA, 0, (0.0, 0.0, 0.0)).alpha.mean()))
    assert haze[0] > 0.1 and haze[1] < 0.02
    assert np.abs(images[1] - 0.5).mean() < 0.03


def test_transmittance_decides_between_covered_and_empty() -> None:
    """A black haze before black: half transparent is as good as anything for the image."""
    black = Target(CAMERA, np.zeros_like(GREY))
    haze = [trained(wall(4.0, color=0.0, opacity=0.3), black, replace(PLAIN, transmittance_weight=weight), 80) for weight in (0.0, 0.5)]
    between = [np.mean(4 * alpha * (1 - alpha)) for alpha in (model.render(CAMERA, 0, (0.0, 0.0, 0.0)).alpha[4:-4, 4:-4] for model in haze)]
    assert between[0] > 0.3 and between[1] < 0.1


def test_needles_become_thicker_and_disks_stay() -> None:
    needles, disks = wall(4.0), wall(4.0)
    needles.scales[:] = np.log([0.02, 0.02, 0.8])
    disks.scales[:] = np.log([0.4, 0.002, 0.4])
    for gaussians, moved in ((needles, True), (disks, False)):
        model = trained(gaussians, Target(CAMERA, GREY), replace(PLAIN, learning_rates={**RATES, "scales": 0.0}, needle_weight=1.0), 1)
        assert np.array_equal(model.read("scales"), gaussians.scales)
        model = trained(gaussians, Target(CAMERA, GREY), replace(PLAIN, needle_weight=1.0), 60)
        ordered = np.sort(model.read("scales"), axis=1)
        ratio = np.exp(ordered[:, 2] - ordered[:, 1])
        assert ratio.max() < 14 if moved else ratio.max() < 3


def test_opacity_and_scale_regularisation_free_what_no_image_needs() -> None:
    """Gaussians behind an opaque wall."""
    hidden = both(wall(4.0, opacity=8.0, side=9), wall(6.0, side=2))
    for weight, fades in ((0.0, False), (0.5, True)):
        settings = replace(PLAIN, opacity_regularisation=weight, scale_regularisation=weight)
        model = trained(hidden, Target(CAMERA, GREY), settings, 40)
        opacity, size = model.read("opacities")[81:] - 3.0, (model.read("scales") - hidden.scales)[81:]
        assert (opacity.max() < -2) == fades and (size.max() < -0.5) == fades


@pytest.mark.gpu
@pytest.mark.parametrize("shape", [(30, 41, 3), (64, 64, 3), (7, 90, 3), (1080, 1920, 3)])
def test_fused_ssim_is_the_plain_one(shape: tuple[int, int, int]) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    from engine.training.cuda.ssim_triton import fused_ssim

    compare_fused(fused_ssim, shape, torch.device("cuda"))


def test_fused_ssim_in_the_interpreter() -> None:
    """The kernels' own arithmetic without a GPU, in a process of its own: Triton decides at its import whether to compile."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("Triton is not installed")
    if torch.cuda.is_available():
        pytest.skip("runs on the GPU instead")
    lines = ["import torch", "from tests.training.cuda.test_losses import compare_fused",
             "from engine.training.cuda.ssim_triton import fused_ssim",
             "for shape in ((30, 41, 3), (7, 45, 3)): compare_fused(fused_ssim, shape, torch.device('cpu'))"]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", "\n".join(lines)], cwd=root, capture_output=True, text=True,
                          env={**os.environ, "TRITON_INTERPRET": "1"})
    assert done.returncode == 0, done.stderr


def compare_fused(fused: Callable[[Tensor, Tensor], Tensor], shape: tuple[int, int, int], device: torch.device) -> None:
    """Value and gradient, of images that lie in memory with gaps, as rasterizers return them."""
    truth = uniform(0, *shape).float().to(device)
    wide = torch.zeros(*shape[:2], 5, device=device)
    wide[..., :3] = (truth + 0.3 * uniform(1, *shape).float().to(device)).clamp(0, 1)
    image, exact = wide.requires_grad_(), wide[..., :3].detach().double().requires_grad_()
    value, expected = fused(image[..., :3], truth), plain_ssim(exact, truth.double())
    (2 * value).backward()
    (2 * expected).backward()
    assert image.grad is not None and exact.grad is not None
    assert value.item() == pytest.approx(expected.item(), abs=1e-5)
    assert (image.grad[..., :3] - exact.grad).abs().max() < 1e-4 * exact.grad.abs().max() and not image.grad[..., 3:].any()
