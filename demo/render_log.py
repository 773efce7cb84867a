"""Blender prints several lines for every render: they go into a file, and a line now and then to the screen."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import bpy

EVERY = 16
"""Renders between two lines."""


@contextmanager
def renders_logged(log: Path, total: int) -> Iterator[None]:
    """Let what Blender prints go to `log`, and say how many of `total` renders are done."""
    done = 0
    sys.stdout.flush()
    with log.open("ab") as file, os.fdopen(os.dup(1), "w") as screen:

        def count(*_: object) -> None:
            nonlocal done
            done += 1
            if done % EVERY == 0 or done == total:
                print(f"  {done} of {total} renders", file=screen, flush=True)

        bpy.app.handlers.render_post.append(count)
        os.dup2(file.fileno(), 1)
        try:
            yield
        finally:
            ctypes.CDLL(None).fflush(None)  # what C still holds belongs to the file
            os.dup2(screen.fileno(), 1)
            bpy.app.handlers.render_post.remove(count)
