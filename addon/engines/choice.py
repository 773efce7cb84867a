"""Which engine a job goes to: what the preferences choose, and Blender's own Python wherever nothing is installed."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path

import bpy
import numpy
import plyfile

from ...engine.core.errors import UserError
from ...engine.core.images.openimageio import packaged_folder
from ...engine.jobs.local_engine import Engine, LocalEngine
from ..photos import image_server
from . import remote
from .full_engine import python_path
from .locations import jobs_folder, preferences

_engine: LocalEngine | None = None


def engine() -> Engine:
    """The engine that the preferences choose; UserError when it cannot be used."""
    entry = remote.chosen(preferences())
    return local_engine() if entry is None else remote.engine_at(entry, jobs_folder())


def engines() -> list[Engine]:
    """Every engine whose jobs can be followed: this computer first."""
    places: list[Engine] = [local_engine()]
    for entry in preferences().engines:
        with suppress(UserError):
            places.append(remote.engine_at(entry, jobs_folder()))
    return places


def local_engine() -> LocalEngine:
    """The engine on this computer, its jobs in the folder that the preferences name."""
    global _engine
    root, python = jobs_folder(), python_path()
    if _engine is None or _engine.root != root or _engine.python != python:
        own = python == Path(sys.executable)
        _engine = builtin_engine() if own else LocalEngine(root, python, image_reader=image_reader())
    return _engine


def builtin_engine() -> LocalEngine:
    """The engine that Blender's own Python runs, whatever else is installed."""
    library = image_library()
    return LocalEngine(jobs_folder(), Path(sys.executable), import_paths(), library, () if library else image_reader())


def import_paths() -> tuple[Path, ...]:
    """Where Blender's own Python finds numpy and plyfile: Blender keeps an extension's wheels in a folder of their own."""
    return tuple(dict.fromkeys((Path(plyfile.__file__).resolve().parent, Path(numpy.__file__).resolve().parents[2])))


def image_library() -> Path | None:
    """The package OpenImageIO that Blender ships for its own Python; None in builds without it."""
    places = (bpy.utils.resource_path(kind) for kind in ("LOCAL", "SYSTEM"))
    return next((found for place in places if place and (found := packaged_folder(Path(place)))), None)


def image_reader() -> tuple[str, ...]:
    """The command line of this Blender, or of the Python that has it as a module, where it reads images for an engine."""
    program = [bpy.app.binary_path, "--background", "--factory-startup", "--python"] if bpy.app.binary_path else [sys.executable]
    return (*program, str(Path(image_server.__file__)))
