"""Why photos are not registered, and the report of a run."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..core.datasets.dataset import Dataset
from ..core.datasets.poses_report import LensReport, PosesReport, UnregisteredPhoto
from ..core.protocol.sfm_options import PosesOptions
from .dataset_writer import RegisteredPhoto
from .exchange import FEWEST_FEATURES, ImageOutcome, Outcome
from .photo_gaps import focus_point, gaps_and_advice
from .photos import FULL_FRAME_DIAGONAL, Photo
from .prepare import WorkingCopy

NEEDED = 30
"""Points that a photo must share with those that have a camera (COLMAP's abs_pose_min_num_inliers)."""


def explain(copies: Sequence[WorkingCopy], outcome: Outcome) -> list[UnregisteredPhoto]:
    """Each photo that is not registered, with the reason as a sentence."""
    names = {copy.name: copy.photo.name for copy in copies}
    placed = {image.name for image in outcome.images if image.placed}
    return [_explained(image, outcome, names, placed) for image in outcome.images if not image.placed]


def _explained(image: ImageOutcome, outcome: Outcome, names: dict[str, str], placed: set[str]) -> UnregisteredPhoto:
    name = names[image.name]
    partner, matches = _best_partner(image.name, outcome, placed)
    shown = names.get(partner, "")
    if image.stray:
        return UnregisteredPhoto(name, "Its pose contradicts its matches with other photos, so it was left out.", shown)
    if image.features < FEWEST_FEATURES:
        return UnregisteredPhoto(name, f"It has too little texture: {image.features} features were found, {FEWEST_FEATURES} are needed. "
                              "Is it out of focus, dark, or a plain surface?")
    if not partner:
        return UnregisteredPhoto(name, "It matches no other photo. Does it belong to this scene?")
    if matches < NEEDED:
        return UnregisteredPhoto(name, f"It has {matches} matches with {shown} and fewer with all others; {NEEDED} are needed. "
                              "Take a photo from between the two.", shown)
    if partner not in placed:
        return UnregisteredPhoto(name, f"It has {matches} matches with {shown}, which is not registered either: together they show "
                              "another part of the scene. Take photos from between.", shown)
    return UnregisteredPhoto(name, f"It has {matches} matches with {shown}, but they do not give its pose. "
                          "Was it taken from the same spot, or of a flat or repeating surface?", shown)


def _best_partner(name: str, outcome: Outcome, placed: set[str]) -> tuple[str, int]:
    """The photo with most matches, those with a camera first where they have enough; an empty name without any."""
    links = [link for link in outcome.links if name in (link.first, link.second)]
    partners = [(link.second if link.first == name else link.first, link.matches) for link in links]
    return max(partners, key=lambda pair: (pair[0] in placed and pair[1] >= NEEDED, pair[1]), default=("", 0))


def compose(dataset: Dataset, shots: Sequence[RegisteredPhoto], copies: Sequence[WorkingCopy], outcome: Outcome,
            unplaced: Sequence[UnregisteredPhoto], options: PosesOptions) -> PosesReport:
    """The report of a run; the caller sets `seconds`."""
    names = {copy.name: copy.photo.name for copy in copies}
    links = [(names[link.first], names[link.second], link.matches) for link in outcome.links]
    gap, advice = gaps_and_advice({shot.photo.name: shot.camera for shot in shots}, links)
    x, y, z = focus_point([shot.camera for shot in shots]).tolist()
    return PosesReport(
        placed=tuple(shot.photo.name for shot in shots), unplaced=tuple(unplaced), lenses=tuple(_lenses(shots, copies, outcome)),
        reprojection_error=outcome.reprojection_error, working_size=max(max(copy.width, copy.height) for copy in copies),
        points=len(dataset.points) if dataset.points else 0, pairs=len(outcome.links), mapping=options.mapping,
        centre=(x, y, z), gap=gap, advice=tuple(advice), seconds=0.0)


def _lenses(shots: Sequence[RegisteredPhoto], copies: Sequence[WorkingCopy], outcome: Outcome) -> list[LensReport]:
    """What was found for each group of photos, largest group first."""
    groups = sorted({copy.group for copy in copies})
    exif = dict(zip(groups, outcome.focals, strict=True))
    group = {copy.photo.name: copy for copy in copies}
    found = []
    for name in groups:
        members = [shot for shot in shots if group[shot.photo.name].group == name]
        if members:
            found.append(_lens(members, exif[name]))
    return sorted(found, key=lambda lens: -lens.photos)


def _lens(members: Sequence[RegisteredPhoto], exif: float | None) -> LensReport:
    photo, camera = members[0].photo, members[0].camera
    factor = photo.width / camera.width
    focal = camera.fl_x * factor
    return LensReport(_model(photo), len(members), photo.width, photo.height, focal,
                focal * FULL_FRAME_DIAGONAL / float(np.hypot(photo.width, photo.height)), exif and exif * factor)


def _model(photo: Photo) -> str:
    """Maker and model, without the zoom that ends the photo's lens."""
    return " ".join(photo.lens.split()[:-2])
