"""Findings about mask files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..core.datasets.dataset import View
from ..core.errors import UserError
from ..core.protocol.events import Finding
from ..core.text import phrase
from ..training.data.maps import fits
from ..training.data.view_files import ViewFiles
from .findings import about_images

TROUBLES = {"mask_missing": "Images without a mask among masked ones", "mask_unreadable": "Images whose mask cannot be read",
            "mask_proportions": "Images whose mask has other proportions", "mask_hides_all": "Images whose mask hides everything"}
"""By the code of the sentence that they begin."""

UNUSABLE = ("mask_unreadable", "mask_proportions")
"""Codes of masks that are not used."""


def check_masks(views: Sequence[View], troubles: Mapping[str, str]) -> list[Finding]:
    """Masks that are missing, do not fit their image, or hide all of it, by what is wrong with each, by the view's name."""
    if not troubles:
        return []
    without = [view.name for view in views if not view.mask]
    return [*_said("mask_missing", without, len(views)),
            *(finding for code in dict.fromkeys(troubles.values()) if code
              for finding in _said(code, (name for name, trouble in troubles.items() if trouble == code), len(views)))]


def _said(code: str, names: Iterable[str], total: int) -> list[Finding]:
    whole = "" if code == "mask_hides_all" else phrase("They are trained on whole.") + " "
    return about_images("mask", TROUBLES[code], list(names), total,
                        whole + phrase("Make the masks again, or remove these images."), code=code)


def mask_trouble(files: ViewFiles) -> str:
    """The code of what is wrong with a view's mask; empty when nothing is, or it has none."""
    try:
        kept = files.mask
    except UserError:
        return "mask_unreadable"
    if kept is None:
        return ""
    if not fits(kept, files.view.camera):
        return "mask_proportions"
    return "" if kept.any() else "mask_hides_all"
