"""Splat files rendered along any camera path."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from ..core.errors import UserError
from .terminal import counted

if TYPE_CHECKING:
    import numpy as np

    from ..evaluation.camera_paths import Named
    from ..evaluation.scene import SplatScene

FILM = ".mp4"
BACKGROUNDS = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0)}
ASPECT = 9 / 16
"""Height over width of an orbit's pictures."""


def render(
    scene: tyro.conf.Positional[Path],
    path: tyro.conf.Positional[Path | None] = None,
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])] = Path("renders"),
    resolution: int = 1280,
    all_views: bool = False,
    frames: int = 0,
    rate: int = 30,
    background: Literal["black", "white"] = "black",
) -> int:
    """Render a splat file through cameras, as images in a folder or, where the output ends in .mp4, as a video.

    Args:
        scene: a splat file, or a training's folder
        path: a dataset's folder, a transforms.json, or a camera_path.json of nerfstudio's viewer; default: an orbit around the splats
        output: folder for the images, or an .mp4 file
        resolution: longest image side in pixels
        all_views: every camera of a dataset, not only the held-out ones
        frames: this many on a smooth flight past the cameras, or on the orbit; default: the cameras themselves, 240 for an orbit
        rate: frames a second of a video
        background: what lies behind the splats
    """
    from ..evaluation.camera_paths import beside_splats
    from ..evaluation.pictures import write_film, write_pictures
    from ..evaluation.scene import opened, splats_of

    film = output.suffix.lower() == FILM
    if frames < 0 or rate < 1 or resolution < 2:
        raise UserError("Frames, rate and resolution must be positive.", "Leave --frames out to render the cameras themselves.")
    cameras = _chosen(path, film or all_views, frames)
    with opened(splats_of(scene)) as shown:
        cameras = beside_splats(cameras, shown.gaussians, shown.offset) or _orbit(shown, frames or 240, resolution)
        pictures = _pictures(shown, cameras, resolution, film, background)
        with counted("rendering", len(cameras)) as tick:
            if film:
                count = write_film(output, (picture for _, picture in pictures), rate, tick)
                print(f"{count} frames written to {output}")
            else:
                print(f"{len(write_pictures(output, pictures, tick))} images written to {output}")
    return 0


def _chosen(path: Path | None, all_views: bool, frames: int) -> list[Named]:
    """The cameras of a path, flown past smoothly where a number of frames is asked for."""
    from ..evaluation.camera_paths import flight, read_path

    if path is None:
        return []
    cameras = read_path(path, all_views or frames > 0)
    return flight(cameras, frames) if frames else cameras


def _orbit(scene: SplatScene, frames: int, resolution: int) -> list[Named]:
    from ..evaluation.camera_paths import orbit

    return orbit(scene.gaussians, frames, resolution, max(2, round(resolution * ASPECT)))


def _pictures(scene: SplatScene, cameras: list[Named], resolution: int, film: bool, background: str) -> Iterator[tuple[str, np.ndarray]]:
    """Every camera's picture; in a film all are as large as the first."""
    from ..evaluation.camera_paths import fitted

    first = fitted(cameras[0][1], resolution, even=True)
    for name, camera in cameras:
        seen = camera.resized(first.width, first.height) if film else fitted(camera, resolution)
        yield name, scene.picture(seen, BACKGROUNDS[background])
