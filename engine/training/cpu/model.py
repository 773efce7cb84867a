"""The built-in engine's model: Gaussians and their Adam moments in numpy, everything heavy in C."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from ...core.cameras.camera import Camera
from ...core.errors import UserError
from ...core.splats.gaussians import Gaussians
from ..backend import TRACED, Contribution, LiveRows, Model, ParameterHealth, Rendering, Statistics, StepSettings, Target, sampled_rows
from ..evaluate import BLACK, decibels, masked_ssim
from ..low_pass import ANTIALIASED, CLASSIC
from .blocks import COLUMNS, NAMES, BlockRows, Blocks
from .library import BesideImage, Kernels, KernelScene, StepInputStruct, TermWeightsStruct, ViewStruct
from .photo_parameters import PhotoParameters

LARGEST_SIDE = 32_768
PIXELS_A_GAUSSIAN = 5
FEWEST_GAUSSIANS = 10_000


class CpuModel(Model):
    """Gaussians under training on the CPU; see backend.Model for what each method does.

    `cameras` are those of the photos, for exposures and poses of their own.
    Images lie in memory already, so nothing is fetched ahead; and rows keep their order: the kernels sort by depth and tile anyway, and
    measured, an order gains nothing that is worth the copy.
    """

    def __init__(self, gaussians: Gaussians, threads: int = 0, antialiased: bool = False, cameras: Sequence[Camera] = ()):
        self._gaussians = checked(gaussians.arrays())
        self._kernels = Kernels(threads or default_threads())
        self._low_pass = ANTIALIASED if antialiased else CLASSIC
        self._first, self._second = (Blocks.zeros(self.count, self._gaussians.rest) for _ in range(2))
        self._photos = PhotoParameters(cameras)
        self._steps = 0
        self._visibility_stats: np.ndarray | None = None  # [N, 3], what take_statistics returns, since a step first gathered

    @property
    def count(self) -> int:
        return self._gaussians.count

    def step(self, target: Target, settings: StepSettings) -> float:
        step_input = StepInputStruct(
            ssim_lambda=settings.ssim_lambda, ssim_stride=settings.ssim_stride, opacity_regularisation=settings.opacity_regularisation,
            scale_regularisation=settings.scale_regularisation, needle_weight=settings.needle_weight, noise=settings.noise,
            weights=weights_struct(settings), seed=settings.noise_seed & 0xFFFFFFFF, step=self._steps + 1)
        step_input.rates[:] = [settings.learning_rates[name] for name in NAMES]
        view, photos = view_struct(target.camera, settings.background), self._photos
        exposure, correction = photos.exposure_of(target, settings), photos.correction_of(target, settings)
        if correction is not None:
            place(view, photos.posed(target.camera.viewmat, correction))
        drawing = KernelScene(self._gaussians, settings.sh_degree, self._low_pass.reduced(settings.reduction))
        beside = BesideImage(target.mask, target.depth, target.normals, exposure, like(exposure, 3, 4), like(correction, 12),
                             self._visibility(settings))
        loss = self._kernels.step(drawing, view, target.image, step_input, (self._first, self._second), beside)
        if loss is None:
            raise self._not_finite()
        self._steps += 1
        if beside.by_exposure is not None:
            photos.learn_exposure(target, beside.by_exposure, settings, self._steps)
        if beside.by_pose is not None:
            photos.learn_pose(target, beside.by_pose, settings, self._steps)
        return loss

    def _visibility(self, settings: StepSettings) -> np.ndarray | None:
        """What a step counts in, [N, 3]; None where it gathers nothing."""
        if settings.gather and self._visibility_stats is None:
            self._visibility_stats = np.zeros((self.count, 3), np.float32)
        return self._visibility_stats if settings.gather else None

    def render(self, camera: Camera, sh_degree: int, background: tuple[float, float, float], reduction: int = 1) -> Rendering:
        drawing = KernelScene(self._gaussians, sh_degree, self._low_pass.reduced(reduction))
        images = self._kernels.forward(drawing, view_struct(camera, background), with_depth=True)
        assert images.depth is not None
        return Rendering(np.ascontiguousarray(images.rgb.transpose(1, 2, 0)), 1.0 - images.transmittance, images.depth)

    def score(self, target: Target, sh_degree: int) -> tuple[float, float]:
        kept = None if target.mask is None else (target.mask >= 128).view(np.uint8)
        drawing = KernelScene(self._gaussians, sh_degree, self._low_pass)
        squares, similarity = self._kernels.score(drawing, view_struct(target.camera, BLACK), target.image, kept)
        share = 1.0 if kept is None else float(kept.mean())
        return decibels(squares / share), masked_ssim(similarity, share)

    def contribution(self, views: Iterable[tuple[Camera, np.ndarray]], channels: int = 0, reduction: int = 1) -> Contribution:
        drawing = KernelScene(self._gaussians, 0, self._low_pass.reduced(reduction))
        sums, largest = np.zeros((self.count, 1 + channels), np.float32), np.zeros(self.count, np.float32)
        for camera, buffers in views:
            self._kernels.contribution(drawing, view_struct(camera, BLACK), buffers, sums, largest)
        return Contribution(sums[:, 0], largest, sums[:, 1:])

    def read(self, name: str) -> np.ndarray:
        return self._gaussians.read(name)

    def write(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        self._gaussians.write(rows, values, name)

    def rebuild(self, source_rows: np.ndarray, reset_rows: np.ndarray) -> None:
        self._gaussians = self._gaussians.with_room(len(source_rows))  # one by one: when memory ends in between, nothing has changed
        self._first = self._first.with_room(len(source_rows))
        self._second = self._second.with_room(len(source_rows))
        self._gaussians, self._first, self._second = (
            blocks.rebuilt(source_rows) for blocks in (self._gaussians, self._first, self._second))
        self._gaussians.hide_padding()
        self._visibility_stats = None
        for blocks in (self._first, self._second):
            blocks.write(reset_rows, np.zeros((len(reset_rows), blocks.values.shape[1]), np.float32))

    def forget(self, name: str) -> None:
        for blocks in (self._first, self._second):
            blocks.values[:, COLUMNS[name]] = 0.0

    def take_statistics(self) -> Statistics:
        visibility_stats = np.zeros((self.count, 3), np.float32) if self._visibility_stats is None else self._visibility_stats
        self._visibility_stats = None
        return Statistics(visibility_stats[:, 0], visibility_stats[:, 1].astype(np.int32), visibility_stats[:, 2])

    def parameter_health(self) -> dict[str, ParameterHealth]:
        step = max(1, self.count // TRACED)
        return {name: self._vitals_of(COLUMNS[name], step) for name in NAMES if self._gaussians.values[:, COLUMNS[name]].size}

    def _vitals_of(self, columns: slice, step: int) -> ParameterHealth:
        """ParameterHealth of one parameter's columns; the checksum is over every `step`-th block."""
        values, moments = self._gaussians.values[:, columns], self._first.values[:, columns]
        moment_norm, size = (float(np.sqrt(np.einsum("bcl,bcl->", part, part))) for part in (moments, values))
        moment_sum, value_checksum = (float(part.sum(dtype=np.float64)) for part in (moments, values[::step]))
        return ParameterHealth(math.isfinite(moment_norm) and math.isfinite(size), moment_norm, moment_sum, value_checksum)

    def gaussians(self) -> Gaussians:
        return Gaussians(**self._gaussians.unpack())

    def sample(self, most: int) -> Gaussians:
        rows = sampled_rows(self.count, most)
        none = np.zeros((len(rows), 0, 3), np.float32)
        return Gaussians(**{name: self._gaussians.read(name, rows) for name in NAMES if name != "shN"}, shN=none)

    def state(self) -> dict[str, np.ndarray]:
        arrays = {prefix + name: array for prefix, blocks in self._arrays.items() for name, array in blocks.unpack().items()}
        return {**arrays, **{name: array.copy() for name, array in self._beside().items()}}

    def snapshot(self, copy: bool) -> dict[str, np.ndarray | LiveRows]:
        arrays, beside = self._arrays, self._beside()
        if copy:  # as it lies in memory: it is turned into rows by whoever reads it
            with ThreadPoolExecutor(len(arrays)) as threads:
                arrays = dict(zip(arrays, threads.map(Blocks.copy, arrays.values()), strict=True))
            beside = {name: array.copy() for name, array in beside.items()}
        return {**{prefix + name: BlockRows(blocks, name) for prefix, blocks in arrays.items() for name in NAMES}, **beside}

    def broken(self) -> list[str]:
        found = [prefix + name for prefix, blocks in self._arrays.items() if not blocks.finite
                 for name in NAMES if not np.isfinite(blocks.read(name)).all()]
        return [*found, *(name for name, array in self._beside().items() if not np.isfinite(array).all())]

    @property
    def _arrays(self) -> dict[str, Blocks]:
        """All that is learned about Gaussians, by what stands before the names of its parameters in a state."""
        return {"": self._gaussians, "first_": self._first, "second_": self._second}

    def _beside(self) -> dict[str, np.ndarray]:
        """What a state holds beside them."""
        visibility_stats = {} if self._visibility_stats is None else {"sights": self._visibility_stats}
        return {**self._photos.state(), **visibility_stats, "steps": np.array(self._steps)}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        self._gaussians = checked({name: state[name] for name in NAMES})
        self._first, self._second = (Blocks.pack({name: state[f"{prefix}_{name}"] for name in NAMES}) for prefix in ("first", "second"))
        self._photos.load_state(state)
        self._visibility_stats = state["sights"].copy() if "sights" in state else None
        self._steps = int(state["steps"])

    def memory(self) -> int:
        """Bytes of Gaussians, moments and what a step needs."""
        return sum(blocks.values.nbytes for blocks in (self._gaussians, self._first, self._second)) + self._kernels.memory()

    def take_seconds(self) -> dict[str, float]:
        """Seconds that each stage of the steps took since the last call."""
        return self._kernels.take_seconds()

    def close(self) -> None:
        self._kernels.close()
        self._gaussians = self._first = self._second = Blocks.zeros(0, self._gaussians.rest)

    def _not_finite(self) -> UserError:
        """UserError naming the parameter with NaN or infinite values."""
        broken = broken_names(self._gaussians.unpack())
        if broken:
            return UserError(f"The Gaussians' {broken} contain values that are no numbers.",
                             "Resume from the checkpoint with lower learning rates.", "training.gradients_broken", broken=broken)
        return UserError("The loss is not a number.", "Resume from the checkpoint with lower learning rates, or check images and poses.",
                         "training.loss")


def broken_names(arrays: dict[str, np.ndarray]) -> str:
    """The parameters that hold NaN or infinite values."""
    return ", ".join(name for name in NAMES if not np.isfinite(arrays[name]).all())


def checked(arrays: dict[str, np.ndarray]) -> Blocks:
    """As packed(); UserError for NaN and infinite values."""
    broken = broken_names(arrays)
    if broken:
        raise UserError(f"The Gaussians' {broken} contain values that are no numbers.", "Start from others or an older checkpoint.",
                        "training.gaussians_broken", broken=broken)
    return packed(arrays)


def packed(arrays: dict[str, np.ndarray]) -> Blocks:
    """Gaussians as Blocks, with transparent rows filling the last block."""
    blocks = Blocks.pack({name: np.asarray(array, np.float32) for name, array in arrays.items()})
    blocks.hide_padding()
    return blocks


def default_threads() -> int:
    """Number of threads: all cores but one, and both on a computer with two."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if cores <= 2 else cores - 1


def affordable_gaussians(pixels: int, threads: int) -> int:
    """One Gaussian for every five pixels and thread, at most one a pixel: a step takes about the same time on any computer."""
    return max(FEWEST_GAUSSIANS, min(pixels, pixels * threads // PIXELS_A_GAUSSIAN))


def view_struct(camera: Camera, background: tuple[float, float, float]) -> ViewStruct:
    """The camera as ViewStruct; UserError for orthographic cameras, sizes out of range and values that are not finite."""
    if not (0 < camera.width <= LARGEST_SIDE and 0 < camera.height <= LARGEST_SIDE):
        raise UserError(f"An image of {camera.width} x {camera.height} pixels cannot be drawn.",
                        f"Use sides from 1 to {LARGEST_SIDE} pixels.", "training.image_size", width=camera.width, height=camera.height)
    if camera.orthographic:
        raise UserError("The built-in engine does not draw orthographic cameras.", "Use perspective cameras, or the full engine on a GPU.",
                        "engine.orthographic_camera")
    view = ViewStruct(camera.width, camera.height, camera.fl_x, camera.fl_y, camera.cx, camera.cy)
    place(view, world_to_camera(camera))
    view.background[:] = background
    view.nearest = camera.near
    values = (view.fl_x, view.fl_y, view.cx, view.cy, *view.rotation, *view.translation)  # as C reads them, in 32 bits
    if not (np.isfinite(values).all() and view.fl_x > 0 and view.fl_y > 0):
        raise UserError("A camera's focal length, centre or pose is not a usable number.", "Check the dataset's poses and intrinsics.",
                        "training.camera")
    return view


def place(view: ViewStruct, viewmat: np.ndarray) -> None:
    """Put the view's camera where a world-to-camera matrix [4, 4] says."""
    view.rotation[:] = viewmat[:3, :3].ravel().tolist()
    view.translation[:] = viewmat[:3, 3].tolist()


def like(learned: np.ndarray | None, *shape: int) -> np.ndarray | None:
    """Room for the gradient by what is learned of a photo, where something is."""
    return None if learned is None else np.zeros(shape, np.float32)


def weights_struct(settings: StepSettings) -> TermWeightsStruct:
    """Weights of the terms beyond colour."""
    return TermWeightsStruct(settings.alpha_weight, settings.transmittance_weight, settings.depth_weight, settings.distortion_weight,
                             settings.normal_weight)


def world_to_camera(camera: Camera) -> np.ndarray:
    """Camera.viewmat [4, 4]; NaN for a pose that cannot be inverted."""
    try:
        with np.errstate(all="ignore"):
            return camera.viewmat
    except np.linalg.LinAlgError:
        return np.full((4, 4), np.nan)
