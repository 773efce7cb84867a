"""The reference of the kernels' mathematics behind the torch backend's interface: what gsplat does on a GPU, for small scenes."""

from __future__ import annotations

import numpy as np
import torch

from engine.core.cameras.camera import Camera
from engine.training.cuda.tensors import Drawn, Footprint, Parameters, RenderRequest, TensorCamera
from tests.training import reference


def draw(parameters: Parameters, camera: TensorCamera, request: RenderRequest) -> Drawn:
    """See engine.training.cuda.tensors.Rasterize."""
    frame = reference.render(parameters, on_the_image(camera), request.sh_degree, torch.zeros(3), request.low_pass, camera.viewmat)
    drawn_features = torch.zeros(camera.height, camera.width, 0)
    if request.features is not None:
        drawn_features = torch.einsum("mhw,mf->hwf", frame.weight, request.features[frame.rows])
    return Drawn(frame.rgb.permute(1, 2, 0), 1 - frame.transmittance, drawn_features, footprint(frame))


def on_the_image(camera: TensorCamera) -> Camera:
    """The part of the camera that does not move."""
    (fl_x, _, cx), (_, fl_y, cy), _ = camera.K.tolist()
    return Camera(camera.width, camera.height, fl_x, fl_y, cx, cy, np.eye(4), orthographic=camera.orthographic)


def footprint(frame: reference.Frame) -> Footprint:
    """Three standard deviations where anything is drawn, and the gradient of each centre over its pixels."""
    if frame.centers.requires_grad:
        frame.centers.retain_grad()
    width = torch.linalg.eigvalsh(frame.covariance.detach())[:, -1:].sqrt().flatten()
    radius = torch.where(frame.weight.detach().amax(dim=(1, 2)) > 0, 3 * width, 0.0)

    def gradient() -> torch.Tensor:
        assert frame.centers.grad is not None
        return frame.centers.grad.abs().sum((1, 2))

    return Footprint(frame.rows, radius, gradient)
