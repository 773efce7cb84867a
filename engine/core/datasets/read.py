"""The one door to every dataset format."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..confinement import confined
from ..errors import UserError
from ..files import disk_error
from ..protocol.folder import JobFolder
from ..splats.offset import Offset
from ..splats.region import region_of
from .colmap import find_model, read_colmap
from .dataset import Dataset
from .excluded import exclude as leave_out
from .excluded import stray_names, without_excluded, without_named
from .file_types import VIDEOS, is_plain_photos
from .photo_search import ENDINGS
from .realestate10k import find_camera_file, is_camera_file, read_real_estate
from .recentring import offset_of_job, recentred
from .sources.llff import find_poses_bounds, read_poses_bounds
from .sources.metashape import find_cameras_xml, read_cameras_xml
from .sources.opensfm import find_reconstruction, read_reconstruction
from .sources.polycam import find_keyframes, read_keyframes
from .sources.realityscan import find_registration, read_registration
from .sources.splat_cameras import find_cameras_json, read_cameras_json
from .sources.split_transforms import find_split, read_split
from .sources.zip_file import cache_folder, find_zip, unpacked
from .spread import with_near_planes
from .transforms_json import FILE, read_transforms

COLMAP_FILES = ("cameras", "images")
NO_DATASETS = ("__MACOSX",)
"""Folders that archivers leave behind."""


@dataclass(frozen=True)
class SourceKind:
    """A kind of dataset: where it lies, given a file or folder that somebody chose (None: it is none of this kind), and its reader."""

    name: str
    find: Callable[[Path], Path | None]
    read: Callable[[Path], Dataset]


def _find_transforms(path: Path) -> Path | None:
    """A folder with transforms.json, or any other JSON, which is refused in its own words where it is no dataset."""
    if path.suffix == ".json" and path.is_file():
        return None if find_cameras_json(path) or find_reconstruction(path) else path
    return path if (path / FILE).is_file() else None


def _find_colmap(path: Path) -> Path | None:
    return path if path.is_dir() and find_model(path) else None


def _find_real_estate(path: Path) -> Path | None:
    return find_camera_file(path) if path.is_dir() else path if is_camera_file(path) else None


SOURCES = (
    SourceKind("nerfstudio's transforms.json", _find_transforms, read_transforms),
    SourceKind("NeRF-synthetic or BlenderNeRF", find_split, read_split),
    SourceKind("COLMAP", _find_colmap, read_colmap),
    SourceKind("Metashape's cameras.xml", find_cameras_xml, read_cameras_xml),
    SourceKind("RealityScan's CSV", find_registration, read_registration),
    SourceKind("Polycam's raw data", find_keyframes, read_keyframes),
    SourceKind("OpenSfM", find_reconstruction, read_reconstruction),
    SourceKind("LLFF's poses_bounds.npy", find_poses_bounds, read_poses_bounds),
    SourceKind("RealEstate10K", _find_real_estate, read_real_estate),
    SourceKind("cameras.json beside splats", find_cameras_json, read_cameras_json),
)
"""In the order in which they are looked for: what our own tools write comes first, what only repeats another's cameras last."""


def read_dataset(folder: Path, exclude: Sequence[str] = (), offset: Offset | None = None) -> Dataset:
    """Read a dataset of any kind in SOURCES: its folder, its file, the one folder in it that holds one, or a ZIP of it.

    Where several lie, the first of SOURCES wins. Images that `exclude` or the folder's excluded.txt names are left out. UserError names
    what is missing.
    Survey coordinates are moved near the origin, by Dataset.offset, or by an `offset` that is known; views that are left out have a say
    in that.
    """
    return without_named(without_excluded(read_whole(folder, offset)), exclude)


def read_whole(folder: Path, offset: Offset | None = None) -> Dataset:
    """As read_dataset, with the views that excluded.txt names."""
    try:
        return with_near_planes(recentred(_as_stored(Path(folder)), offset))
    except OSError as error:  # a folder that may not be read, or a name that no disk takes
        raise disk_error(Path(folder), error) from error


def leave_out_strays(folder: Path) -> tuple[str, ...]:
    """Leave out from now on the few views whose cameras stand far away from all others; their names. Again it finds the same."""
    dataset = read_whole(folder)
    names = stray_names(dataset)
    if names:
        leave_out(dataset, names)
    return names


def _as_stored(folder: Path) -> Dataset:
    """The dataset in the coordinates of its files, points in float64 where the files have that."""
    if not folder.exists():
        raise UserError(f"{folder} does not exist.", "Choose the folder of a dataset.", "dataset.absent", path=folder)
    place = opened(folder)
    dataset = _read(place)
    return replace(dataset, unpacked_to=place) if place.is_relative_to(cache_folder()) and not folder.is_relative_to(place) else dataset


def opened(path: Path) -> Path:
    """Where the dataset itself lies: a ZIP, or the one in a folder that holds nothing else, unpacked; the one folder below that has one.

    The path itself where neither is so, and where photos lie in it. UserError for ZIPs that are not safe to unpack, and where several
    folders hold datasets.
    """
    if path.is_file() and (archive := find_zip(path)):
        return opened(unpacked(archive))
    if not path.is_dir() or holds_dataset(path) or is_plain_photos(path):
        return path
    return _one_below(path) or (opened(unpacked(archive)) if (archive := find_zip(path)) else path)


def holds_dataset(path: Path) -> bool:
    """Whether a path is a file of cameras, or a folder with one of the kinds in SOURCES."""
    return _source(path) is not None


def _read(path: Path) -> Dataset:
    found = _source(path)
    if found is None:
        raise _nothing_to_read(path)
    source, place = found
    return source.read(place)


def _source(path: Path) -> tuple[SourceKind, Path] | None:
    """The kind of dataset that a path is, and what its reader takes."""
    return next(((source, place) for source in SOURCES if (place := source.find(path))), None)


def _one_below(path: Path) -> Path | None:
    """The one folder in a folder that holds a dataset, or the only one, of photos; None when none does. UserError for several."""
    folders = [each for each in sorted(path.iterdir()) if each.is_dir() and not each.name.startswith(".") and each.name not in NO_DATASETS]
    found = [each for each in folders if holds_dataset(each)]
    if len(found) > 1:
        raise UserError(f"{path} holds {len(found)} datasets: {', '.join(each.name for each in found[:3])}.", "Choose one of them.",
                        "dataset.several", path=path, count=len(found), found=", ".join(each.name for each in found[:3]))
    if not found and len(folders) == 1 and _is_wrapping(path):
        return folders[0] if is_plain_photos(folders[0]) else _one_below(folders[0])
    return found[0] if found else None


def _is_wrapping(path: Path) -> bool:
    """Whether a folder holds nothing but another folder, as archivers leave it."""
    return not any(each.is_file() and not each.name.startswith(".") for each in path.iterdir())


def _nothing_to_read(path: Path) -> UserError:
    """What is missing, by what is there."""
    if path.suffix.lower() in VIDEOS:
        return UserError(f"{path} is a video, no dataset.", f"Extract its frames first: splatwright frames {path.name} FOLDER.",
                         "dataset.video", path=path, file=path.name)
    if path.is_file():
        return UserError(f"{path} is no dataset.", f"Choose its folder, a {FILE}, or a camera file of another program.",
                         "dataset.wrong_file", path=path, file=FILE)
    halves = [half for half in (path, path / "sparse", *sorted(path.glob("sparse/*"))) if any(_has(half, name) for name in COLMAP_FILES)]
    if halves:
        missing = " and ".join(f"{name}.bin" for name in COLMAP_FILES if not _has(halves[0], name))
        return UserError(f"The COLMAP model in {halves[0]} lacks {missing}.", "Export the model again, binary or text.",
                         "colmap.incomplete", path=halves[0], missing=missing)
    images = sum(found.suffix in ENDINGS for folder in (path, path / "images", path / "input") for found in folder.glob("*.*"))
    if images:
        return UserError(f"{path} holds {images} images but no cameras: there is neither {FILE} nor a COLMAP model (sparse/0) "
                         "nor another program's file of cameras.",
                         f"Find the cameras first: splatwright poses {path} DATASET.", "dataset.no_cameras", path=path, images=images,
                         file=FILE)
    return UserError(f"{path} holds no dataset: there is neither {FILE} nor a COLMAP model (sparse/0) "
                     "nor another program's file of cameras.",
                     "Capture a dataset in Blender, or choose the folder that holds images and cameras.", "dataset.none", path=path,
                     file=FILE)


def _has(folder: Path, name: str) -> bool:
    return any((folder / f"{name}{ending}").is_file() for ending in (".bin", ".txt"))


def read_dataset_of(job: JobFolder) -> Dataset:
    """The dataset of a training. One that was sent by a client may use nothing that lies elsewhere than in the job's folder."""
    spec = job.read_spec()
    with confined(job.path if job.was_sent(spec) else None):
        dataset = read_dataset(spec.dataset, spec.exclude, offset_of_job(job))
    region = region_of(spec.region).moved(np.negative(dataset.offset)) if spec.region else None
    return replace(dataset, start_file=spec.start_file, region=region)
