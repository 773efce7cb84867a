"""What of a dataset cannot be used: left out of it, said, and too much of it a reason to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ..core.datasets.dataset import Dataset, LeftOut, Part, View
from ..core.errors import UserError, values
from ..core.protocol.config import TrainConfig
from ..core.protocol.events import MOST_IMAGES, Finding, Severity
from ..core.text import NAMED, named, phrase
from ..training.data.maps import MapSelection, check_size, selected_maps
from ..training.data.view_files import ViewFiles
from ..training.init.initialize import starts_from_depth
from . import thresholds as limit
from .image_stats import Unreadable
from .map_checks import MapMeaning, with_spoiled
from .mask_checks import UNUSABLE

ANYWAY = "Mend them, or go on with what is left: Train Anyway (--anyway)."
LOST_MAPS: dict[Part, tuple[str, str]] = {
    "mask": ("Images whose mask is not used; they are trained on whole", "Mend the masks, or remove these images."),
    "depth": ("Images whose depth map is not used", "Make the depth maps again; the images themselves are trained on."),
    "normals": ("Images whose normal map is not used", "Make the normal maps again; the images themselves are trained on."),
    "labels": ("Images whose label map is not used", "Make the label maps again; the splats take their labels from the other images."),
    "albedo": ("Images whose albedo map is not used", "Make the albedo maps again; the splats take their albedo from the other images."),
}


@dataclass(frozen=True)
class MapsWanted:
    """The maps beside the masks that a training reads: of every view, and of those that it begins with."""

    learned: MapSelection
    starts_from_depth: bool
    surfaces: bool  # labels, albedo and normals of all views trained on


def maps_wanted(dataset: Dataset, config: TrainConfig) -> MapsWanted:
    """What a training with these settings reads."""
    return MapsWanted(selected_maps(config), config.start != "points" and starts_from_depth(dataset, config), config.surfaces)


def unusable_maps(files: ViewFiles, wanted: MapsWanted, meaning: MapMeaning) -> list[LeftOut]:
    """Maps of a view, beside its mask, that a training wants and that are damaged, do not fit, or mean something else."""
    depth = wanted.learned.depth or (wanted.starts_from_depth and not files.view.held_out)
    surfaces = wanted.surfaces and not files.view.held_out
    normals = wanted.learned.normals or (surfaces and not files.view.camera.distortion)
    parts: list[tuple[Part, bool]] = [("depth", depth), ("normals", normals), ("labels", surfaces), ("albedo", surfaces)]
    asked: list[Part] = [part for part, wish in parts if wish]
    damaged = [LeftOut(files.view.name, problem, part) for part in asked if (problem := _problem(files, part))]
    sound: list[Part] = [part for part in asked if part not in {each.part for each in damaged}]
    misread = [LeftOut(files.view.name, problem, part, misread=True) for part in sound if (problem := meaning.trouble(files, part))]
    return [*damaged, *misread]


def _problem(files: ViewFiles, part: Part) -> str:
    """What is wrong with a map of a view; empty when nothing is, or it has none."""
    path, view = getattr(files.view, part), files.view
    try:
        array = getattr(files, part)
        if path is not None and array is not None:
            check_size(path, array, view.camera, view.image.name)
    except UserError as error:
        return error.message
    return ""


def without_unusable(dataset: Dataset, unreadable: Sequence[Unreadable], masks: Mapping[str, str], maps: Sequence[LeftOut]) -> Dataset:
    """The dataset without images that cannot be read, and without the maps that cannot; the same one where nothing is wrong.

    `masks` are the codes of what is wrong with each mask by the view's name, `maps` what is wrong with other maps.
    """
    gone = {id(found.view) for found in unreadable}
    maps = with_spoiled(dataset, maps)
    lost: set[tuple[str, Part]] = {(each.name, each.part) for each in maps}
    lost |= {(name, "mask") for name, code in masks.items() if code in UNUSABLE}
    if not gone and not lost:
        return dataset
    views = tuple(_without_maps(view, lost) for view in dataset.views if id(view) not in gone)
    images = (LeftOut(found.view.name, found.error.message) for found in unreadable)
    return replace(dataset, views=views, left_out=(*dataset.left_out, *images, *maps))


def _without_maps(view: View, lost: set[tuple[str, Part]]) -> View:
    gone = {part: None for part in ("mask", "depth", "normals", "labels", "albedo") if (view.name, part) in lost}
    return replace(view, **gone) if gone else view


def check_left_out(dataset: Dataset, already_said: Sequence[Unreadable], anyway: bool) -> list[Finding]:
    """What was left out and why, and an error where more than half of the views are: unless the training is to go on `anyway`."""
    read = {found.view.name for found in already_said}
    views = [each for each in dataset.left_out if each.part == "view" and each.name not in read]
    said = [Finding("warning", _sentence(each.reason), "It is left out; mend it, or train without it.", "left_out", None, (each.name,),
                    code="preflight.left_out", values=values(name=each.name, reason=each.reason)) for each in views[:NAMED]]
    if rest := [each.name for each in views[NAMED:]]:
        said.append(Finding("warning", f"{len(rest)} more images are left out: {named(rest)}.", _sentence(views[NAMED].reason), "left_out",
                            float(len(rest)), tuple(rest[:MOST_IMAGES]),
                            code="preflight.more_left_out", values=values(count=len(rest), names=named(rest), reason=views[NAMED].reason)))
    return [*_too_many(dataset, already_said, anyway), *said, *_lost_maps(dataset), *_points(dataset)]


def _too_many(dataset: Dataset, unreadable: Sequence[Unreadable], anyway: bool) -> list[Finding]:
    lost = dataset.lost_views
    total = len(lost) + len(dataset.views)
    if not lost or len(lost) <= limit.MOST_LOST * total:
        return []
    reason = next((each.reason for each in dataset.left_out if each.part == "view"), "the images are not there")
    return [Finding("warning" if anyway and dataset.views else "error",
                    f"{len(lost)} of {total} views cannot be used, more than half. Of the first: {_sentence(reason)}",
                    f"{unreadable[0].error.hint} {ANYWAY}" if unreadable else ANYWAY, "lost",
                    float(len(lost)), lost[:MOST_IMAGES], code="preflight.lost",
                    values=values(count=len(lost), total=total, reason=reason, sentence=_sentence(reason)))]


def _lost_maps(dataset: Dataset) -> list[Finding]:
    """One finding for each kind of map of which some are lost."""
    findings = []
    for part, (what, hint) in LOST_MAPS.items():
        lost = [each for each in dataset.left_out if each.part == part]
        if lost:
            names = tuple(each.name for each in lost)
            message = phrase(f"{what} ({len(lost)}): {named(names)}. Of the first: {_sentence(lost[0].reason)}")
            findings.append(Finding("warning", message, hint, f"lost_{part}", float(len(lost)), names[:MOST_IMAGES],
                                    code=f"preflight.lost_{part}",
                                    values=values(count=len(lost), names=named(names), reason=lost[0].reason)))
    return findings


def _points(dataset: Dataset) -> list[Finding]:
    severity: Severity = "info" if dataset.points is not None and len(dataset.points) else "warning"
    return [Finding(severity, _sentence(each.reason), "Export the points again where that is not meant.", "points_left_out",
                    code="preflight.points_left_out", values=values(name=each.name, reason=each.reason))
            for each in dataset.left_out if each.part == "points"]


def _sentence(reason: str) -> str:
    return f"{reason.rstrip('.')}."
