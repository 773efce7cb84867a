"""The built-in engine's model: Gaussians and their Adam moments in numpy, everything heavy in C."""

from __future__ import annotations

import os

import numpy as np

from ...core.camera import Camera
from ...core.errors import UserError
from ...core.gaussians import Gaussians
from ...core.transform import rotation_matrices
from ..backend import Rendering, StepSettings, Target
from .library import Kernels, ViewStruct

NAMES = ("means", "quats", "scales", "opacities", "sh0", "shN")
LARGEST_SIDE = 32_768


class CpuModel:
    """Gaussians under training on the CPU; see backend.Model for what each method does."""

    def __init__(self, gaussians: Gaussians, threads: int = 0):
        self._kernels = Kernels(threads or default_threads())
        self._parameters = {name: np.array(array, np.float32, order="C") for name, array in gaussians.arrays().items()}
        self._first = {name: np.zeros_like(array) for name, array in self._parameters.items()}
        self._second = {name: np.zeros_like(array) for name, array in self._parameters.items()}
        self._gradients: dict[str, np.ndarray] = {}
        self._steps = 0

    @property
    def count(self) -> int:
        return len(self._parameters["means"])

    def step(self, target: Target, settings: StepSettings) -> float:
        view = view_struct(target.camera, settings.background)
        truth = self._kernels.compose(target.image, settings.background)
        images = self._kernels.forward(self._parameters, settings.sh_degree, view, with_depth=False)
        image_gradient = np.empty_like(truth)
        loss = self._kernels.loss(images.rgb, truth, settings.ssim_lambda, image_gradient)
        if not np.isfinite(loss):
            raise self._not_finite()
        gradients = self._gradient_arrays()
        self._kernels.backward(image_gradient, gradients)
        self._regularise(gradients, settings)
        self._steps += 1
        for name in NAMES if settings.sh_degree else NAMES[:-1]:
            self._kernels.adam(self._parameters[name], gradients[name], self._first[name], self._second[name],
                               settings.learning_rates[name], self._steps)
        if settings.noise:
            self._explore(settings)
        return loss

    def render(self, camera: Camera, sh_degree: int, background: tuple[float, float, float]) -> Rendering:
        images = self._kernels.forward(self._parameters, sh_degree, view_struct(camera, background), with_depth=True)
        assert images.depth is not None
        return Rendering(np.ascontiguousarray(images.rgb.transpose(1, 2, 0)), 1.0 - images.transmittance, images.depth)

    def read(self, name: str) -> np.ndarray:
        return self._parameters[name].copy()

    def write(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        self._parameters[name][rows] = values

    def rebuild(self, source_rows: np.ndarray, reset_rows: np.ndarray) -> None:
        for arrays in (self._parameters, self._first, self._second):
            for name in NAMES:
                arrays[name] = arrays[name][source_rows]
        for arrays in (self._first, self._second):
            for name in NAMES:
                arrays[name][reset_rows] = 0.0

    def gaussians(self) -> Gaussians:
        return Gaussians(**{name: array.copy() for name, array in self._parameters.items()})

    def state(self) -> dict[str, np.ndarray]:
        both = (("first", self._first), ("second", self._second))
        moments = {f"{prefix}_{name}": arrays[name] for prefix, arrays in both for name in NAMES}
        return {**self._parameters, **moments, "steps": np.array(self._steps)}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        for name in NAMES:
            self._parameters[name] = np.array(state[name], np.float32, order="C")
            self._first[name] = np.array(state[f"first_{name}"], np.float32, order="C")
            self._second[name] = np.array(state[f"second_{name}"], np.float32, order="C")
        self._steps = int(state["steps"])

    def close(self) -> None:
        self._kernels.close()

    def _gradient_arrays(self) -> dict[str, np.ndarray]:
        if not self._gradients or len(self._gradients["means"]) != self.count:
            self._gradients = {name: np.empty_like(array) for name, array in self._parameters.items()}
        return self._gradients

    def _regularise(self, gradients: dict[str, np.ndarray], settings: StepSettings) -> None:
        """Pull opacities and scales down a little (3DGS-MCMC, equation 10): means over all Gaussians."""
        if settings.opacity_regularisation:
            opacity = 0.5 + 0.5 * np.tanh(0.5 * self._parameters["opacities"])
            gradients["opacities"] += np.float32(settings.opacity_regularisation / self.count) * opacity * (1 - opacity)
        if settings.scale_regularisation:
            gradients["scales"] += np.float32(settings.scale_regularisation / (3 * self.count)) * np.exp(self._parameters["scales"])

    def _explore(self, settings: StepSettings) -> None:
        """Shake nearly transparent Gaussians along their own covariance (3DGS-MCMC, equation 8)."""
        gate = 1.0 / (1.0 + np.exp(np.clip(100.0 * (1.0 / (1.0 + np.exp(-self._parameters["opacities"])) - 0.005), -50, 50)))
        rows = np.flatnonzero(gate > 1e-4)
        if not len(rows):
            return
        noise = np.random.default_rng(settings.noise_seed).standard_normal((len(rows), 3)).astype(np.float32)
        axes = rotation_matrices(self._parameters["quats"][rows]).astype(np.float32)
        local = np.einsum("nji,nj->ni", axes, noise) * np.exp(2 * self._parameters["scales"][rows])
        shift = np.einsum("nij,nj->ni", axes, local)
        self._parameters["means"][rows] += shift * (gate[rows, None] * settings.noise).astype(np.float32)

    def _not_finite(self) -> UserError:
        """Name the parameter that broke the loss."""
        broken = [name for name, array in self._parameters.items() if not np.isfinite(array).all()]
        if broken:
            return UserError(f"The Gaussians' {', '.join(broken)} contain values that are no numbers.",
                             "Resume from the checkpoint with lower learning rates.")
        return UserError("The loss is not a number.", "Resume from the checkpoint with lower learning rates, or check images and poses.")


def default_threads() -> int:
    """All cores but one, which Blender keeps; both of two."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return cores if cores <= 2 else cores - 1


def view_struct(camera: Camera, background: tuple[float, float, float]) -> ViewStruct:
    """The camera as C wants it; UserError for one that cannot draw."""
    lens = (camera.fl_x, camera.fl_y, camera.cx, camera.cy)
    if not (0 < camera.width <= LARGEST_SIDE and 0 < camera.height <= LARGEST_SIDE):
        raise UserError(f"An image of {camera.width} x {camera.height} pixels cannot be drawn.",
                        f"Use sides from 1 to {LARGEST_SIDE} pixels.")
    viewmat = camera.viewmat if np.isfinite(camera.camera_to_world).all() else np.full((4, 4), np.nan)
    if not (np.isfinite(lens).all() and np.isfinite(viewmat).all() and camera.fl_x > 0 and camera.fl_y > 0):
        raise UserError("A camera's focal length, centre or pose is not a usable number.", "Check the dataset's poses and intrinsics.")
    view = ViewStruct(camera.width, camera.height, *lens)
    view.rotation[:] = viewmat[:3, :3].ravel().tolist()
    view.translation[:] = viewmat[:3, 3].tolist()
    view.background[:] = background
    return view
