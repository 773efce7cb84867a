"""The .splat files of antimatter15's web viewer: 32 bytes a splat, no header, no view-dependent colour.

Place and size as floats, then red, green, blue, opacity and the quaternion w x y z in one byte each.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import UserError
from ..files import disk_error, open_shared, replacing
from ..splats.axes import Axes, AxesOrAuto
from ..splats.gaussians import Gaussians, rgb_to_sh0, sh0_to_rgb
from .quantization import logits_of_bytes, opacity, whole
from .splat_file import SplatFile, StoredSplats, from_blender, to_blender
from .strange_values import size_lost

SMALLEST_LOG_SCALE, LARGEST_LOG_SCALE = -87.0, 88.0
"""Logarithms of the sizes that a float32 holds."""

RECORD = np.dtype([("means", "<f4", 3), ("scales", "<f4", 3), ("rgba", "u1", 4), ("quats", "u1", 4)])
AGAIN = "Export it again, or choose a file that really is a .splat."


def read_splat(path: Path, axes: AxesOrAuto = "AUTO") -> SplatFile:
    """Read a .splat into Blender's world; AUTO takes SuperSplat's axes, for the format cannot name any.

    UserError in one sentence for a file of another size than whole splats, or whose sizes are no sizes.
    """
    return to_blender(StoredSplats(_gaussians(_records(Path(path))), "SUPERSPLAT"), axes)


def write_splat(path: Path, gaussians: Gaussians, axes: Axes = "SUPERSPLAT") -> None:
    """Write a .splat in one piece: colours and rotations in bytes, harmonics left out, row order kept."""
    gaussians = from_blender(gaussians, axes)
    records = np.empty(len(gaussians), RECORD)
    records["means"] = gaussians.means
    records["scales"] = np.exp(gaussians.scales.clip(SMALLEST_LOG_SCALE, LARGEST_LOG_SCALE))
    records["rgba"][:, :3] = whole(sh0_to_rgb(gaussians.sh0[:, 0]) * 255, 255)
    records["rgba"][:, 3] = whole(opacity(gaussians.opacities) * 255, 255)
    lengths = np.linalg.norm(gaussians.quats, axis=1, keepdims=True)
    records["quats"] = whole(gaussians.quats / lengths * 128 + 128, 255)
    with replacing(Path(path)) as temporary:
        records.tofile(temporary)


def lost_in_splat(gaussians: Gaussians) -> tuple[str, ...]:
    """Sentences about what write_splat leaves out or changes."""
    view = ("Splat cannot hold colour that changes with the view: it was left out.",) if gaussians.sh_degree else ()
    return (*view, *size_lost("Splat", gaussians.scales, SMALLEST_LOG_SCALE, LARGEST_LOG_SCALE))


def _records(path: Path) -> np.ndarray:
    try:
        size = path.stat().st_size
        if not size or size % RECORD.itemsize:
            raise UserError(f"{path.name} does not hold whole splats: {size} bytes are no multiple of {RECORD.itemsize}.", AGAIN,
                            "dot_splat.whole", file=path.name, size=size, itemsize=RECORD.itemsize)
        with open_shared(path) as file:
            records = np.fromfile(file, RECORD)
    except OSError as error:
        raise disk_error(path, error) from error
    if (records["scales"] < 0).any():
        raise UserError(f"{path.name} is not a .splat file: it holds sizes below zero.", AGAIN, "dot_splat.sizes", file=path.name)
    return records


def _gaussians(records: np.ndarray) -> Gaussians:
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = np.log(records["scales"])
    return Gaussians(
        means=records["means"].copy(), scales=scales, quats=(records["quats"].astype(np.float32) - 128) / 128,
        opacities=logits_of_bytes(records["rgba"][:, 3]), sh0=rgb_to_sh0(records["rgba"][:, :3] / np.float32(255))[:, None],
        shN=np.zeros((len(records), 0, 3), np.float32),
    )
