"""LPIPS, how different two images look to a network trained on photos (Zhang et al. 2018), where its weights are there."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UserError

NAME = "LPIPS (AlexNet)"
ALEXNET = "alexnet-owt-7be5be79.pth"
"""What torchvision calls the file of AlexNet's weights in torch's folder of downloads."""

DOWNLOAD = "Download it once with: python -c \"import torchvision; torchvision.models.alexnet(weights='DEFAULT')\""
INSTALL = "Install it with: pip install 'splatwright[lpips]'"
FEWEST_PIXELS = 32
"""On a side: smaller images do not pass through the network."""

CONVOLUTIONS = (0, 3, 6, 8, 10)
"""Numbers of AlexNet's convolutions among its layers."""

GEOMETRY = ((4, 2), (1, 2), (1, 1), (1, 1), (1, 1))
"""Stride and padding of each."""

POOLED_BEFORE = (1, 2)
SHIFT, SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
"""Of colours in [-1, 1], as the network was calibrated."""

Compare = Callable[[np.ndarray, np.ndarray], float]
"""(image, truth), float32 [H, W, 3] in [0, 1] -> distance, 0 for equal images; smaller is better."""


def load_lpips() -> Compare:
    """The comparison, on the processor; UserError when a package or the weights are missing. Nothing is downloaded."""
    found = find_spec("torchmetrics")
    if found is None or found.origin is None or find_spec("torch") is None:
        raise UserError("LPIPS needs the packages torch and torchmetrics.", INSTALL)
    import torch

    network = Path(torch.hub.get_dir()) / "checkpoints" / ALEXNET
    if not network.is_file():
        raise UserError(f"LPIPS is not measured: AlexNet's weights are not in {network.parent}.", DOWNLOAD)
    linear = Path(found.origin).parent / "functional" / "image" / "lpips_models" / "alex.pth"
    layers = list(zip(_read(torch, network), _read(torch, linear), strict=True))

    def compare(image: np.ndarray, truth: np.ndarray) -> float:
        if min(image.shape[:2]) < FEWEST_PIXELS:
            raise UserError(f"LPIPS needs images of {FEWEST_PIXELS} pixels or more on each side.", "Measure at a larger resolution.")
        with torch.no_grad():
            return distance(torch, layers, _scaled(torch, image), _scaled(torch, truth))

    return compare


def distance(torch: Any, layers: list[Any], image: Any, truth: Any) -> float:
    """Zhang et al. 2018, equation 1: squared differences of unit feature vectors, weighted by channel, mean over places, summed."""
    total = 0.0
    for index, ((weight, bias), linear) in enumerate(layers):
        image, truth = (_features(torch, x, index, weight, bias) for x in (image, truth))
        total += float(((_unit(torch, image) - _unit(torch, truth)) ** 2 * linear).sum(dim=1).mean())
    return total


def _features(torch: Any, x: Any, index: int, weight: Any, bias: Any) -> Any:
    """The next layer of AlexNet (Krizhevsky 2014, as torchvision lays it out)."""
    if index in POOLED_BEFORE:
        x = torch.nn.functional.max_pool2d(x, 3, 2)
    stride, padding = GEOMETRY[index]
    return torch.relu(torch.nn.functional.conv2d(x, weight, bias, stride, padding))


def _unit(torch: Any, x: Any) -> Any:
    return x / torch.sqrt(1e-8 + (x**2).sum(dim=1, keepdim=True))


def _scaled(torch: Any, image: np.ndarray) -> Any:
    """[H, W, 3] in [0, 1] -> a tensor [1, 3, H, W] as the network expects it."""
    array = (2 * image.clip(0, 1) - 1 - np.array(SHIFT)) / np.array(SCALE)
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1), np.float32))[None]


def _read(torch: Any, path: Path) -> list[Any]:
    """AlexNet's convolutions as (weight, bias), or the weights of the channels; UserError for a file that holds neither."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if path.name == ALEXNET:
            return [(state[f"features.{index}.weight"], state[f"features.{index}.bias"]) for index in CONVOLUTIONS]
        return [state[f"lin{index}.model.1.weight"] for index in range(len(CONVOLUTIONS))]
    except Exception as error:  # torch has no error of its own for damaged files
        raise UserError(f"The weights in {path} cannot be read: {type(error).__name__}.", "Delete the file and get it again.") from None
