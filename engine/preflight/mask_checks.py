"""Findings about mask files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ..core.datasets.dataset import View
from ..core.errors import UserError
from ..core.protocol.events import Finding
from ..training.data.images import each_in_threads
from ..training.data.maps import fits, read_mask
from .findings import about_images


def check_masks(views: Sequence[View]) -> list[Finding]:
    """Masks that are missing, do not fit their image, or hide all of it."""
    masked = [view for view in views if view.mask]
    if not masked:
        return []
    troubles = dict(zip((view.name for view in masked), each_in_threads(_trouble, masked), strict=True))
    without = [view.name for view in views if not view.mask]
    return [*_said("Images without a mask among masked ones", without, len(views)),
            *(finding for what in dict.fromkeys(troubles.values()) if what
              for finding in _said(what, (name for name, trouble in troubles.items() if trouble == what), len(views)))]


def _said(what: str, names: Iterable[str], total: int) -> list[Finding]:
    return about_images("mask", what, list(names), total, "Make the masks again, or remove these images.")


def _trouble(view: View) -> str:
    """What is wrong with a mask, in the words of the finding; empty when nothing is."""
    assert view.mask
    try:
        kept = read_mask(view.mask)
    except UserError:
        return "Images whose mask cannot be read"
    if not fits(kept, view.camera):
        return "Images whose mask has other proportions"
    return "" if kept.any() else "Images whose mask hides everything"
