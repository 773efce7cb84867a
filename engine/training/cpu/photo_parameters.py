"""What is learned about each photo beside the Gaussians: its exposure, and a small correction of its pose.

The same mathematics as the full engine's cuda/exposure.py and cuda/poses.py, with gradients by hand.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...core.cameras.camera import Camera
from ...core.datasets.spread import strays
from ..backend import StepSettings, Target

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-15
"""As the Gaussians'."""

SMALL_TURN = 1e-4
"""Radians below which the series of Rodrigues' formula are used."""


@dataclass
class Learned:
    """Values of every photo with their Adam moments (Kingma and Ba 2015), float32 [views, ...]."""

    values: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @staticmethod
    def zeros(*shape: int) -> Learned:
        """Nothing learned yet."""
        return Learned(*(np.zeros(shape, np.float32) for _ in range(3)))

    def step(self, view: int, gradient: np.ndarray, rate: float, number: int) -> None:
        """Move every photo's values, those of `view` by this gradient and the others by what is left of theirs; `number` counts from 1."""
        gradients = np.zeros_like(self.values)
        gradients[view] = gradient
        self.first += (1 - BETA1) * (gradients - self.first)
        self.second += (1 - BETA2) * (gradients**2 - self.second)
        size = np.sqrt(self.second / (1 - BETA2**number)) + EPSILON
        self.values -= rate / (1 - BETA1**number) * self.first / size


class PhotoParameters:
    """Exposures and pose corrections of the photos that `cameras` took; each is made when a step first asks for it."""

    def __init__(self, cameras: Sequence[Camera]):
        positions = np.array([camera.position for camera in cameras], float).reshape(-1, 3)
        self._views = len(positions)
        self._unit = spread(positions[~strays(positions)]) if self._views else 1.0
        self._positions = positions / self._unit  # [views, 3]
        self.learned: dict[str, Learned] = {}

    def exposure_of(self, target: Target, settings: StepSettings) -> np.ndarray | None:
        """The photo's exposure [3, 4]: factors of red, green and blue beside the identity, then an offset; None where none is learned."""
        return self._of("exposure", target, settings.exposure_rate, (3, 4))

    def correction_of(self, target: Target, settings: StepSettings) -> np.ndarray | None:
        """The photo's pose correction [6]: rotation vector in radians, then a shift in units of the cameras' spread; or None."""
        return self._of("poses", target, settings.pose_rate, (6,))

    def _of(self, name: str, target: Target, rate: float, shape: tuple[int, ...]) -> np.ndarray | None:
        if rate <= 0 or target.view < 0:
            return None
        if name not in self.learned:
            self.learned[name] = Learned.zeros(self._views, *shape)
        return self.learned[name].values[target.view]

    def posed(self, viewmat: np.ndarray, correction: np.ndarray) -> np.ndarray:
        """The world-to-camera matrix [4, 4] of a camera that is turned about its own centre and shifted."""
        turned, position = self._placed(viewmat, correction)
        posed = np.eye(4)
        posed[:3, :3], posed[:3, 3] = turned, -turned @ position
        return posed

    def _placed(self, viewmat: np.ndarray, correction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """World-to-camera rotation and position in the world."""
        rotation = viewmat[:3, :3]
        position = -rotation.T @ viewmat[:3, 3] + correction[3:].astype(float) * self._unit
        return rotation @ rotation_matrix(correction[:3].astype(float)).T, position

    def learn_exposure(self, target: Target, gradient: np.ndarray, settings: StepSettings, number: int) -> None:
        """One step by the gradient [3, 4]. A cast that all photos share is taken out: it belongs into the splats' colours."""
        exposures = self.learned["exposure"]
        exposures.step(target.view, gradient, settings.exposure_rate, number)
        exposures.values -= exposures.values.mean(axis=0, keepdims=True)

    def learn_pose(self, target: Target, gradient: np.ndarray, settings: StepSettings, number: int) -> None:
        """One step by the gradient [12] of the posed world-to-camera matrix: rotation [3, 3], then translation [3]."""
        corrections = self.learned["poses"]
        by_correction = self._by_correction(target.camera.viewmat, corrections.values[target.view], gradient.astype(float))
        corrections.step(target.view, by_correction, settings.pose_rate, number)
        self._anchor(corrections.values)

    def _by_correction(self, viewmat: np.ndarray, correction: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        """Gradient by a correction [6], from that by rotation [3, 3] and translation [3] of what posed() makes of it, [12]."""
        turned, position = self._placed(viewmat, correction)
        by_rotation, by_translation = gradient[:9].reshape(3, 3), gradient[9:]
        by_turned = by_rotation - np.outer(by_translation, position)
        by_turn = np.einsum("ikl,kl->i", rotation_slopes(correction[:3].astype(float)), by_turned.T @ viewmat[:3, :3])
        return np.concatenate([by_turn, -self._unit * (turned.T @ by_translation)])

    def _anchor(self, corrections: np.ndarray) -> None:
        """Take out, in place, what all corrections share: a turn, a shift and a growth of the whole scene, which no image can tell."""
        corrections -= corrections.mean(axis=0, keepdims=True)
        outward = self._positions - self._positions.mean(axis=0)
        growth = (corrections[:, 3:] * outward).sum() / max((outward**2).sum(), 1e-12)
        corrections[:, 3:] -= (growth * outward).astype(np.float32)

    def state(self) -> dict[str, np.ndarray]:
        """Copies, named as the full engine names them."""
        return {f"{prefix}{name}": array.copy() for name, learned in self.learned.items()
                for prefix, array in (("", learned.values), ("first_", learned.first), ("second_", learned.second))}

    def load_state(self, state: dict[str, np.ndarray]) -> None:
        """Go back to a state."""
        self.learned = {name: Learned(*(state[f"{prefix}{name}"].copy() for prefix in ("", "first_", "second_")))
                        for name in ("exposure", "poses") if name in state}


def spread(positions: np.ndarray) -> float:
    """Root mean square distance of cameras [views, 3] from their middle; 1 where they all stand on one spot."""
    return float(np.sqrt(((positions - positions.mean(axis=0)) ** 2).sum(axis=1).mean())) or 1.0


def crosses(vector: np.ndarray) -> np.ndarray:
    """The matrix [3, 3] of the cross product with a vector [3]."""
    x, y, z = vector
    return np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]], float)


def rotation_matrix(vector: np.ndarray) -> np.ndarray:
    """Of a rotation vector [3] in radians (Rodrigues): [3, 3]."""
    sine, cosine, _, _ = _rodrigues(float(np.linalg.norm(vector)))
    cross = crosses(vector)
    return np.eye(3) + sine * cross + cosine * (cross @ cross)


def rotation_slopes(vector: np.ndarray) -> np.ndarray:
    """Derivatives [3, 3, 3] of rotation_matrix() by each component of the vector."""
    sine, cosine, sine_slope, cosine_slope = _rodrigues(float(np.linalg.norm(vector)))
    cross = crosses(vector)
    axes = [crosses(axis) for axis in np.eye(3)]
    return np.stack([sine_slope * component * cross + sine * axis + cosine_slope * component * (cross @ cross)
                     + cosine * (axis @ cross + cross @ axis) for component, axis in zip(vector, axes, strict=True)])


def _rodrigues(angle: float) -> tuple[float, float, float, float]:
    """sin(a) / a and (1 - cos(a)) / a², and the derivative of each by a, over a."""
    if angle < SMALL_TURN:
        return 1 - angle**2 / 6, 0.5 - angle**2 / 24, -1 / 3, -1 / 12
    sine, cosine = np.sin(angle) / angle, (1 - np.cos(angle)) / angle**2
    return sine, cosine, (np.cos(angle) - sine) / angle**2, (sine - 2 * cosine) / angle**2
