"""How much of a graphics card's memory a training needs, before it begins.

The shares are counted from what a step allocates; they are estimates on the safe side and no measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import UserError

FLOAT = 4
COPIES = 4
"""A parameter, its gradient and two moments."""

DRAWING_FLOATS = 60
"""Of each Gaussian while it is drawn: activated values, directions, colours, centres, conics, depths, radii, and their gradients."""

TOUCHED_TILES, BYTES_A_TILE = 8, 40
"""Tiles that a Gaussian touches on average, and the bytes of one entry while entries are sorted."""

PIXEL_FLOATS = 110
"""Of each pixel of the photo that is learned from: pictures and targets as floating point, the maps of SSIM, and their gradients."""

ALWAYS = 700 * 2**20
"""The driver's context, kernels, and what the allocator cannot use."""

GIGABYTE = 1e9


@dataclass(frozen=True)
class MemoryPlan:
    """How the bytes that may be used are shared out."""

    limit: int
    gaussians: int  # parameters, gradients and moments of all, and what drawing them needs
    pictures: int  # of one step
    photos: int  # what is left for photos that stay on the card


def bytes_of_gaussian(sh_degree: int) -> int:
    """Peak memory of one Gaussian in training, with the copy that refinement makes of its largest parameter."""
    harmonics = 3 * (sh_degree + 1) ** 2
    stored = (11 + harmonics) * COPIES + max(3, harmonics - 3)
    drawn = DRAWING_FLOATS + 2 * harmonics
    return (stored + drawn) * FLOAT + TOUCHED_TILES * BYTES_A_TILE


def bytes_of_pixel() -> int:
    """Peak memory of one pixel of the photo that is learned from."""
    return PIXEL_FLOATS * FLOAT


def least_memory(max_gaussians: int, sh_degree: int, pixels: int) -> int:
    """Bytes without which plan_memory() refuses a training on photos of `pixels` each."""
    return ALWAYS + pixels * bytes_of_pixel() + max_gaussians * bytes_of_gaussian(sh_degree)


def plan_memory(limit: int, max_gaussians: int, sh_degree: int, pixels: int) -> MemoryPlan:
    """Share out `limit` bytes for a training on photos of `pixels` each; UserError naming the setting when they do not suffice."""
    pictures = pixels * bytes_of_pixel()
    room = limit - ALWAYS - pictures
    if room <= 0:
        raise UserError(f"Photos of {pixels / 1e6:.1f} million pixels need about {_gigabytes(limit - room)} of the graphics card's memory, "
                        f"and {_gigabytes(limit)} may be used.", "Lower resolution, or raise gpu_memory if the card has more.",
                        "cuda.photos_memory", pixels=pixels / 1e6, needed=_gigabytes(limit - room), limit=_gigabytes(limit))
    needed = max_gaussians * bytes_of_gaussian(sh_degree)
    if needed > room:
        most = max(1, room // bytes_of_gaussian(sh_degree) // 1000 * 1000)
        raise UserError(f"{max_gaussians:,} Gaussians need about {_gigabytes(needed + limit - room)} of the graphics card's memory, "
                        f"and {_gigabytes(limit)} may be used.", f"Set max_gaussians to {most:,} or less, or lower sh_degree.",
                        "cuda.gaussians_memory", max_gaussians=max_gaussians, needed=_gigabytes(needed + limit - room),
                        limit=_gigabytes(limit), most=most)
    return MemoryPlan(limit, needed, pictures, room - needed)


def _gigabytes(count: int) -> str:
    return f"{count / GIGABYTE:.1f} GB"
