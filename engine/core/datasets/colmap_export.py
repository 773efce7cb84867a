"""Any dataset as a COLMAP model with its images, for other trainers."""

from __future__ import annotations

import shutil
from pathlib import Path
from struct import pack

import numpy as np

from ..cameras.camera import Camera
from ..cameras.lenses import MODELS, trimmed
from ..errors import UserError
from ..files import discard_folder, disk_error, make_folder, rename, replacing
from ..protocol.progress import OnProgress, Step, ignore_progress
from ..splats.transform import PLY_TO_BLENDER, quat_from_matrix
from .colmap_files import CAMERA, COUNT, IMAGE, POINT
from .dataset import Dataset, PointCloud
from .file_types import MASKS
from .recentring import restored

IMAGES, MODEL = "images", Path("sparse") / "0"
NUMBERS = {name: number for number, (name, _) in MODELS.items()}
UNKNOWN_ERROR = -1.0


def export_colmap(dataset: Dataset, folder: Path, on_progress: OnProgress = ignore_progress) -> Path:
    """Write images, masks and sparse/0 (binary) of a dataset into a folder that is not there yet, or empty; returns the model's folder.

    The images are copies. The folder is removed when copying fails or `on_progress` raises. UserError for datasets that COLMAP cannot hold.
    """
    check_exportable(dataset)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} exists already and holds other things.", "Choose a folder that is not there yet.", "colmap.folder_used",
                        folder=folder)
    part = folder.with_name(f"{folder.name}.part")
    discard_folder(part)
    try:
        _copy_images(dataset, part, on_progress)
        write_colmap(dataset, part)
        if folder.exists():
            folder.rmdir()
        rename(part, folder)
    except OSError as error:
        raise disk_error(folder, error) from error
    finally:
        discard_folder(part)
    return folder / MODEL


def check_exportable(dataset: Dataset) -> None:
    """UserError for cameras without perspective, for cuts that are no files, and for two views of one name."""
    cuts = [view.name for view in dataset.views if view.face]
    if cuts:
        raise UserError(f"{len(cuts)} of {len(dataset.views)} views are cuts of panoramas, which are no files: {cuts[0]}.",
                        "Export from the command line, which writes them: splatwright export-colmap.", "colmap.cuts", count=len(cuts),
                        total=len(dataset.views), cuts=cuts[0])
    flat = [view.name for view in dataset.views if view.camera.orthographic]
    if flat:
        raise UserError(f"{len(flat)} of {len(dataset.views)} views have orthographic cameras, which COLMAP does not know: {flat[0]}.",
                        "Capture them with perspective cameras.", "colmap.orthographic", count=len(flat), total=len(dataset.views),
                        flat=flat[0])
    names = [view.name for view in dataset.views]
    twin = next((name for name in names if names.count(name) > 1), None)
    if twin is not None:
        raise UserError(f"Two views of the dataset are called {twin}; COLMAP needs a name for each.", "Remove one of the two frames.",
                        "colmap.same_name", twin=twin)


def _copy_images(dataset: Dataset, folder: Path, on_progress: OnProgress) -> None:
    for done, view in enumerate(dataset.views, 1):
        pairs = [(view.image, folder / IMAGES / view.name)]
        if view.mask is not None:
            pairs.append((view.mask, folder / MASKS / f"{view.name}.png"))
        for source, copy in pairs:
            make_folder(copy.parent)
            shutil.copyfile(source, copy)
        on_progress(Step("copying images", done, len(dataset.views)))


def write_colmap(dataset: Dataset, folder: Path) -> Path:
    """Write a dataset as a binary COLMAP model below `folder`/sparse/0; returns that folder. The images are not copied.

    Poses and points turn into COLMAP's frame (Y down), with the offset of survey coordinates given back; names are those of the
    views. Points have no tracks and an unknown error.
    """
    dataset, model = restored(dataset), make_folder(folder / MODEL)
    lenses = list(dict.fromkeys(_lens(view.camera) for view in dataset.views))
    numbers = {lens: number for number, lens in enumerate(lenses, 1)}
    _write(model / "cameras.bin", [COUNT.pack(len(lenses)), *(CAMERA.pack(number, *lens[:3]) + pack(f"<{len(lens[3])}d", *lens[3])
                                                              for lens, number in numbers.items())])
    _write(model / "images.bin", [COUNT.pack(len(dataset.views)), *(
        IMAGE.pack(number, *_pose(view.camera), numbers[_lens(view.camera)]) + view.name.encode() + b"\0" + COUNT.pack(0)
        for number, view in enumerate(dataset.views, 1))])
    _write(model / "points3D.bin", _point_records(dataset.points))
    return model


_LensRecord = tuple[int, int, int, tuple[float, ...]]


def _lens(camera: Camera) -> _LensRecord:
    """Model, size and parameters of the simplest COLMAP lens that describes a camera."""
    name, count = next((name, count) for name, count in (("PINHOLE", 0), ("OPENCV", 4), ("FULL_OPENCV", 8))
                       if len(trimmed(camera.distortion)) <= count)
    distortion = (*camera.distortion, *(0.0,) * 8)[:count]
    return NUMBERS[name], camera.width, camera.height, (camera.fl_x, camera.fl_y, camera.cx, camera.cy, *distortion)


def _pose(camera: Camera) -> list[float]:
    """World to camera in COLMAP's frame: quaternion w x y z and translation."""
    matrix = camera.viewmat @ PLY_TO_BLENDER
    return [*quat_from_matrix(matrix[:3, :3]), *matrix[:3, 3]]


def _point_records(points: PointCloud | None) -> list[bytes]:
    if points is None:
        return [COUNT.pack(0)]
    positions = points.positions.astype(np.float64) @ PLY_TO_BLENDER[:3, :3]
    return [COUNT.pack(len(points)), *(POINT.pack(number, *position, *color, UNKNOWN_ERROR, 0) for number, (position, color) in enumerate(
        zip(positions.tolist(), points.colors.tolist(), strict=True), 1))]


def _write(path: Path, records: list[bytes]) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(b"".join(records))
