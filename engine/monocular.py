"""Depth of a single photo, as a network guesses it: any depth model that was exported to ONNX or TorchScript."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from .core.cameras.camera import Camera
from .core.errors import UserError
from .training.data.images import area_average

Meaning = Literal["inverse", "metres"]
"""What a model answers: something that grows towards the camera, without unit (MiDaS, Depth Anything), or metres."""

ENDINGS = (".onnx", ".pt", ".pth", ".ts", ".torchscript")
USUAL_SIDE = 518
PATCH = 14
"""Networks made of patches take images whose sides are multiples of this (Depth Anything: 14; sizes that suit 14 suit most others)."""

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's colours, by which nearly all of these models are fed."""

OUTLIERS = 0.02
FULL_FRAME_WIDTH = 36.0
"""Millimetres; cameras tell their focal length as that of a 35 mm film too."""

FOCAL_LENGTH_35MM = 0xA405
EXIF_FOLDER = 0x8769

Network = Callable[[np.ndarray], np.ndarray]
"""float32 [1, 3, h, w] -> anything that holds [h, w] numbers."""


@dataclass(frozen=True)
class DepthModel:
    """A network and the size [height, width] that it asks for; None where it takes any."""

    network: Network
    height: int | None = None
    width: int | None = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """What the network says about uint8 [H, W, 3], resampled to its size: float32 [H, W]. UserError for answers of another shape."""
        height, width = fitting_size(image, self.height, self.width)
        small = resampled(image.astype(np.float32) / 255, width, height)
        fed = ((small - np.array(MEAN)) / np.array(DEVIATION)).transpose(2, 0, 1)[None]
        answer = np.squeeze(np.asarray(self.network(np.ascontiguousarray(fed, np.float32)), np.float32))
        if answer.ndim != 2 or not np.isfinite(answer).all():
            raise UserError(f"The depth model answers with shape {answer.shape}, or without numbers, and not with one depth a pixel.",
                            "Use a model for monocular depth, for example Depth Anything V2 exported to ONNX.")
        return resampled(answer[..., None], image.shape[1], image.shape[0])[..., 0]


def fitting_size(image: np.ndarray, height: int | None, width: int | None) -> tuple[int, int]:
    """Height and width that an image [H, W, C] is fed at: those that a network asks for, else what suits most."""
    factor = USUAL_SIDE / max(image.shape[:2])
    usual_height, usual_width = (max(PATCH, round(side * factor / PATCH) * PATCH) for side in image.shape[:2])
    return height or usual_height, width or usual_width


def load_depth_model(path: Path) -> DepthModel:
    """Load a model file; UserError when it is missing, damaged, or its package is not installed."""
    if path.suffix.lower() not in ENDINGS:
        raise UserError(f"{path.name} is no depth model by its name.", f"Choose a file that ends in {', '.join(ENDINGS)}.")
    if not path.is_file():
        raise UserError(f"The depth model {path} does not exist.", "Export one to ONNX, for example Depth Anything V2, and name its file.")
    return _onnx(path) if path.suffix.lower() == ".onnx" else _torchscript(path)


def open_onnx(path: Path) -> Any:
    """A session of onnxruntime; UserError when it cannot be loaded, or the package is not installed."""
    try:
        import onnxruntime
    except ImportError:
        raise _missing("onnxruntime") from None
    try:
        return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime has a family of its own
        raise _damaged(path) from error


def network_size(session: Any, image: np.ndarray) -> tuple[int, int]:
    """Height and width that a session takes an image [H, W, C] at."""
    return fitting_size(image, *_asked_size(session))


def _asked_size(session: Any) -> tuple[int | None, int | None]:
    """Height and width of the first input with four sides; None where it takes any."""
    shape = next((found.shape for found in session.get_inputs() if len(found.shape) == 4), [None] * 4)
    height, width = (side if isinstance(side, int) else None for side in shape[2:])
    return height, width


def _onnx(path: Path) -> DepthModel:
    session = open_onnx(path)
    wanted, (height, width) = session.get_inputs()[0], _asked_size(session)
    return DepthModel(_told(path, lambda fed: np.asarray(session.run(None, {wanted.name: fed})[0])), height, width)


def _torchscript(path: Path) -> DepthModel:
    try:
        import torch
    except ImportError:
        raise _missing("torch") from None
    try:
        module = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:
        raise _damaged(path) from error

    def network(fed: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            answer: Any = module(torch.from_numpy(fed))
            return (answer[0] if isinstance(answer, (tuple, list)) else answer).numpy()

    return DepthModel(_told(path, network))


def _told(path: Path, network: Network) -> Network:
    """The same model, whose errors become UserErrors."""
    def run(fed: np.ndarray) -> np.ndarray:
        try:
            return network(fed)
        except Exception as error:
            raise UserError(f"The depth model {path.name} failed on an image of {fed.shape[3]} x {fed.shape[2]} pixels: {error}.",
                            "Use a model that takes one image, [1, 3, height, width].") from error
    return run


def _missing(package: str) -> UserError:
    return UserError(f"Depth models of this kind need the package {package}.", "Install it with: pip install 'splatwright[depth]'")


def _damaged(path: Path) -> UserError:
    return UserError(f"The depth model {path.name} cannot be loaded.", "Export it again, to ONNX or TorchScript.")


def depth_of(answer: np.ndarray, meaning: Meaning, near: float = 1.0, far: float = 8.0) -> np.ndarray:
    """Metres [H, W] from what a model said; answers without unit are spread between `near` and `far`, evenly in their inverse.

    UserError for an answer that is the same everywhere.
    """
    if meaning == "metres":
        return answer
    low, high = np.quantile(answer, (OUTLIERS, 1 - OUTLIERS))
    if not high > low:
        raise UserError("The depth model finds no depth in this image.", "Try another image, or another model.")
    share = ((answer - low) / (high - low)).clip(0, 1)
    return (1 / (1 / far + share * (1 / near - 1 / far))).astype(np.float32)


def photo_camera(width: int, height: int, field_of_view: float) -> Camera:
    """A camera at the world's origin that looks along Blender's Y; `field_of_view` in radians, across the longer side."""
    focal = 0.5 * max(width, height) / math.tan(field_of_view / 2)
    pose = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    return Camera(width, height, focal, focal, width / 2, height / 2, pose)


def told_field_of_view(path: Path) -> float | None:
    """Radians across the longer side, from the focal length in a photo's EXIF; None without one."""
    try:
        from .core.images.pillow import open_image

        with open_image(path) as opened:
            focal = float(opened.getexif().get_ifd(EXIF_FOLDER).get(FOCAL_LENGTH_35MM, 0))
    except (ImportError, OSError, ValueError, TypeError):
        return None
    return 2 * math.atan(0.5 * FULL_FRAME_WIDTH / focal) if focal > 0 else None


def resampled(image: np.ndarray, width: int, height: int) -> np.ndarray:
    """float32 [H, W, C] at another size: averaged where it shrinks, bilinear where it grows."""
    shrunk = area_average(image, min(width, image.shape[1]), min(height, image.shape[0]))
    return _grown(_grown(shrunk, height).swapaxes(0, 1), width).swapaxes(0, 1)


def _grown(image: np.ndarray, count: int) -> np.ndarray:
    """Linear interpolation along the first axis, pixel centres at +0.5."""
    places = ((np.arange(count) + 0.5) * (len(image) / count) - 0.5).clip(0, len(image) - 1)
    before = places.astype(int).clip(0, max(0, len(image) - 2))
    share = (places - before).astype(np.float32)[:, None, None]
    return image[before] * (1 - share) + image[np.minimum(before + 1, len(image) - 1)] * share
