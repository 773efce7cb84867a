"""Renderings as PNG files in a folder, or as the frames of a film."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..core.errors import UserError
from ..core.files import make_folder, replacing
from ..core.images.png import write_png

ENCODERS = {"libx264": {"crf": "17", "preset": "medium"}, "libopenh264": {}, "mpeg4": {"qscale": "3"}}
"""Those that films are written with, the best first, and their settings."""


def write_pictures(folder: Path, pictures: Iterable[tuple[str, np.ndarray]], tick: Callable[[], None] = lambda: None) -> list[Path]:
    """Write uint8 [H, W, 3] pictures by name; returns the files."""
    make_folder(folder)
    written = []
    for name, picture in pictures:
        written.append(folder / f"{name}.png")
        write_png(written[-1], picture)
        tick()
    return written


def write_film(path: Path, frames: Iterable[np.ndarray], rate: int, tick: Callable[[], None] = lambda: None) -> int:
    """Write frames uint8 [H, W, 3], all of one size with even sides, as an mp4 with `rate` frames a second; returns their number.

    UserError without PyAV. A film that is broken off leaves nothing behind.
    """
    av = _av()
    count = 0
    make_folder(path.parent)
    with replacing(path) as temporary, av.open(str(temporary), "w", format="mp4", options={"movflags": "faststart"}) as film:
        stream = None
        for frame in frames:
            stream = stream or _stream(av, film, frame.shape[1], frame.shape[0], rate)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
            count += 1
            tick()
        if stream:
            film.mux(stream.encode())
    return count


def _stream(av: Any, film: Any, width: int, height: int, rate: int) -> Any:
    name = next(name for name in ENCODERS if name in av.codecs_available)
    stream = film.add_stream(name, rate=rate, options=ENCODERS[name])
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    return stream


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise UserError("Videos need the package PyAV.",
                        "Install it with: pip install 'splatwright[video]', or name a folder for images.") from None
    return av
