"""Splats from one image with depth, without training: one flat Gaussian for each pixel, lying on the surface that the depth shows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..cameras.camera import Camera
from .gaussians import Gaussians, rgb_to_sh0
from .transform import quats_from_matrices

MOST = 400_000
"""Default number of Gaussians of one image."""

SPREAD = 0.6
"""Standard deviation of a Gaussian as a share of the distance to its neighbour: less shows gaps, more blurs."""

THICKNESS = 0.1
"""Standard deviation across the surface as a share of a pixel's size there."""

LONGEST = 4.0
"""Pixel sizes that a Gaussian may stretch along a surface seen at a grazing angle."""

EDGE = 6.0
"""Pixel sizes by which the depth may leave the plane through a pixel's neighbours; what leaves it more lies on an edge."""

OPACITY = 0.95
OPAQUE = 0.5
"""Pixels with less alpha are left out."""


@dataclass(frozen=True)
class _Grid:
    """Every n-th pixel: its place in the world, whether it is known, and how its depth bends."""

    places: np.ndarray  # [h, w, 3] float64
    known: np.ndarray  # [h, w] bool
    levels: np.ndarray  # [h, w] float64: what is linear over a plane in the image, the inverse of depth (or depth, orthographic)
    size: np.ndarray  # [h, w] float64: of a cell on a surface that faces the camera
    to_sizes: np.ndarray  # [h, w] float64: a difference of levels times this is a depth in units of `size`


def gaussians_from_depth(camera: Camera, depth: np.ndarray, image: np.ndarray, most: int = MOST) -> Gaussians:
    """Gaussians in Blender's world on what one camera sees, at most `most` of them.

    `depth` [H, W] in metres along the camera's axis, 0 or not finite where nothing is; `image` [H, W, 3 or 4], display colours in
    [0, 1] with straight alpha. The camera has the image's size and no distortion. Pixels on depth edges are left out: their colours
    and depths mix what is before and behind. Sizes come from the pixels' footprint, orientations from the depth's slope.
    """
    sound = np.isfinite(depth) & (depth > 0) & (image[..., 3] > OPAQUE if image.shape[2] == 4 else True)
    stride = max(1, math.ceil(math.sqrt(np.count_nonzero(sound) / max(1, most))))
    grid = _grid(camera, np.where(sound, depth, 0.0), stride)
    across, down = _tangent(grid, axis=1), _tangent(grid, axis=0)
    rows = grid.known & ~_on_edge(grid)
    colors = _means(image, stride)[rows]
    quats, scales = _flat(across[rows], down[rows], grid.size[rows])
    alpha = colors[:, 3].clip(OPAQUE, 1.0) if colors.shape[1] == 4 else np.ones(len(colors))
    opacity = OPACITY * alpha
    return Gaussians(
        means=grid.places[rows].astype(np.float32), quats=quats.astype(np.float32), scales=np.log(scales).astype(np.float32),
        opacities=np.log(opacity / (1 - opacity)).astype(np.float32), sh0=rgb_to_sh0(colors[:, :3])[:, None],
        shN=np.zeros((len(colors), 0, 3), np.float32))


def _grid(camera: Camera, depth: np.ndarray, stride: int) -> _Grid:
    """Cells of stride x stride pixels, each with the depth of the pixel in its middle."""
    height, width = (max(1, side // stride) for side in depth.shape)
    rows, columns = (np.arange(count) * stride + stride // 2 for count in (height, width))
    cells = depth[np.ix_(rows, columns)].astype(np.float64)
    known = cells > 0
    cells = np.where(known, cells, 1.0)
    pixels = np.stack(np.meshgrid(columns + 0.5, rows + 0.5), axis=-1)  # [h, w, 2]
    places = camera.unproject(pixels.reshape(-1, 2), cells.ravel()).reshape(height, width, 3)
    focal = math.sqrt(camera.fl_x * camera.fl_y) / stride
    if camera.orthographic:
        return _Grid(places, known, cells, np.full_like(cells, 1 / focal), np.full_like(cells, focal))
    return _Grid(places, known, 1 / cells, cells / focal, cells * focal)


def _shifted(array: np.ndarray, axis: int, by: int) -> np.ndarray:
    """The neighbour's value; at the border the other side's, which _beside masks."""
    return np.roll(array, -by, axis)


def _beside(grid: _Grid, axis: int, by: int) -> np.ndarray:
    """Whether the neighbour is there and known, [h, w] bool."""
    there = _shifted(grid.known, axis, by)
    there[tuple([slice(None)] * axis + [-1 if by > 0 else 0])] = False
    return there & grid.known


def _tangent(grid: _Grid, axis: int) -> np.ndarray:
    """The step along the surface to the next cell, [h, w, 3]: to the neighbour whose depth is nearer; 0 without one."""
    steps, jumps = [], []
    for by in (1, -1):
        beside = _beside(grid, axis, by)
        steps.append(np.where(beside[..., None], by * (_shifted(grid.places, axis, by) - grid.places), 0.0))
        jumps.append(np.where(beside, np.abs(_shifted(grid.levels, axis, by) - grid.levels), np.inf))
    return np.where((jumps[0] <= jumps[1])[..., None], steps[0], steps[1])


def _on_edge(grid: _Grid) -> np.ndarray:
    """Cells [h, w] whose depth leaves the straight line through the neighbours on both sides, along either axis."""
    edge = np.zeros(grid.known.shape, bool)
    for axis in (0, 1):
        both = _beside(grid, axis, 1) & _beside(grid, axis, -1)
        bend = _shifted(grid.levels, axis, 1) + _shifted(grid.levels, axis, -1) - 2 * grid.levels
        edge |= both & (np.abs(bend) * grid.to_sizes > EDGE)
    return edge


def _flat(across: np.ndarray, down: np.ndarray, size: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Quaternions [N, 4] and sizes [N, 3] of discs that two steps along the surface [N, 3] span; `size` [N] where there are none."""
    normal = np.cross(across, down)
    length = np.linalg.norm(normal, axis=1)
    spanned = length > 1e-12 * size**2
    first = _unit(np.where(spanned[:, None], across, [1.0, 0, 0]))
    third = _unit(np.where(spanned[:, None], normal, [0, 0, 1.0]))
    second = np.cross(third, first)
    limits = np.stack([size, LONGEST * size], axis=1)
    along = np.where(spanned, np.linalg.norm(across, axis=1), size).clip(limits[:, 0], limits[:, 1])
    aside = np.where(spanned, np.abs((down * second).sum(axis=1)), size).clip(limits[:, 0], limits[:, 1])
    thin = np.where(spanned, THICKNESS, SPREAD) * size
    return quats_from_matrices(np.stack([first, second, third], axis=2)), np.stack([SPREAD * along, SPREAD * aside, thin], axis=1)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _means(image: np.ndarray, stride: int) -> np.ndarray:
    """Mean colour of each cell [h, w, C], that of transparent images weighted by alpha."""
    height, width = (max(1, side // stride) for side in image.shape[:2])
    cells = image[: height * stride, : width * stride].astype(np.float64).reshape(height, stride, width, stride, -1)
    if image.shape[2] == 3:
        return cells.mean(axis=(1, 3))
    alpha = cells[..., 3:]
    colors = (cells[..., :3] * alpha).sum(axis=(1, 3)) / alpha.sum(axis=(1, 3)).clip(1e-6)
    return np.concatenate([colors, alpha.mean(axis=(1, 3))], axis=2)
