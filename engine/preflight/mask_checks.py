"""Findings about mask files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..core.datasets.dataset import View
from ..core.errors import UserError
from ..core.protocol.events import Finding
from ..training.data.maps import fits
from ..training.data.view_files import ViewFiles
from .findings import about_images


def check_masks(views: Sequence[View], troubles: Mapping[str, str]) -> list[Finding]:
    """Masks that are missing, do not fit their image, or hide all of it, by what is wrong with each, by the view's name."""
    if not troubles:
        return []
    without = [view.name for view in views if not view.mask]
    return [*_said("Images without a mask among masked ones", without, len(views)),
            *(finding for what in dict.fromkeys(troubles.values()) if what
              for finding in _said(what, (name for name, trouble in troubles.items() if trouble == what), len(views)))]


def _said(what: str, names: Iterable[str], total: int) -> list[Finding]:
    return about_images("mask", what, list(names), total, "Make the masks again, or remove these images.")


def mask_trouble(files: ViewFiles) -> str:
    """What is wrong with a view's mask, in the words of the finding; empty when nothing is, or it has none."""
    try:
        kept = files.mask
    except UserError:
        return "Images whose mask cannot be read"
    if kept is None:
        return ""
    if not fits(kept, files.view.camera):
        return "Images whose mask has other proportions"
    return "" if kept.any() else "Images whose mask hides everything"
