"""Photos on the device: bytes that stay there when they fit, else copied ahead of their step by a thread.

Each photo is held at the size that is trained on, as uint8; it becomes floating point inside the step alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..backend import Target
from .tensors import GroundTruth

Key = tuple[int, int, int]
"""A photo's number, width and height."""


@dataclass(frozen=True)
class DevicePhoto:
    """A target's arrays on the device, as they are stored."""

    image: Tensor  # [H, W, 3 or 4] uint8
    mask: Tensor | None  # [H, W] uint8
    depth: Tensor | None  # [H, W] float32
    normals: Tensor | None  # [H, W, 3] float32
    ready: torch.cuda.Event | None = None  # after which the arrays may be read

    @property
    def tensors(self) -> list[Tensor]:
        return [tensor for tensor in (self.image, self.mask, self.depth, self.normals) if tensor is not None]

    @property
    def size(self) -> int:
        """Bytes."""
        return sum(tensor.nbytes for tensor in self.tensors)


class DevicePhotos:
    """Hands out photos on the device and keeps as many as `budget` bytes hold.

    The views come in a new random order each round, so which of them stay matters little; those that came first do.
    """

    def __init__(self, device: torch.device, budget: int):
        self.device = device
        self.budget = budget
        self.held = 0
        self._kept: dict[Key, DevicePhoto] = {}
        self._coming: dict[Key, Future[DevicePhoto]] = {}
        self._thread = ThreadPoolExecutor(1, "photos to the device")
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def expect(self, target: Target) -> None:
        """Begin to copy a photo that will be asked for."""
        key = key_of(target)
        if target.view >= 0 and key not in self._kept and key not in self._coming:
            self._coming[key] = self._thread.submit(self._copied, target)

    def get(self, target: Target) -> DevicePhoto:
        """The photo, ready for the current stream."""
        key = key_of(target)
        photo = self._kept.get(key) or self._arrival(key, target)
        if photo.ready is not None:
            stream = torch.cuda.current_stream(self.device)
            stream.wait_event(photo.ready)
            for tensor in photo.tensors:
                tensor.record_stream(stream)
        if target.view >= 0:
            self._keep(key, photo)
        return photo

    def release(self) -> None:
        """Free all photos and keep none from here on."""
        self.budget = 0
        self._forget(list(self._kept))

    def close(self) -> None:
        """End the thread and free all."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._coming.clear()
        self._forget(list(self._kept))

    def _arrival(self, key: Key, target: Target) -> DevicePhoto:
        coming = self._coming.pop(key, None)
        return coming.result() if coming else self._copied(target)

    def _keep(self, key: Key, photo: DevicePhoto) -> None:
        """Keep a photo if the budget allows. Other sizes of the same photo are freed first."""
        if key in self._kept:
            return
        if self.held + photo.size > self.budget:
            self._forget([other for other in self._kept if other[1] < key[1]])
        if self.held + photo.size <= self.budget:
            self._kept[key] = replace(photo, ready=None)
            self.held += photo.size

    def _forget(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self.held -= self._kept.pop(key).size

    def _copied(self, target: Target) -> DevicePhoto:
        arrays = [target.image, target.mask, target.depth, target.normals]
        if self._stream is None:
            return DevicePhoto(*(None if array is None else torch.from_numpy(array) for array in arrays))  # type: ignore[arg-type]
        with torch.cuda.stream(self._stream):
            tensors = [None if array is None else self._pinned(array).to(self.device, non_blocking=True) for array in arrays]
            return DevicePhoto(*tensors, ready=self._stream.record_event())  # type: ignore[arg-type]

    @staticmethod
    def _pinned(array: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(array)).pin_memory()


def key_of(target: Target) -> Key:
    """Identifies a photo and its size within a training."""
    return target.view, target.camera.width, target.camera.height


def ground_truth(photo: DevicePhoto, background: Tensor) -> GroundTruth:
    """The photo as floating point, over the background ([3], or [H, W, 3])."""
    color, alpha = photo.image[..., :3].float() / 255.0, None
    if photo.image.shape[2] == 4:
        alpha = photo.image[..., 3].float() / 255.0
        color = torch.lerp(background.expand_as(color), color, alpha[..., None])
    mask = None if photo.mask is None else photo.mask.float() / 255.0
    return GroundTruth(color, alpha, mask, photo.depth, photo.normals)
