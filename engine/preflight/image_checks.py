"""Findings about what the images show, each alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..core.protocol.events import Finding, Fix
from ..core.text import NAMED
from . import thresholds as limit
from .findings import about_images
from .image_stats import Look, Unreadable

AGAIN = "Check lights and exposure, then capture again, or remove these images."


def check_pictures(looks: Sequence[Look], unreadable: Sequence[Unreadable]) -> list[Finding]:
    """What each image tells alone."""
    total = len(looks) + len(unreadable)
    shown = [look for look in looks if not shows_nothing(look)]
    return [*_unreadable(unreadable), *_empty(looks, total), *_duplicates(shown, total), *_sizes(looks), *_profiles(looks, total),
            *_without_color(shown, total), *_alpha(shown, total)]


def shows_nothing(look: Look) -> bool:
    """Whether an image is black, of one colour, or transparent."""
    return look.mean < limit.DARKEST_MEAN or look.contrast < limit.FLATTEST_CONTRAST or look.opaque < limit.EMPTIEST


def _unreadable(unreadable: Sequence[Unreadable]) -> list[Finding]:
    findings = [Finding("error", found.error.message, found.error.hint, "unreadable", None, (found.view.name,), ("exclude", "convert"))
                for found in unreadable[:NAMED]]
    rest = unreadable[NAMED:]
    if rest:
        findings += [Finding("error", f"{len(rest)} more images cannot be used.", rest[-1].error.hint, "unreadable", float(len(rest)),
                             tuple(found.view.name for found in rest), ("exclude", "convert"))]
    return findings


def _empty(looks: Sequence[Look], total: int) -> list[Finding]:
    """Images that show nothing, by what they show instead."""
    background = [look for look in looks if look.opaque < limit.EMPTIEST]
    dark = [look for look in looks if look.opaque >= limit.EMPTIEST and look.mean < limit.DARKEST_MEAN]
    blank = [look for look in looks if shows_nothing(look) and look not in background and look not in dark]
    findings = []
    for kind, what, found in (("background", "Images of nothing but background", background), ("dark", "Black images", dark),
                              ("blank", "Images of one colour only", blank)):
        severity = "error" if len(found) == total else "warning"
        fixes: tuple[Fix, ...] = ("exclude", "relight", "recapture") if kind == "dark" else ("exclude", "recapture")
        findings += about_images(kind, what, _names(found), total, AGAIN, severity, fixes=fixes)
    return findings


def _duplicates(looks: Sequence[Look], total: int) -> list[Finding]:
    """The same pixels under two names and with two cameras."""
    first: dict[bytes, Look] = {}
    twins = [look for look in looks if first.setdefault(look.digest, look) is not look and _cameras_differ(look, first[look.digest])]
    return about_images("duplicate", "Images with the same pixels as another one, but another camera", _names(twins), total,
                        "Remove the copies; one image cannot have two poses.")


def _cameras_differ(a: Look, b: Look) -> bool:
    return not np.allclose(a.view.camera.camera_to_world, b.view.camera.camera_to_world, atol=1e-6)


def _sizes(looks: Sequence[Look]) -> list[Finding]:
    sizes = Counter(look.size for look in looks)
    if len(sizes) < 2:
        return []
    usual_size = sizes.most_common(1)[0][0]
    other = [look for look in looks if look.size != usual_size]
    what = f"Images of another size than {usual_size[0]} x {usual_size[1]} pixels"
    return about_images("size", what, _names(other), len(looks), "That is fine when they are from another camera.", "info",
                        float(len(sizes)), fixes=())


def _profiles(looks: Sequence[Look], total: int) -> list[Finding]:
    """Images that say they are not in sRGB."""
    findings = []
    for profile in sorted({look.profile for look in looks} - {""}):
        names = _names([look for look in looks if look.profile == profile])
        findings += about_images("color_space", f"Images in the colour space {profile}", names, total,
                                 "Save them in sRGB; as they are, colours come out wrong.", fixes=())
    return findings


def _without_color(looks: Sequence[Look], total: int) -> list[Finding]:
    """Grey images among coloured ones."""
    grey = [look for look in looks if look.color < limit.NO_COLOR]
    return [] if len(grey) * 2 > len(looks) else about_images(
        "grey", "Images without colour among coloured ones", _names(grey), total, "Use the coloured originals.")


def _alpha(looks: Sequence[Look], total: int) -> list[Finding]:
    """Cut-out images beside whole ones: the background would be learned from some and not from others."""
    clear = [look for look in looks if look.transparent]
    opaque = [look for look in looks if not look.transparent]
    few, what = (opaque, "Images without transparency among cut-out ones") if len(opaque) <= len(clear) else (
        clear, "Cut-out images among whole ones")
    return about_images("alpha", what, _names(few), total, "Give all images a background, or none.",
                        fixes=("exclude", "recapture")) if clear and opaque else []


def _names(looks: Sequence[Look]) -> list[str]:
    return [look.view.name for look in looks]
