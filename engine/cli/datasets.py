"""Datasets for other programs: `splatwright export-colmap` and `splatwright export-cameras`."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import tyro

from ..core.cameras.camera_path import WORLD, read_model_frame, write_camera_path
from ..core.datasets.colmap_export import MODEL, check_exportable
from ..core.datasets.colmap_export import export_colmap as write_model
from ..core.datasets.read import read_dataset
from ..core.datasets.realestate10k import Shots, write_real_estate
from ..core.datasets.recentring import restored
from ..core.errors import UserError
from ..training.data.cuts import with_cut_images
from .terminal import progress_bar

Positional = tyro.conf.Positional


def export_colmap(dataset: Positional[Path], folder: Positional[Path]) -> int:
    """Copy a dataset of any kind into a COLMAP folder for other trainers: images/, masks/ and sparse/0.

    Args:
        dataset: folder with the images and their cameras
        folder: a folder that is not there yet
    """
    found = read_dataset(dataset)
    with TemporaryDirectory() as cuts, progress_bar() as on_progress:
        found = with_cut_images(found, Path(cuts))
        check_exportable(found)
        write_model(found, folder, on_progress)
    points = len(found.points) if found.points else 0
    print(f"{len(found.views)} images and {points} points written to {folder}; the model lies in {folder / MODEL}.")
    if found.missing:
        print(f"{len(found.missing)} images have a camera but are not there; they were left out.")
    return 0


def export_cameras(dataset: Positional[Path], output: Positional[Path], fps: float = 30.0, model: Path | None = None) -> int:
    """Write the cameras of a dataset as one shot: a RealEstate10K camera file (.txt) or a nerfstudio camera path (.json).

    Args:
        dataset: folder with the images and their cameras
        output: the file; its ending chooses the format
        fps: frames a second, for the times in the file
        model: dataparser_transforms.json of the nerfstudio model that the camera path is for
    """
    if output.suffix.lower() not in (".txt", ".json"):
        raise UserError(f"{output.name} is neither a .txt nor a .json.", "Name it .txt for RealEstate10K, .json for nerfstudio.")
    if not fps > 0:
        raise UserError(f"{fps} frames a second make no shot.", "Give --fps a number above zero.")
    cameras = [view.camera for view in restored(read_dataset(dataset)).views]
    if output.suffix.lower() == ".json":
        write_camera_path(output, cameras, fps, read_model_frame(model) if model else WORLD)
    else:
        write_real_estate(output, Shots("", tuple(round(index * 1e6 / fps) for index in range(len(cameras))), tuple(cameras)))
    print(f"{len(cameras)} cameras written to {output}")
    return 0
