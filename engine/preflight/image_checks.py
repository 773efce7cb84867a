"""Findings about what the images show, each alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ..core.datasets.spread import camera_spread
from ..core.errors import values
from ..core.protocol.events import Finding, Fix
from ..core.text import NAMED, phrase
from . import thresholds as limit
from .findings import about_images
from .image_stats import ImageStats, Unreadable

AGAIN = "Check lights and exposure, then capture again, or remove these images."


def check_images(all_stats: Sequence[ImageStats], unreadable: Sequence[Unreadable]) -> list[Finding]:
    """Findings about single images."""
    total = len(all_stats) + len(unreadable)
    shown = [stats for stats in all_stats if not shows_nothing(stats)]
    return [*_unreadable(unreadable), *_empty(all_stats, total), *_duplicates(shown, total), *_sizes(all_stats),
            *_profiles(all_stats, total), *_without_color(shown, total), *_alpha(shown, total)]


def shows_nothing(stats: ImageStats) -> bool:
    """Whether an image is black, of one colour, or transparent."""
    return stats.mean < limit.DARKEST_MEAN or stats.contrast < limit.FLATTEST_CONTRAST or stats.opaque < limit.EMPTIEST


def _unreadable(unreadable: Sequence[Unreadable]) -> list[Finding]:
    """Images that are left out because they cannot be used."""
    findings = [Finding("warning", found.error.message, f"It is left out. {found.error.hint}", "unreadable", None, (found.view.name,),
                        ("exclude", "convert"), code=found.error.code, values=found.error.values) for found in unreadable[:NAMED]]
    rest = unreadable[NAMED:]
    if rest:
        findings += [Finding("warning", f"{len(rest)} more images cannot be used.", f"They are left out. {rest[-1].error.hint}",
                             "unreadable", float(len(rest)),
                             tuple(found.view.name for found in rest), ("exclude", "convert"),
                             code="preflight.more_unreadable", values=values(count=len(rest), what=rest[-1].error.hint))]
    return findings


def _empty(all_stats: Sequence[ImageStats], total: int) -> list[Finding]:
    """Images that show nothing, by what they show instead."""
    background = [stats for stats in all_stats if stats.opaque < limit.EMPTIEST]
    dark = [stats for stats in all_stats if stats.opaque >= limit.EMPTIEST and stats.mean < limit.DARKEST_MEAN]
    blank = [stats for stats in all_stats if shows_nothing(stats) and stats not in background and stats not in dark]
    findings = []
    for kind, what, found in (("background", "Images of nothing but background", background), ("dark", "Black images", dark),
                              ("blank", "Images of one colour only", blank)):
        severity = "error" if len(found) == total else "warning"
        fixes: tuple[Fix, ...] = ("exclude", "relight", "recapture") if kind == "dark" else ("exclude", "recapture")
        findings += about_images(kind, what, _names(found), total, AGAIN, severity, fixes=fixes)
    return findings


def _duplicates(all_stats: Sequence[ImageStats], total: int) -> list[Finding]:
    """The same pixels under two names and with two cameras."""
    first: dict[bytes, ImageStats] = {}
    same = [stats for stats in all_stats if first.setdefault(stats.digest, stats) is not stats]
    tolerance = limit.SAME_PLACE * camera_spread([stats.view.camera for stats in all_stats]) if same else 0.0
    twins = [stats for stats in same if _cameras_differ(stats, first[stats.digest], tolerance)]
    return about_images("duplicate", "Images with the same pixels as another one, but another camera", _names(twins), total,
                        "Remove the copies; one image cannot have two poses.")


def _cameras_differ(a: ImageStats, b: ImageStats, tolerance: float) -> bool:
    """Whether two cameras stand more than `tolerance` apart or look elsewhere; poses that are no numbers differ."""
    one, other = a.view.camera, b.view.camera
    near = np.linalg.norm(one.position - other.position) <= tolerance
    return not (near and np.allclose(one.camera_to_world[:3, :3], other.camera_to_world[:3, :3], rtol=0, atol=limit.SAME_TURN))


def _sizes(all_stats: Sequence[ImageStats]) -> list[Finding]:
    sizes = Counter(stats.size for stats in all_stats)
    if len(sizes) < 2:
        return []
    usual_size = sizes.most_common(1)[0][0]
    other = [stats for stats in all_stats if stats.size != usual_size]
    what = phrase(f"Images of another size than {usual_size[0]} x {usual_size[1]} pixels")
    return about_images("size", what, _names(other), len(all_stats), "That is fine when they are from another camera.", "info",
                        float(len(sizes)), fixes=(), width=usual_size[0], height=usual_size[1])


def _profiles(all_stats: Sequence[ImageStats], total: int) -> list[Finding]:
    """Images whose file names another colour space than sRGB."""
    findings = []
    for profile in sorted({stats.profile for stats in all_stats} - {""}):
        names = _names([stats for stats in all_stats if stats.profile == profile])
        findings += about_images("color_space", f"Images in the colour space {profile}", names, total,
                                 "Save them in sRGB; as they are, colours come out wrong.", fixes=(), profile=profile)
    return findings


def _without_color(all_stats: Sequence[ImageStats], total: int) -> list[Finding]:
    """Grey images among coloured ones."""
    grey = [stats for stats in all_stats if stats.color < limit.NO_COLOR]
    return [] if len(grey) * 2 > len(all_stats) else about_images(
        "grey", "Images without colour among coloured ones", _names(grey), total, "Use the coloured originals.")


def _alpha(all_stats: Sequence[ImageStats], total: int) -> list[Finding]:
    """Cut-out images beside whole ones: the background would be learned from some and not from others."""
    clear = [stats for stats in all_stats if stats.transparent]
    opaque = [stats for stats in all_stats if not stats.transparent]
    few, what, code = (opaque, "Images without transparency among cut-out ones", "opaque") if len(opaque) <= len(clear) else (
        clear, "Cut-out images among whole ones", "cut_out")
    return about_images("alpha", what, _names(few), total, "Give all images a background, or none.",
                        fixes=("exclude", "recapture"), code=code) if clear and opaque else []


def _names(all_stats: Sequence[ImageStats]) -> list[str]:
    return [stats.view.name for stats in all_stats]
