"""Findings about mask files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..core.dataset import View
from ..core.errors import UserError
from ..core.events import Finding
from ..training.images import each_in_threads, read_image
from .looks import Look
from .sentences import about_images

HIDDEN = 128
"""Mask values below this hide a pixel."""


def check_masks(views: Sequence[View], looks: Sequence[Look]) -> list[Finding]:
    """Masks that are missing, do not fit their image, or hide all of it."""
    masked = [view for view in views if view.mask]
    if not masked:
        return []
    sizes = {look.view.name: look.size for look in looks}
    found = each_in_threads(lambda view: _trouble(view, sizes.get(view.name)), masked)
    troubles = dict(zip((view.name for view in masked), found, strict=True))
    without = [view.name for view in views if not view.mask]
    return [*_said("Images without a mask among masked ones", without, len(views)),
            *(finding for what in dict.fromkeys(troubles.values()) if what
              for finding in _said(what, (name for name, trouble in troubles.items() if trouble == what), len(views)))]


def _said(what: str, names: Iterable[str], total: int) -> list[Finding]:
    return about_images("mask", what, list(names), total, "Make the masks again, or remove these images.")


def _trouble(view: View, size: tuple[int, int] | None) -> str:
    """What is wrong with a mask, in the words of the finding; empty when nothing is."""
    assert view.mask
    try:
        mask = read_image(view.mask)
    except UserError:
        return "Images whose mask cannot be read"
    if size and (mask.shape[1], mask.shape[0]) != size:
        return "Images whose mask has another size"
    return "Images whose mask hides everything" if (mask[..., 0] < HIDDEN).all() else ""
