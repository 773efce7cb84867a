"""gsplat's two functions that we call, computed by the reference: what holds its place on a computer without a card."""

from __future__ import annotations

import inspect
from typing import Any

import gsplat
import numpy as np
import torch

from engine.core.cameras.camera import Camera
from engine.training.low_pass import LowPass
from tests.training import reference
from tests.training.cuda.torch_rasterizer import footprint

SIGNATURE = inspect.signature(gsplat.rasterization)


def rasterization(*arguments: Any, **options: Any) -> tuple[torch.Tensor, torch.Tensor, dict[str, Any]]:
    """As gsplat.rasterization for one camera; TypeError for a call that it would not take."""
    call = SIGNATURE.bind(*arguments, **options)
    call.apply_defaults()
    given = call.arguments
    colors, degree, view = given["colors"], given["sh_degree"], given["viewmats"]
    (fl_x, _, cx), (_, fl_y, cy), _ = given["Ks"][0].tolist()
    camera = Camera(given["width"], given["height"], fl_x, fl_y, cx, cy, np.eye(4), orthographic=given["camera_model"] == "ortho")
    parameters = {name: given[name] for name in ("means", "quats")}
    parameters |= {"scales": given["scales"].log(), "opacities": given["opacities"].logit(),
                   "sh0": colors[:, :1] if degree is not None else torch.zeros(len(colors), 1, 3),
                   "shN": colors[:, 1:] if degree is not None else torch.zeros(len(colors), 0, 3)}
    frame = reference.render(parameters, camera, degree or 0, torch.zeros(3), low_pass(given), view[0])
    image = frame.rgb.permute(1, 2, 0) if degree is not None else torch.einsum("mhw,mc->hwc", frame.weight, colors[frame.rows])
    return image[None], (1 - frame.transmittance)[None, ..., None], meta(frame, camera, given)


def low_pass(given: dict[str, Any]) -> LowPass:
    """gsplat's modes."""
    return LowPass(0.0, given["eps2d"]) if given["rasterize_mode"] == "antialiased" else LowPass(given["eps2d"], 0.0)


def meta(frame: reference.Frame, camera: Camera, given: dict[str, Any]) -> dict[str, Any]:
    """What gsplat tells beside the image: by Gaussian, or of the visible ones when packed."""
    count, drawn = len(given["means"]), footprint(frame).radius
    radii = torch.zeros(1, count, 2)
    radii[0, frame.rows] = drawn[:, None]
    told: dict[str, Any] = {"means2d": frame.projected, "radii": radii, "width": camera.width, "height": camera.height, "n_cameras": 1,
                            "gaussian_ids": None}
    if given["absgrad"] and frame.centers.requires_grad:
        def gather(gradient: torch.Tensor) -> None:
            absolute = torch.zeros(1, count, 2)
            absolute[0, frame.rows] = gradient.abs().sum((1, 2))
            frame.projected.absgrad = absolute[0, seen] if given["packed"] else absolute  # type: ignore[attr-defined]

        frame.centers.register_hook(gather)
    seen = torch.nonzero(radii[0, :, 0] > 0)[:, 0]
    if given["packed"]:
        told |= {"radii": radii[0, seen], "gaussian_ids": seen}
    return told


def spherical_harmonics(degrees_to_use: int, dirs: torch.Tensor, coeffs: torch.Tensor) -> torch.Tensor:
    """As gsplat.spherical_harmonics: directions of any length."""
    basis = reference.sh_basis(degrees_to_use, torch.nn.functional.normalize(dirs, dim=1))
    return torch.einsum("nk,nkc->nc", basis, coeffs[:, : (degrees_to_use + 1) ** 2])
