"""What a training backend does: it holds Gaussians with their optimiser state, renders them and learns from a view.

The trainer, schedule, strategies, checkpoints and evaluation are written once against this protocol. Heavy arrays stay
inside the backend; what crosses is numpy.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np

from ..core.cameras.camera import Camera
from ..core.errors import UserError
from ..core.splats.gaussians import Gaussians

BackendName = Literal["cuda", "cpu"]

@dataclass(frozen=True)
class Target:
    """One image to learn from. `camera` has the size of `image`, no distortion."""

    camera: Camera
    image: np.ndarray  # [H, W, 3] or [H, W, 4] uint8, straight alpha
    view: int = -1  # number of the photo among those trained on, for its exposure and pose; -1: none
    mask: np.ndarray | None = None  # [H, W] uint8, 255: learn from it, 0: not
    depth: np.ndarray | None = None  # [H, W] float32, along the camera's axis, 0: unknown
    normals: np.ndarray | None = None  # [H, W, 3] float32, unit vectors in Blender's world, 0: unknown


@dataclass(frozen=True)
class Rendering:
    """What a camera sees."""

    rgb: np.ndarray  # [H, W, 3] float32, composed over the background, not clamped
    alpha: np.ndarray  # [H, W] float32
    depth: np.ndarray  # [H, W] float32, expected depth along the camera's axis, 0 where nothing is


@dataclass(frozen=True)
class StepSettings:
    """What one optimisation step needs to know beyond its target. A weight or a rate of 0 turns its term off."""

    learning_rates: dict[str, float]  # by parameter name: means quats scales opacities sh0 shN
    sh_degree: int
    background: tuple[float, float, float]
    ssim_lambda: float
    opacity_regularisation: float
    scale_regularisation: float
    noise: float  # standard deviation factor of MCMC's exploration noise on the means, 0: none
    reduction: int  # how much smaller than the full image the target is, 1, 2 or 4
    noise_seed: int  # the noise of a step depends on this alone, so a resumed run repeats it
    gather: bool = False  # collect what take_statistics returns
    alpha_weight: float = 0.0  # of the difference between rendered alpha and the image's
    depth_weight: float = 0.0  # of the difference between expected depth and the target's
    normal_weight: float = 0.0  # of the angle between rendered normals and the target's
    distortion_weight: float = 0.0  # against floaters: the variance of depth along each ray
    transmittance_weight: float = 0.0  # against fog: the entropy of each ray's alpha
    needle_weight: float = 0.0  # against needles: the ratio of the largest axis to the middle one
    exposure_rate: float = 0.0  # learning rate of each photo's exposure
    pose_rate: float = 0.0  # learning rate of each photo's pose
    ssim_stride: int = 1  # SSIM's windows stand on every so many rows, other ones at each step; the full engine's stand on all


@dataclass(frozen=True)
class Statistics:
    """Image-space gradient norms and visibility of each Gaussian, summed over the steps since the last take_statistics."""

    gradient: np.ndarray  # [N] float32: length of the loss's gradient by the projected centre, in units of half an image
    seen: np.ndarray  # [N] int32: in how many steps the Gaussian was drawn
    radius: np.ndarray  # [N] float32: its largest radius on the image, as a share of the longer side


@dataclass(frozen=True)
class Contribution:
    """What each Gaussian adds to images: its weights (alpha times transmittance) over their pixels. All 0: nothing sees it."""

    weight: np.ndarray  # [N] float32, summed over pixels and images
    largest: np.ndarray | None  # [N] float32, the largest weight in any pixel; None where the rasterizer does not tell
    channels: np.ndarray  # [N, K] float32, sums of weight times each buffer of the images


@dataclass(frozen=True)
class ParameterHealth:
    """Sums over the values and moments of one parameter of all Gaussians."""

    finite: bool  # whether every value and every gradient of late is a number
    moment_norm: float  # length of its first moments: 0 when no gradient has ever come
    moment_sum: float  # sum of its first moments
    value_checksum: float  # sum of a sample of its values: the same twice means that nothing has moved


class OutOfMemory(UserError):
    """Raised by step() when memory does not suffice; the model is unchanged."""


class Loss(Protocol):
    """A loss that may still be on the device: float() waits for the device, arithmetic does not."""

    def __float__(self) -> float: ...

    def __rmul__(self, factor: float, /) -> Any: ...

    def __add__(self, other: Any, /) -> Any: ...


class LiveRows(Protocol):
    """An array of a model, copied some rows at a time when it is read."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def parts(self) -> Iterator[np.ndarray]:
        """Its rows in their order, float32, contiguous; each holds until the next is asked for."""
        ...


class Model(Protocol):
    """Gaussians under training, behind one backend, which inherits from this and may leave out the hints."""

    @property
    def count(self) -> int:
        """Number of Gaussians."""
        ...

    def expect(self, target: Target) -> None:
        """A hint: a step will learn from this target soon, and a device may fetch it ahead."""

    def step(self, target: Target, settings: StepSettings) -> Loss:
        """Forward, loss, backward, update of every parameter. Returns the loss before the update.

        Raises OutOfMemory, with nothing changed, when there is no room for it.
        """
        ...

    def render(self, camera: Camera, sh_degree: int, background: tuple[float, float, float], reduction: int = 1) -> Rendering:
        """Render without learning; `reduction` as in StepSettings, for a camera of a reduced image."""
        ...

    def score(self, target: Target, sh_degree: int) -> tuple[float, float]:
        """PSNR in dB and SSIM of what a camera sees over black against its image."""
        ...

    def contribution(self, views: Iterable[tuple[Camera, np.ndarray]], channels: int = 0, reduction: int = 1) -> Contribution:
        """What each Gaussian adds to images of some cameras, each with buffers float32 [channels, H, W]; `reduction` as in StepSettings."""
        ...

    def read(self, name: str) -> np.ndarray:
        """A copy of one parameter array, named as in Gaussians."""
        ...

    def write(self, name: str, rows: np.ndarray, values: np.ndarray) -> None:
        """Overwrite rows of one parameter."""
        ...

    def rebuild(self, source_rows: np.ndarray, reset_rows: np.ndarray) -> None:
        """Row i becomes a copy of old row source_rows[i] [M]; the moments of the new rows `reset_rows` start at zero."""
        ...

    def arrange(self) -> None:
        """A hint: put the rows in whatever order suits the device's memory; nothing else changes."""

    def forget(self, name: str) -> None:
        """The moments of one parameter start at zero."""
        ...

    def take_statistics(self) -> Statistics:
        """What steps with `gather` collected since the last call or rebuild."""
        ...

    def parameter_health(self) -> dict[str, ParameterHealth]:
        """ParameterHealth of each parameter by name; costs about one pass over all moments."""
        ...

    def gaussians(self) -> Gaussians:
        """A copy of all Gaussians."""
        ...

    def sample(self, most: int) -> Gaussians:
        """A copy of at most `most` Gaussians, spread evenly over the rows, of SH degree 0."""
        ...

    def state(self) -> dict[str, np.ndarray]:
        """Parameters, moments and step counts: all that load_state needs to go on as if never interrupted."""
        ...

    def snapshot(self, copy: bool) -> Mapping[str, np.ndarray | LiveRows]:
        """The same as quickly as it can be had; without a copy it may be the model's own memory, and hold until the next step."""
        return self.state()

    def broken(self) -> list[str]:
        """Names of those arrays of state() that hold values that are no numbers."""
        ...

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Go back to a state, also to one that another backend made."""
        ...

    def release(self) -> None:
        """A hint: give back memory that can be had again, at the price of time."""

    def close(self) -> None:
        """Free threads and memory, where garbage collection does not."""


TRACED = 10_000
"""Number of rows that ParameterHealth.value_checksum is summed over."""


def sampled_rows(count: int, most: int) -> np.ndarray:
    """At most so many of `count` rows, spread evenly."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)
