"""The content of a splat file, independent of its format."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..splats.axes import AxesOrAuto, axes_matrix, into_blender, out_of_blender, turn_upright, upright_turn
from ..splats.gaussians import Gaussians, drawable, drawable_rows
from ..splats.offset import NO_OFFSET, Offset, turned_offset
from ..splats.surface_normals import turned_normals
from .strange_values import as_linear, huge_note, notes_about

GUESSED = ("The file does not name its axes: its format's own were taken, which some programs ignore. "
           "If it stands on its head, press Turn Over (--source-axes SUPERSPLAT).")


@dataclass(frozen=True)
class SplatFile:
    """What a splat file held, in Blender's world."""

    gaussians: Gaussians
    dropped: int  # rows left out because of a NaN or an infinity
    axes: str  # in which the file was read: a name or the letters of axes.py
    antialiased: bool = False  # trained with an antialiased rasterizer (Mip-Splatting)
    extra: np.ndarray | None = None  # [N] with a field for each property that splats do not have; normals in Blender's world
    notes: tuple[str, ...] = ()  # sentences about what was left behind, or is strange
    comments: tuple[str, ...] = ()
    axes_guessed: bool = False  # nothing says which axes these are, and programs disagree
    up: tuple[float, float, float] | None = None  # in the file's axes, where the file names another up than they have
    offset: Offset = NO_OFFSET  # what was taken from the places of the source, in Blender's axes

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
    axes_guessed: bool = False
    up: tuple[float, float, float] | None = None  # where the file names another up than its axes have
    offset: Offset = NO_OFFSET  # in the file's axes


def to_blender(stored: StoredSplats, axes: AxesOrAuto) -> SplatFile:
    """The rows that can be drawn, in Blender's world. AUTO trusts the file's own axes."""
    chosen = stored.axes if axes == "AUTO" else axes
    gaussians, extra = drawable(stored.gaussians), stored.extra
    dropped = len(stored.gaussians) - len(gaussians)
    if extra is not None and dropped:
        extra = extra[drawable_rows(stored.gaussians)]
    extra = turned_normals(extra, axes_matrix(chosen))
    gaussians, trusted = into_blender(gaussians, chosen), axes == "AUTO"
    guessed = stored.axes_guessed and trusted
    notes = (*stored.notes, *([GUESSED] if guessed else []), *huge_note(stored.gaussians.scales), *notes_about(gaussians))
    return SplatFile(gaussians, dropped, chosen, stored.antialiased, extra, notes, stored.comments, guessed, stored.up if trusted else None,
                     turned_offset(stored.offset, chosen, into_blender=True))


def turned_upright(found: SplatFile) -> SplatFile:
    """A file turned so that the up that it names points up."""
    if found.up is None:
        return found
    turned = turn_upright(found.gaussians, found.up, found.axes)
    if turned is found.gaussians:
        return found
    named = ", ".join(f"{value:.3g}" for value in found.up)
    note = (f"The file says that ({named}) is up: its splats were turned upright. Choose its axes by hand to leave them as they lie, "
            "beside cameras of the same photos.")
    turn = upright_turn(found.up, found.axes)
    x, y, z = (turn[:3, :3] @ np.array(found.offset)).tolist()
    return replace(found, gaussians=turned, extra=turned_normals(found.extra, turn), notes=(note, *found.notes), offset=(x, y, z))


def with_linear_scales(found: SplatFile) -> SplatFile:
    """A file whose scales are lengths instead of logarithms."""
    changed = as_linear(found.gaussians)
    kept, own = drawable(changed), [note for note in found.notes if note not in notes_about(found.gaussians)]
    extra = found.extra[drawable_rows(changed)] if found.extra is not None else None
    return replace(found, gaussians=kept, dropped=found.dropped + len(changed) - len(kept), extra=extra, notes=(*own, *notes_about(kept)))


def from_blender(gaussians: Gaussians, axes: str) -> Gaussians:
    """What to write: the rows that a viewer can draw, in the file's axes."""
    return out_of_blender(drawable(gaussians), axes)


def left_behind(found: SplatFile) -> tuple[str, ...]:
    """Sentences about the splats of a file that were left out, and other notes on reading it."""
    return (*([f"{found.dropped:,} splats without a valid position or size were left out."] if found.dropped else []), *found.notes)
