"""Gaussians of a single photo as a network or another program makes them: ONNX models that answer with Gaussians a pixel, or a command
that writes a splat file.

The tensors are described in docs/command_line.md.
"""

from __future__ import annotations

import shlex
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .core.cameras.camera import FLIP_YZ, Camera
from .core.datasets.dataset import PointCloud
from .core.errors import UserError
from .core.formats.registry import read_splats
from .core.processes import run
from .core.splats.gaussians import Gaussians, drawable, rgb_to_sh0
from .core.splats.placing import scaling_about
from .core.splats.transform import transform_gaussians
from .monocular import network_size, open_onnx, resampled

IMAGE, INTRINSICS = "image", "intrinsics"
PLACES, COLORS = ("means", "depth"), ("sh0", "colors")
NEEDED = ("scales", "opacities")
NAMES = {*PLACES, *COLORS, *NEEDED, "quats"}
"""Of outputs."""

WIDTHS = {"means": 3, "scales": 3, "quats": 4, "sh0": 3, "colors": 3, "opacities": 1, "depth": 1}

SURE = 1e-6
"""How near to 0 and 1 opacities may be."""

CELLS, FEWEST = 32, 8
"""Along each side of an image, in which depths are compared; and how many of them must have some."""

PATIENCE_SECONDS = 600.0
"""That a command may take for an image."""


@dataclass(frozen=True)
class GaussianModel:
    """An ONNX model that answers with Gaussians for an image."""

    path: Path
    session: Any

    def __call__(self, image: np.ndarray, camera: Camera) -> Gaussians:
        """Gaussians in the world of what `camera` sees, from uint8 [H, W, 3] of its size; UserError for answers that are none."""
        height, width = network_size(self.session, image)
        small, fed = resampled(image.astype(np.float32) / 255, width, height), camera.resized(width, height)
        asked = {IMAGE: np.ascontiguousarray(small.transpose(2, 0, 1)[None]), INTRINSICS: fed.K[None].astype(np.float32)}
        given = {wanted.name: asked[wanted.name] for wanted in self.session.get_inputs()}
        try:
            answers = self.session.run(None, given)
        except Exception as error:  # onnxruntime has a family of its own
            raise UserError(f"The model {self.path.name} failed on an image of {width} x {height} pixels: {error}.",
                            "Use a model that takes image, [1, 3, height, width].") from error
        named = {found.name: np.asarray(answer, np.float32) for found, answer in zip(self.session.get_outputs(), answers, strict=True)}
        return gaussians_of(named, small, fed, self.path.name)


def load_gaussian_model(path: Path) -> GaussianModel | None:
    """The model of a file; None for one that answers with something else than Gaussians, as depth alone. UserError for what is no model,
    and for one that answers with some of what Gaussians have."""
    if path.suffix.lower() != ".onnx" or not path.is_file():
        return None
    session = open_onnx(path)
    outputs, inputs = ({found.name for found in listed} for listed in (session.get_outputs(), session.get_inputs()))
    if not outputs & (NAMES - {"depth"}):
        return None
    lacking = [name for name in NEEDED if name not in outputs] + ([] if outputs & set(PLACES) else ["means"])
    strange = sorted(inputs - {IMAGE, INTRINSICS}) + [name for name in [IMAGE] if name not in inputs]
    if lacking or strange:
        what = f"the outputs {', '.join(lacking)} are missing" if lacking else f"the inputs are {', '.join(sorted(inputs))}"
        raise _unfit(f"The model {path.name} gives no Gaussians: {what}.")
    return GaussianModel(path, session)


def gaussians_of(answers: Mapping[str, np.ndarray], image: np.ndarray, camera: Camera, name: str) -> Gaussians:
    """Gaussians in the world from a model's tensors: linear scales, quaternions w x y z and opacities in [0, 1], in OpenCV's camera axes.

    `image` [H, W, 3] in [0, 1], and `camera`, are what the model was fed with. UserError for other shapes and for what is no number.
    """
    rows = {key: _rows(key, answers[key], name) for key in WIDTHS if key in answers}
    means = rows["means"] if "means" in rows else _unprojected(rows["depth"], camera, name)
    count = len(means)
    colors = rows.get("colors", image.reshape(-1, 3) if count == camera.width * camera.height else np.full((count, 3), 0.5))
    quats = rows.get("quats", np.tile(np.array([[1, 0, 0, 0]], np.float32), (count, 1)))
    parts = {"scales": rows["scales"], "opacities": rows["opacities"], "quats": quats, "colors": colors, **rows}
    wrong = [f"{len(part)} {key}" for key, part in parts.items() if len(part) != count]
    if wrong:
        raise _odd(name, f"{count} places and {wrong[0]}")
    opacities = parts["opacities"][:, 0].astype(np.float64).clip(SURE, 1 - SURE)
    with np.errstate(divide="ignore", invalid="ignore"):
        made = Gaussians(
            means=means.astype(np.float32), quats=quats.astype(np.float32), scales=np.log(rows["scales"]).astype(np.float32),
            opacities=np.log(opacities / (1 - opacities)).astype(np.float32),
            sh0=rows["sh0"][:, None] if "sh0" in rows else rgb_to_sh0(colors)[:, None], shN=np.zeros((count, 0, 3), np.float32))
    sound = drawable(made.take(means[:, 2] > 0))
    if not len(sound):
        raise _unfit(f"The model {name} gives no Gaussian before the camera.")
    return transform_gaussians(sound, camera.camera_to_world @ FLIP_YZ)


def _rows(key: str, answer: np.ndarray, name: str) -> np.ndarray:
    """float32 [N, width] of a tensor [1, N, width], [1, H, W, width], or the same without the 1s."""
    width = WIDTHS[key]
    if width > 1 and (answer.ndim < 2 or answer.shape[-1] != width):
        raise _odd(name, f"{key} of shape {list(answer.shape)}, whose last side is not {width}")
    return answer.reshape(-1, width)


def _unprojected(depth: np.ndarray, camera: Camera, name: str) -> np.ndarray:
    """Places [N, 3] in the camera's OpenCV axes of one depth a pixel [N, 1]."""
    if len(depth) != camera.width * camera.height:
        raise _odd(name, f"{len(depth)} depths for {camera.width} x {camera.height} pixels")
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    rays = np.stack([(columns - camera.cx) / camera.fl_x, (rows - camera.cy) / camera.fl_y, np.ones_like(rows)], axis=-1)
    return (rays.reshape(-1, 3) * depth).astype(np.float32)


def _odd(name: str, what: str) -> UserError:
    return _unfit(f"The model {name} answers with {what}.")


def _unfit(message: str) -> UserError:
    return UserError(message, "Its outputs are means or depth, scales and opacities, and as it likes quats and sh0 or colors; "
                     "its inputs image and intrinsics.")


def strongest(gaussians: Gaussians, most: int) -> Gaussians:
    """At most so many of the Gaussians, the most opaque."""
    if len(gaussians) <= most:
        return gaussians
    return gaussians.take(np.sort(np.argsort(-gaussians.opacities, kind="stable")[:most]))


def scaled_to(gaussians: Gaussians, camera: Camera, points: PointCloud | None) -> Gaussians:
    """The Gaussians of a camera, scaled about it so that their depth is that of the start points it sees in the same cells of its image.

    A network's metres are guessed, and photos have a unit of their own. As they are where fewer than FEWEST cells tell.
    """
    if points is None or not len(points):
        return gaussians
    made, known = (_depth_of_cells(places, camera) for places in (gaussians.means, points.positions))
    both = np.isfinite(made) & np.isfinite(known)
    if np.count_nonzero(both) < FEWEST:
        return gaussians
    factor = float(np.median(known[both] / made[both]))
    return transform_gaussians(gaussians, scaling_about(camera.position, factor))


def _depth_of_cells(places: np.ndarray, camera: Camera) -> np.ndarray:
    """Depth [CELLS * CELLS] of the nearest of the places [N, 3] in each cell of a camera's image; infinite where there is none."""
    pixels, depth = camera.project(places.astype(np.float64))
    column, row = np.floor(pixels / [camera.width, camera.height] * CELLS).T
    inside = (depth > 0) & (column >= 0) & (column < CELLS) & (row >= 0) & (row < CELLS)
    nearest = np.full(CELLS * CELLS, np.inf)
    np.minimum.at(nearest, (row[inside] * CELLS + column[inside]).astype(int), depth[inside])
    return nearest


def gaussians_by_command(command: str, image: Path, seconds: float = PATIENCE_SECONDS) -> Gaussians:
    """What a command writes for an image, whose places {image} and {output} in it are filled in: a PLY.

    UserError for a command that cannot be started, fails, takes too long or writes no splats.
    """
    words = shlex.split(command)
    if not any("{output}" in word for word in words) or not any("{image}" in word for word in words):
        raise UserError("The command does not say where image and output go.", "Write it like this: \"tool {image} {output}\".")
    with tempfile.TemporaryDirectory(prefix="splatwright-") as folder:
        output = Path(folder, "output.ply")
        filled = [word.replace("{image}", str(image.resolve())).replace("{output}", str(output)) for word in words]
        done = run(filled, seconds=seconds, what=words[0])
        if done.returncode:
            said = (done.stderr.strip() or done.stdout.strip() or "it says nothing").splitlines()[-1][:200]
            raise UserError(f"{words[0]} failed with exit status {done.returncode}: {said}.", "Try the command by itself.")
        if not output.is_file():
            raise UserError(f"{words[0]} wrote no PLY.", "It must write splats to the path that {output} becomes.")
        return drawable(read_splats(output).gaussians)
