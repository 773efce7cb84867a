"""Small videos made on the spot with PyAV."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np


def texture(width: int = 160, height: int = 120, seed: int = 0) -> np.ndarray:
    """A picture full of edges, uint8 [H, W, 3]; its corner at the upper left is red, at the upper right green."""
    rng = np.random.default_rng(seed)
    blocks = rng.integers(30, 220, (height // 8, width // 8, 3)).astype(np.uint8)
    image = np.kron(blocks, np.ones((8, 8, 1), np.uint8))
    image[:24, :24], image[:24, -24:] = (220, 20, 20), (20, 220, 20)
    return image


def panning(count: int, step: int = 4) -> list[np.ndarray]:
    """Frames of a camera that turns, each `step` pixels further."""
    wide = texture(160 + step * count)
    return [wide[:, step * index : step * index + 160] for index in range(count)]


def blurred(image: np.ndarray, reach: int = 9) -> np.ndarray:
    """A picture as a moving camera smears it."""
    smeared = sum(np.roll(image.astype(np.float32), shift, axis=1) for shift in range(-reach, reach + 1))
    return np.clip(smeared / (2 * reach + 1), 0, 255).astype(np.uint8)


def write_video(
    path: Path, frames: Iterable[np.ndarray], codec: str = "libx264", pixels: str = "yuv420p", fps: int = 10, turn: int = 0,
    matrix: tuple[int, ...] = (), tags: dict[str, Any] | None = None, options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None, aspect: Fraction | None = None,
) -> Path:
    """Encode frames uint8 [H, W, 3], or what `pixels` needs; `turn` and `matrix` are what phones write when they are held upright."""
    frames = list(frames)
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream: Any = container.add_stream(codec, fps, options=options or ({"crf": "12"} if codec.startswith("libx26") else {}))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.codec_context.time_base = pixels, Fraction(1, fps)
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        if turn:
            stream.set_display_rotation(turn)
        if matrix:
            stream.set_display_matrix(matrix)
        for image in frames:
            frame = _frame(image, pixels)
            for name, value in (tags or {}).items():
                setattr(frame, name, value)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def _frame(image: np.ndarray, pixels: str) -> av.VideoFrame:
    """RGB as it is; three planes of 10 bits as uint16 [H, W, 3]."""
    if image.dtype != np.uint16:
        return av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
    frame = av.VideoFrame(image.shape[1], image.shape[0], "yuv444p10le")
    for channel, plane in enumerate(frame.planes):
        rows = np.zeros((plane.height, plane.line_size // 2), "<u2")
        rows[:, : image.shape[1]] = image[..., channel]
        plane.update(rows.tobytes())
    return frame if pixels == "yuv444p10le" else frame.reformat(format=pixels)
