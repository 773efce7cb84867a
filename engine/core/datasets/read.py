"""The one door to every dataset format."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import UserError
from ..protocol.folder import JobFolder
from ..splats.offset import Offset
from .colmap import find_model, read_colmap
from .dataset import Dataset
from .excluded import exclude as leave_out
from .excluded import stray_names, without_excluded, without_named
from .file_types import VIDEOS
from .realestate10k import find_camera_file, is_camera_file, read_real_estate
from .recentring import offset_of_job, recentred
from .spread import with_near_planes
from .transforms_json import FILE, IMAGE_ENDINGS, read_transforms

COLMAP_FILES = ("cameras", "images")


def read_dataset(folder: Path, exclude: Sequence[str] = (), offset: Offset | None = None) -> Dataset:
    """Read a folder with transforms.json, a COLMAP model or a camera file of RealEstate10K, or one of these files itself.

    Where several lie, transforms.json wins: it is what our own tools write beside a model. Images that `exclude` or the folder's
    excluded.txt names are left out. UserError names what is missing.
    Survey coordinates are moved near the origin, by Dataset.offset, or by an `offset` that is known; views that are left out have a say
    in that.
    """
    return without_named(without_excluded(read_whole(folder, offset)), exclude)


def read_whole(folder: Path, offset: Offset | None = None) -> Dataset:
    """As read_dataset, with the views that excluded.txt names."""
    return with_near_planes(recentred(_as_stored(Path(folder)), offset))


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
    if folder.suffix == ".json" or (folder / FILE).is_file():
        return read_transforms(folder)
    if folder.is_dir() and find_model(folder):
        return read_colmap(folder)
    cameras = folder if folder.is_file() and is_camera_file(folder) else find_camera_file(folder)
    if cameras:
        return read_real_estate(cameras)
    raise _nothing_to_read(folder)


def _nothing_to_read(path: Path) -> UserError:
    """What is missing, by what is there."""
    if path.suffix.lower() in VIDEOS:
        return UserError(f"{path} is a video, no dataset.", f"Extract its frames first: splatwright frames {path.name} FOLDER.",
                         "dataset.video", path=path)
    if path.is_file():
        return UserError(f"{path} is no dataset.", f"Choose its folder, a {FILE}, or a camera file of RealEstate10K.",
                         "dataset.wrong_file", path=path)
    halves = [half for half in (path, path / "sparse", *sorted(path.glob("sparse/*"))) if any(_has(half, name) for name in COLMAP_FILES)]
    if halves:
        missing = " and ".join(f"{name}.bin" for name in COLMAP_FILES if not _has(halves[0], name))
        return UserError(f"The COLMAP model in {halves[0]} lacks {missing}.", "Export the model again, binary or text.",
                         "colmap.incomplete", path=halves[0], missing=missing)
    images = sum(found.suffix in IMAGE_ENDINGS for folder in (path, path / "images", path / "input") for found in folder.glob("*.*"))
    if images:
        return UserError(f"{path} holds {images} images but no cameras: there is neither {FILE} nor a COLMAP model (sparse/0).",
                         f"Find the cameras first: splatwright poses {path} DATASET.", "dataset.no_cameras", path=path, images=images)
    return UserError(f"{path} holds no dataset: there is neither {FILE} nor a COLMAP model (sparse/0).",
                     "Capture a dataset in Blender, or choose the folder that holds images and cameras.", "dataset.none", path=path)


def _has(folder: Path, name: str) -> bool:
    return any((folder / f"{name}{ending}").is_file() for ending in (".bin", ".txt"))


def read_dataset_of(job: JobFolder) -> Dataset:
    """The dataset of a training. One that lies in the job's own folder was sent by a client: it may use nothing that lies elsewhere."""
    spec = job.read_spec()
    folder, dataset = spec.dataset, read_dataset(spec.dataset, spec.exclude, offset_of_job(job))
    if folder.resolve().is_relative_to(job.path.resolve()):
        dataset.check_inside(folder.resolve() if folder.is_dir() else folder.resolve().parent)
    return dataset
