"""Photos in, posed dataset out: `splatwright poses`."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from operator import attrgetter
from pathlib import Path

from ..core.datasets.colmap import read_colmap
from ..core.datasets.dataset import Dataset, PointCloud
from ..core.datasets.file_types import MASKS
from ..core.datasets.mask_search import find_masks
from ..core.datasets.poses_report import FILE, PICTURE, TEXT, PosesReport, UnregisteredPhoto, write_report
from ..core.errors import UserError
from ..core.files import make_folder
from ..core.protocol.progress import OnProgress, Step, ignore_progress
from ..core.protocol.sfm_options import PosesOptions
from ..core.text import named
from .dataset_writer import IMAGES, RegisteredPhoto, write_dataset
from .exchange import OUTCOME, CameraGroup, Outcome, SearchRequest
from .panoramas import with_cuts
from .photos import find_photos, natural, without_warnings
from .prepare import WorkingCopy, prepare
from .process import reconstruct
from .report import compose, explain
from .upright import upright

WRITTEN = {IMAGES, MASKS, "transforms.json", "points3d.ply", TEXT, PICTURE, FILE}
"""What a dataset of ours holds."""
FEWEST = 3
"""Fewest photos that cameras are searched for."""
BYTES_A_PHOTO = 4 << 20
"""Disk that features, matches and copies of one photo take, at most."""
MANY = 200
"""Photos from which on global mapping is suggested: incremental mapping then takes most of the time."""
SERIES_STEP = 3
"""File names of a series count up by no more than this from photo to photo."""


@without_warnings()
def find_poses(photos: Path, dataset: Path, options: PosesOptions = PosesOptions(),  # noqa: B008
               on_progress: OnProgress = ignore_progress) -> PosesReport:
    """Find the cameras of the photos in a folder and write an undistorted dataset with a report.

    What was computed lies in `<dataset>.work` and is used again by the next run. UserError when no cameras can be found at all;
    photos that cannot be used are named in the report.
    """
    begin = time.monotonic()
    photos, dataset = photos.resolve(), dataset.resolve()
    work = dataset.with_name(dataset.name + ".work")
    found, excluded = find_photos(photos, (dataset, work))
    _refuse_to_overwrite(photos, dataset, work)
    if unfit := find_masks(photos, [photo.path for photo in found]).unfit:
        on_progress(Step("reading photos", note=f"{unfit}."))
    _refuse_without_space(make_folder(work), len(found))
    found, damaged = with_cuts(found, work, on_progress)
    copies, useless = prepare(found, work, options.feature_size, on_progress)
    excluded += damaged + useless
    _refuse_too_few(copies, excluded, photos)
    outcome = reconstruct(_request(copies, options, on_progress), work, on_progress)
    shots, points = _shots(copies, outcome, excluded, work)
    excluded += explain(copies, outcome)
    written = write_dataset(shots, points, make_folder(dataset), options.image_size, on_progress)
    report = compose(written, shots, copies, outcome, excluded, options)
    report = replace(report, seconds=time.monotonic() - begin)
    _write_findings(report, written, photos, on_progress)
    return report


def _refuse_to_overwrite(photos: Path, dataset: Path, work: Path) -> None:
    """UserError when the dataset's folder holds files of others. An incomplete dataset beside its work folder may be replaced."""
    if photos.is_relative_to(dataset):
        raise UserError(f"The dataset {dataset} would be written around the photos themselves.", "Choose another folder for the dataset.",
                        "poses.around_photos", dataset=dataset)
    names = {path.name for path in dataset.iterdir()} if dataset.is_dir() else set()
    ours = names <= WRITTEN and (FILE in names or (work / OUTCOME).is_file())
    if dataset.is_file() or (names and not ours):
        raise UserError(f"{dataset} exists already and holds other things.", "Choose a folder that is not there yet.", "poses.folder_used",
                        dataset=dataset)


def _refuse_without_space(work: Path, count: int) -> None:
    needed, free = count * BYTES_A_PHOTO, shutil.disk_usage(work).free
    if free < needed:
        raise UserError(f"The disk is full: {count} photos need about {needed >> 20} MB of room beside {work}, {free >> 20} MB are left.",
                        "Free some space, or choose another disk for the dataset.", "poses.space", count=count, needed=needed >> 20,
                        work=work, free=free >> 20)


def _refuse_too_few(copies: Sequence[WorkingCopy], excluded: Sequence[UnregisteredPhoto], folder: Path) -> None:
    if len(copies) >= FEWEST:
        return
    count = len(copies) + len(excluded)
    if count < FEWEST:
        what = f"{folder} holds {count} photo{'s' if count > 1 else ''} ({named(copy.photo.name for copy in copies)})"
    else:
        explanation = f"{named(each.name for each in excluded)}: {excluded[0].reason}"
        what = f"Only {len(copies)} of the {count} photos in {folder} can be used. {explanation}"
    raise UserError(f"{what.rstrip('.')}.", f"At least {FEWEST} photos from different places are needed; 20 or more make a good scene.",
                    "poses.few", what=what.rstrip("."))


def _request(copies: Sequence[WorkingCopy], options: PosesOptions, on_progress: OnProgress) -> SearchRequest:
    by_group = attrgetter("group")
    groups = [_group(list(members)) for _, members in groupby(sorted(copies, key=by_group), key=by_group)]
    blind = next((group for group in groups if group.focal is None), None)
    if options.mapping == "incremental" and not blind and len(copies) >= MANY:
        on_progress(Step("reading photos",
                         note="The EXIF of all photos holds a focal length: --mapping global may be faster, though less robust."))
    if options.mapping == "global" and blind:
        name = Path(blind.sample).name
        raise UserError(f"Global mapping needs focal lengths in EXIF, and {name} has none.", "Use --mapping incremental.",
                        "poses.focal_length", name=name)
    return SearchRequest(tuple(copy.name for copy in copies), tuple(groups), is_series([copy.photo.name for copy in copies]),
                   options.features, options.pairing, options.mapping, options.max_features, options.threads)


def _group(copies: list[WorkingCopy]) -> CameraGroup:
    first = copies[0]
    face = first.photo.face
    return CameraGroup(tuple(copy.name for copy in copies), first.width, first.height, first.focal, str(first.photo.path), face,
                       f"{first.photo.lens.removesuffix(face)}{first.width}" if face else "")


def is_series(names: Sequence[str]) -> bool:
    """Whether names in natural order count up in small steps, as frames of a video and photos of one walk do."""
    keys = [[part for kind, part in natural(Path(name).stem) if kind == 0] for name in names]
    steps = [second[-1] - first[-1] for first, second in pairwise(keys) if first and second]  # type: ignore[operator]
    return len(steps) == len(names) - 1 > 0 and sum(0 < step <= SERIES_STEP for step in steps) >= 0.9 * len(steps)


def _shots(
    copies: Sequence[WorkingCopy], outcome: Outcome, excluded: Sequence[UnregisteredPhoto], work: Path
) -> tuple[list[RegisteredPhoto], PointCloud | None]:
    """Photos with their cameras, upright, in natural order; UserError with the reasons when there are too few."""
    if outcome.placed < FEWEST:
        raise _nothing_placed(copies, outcome, excluded)
    model = read_colmap(work)
    frame = upright([view.camera for view in model.views], model.points)
    photos = {copy.name: copy.photo for copy in copies}
    points = model.points and replace(model.points, positions=frame.points(model.points.positions).astype("float32"))
    shots = [RegisteredPhoto(photos[view.name], frame.camera(view.camera)) for view in model.views]
    return sorted(shots, key=lambda shot: natural(shot.photo.name)), points


def _nothing_placed(copies: Sequence[WorkingCopy], outcome: Outcome, excluded: Sequence[UnregisteredPhoto]) -> UserError:
    reasons = explain(copies, outcome)
    explanation = " ".join(f"{each.name}: {each.reason}" for each in reasons[:3])
    more = f" ({len(reasons) - 3} more alike.)" if len(reasons) > 3 else ""
    unusable = f" {len(excluded)} could not be used at all: {named(each.name for each in excluded)}." if excluded else ""
    return UserError(f"No cameras were found for these {len(copies)} photos. {explanation}{more}{unusable}",
                     "Walk around the subject and take a photo at every small step, so that each shows most of what the one before shows.",
                     "poses.not_found", count=len(copies), explanation=explanation, more=more, unusable=unusable)


def _write_findings(report: PosesReport, dataset: Dataset, photos: Path, on_progress: OnProgress) -> None:
    """poses.txt, poses.png and poses.json; the last one says that the dataset is whole."""
    from .drawing import draw

    on_progress(Step("drawing the report", 0, 1))
    (dataset.folder / TEXT).write_text(report.text(), encoding="utf-8")
    draw(report, dataset, photos, dataset.folder / PICTURE)
    write_report(report, dataset.folder)
    on_progress(Step("drawing the report", 1, 1))
