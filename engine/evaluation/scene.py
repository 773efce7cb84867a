"""A splat file, or the job that made it, ready to be looked at."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..core.cameras.camera import Camera
from ..core.errors import UserError
from ..core.formats.registry import read_splats
from ..core.former_imports import former_members
from ..core.protocol.config import TrainConfig
from ..core.protocol.folder import JobFolder
from ..core.splats.gaussians import Gaussians
from ..core.splats.offset import NO_OFFSET, Offset
from ..training.backend import Model, Rendering
from ..training.engines import choose_backend, create_model

Color = tuple[float, float, float]

if not TYPE_CHECKING:
    __getattr__ = former_members(__name__)


@dataclass(frozen=True)
class SplatScene:
    """Splats that were read from a file, behind the fastest engine of this computer."""

    gaussians: Gaussians
    model: Model
    antialiased: bool
    offset: Offset = NO_OFFSET

    def render(self, camera: Camera, background: Color = (0.0, 0.0, 0.0)) -> Rendering:
        """What a camera without distortion sees, drawn with or without antialiasing as the file says."""
        return self.model.render(camera, self.gaussians.sh_degree, background)

    def picture(self, camera: Camera, background: Color = (0.0, 0.0, 0.0)) -> np.ndarray:
        """The same as uint8 [H, W, 3]."""
        return to_bytes(self.render(camera, background).rgb)


@contextmanager
def opened(path: Path, backend: TrainConfig = TrainConfig()) -> Iterator[SplatScene]:  # noqa: B008 (a frozen default)
    """A splat file of any format, until the with block ends. UserError when it holds no splats or the engine cannot run."""
    file = read_splats(path, upright=False)
    config = TrainConfig(backend=backend.backend, threads=backend.threads, antialiased=file.antialiased,
                         max_gaussians=max(1, len(file.gaussians)))
    model = create_model(file.gaussians, config, choose_backend(config).engine)
    try:
        yield SplatScene(file.gaussians, model, file.antialiased, file.offset)
    finally:
        model.close()


def job_of(path: Path) -> JobFolder | None:
    """The job that a path belongs to: its folder, a file in it, or what the command line wrote beside it."""
    path = Path(path).absolute()
    places = (path, path.parent, path.with_suffix(".job"))
    return next((JobFolder(place) for place in places if (place / "job.json").is_file()), None)


def splats_of(path: Path) -> Path:
    """The splat file that a path means: itself, or the result of the job whose folder it is; UserError when there is none."""
    if not path.is_dir():
        return path
    job = JobFolder(path)
    job.read_spec()
    if not job.result.is_file():
        raise UserError(f"The training in {path} has no result yet.", "Wait for its end, or stop it: then the result is written.")
    return job.result


def to_bytes(rgb: np.ndarray) -> np.ndarray:
    """Colours in [0, 1], clamped -> uint8."""
    return (rgb.clip(0, 1) * 255 + 0.5).astype(np.uint8)
