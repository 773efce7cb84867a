"""Splats in seconds, without training."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
import tyro

from ..core.errors import UserError
from ..core.files import make_folder
from ..core.formats.registry import format_of, lost_in, write_splats
from ..core.splats.axes import Axes
from ..core.splats.from_depth import MOST, gaussians_from_depth
from ..core.splats.gaussians import concatenate
from ..core.splats.offset import NO_OFFSET, Offset
from ..feed_forward import PATIENCE_SECONDS, GaussianModel, gaussians_by_command, load_gaussian_model, scaled_to, strongest

if TYPE_CHECKING:
    from ..core.cameras.camera import Camera
    from ..core.datasets.dataset import Dataset
    from ..core.splats.gaussians import Gaussians

USUAL_FIELD_OF_VIEW = 55.0
FED_SIDE = 1024
"""Longest side in pixels that photos of a dataset are read at for a network, which has a size of its own."""


def instant(
    image: tyro.conf.Positional[Path],
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("scene.ply"),
    model: Path | None = None,
    depth: Path | None = None,
    meaning: Literal["inverse", "metres"] = "inverse",
    near: float = 1.0,
    far: float = 8.0,
    field_of_view: float | None = None,
    most: int = MOST,
    axes: Axes = "SUPERSPLAT",
    command: str = "",
    command_seconds: float = PATIENCE_SECONDS,
) -> int:
    """Make splats of one image by its depth map, a model or a command, or of a whole dataset whose images have depth maps or by a model
    that gives Gaussians, without training. They can be the --start of a training.

    Args:
        image: an image, or a dataset's folder
        output: where the splats go: .ply, .compressed.ply, .spz or .splat
        model: a depth model in ONNX or TorchScript, for example Depth Anything V2, or one in ONNX that gives Gaussians
            (docs/command_line.md names its tensors)
        depth: the image's depth map: NumPy file or 16-bit PNG, millimetres along the camera's axis
        meaning: what the model answers: inverse depth without unit, or metres
        near: metres to the nearest surface, where the model gives no unit
        far: metres to the farthest surface
        field_of_view: degrees across the image's longer side; default: from its EXIF, else 55
        most: Gaussians at most
        axes: orientation of the file
        command: another program that makes a PLY of the image: "tool {image} {output}"
        command_seconds: how long it may take
    """
    chosen = format_of(output)
    if not (0 < near < far and most > 0 and (field_of_view is None or 0 < field_of_view < 180)):
        raise UserError("near, far, most or field of view cannot be.", "Give 0 < near < far, and a field of view below 180 degrees.")
    network = load_gaussian_model(model) if model else None
    if command:
        gaussians, offset = gaussians_by_command(command, existing(image), command_seconds), NO_OFFSET
    elif image.is_dir():
        gaussians, offset = _of_dataset(image, most, network)
    elif network:
        gaussians, offset = strongest(_by_network(image, network, field_of_view), most), NO_OFFSET
    else:
        gaussians, offset = _of_picture(image, model, depth, meaning, (near, far), field_of_view, most), NO_OFFSET
    if not len(gaussians):
        raise UserError("No pixel has both colour and depth.", "Check that image and depth map belong together.")
    make_folder(output.parent)
    write_splats(output, gaussians, axes, chosen=chosen, offset=offset)
    for note in lost_in(chosen, gaussians):
        print(note)
    print(f"{len(gaussians)} Gaussians written to {output}")
    return 0


def existing(image: Path) -> Path:
    """The image's path; UserError where there is no file."""
    if not image.is_file():
        raise UserError(f"{image} does not exist.", "Name an image.")
    return image


def camera_of(path: Path, width: int, height: int, field_of_view: float | None) -> Camera:
    """The camera of a photo by itself; `field_of_view` in degrees."""
    from ..monocular import photo_camera, told_field_of_view

    return photo_camera(width, height, math.radians(field_of_view) if field_of_view else
                        told_field_of_view(path) or math.radians(USUAL_FIELD_OF_VIEW))


def _by_network(path: Path, network: GaussianModel, field_of_view: float | None) -> Gaussians:
    from ..training.data.images import read_image

    picture = read_image(path)
    return network(picture[..., :3], camera_of(path, picture.shape[1], picture.shape[0], field_of_view))


def _of_views(dataset: Dataset, network: GaussianModel, most: int) -> Gaussians:
    """As many of every view that is trained on, where its camera is, at the scale that the start points say."""
    from ..training.data.targets import load_targets

    views = dataset.train_views
    found = []
    for view in views:
        target = load_targets((view,), FED_SIDE)[0].full
        found.append(strongest(scaled_to(network(target.image[..., :3], target.camera), target.camera, dataset.points), most // len(views)))
    return concatenate(found)


def _of_dataset(folder: Path, most: int, network: GaussianModel | None = None) -> tuple[Gaussians, Offset]:
    """The splats, and the offset of their coordinates."""
    from ..core.datasets.read import read_dataset
    from ..core.datasets.spread import scene_scale, unit_of
    from ..training.init.depth_start import depth_gaussians

    dataset = read_dataset(folder)
    if network:
        return _of_views(dataset, network, most), dataset.offset
    made = depth_gaussians(dataset.views, most, unit=unit_of(scene_scale(dataset)))
    if made is None:
        raise UserError(f"The images of {folder} have no depth maps.",
                        "Capture the dataset again with Depth, or name an image and a --model.")
    return made, dataset.offset


def _of_picture(path: Path, model: Path | None, depth: Path | None, meaning: Literal["inverse", "metres"], span: tuple[float, float],
                field_of_view: float | None, most: int) -> Gaussians:
    from ..monocular import depth_of, load_depth_model
    from ..training.data.images import read_image
    from ..training.data.maps import read_depth

    if (model is None) == (depth is None):
        raise UserError("A single image holds no depth.", "Name a model (--model), a depth map (--depth) or a program (--command).")
    guess = load_depth_model(model) if model else None
    picture = read_image(path)
    metres = depth_of(guess(picture[..., :3]), meaning, *span) if guess else read_depth(depth or path)
    if metres.shape != picture.shape[:2]:
        picture = _fitting(picture, metres, path)
    camera = camera_of(path, picture.shape[1], picture.shape[0], field_of_view)
    return gaussians_from_depth(camera, metres, picture.astype(np.float32) / 255, most)


def _fitting(picture: np.ndarray, depth: np.ndarray, path: Path) -> np.ndarray:
    """The picture at the size of its depth map; UserError when they have other proportions."""
    from ..training.data.images import area_average

    height, width = depth.shape
    if abs(picture.shape[1] * height - picture.shape[0] * width) > max(picture.shape[:2]) or width > picture.shape[1]:
        raise UserError(f"{path.name} is {picture.shape[1]} x {picture.shape[0]} pixels, its depth map {width} x {height}.",
                        "Use a depth map that was made from this image.")
    return (area_average(picture, width, height) + 0.5).astype(np.uint8)
