"""Where the datasets of a file lie that was never saved: in the extension's own folder, one folder for each such file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import bpy

from .engines.locations import PACKAGE

_file = ""


def root() -> Path:
    """The folder of all unsaved files' datasets."""
    return Path(bpy.utils.extension_path_user(PACKAGE, path="unsaved")).resolve()


def folder() -> Path:
    """What `//` stands for while the open file is not saved. Nothing is made on the disk."""
    global _file
    _file = _file or f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}"
    return root() / _file


def below(path: str) -> Path:
    """The folder that a path relative to the open file means; nothing of it leads out of folder()."""
    return folder().joinpath(*(part for part in Path(path.lstrip("/\\")).parts if part != ".."))


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    """Another file is open: its datasets are others."""
    global _file
    _file = ""


def register() -> None:
    bpy.app.handlers.load_post.append(_on_load)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_on_load)
