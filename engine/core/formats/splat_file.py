"""The content of a splat file, independent of its format."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..splats.axes import AxesOrAuto, into_blender, out_of_blender
from ..splats.gaussians import Gaussians, drawable, drawable_rows


@dataclass(frozen=True)
class SplatFile:
    """What a splat file held, in Blender's world."""

    gaussians: Gaussians
    dropped: int  # rows left out because of a NaN or an infinity
    axes: str  # in which the file was read: a name or the letters of axes.py
    antialiased: bool = False  # trained with an antialiased rasterizer (Mip-Splatting)
    extra: np.ndarray | None = None  # [N] with a field for each property that splats do not have
    notes: tuple[str, ...] = ()  # sentences about what was left behind
    comments: tuple[str, ...] = ()

    @property
    def extra_names(self) -> tuple[str, ...]:
        """Properties of the file that splats do not have."""
        return () if self.extra is None else self.extra.dtype.names or ()


@dataclass(frozen=True)
class StoredSplats:
    """The content of a file in its own axes, with unchecked values."""

    gaussians: Gaussians
    axes: str  # that the file names, or that its format has
    antialiased: bool = False
    extra: np.ndarray | None = None
    notes: tuple[str, ...] = ()
    comments: tuple[str, ...] = ()


def to_blender(stored: StoredSplats, axes: AxesOrAuto) -> SplatFile:
    """The rows that can be drawn, in Blender's world. AUTO trusts the file's own axes."""
    chosen = stored.axes if axes == "AUTO" else axes
    gaussians, extra = drawable(stored.gaussians), stored.extra
    dropped = len(stored.gaussians) - len(gaussians)
    if extra is not None and dropped:
        extra = extra[drawable_rows(stored.gaussians)]
    return SplatFile(into_blender(gaussians, chosen), dropped, chosen, stored.antialiased, extra, stored.notes, stored.comments)


def from_blender(gaussians: Gaussians, axes: str) -> Gaussians:
    """What to write: the rows that a viewer can draw, in the file's axes."""
    return out_of_blender(drawable(gaussians), axes)


def left_behind(found: SplatFile) -> tuple[str, ...]:
    """Sentences about the splats of a file that were left out, and other notes on reading it."""
    return (*([f"{found.dropped:,} splats without a valid position or size were left out."] if found.dropped else []), *found.notes)
