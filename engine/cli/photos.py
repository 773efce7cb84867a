"""`splatwright poses`, and trainings that begin with photos."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from ..core.datasets.file_types import is_plain_photos
from ..core.datasets.poses_report import FILE, PosesReport, read_report
from ..core.datasets.read import holds_dataset, opened
from ..core.datasets.sources.zip_file import cache_folder
from ..core.protocol.sfm_options import PosesOptions
from ..sfm.needs import check_packages
from .terminal import progress_bar

Positional = tyro.conf.Positional


def poses(
    photos: Positional[Path],
    dataset: Positional[Path],
    options: Annotated[PosesOptions, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")] = PosesOptions(),  # noqa: B008
) -> int:
    """Find the cameras of photos and write a dataset to train on, with a report: poses.txt and poses.png.

    Args:
        photos: folder with the photos, or a ZIP of it; masks of the same name lie in its folder masks. Equirectangular panoramas are cut
            into six views each
        dataset: a folder for the result; what was computed is kept beside it and not computed again
    """
    _found(_unpacked(photos), dataset, options)
    print(f"{dataset} is ready to train on; {dataset / 'poses.png'} shows the cameras.")
    return 0


def posed(source: Path, dataset: Path, resolution: int) -> Path:
    """The dataset to train on: `source` itself, or for a folder or a ZIP of plain photos `dataset`, after their cameras are found.

    A dataset of the same photos that is there already is taken as it is.
    """
    place = _unpacked(source)
    if holds_dataset(place) or not is_plain_photos(place):
        return source
    if not is_of(dataset, place):
        _found(place, dataset, PosesOptions(image_size=max(PosesOptions.image_size, resolution)))
    return dataset


def _unpacked(source: Path) -> Path:
    """Where the photos or the dataset of a path lie; says so where a ZIP was unpacked."""
    place = opened(source)
    if place.is_relative_to(cache_folder()):
        print(f"{source} was unpacked into {place}.", flush=True)
    return place


def is_of(dataset: Path, photos: Path) -> bool:
    """Whether a dataset was made of just these photos, none of which was written since."""
    from ..sfm.panoramas import searched_names
    from ..sfm.photos import find_photos

    if not (dataset / FILE).is_file():
        return False
    report, (found, excluded) = read_report(dataset), find_photos(photos)
    made = (dataset / FILE).stat().st_mtime
    if any(photo.path.stat().st_mtime > made for photo in found):
        return False
    return {*report.placed, *(photo.name for photo in report.unplaced)} == {*searched_names(found), *(photo.name for photo in excluded)}


def _found(photos: Path, dataset: Path, options: PosesOptions) -> PosesReport:
    """Find the cameras with a progress bar, and print the report."""
    check_packages()
    from ..sfm.poses import find_poses

    with progress_bar() as on_progress:
        report = find_poses(photos, dataset, options.validate(), on_progress)
    print(report.text(), end="")
    return report
