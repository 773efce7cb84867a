"""The rasterizer's mathematics in plain torch: slow, readable, differentiated by autograd. The measure of the kernels.

Every Gaussian against every pixel, in depth order; the same constants as the kernels and gsplat's rasterization.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.core.cameras.camera import Camera
from engine.training.low_pass import CLASSIC, LowPass

FOV_MARGIN = 0.3
ALPHA_MIN, ALPHA_MAX, TRANSMITTANCE_MIN = 1 / 255, 0.999, 1e-4

Parameters = dict[str, torch.Tensor]


def rotation_matrices(quats: torch.Tensor) -> torch.Tensor:
    """Quaternions w x y z [N, 4] of any length -> [N, 3, 3]."""
    w, x, y, z = torch.nn.functional.normalize(quats, dim=1).unbind(1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
            2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
            2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, dim=1).reshape(-1, 3, 3)


def sh_basis(degree: int, d: torch.Tensor) -> torch.Tensor:
    """Real spherical harmonics at unit directions [N, 3] -> [N, (degree + 1)²]."""
    x, y, z = d.unbind(1)
    basis = [torch.full_like(x, 0.28209479177387814)]
    if degree >= 1:
        basis += [-0.4886025119029199 * y, 0.4886025119029199 * z, -0.4886025119029199 * x]
    if degree >= 2:
        basis += [1.0925484305920792 * x * y, -1.0925484305920792 * y * z, 0.31539156525252005 * (3 * z * z - 1),
                  -1.0925484305920792 * x * z, 0.5462742152960396 * (x * x - y * y)]
    if degree >= 3:
        basis += [-0.5900435899266435 * y * (3 * x * x - y * y), 2.890611442640554 * x * y * z,
                  -0.4570457994644658 * y * (5 * z * z - 1), 0.3731763325901154 * z * (5 * z * z - 3),
                  -0.4570457994644658 * x * (5 * z * z - 1), 1.445305721320277 * z * (x * x - y * y),
                  -0.5900435899266435 * x * (x * x - 3 * y * y)]
    return torch.stack(basis, dim=1)


@dataclass(frozen=True)
class Projection:
    """Gaussians on the image plane."""

    center: torch.Tensor  # [N, 2]
    covariance: torch.Tensor  # [N, 2, 2]
    depth: torch.Tensor  # [N]
    drawn: torch.Tensor  # [N] bool
    compensation: torch.Tensor  # [N], factor on the opacity that keeps its integral


def project(p: Parameters, camera: Camera, viewmat: torch.Tensor, low_pass: LowPass) -> Projection:
    """EWA splatting (Zwicker et al. 2002) through a world-to-camera matrix [4, 4]."""
    local = p["means"] @ viewmat[:3, :3].T + viewmat[:3, 3]
    z = local[:, 2]
    in_front = z > camera.near
    z = torch.where(in_front, z, torch.ones_like(z))
    if camera.orthographic:
        return _project_parallel(p, camera, viewmat, local, in_front, low_pass)
    x, y = local[:, 0] / z, local[:, 1] / z
    limit_x, limit_y = FOV_MARGIN * 0.5 * camera.width / camera.fl_x, FOV_MARGIN * 0.5 * camera.height / camera.fl_y
    tx = z * x.clamp(-camera.cx / camera.fl_x - limit_x, (camera.width - camera.cx) / camera.fl_x + limit_x)
    ty = z * y.clamp(-camera.cy / camera.fl_y - limit_y, (camera.height - camera.cy) / camera.fl_y + limit_y)
    zero = torch.zeros_like(z)
    jacobian = torch.stack([camera.fl_x / z, zero, -camera.fl_x * tx / z**2, zero, camera.fl_y / z, -camera.fl_y * ty / z**2], dim=1)
    center = torch.stack([camera.fl_x * x + camera.cx, camera.fl_y * y + camera.cy], dim=1)
    return _through(jacobian.reshape(-1, 2, 3), p, viewmat, center, z, in_front, low_pass)


def _project_parallel(p: Parameters, camera: Camera, viewmat: torch.Tensor, local: torch.Tensor, drawn: torch.Tensor,
                      low_pass: LowPass) -> Projection:
    """Along parallel rays: fl_x and fl_y are pixels for each metre."""
    focal = torch.tensor([camera.fl_x, camera.fl_y], dtype=local.dtype)
    center = local[:, :2] * focal + torch.tensor([camera.cx, camera.cy], dtype=local.dtype)
    jacobian = torch.nn.functional.pad(torch.diag(focal), (0, 1))
    return _through(jacobian.expand(len(local), 2, 3), p, viewmat, center, local[:, 2], drawn, low_pass)


def _through(jacobian: torch.Tensor, p: Parameters, viewmat: torch.Tensor, center: torch.Tensor, depth: torch.Tensor,
             drawn: torch.Tensor, low_pass: LowPass) -> Projection:
    axes = jacobian @ viewmat[:3, :3] @ rotation_matrices(p["quats"]) * p["scales"].exp()[:, None]
    dilated = axes @ axes.transpose(1, 2) + low_pass.dilation * torch.eye(2, dtype=depth.dtype)
    covariance = dilated + low_pass.blur * torch.eye(2, dtype=depth.dtype)
    ratio = torch.linalg.det(dilated) / torch.linalg.det(covariance)
    return Projection(center, covariance, depth, drawn, ratio.clamp_min(1e-12).sqrt())


def colors(p: Parameters, viewmat: torch.Tensor, degree: int, orthographic: bool = False) -> torch.Tensor:
    """RGB [N, 3] as seen from the camera; negative ones are zero."""
    position = -viewmat[:3, :3].T @ viewmat[:3, 3]
    ray = viewmat[2, :3].expand_as(p["means"]) if orthographic else p["means"] - position
    direction = torch.nn.functional.normalize(ray, dim=1)
    coefficients = torch.cat([p["sh0"], p["shN"]], dim=1)[:, : (degree + 1) ** 2]
    return (torch.einsum("nk,nkc->nc", sh_basis(degree, direction), coefficients) + 0.5).clamp_min(0)


@dataclass(frozen=True)
class Frame:
    """What a camera sees, and what autograd can be asked about."""

    rgb: torch.Tensor  # [3, H, W]
    transmittance: torch.Tensor  # [H, W]
    depth: torch.Tensor  # [H, W], expected
    rows: torch.Tensor  # [M]: the Gaussians in front of the camera, by depth
    centers: torch.Tensor  # [M, H, W, 2]: their centres, once for each pixel
    alpha: torch.Tensor  # [M, H, W], before the limits
    projected: torch.Tensor  # [1, N, 2]: centres of all
    weight: torch.Tensor  # [M, H, W]: share of each in each pixel
    covariance: torch.Tensor  # [M, 2, 2] on the image


def render(p: Parameters, camera: Camera, degree: int, background: torch.Tensor, low_pass: LowPass = CLASSIC,
           viewmat: torch.Tensor | None = None) -> Frame:
    """Draw; `viewmat` [4, 4] replaces the camera's."""
    viewmat = torch.from_numpy(camera.viewmat).to(p["means"]) if viewmat is None else viewmat
    seen = project(p, camera, viewmat, low_pass)
    rows = torch.nonzero(seen.drawn)[:, 0]
    rows = rows[torch.argsort(seen.depth[rows].detach(), stable=True)]
    color, depth = colors(p, viewmat, degree, camera.orthographic)[rows], seen.depth[rows, None, None]
    opacity = p["opacities"][rows].sigmoid() * seen.compensation[rows]
    y, x = torch.meshgrid(torch.arange(camera.height), torch.arange(camera.width), indexing="ij")
    pixels = torch.stack([x, y], dim=-1).to(seen.center) + 0.5
    projected = seen.center[None]
    centers = projected[0, rows, None, None].repeat(1, camera.height, camera.width, 1)
    offset = pixels[None] - centers
    power = -0.5 * torch.einsum("nhwi,nij,nhwj->nhw", offset, torch.linalg.inv(seen.covariance[rows]), offset)
    free = opacity[:, None, None] * power.exp()
    alpha = torch.where(free >= ALPHA_MIN, free.clamp_max(ALPHA_MAX), torch.zeros_like(free))
    # A pixel ends at the Gaussian that would take it below the smallest transmittance.
    still_open = torch.cumprod(1 - alpha.detach(), dim=0) > TRANSMITTANCE_MIN
    alpha = torch.where(still_open, alpha, torch.zeros_like(alpha))
    before = torch.cumprod(torch.cat([alpha.new_ones(1, camera.height, camera.width), 1 - alpha]), dim=0)
    weight, rest = alpha * before[:-1], before[-1]
    image = torch.einsum("nhw,nc->chw", weight, color) + background[:, None, None] * rest
    mean_depth = (weight * depth).sum(0) / (1 - rest).clamp_min(1e-12)
    return Frame(image, rest, torch.where(rest < 1, mean_depth, torch.zeros_like(rest)), rows, centers, free,
                 projected, weight, seen.covariance[rows])


def ssim(a: torch.Tensor, b: torch.Tensor, stride: int = 1, phase: int = 0) -> torch.Tensor:
    """Mean structural similarity of [3, H, W]: Gaussian window of 11 and sigma 1.5, zeros beyond the border (Wang et al. 2004).

    Windows stand on every `stride`-th row from row `phase` on.
    """
    offsets = torch.arange(11, dtype=a.dtype) - 5
    line = torch.exp(-(offsets**2) / (2 * 1.5**2))
    line = line / line.sum()
    window = (line[:, None] * line[None])[None, None].expand(3, 1, 11, 11)

    def blur(image: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv2d(image[None], window, padding=5, groups=3)[0]

    mean_a, mean_b = blur(a), blur(b)
    variance_a, variance_b = blur(a * a) - mean_a**2, blur(b * b) - mean_b**2
    covariance = blur(a * b) - mean_a * mean_b
    top = (2 * mean_a * mean_b + 1e-4) * (2 * covariance + 9e-4)
    return (top / ((mean_a**2 + mean_b**2 + 1e-4) * (variance_a + variance_b + 9e-4)))[:, phase::stride].mean()


def loss(image: torch.Tensor, target: torch.Tensor, ssim_lambda: float, stride: int = 1, phase: int = 0) -> torch.Tensor:
    """(1 - λ) L1 + λ (1 - SSIM)."""
    return (1 - ssim_lambda) * (image - target).abs().mean() + ssim_lambda * (1 - ssim(image, target, stride, phase))
