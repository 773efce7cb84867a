"""Image files through a Blender that runs beside this process: for what neither OpenImageIO nor Pillow reads, or where they are missing.

Blender as Linux distributions build it has no OpenImageIO for Python. It is started when the first file asks for it, reads one after the
other, and ends with this process. Nothing of the dataset is written anew: images, masks and whatever lies beside them stay as they are.
"""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock, Timer
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import remove_file
from ..processes import DISCARD, PIPE, Process, end_tree, spawn
from .decoding import MOST_PIXELS, display_values
from .environment import READER

ANSWER = "splatwright-image "
"""Begins the lines that are answers; Blender says other things too."""

LONGEST_SECONDS = 120.0
"""For one image, or for Blender's start."""

TOO_LARGE = "too large"


@dataclass
class BlenderReader:
    """Reads images through one Blender, which is started anew when it was lost."""

    command: tuple[str, ...]
    _process: Process | None = None
    _folder: tempfile.TemporaryDirectory[str] | None = None
    _lock: Lock = field(default_factory=Lock)

    def read(self, path: Path) -> np.ndarray | None:
        """uint8 [H, W, 3 or 4] as decode() gives it; None for what Blender does not read. UserError when it cannot be started."""
        with self._lock:
            answer = self._asked(path)
            problem = answer.get("problem")
            if problem == TOO_LARGE:
                raise UserError("The image is too large.", "Make it smaller than 170 million pixels.", "images.too_large")
            if problem:
                return None
            pixels = self._taken(Path(answer["pixels"]))
        return display_values(pixels) if answer["light"] else (pixels.astype(np.uint16) >> 8).astype(np.uint8)

    def close(self) -> None:
        """End Blender, if it runs."""
        with self._lock:
            self._end()

    def _asked(self, path: Path) -> dict[str, Any]:
        """What Blender answers; ValueError when it is lost over this file."""
        process = self._started()
        assert process.stdin is not None
        process.stdin.write(json.dumps({"path": str(path), "most": MOST_PIXELS}) + "\n")
        process.stdin.flush()
        answer = self._answer(process)
        if answer is None:
            self._end()
            raise ValueError("Blender ended while it read the image")
        return answer

    def _started(self) -> Process:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        self._folder = tempfile.TemporaryDirectory(prefix="splatwright-images-")
        self._process = spawn([*self.command, "--", self._folder.name], output=PIPE, errors=DISCARD, what="Blender", tied=True)
        if self._answer(self._process) is None:
            self._end()
            raise UserError("Blender, which reads the photos here, cannot be started.",
                            "Install the full engine (Install Full Engine in Blender's preferences), or save the photos as PNG.",
                            "images.no_blender")
        return self._process

    def _answer(self, process: Process) -> dict[str, Any] | None:
        """The next answer; None when Blender has ended, or takes too long and was ended."""
        assert process.stdout is not None
        watch = Timer(LONGEST_SECONDS, end_tree, (process,))
        watch.daemon = True
        watch.start()
        try:
            for line in process.stdout:
                if line.startswith(ANSWER):
                    return json.loads(line.removeprefix(ANSWER))
        finally:
            watch.cancel()
        return None

    def _taken(self, path: Path) -> np.ndarray:
        pixels = np.load(path)
        remove_file(path)
        return pixels

    def _end(self) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                end_tree(self._process)
            with suppress(OSError):  # what was not read any more
                for pipe in filter(None, (self._process.stdin, self._process.stdout)):
                    pipe.close()
        if self._folder is not None:
            self._folder.cleanup()
        self._process = self._folder = None


def blender_reader() -> BlenderReader | None:
    """The reader whose command line the environment names; None where it names none."""
    return _reader(os.environ.get(READER, ""))


@cache
def _reader(command: str) -> BlenderReader | None:
    return BlenderReader(tuple(json.loads(command))) if command else None
