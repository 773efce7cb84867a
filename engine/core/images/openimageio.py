"""Image files through OpenImageIO, which Blender ships in its own Python: JPEG, TIFF, EXR, WebP, PNG of every kind.

The module comes from its folder alone, so that nothing else that lies beside it is imported. Where it is missing, or made for
another Python, there is none.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

from ..confinement import may_open
from .environment import LIBRARY

NAME = "OpenImageIO"
_loading = Lock()
"""Images are read in several threads, the first ones at the same time."""

ENDINGS = frozenset({".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".heic", ".heif", ".avif", ".exr", ".hdr", ".tga"})
"""Of files that are given to it: by others it would choose readers of videos and scenes, which open further files."""

LIBRARIES = "blender.shared"
"""Folder beside blender.exe with the libraries that Blender's Python modules need on Windows."""


def packaged_folder(version_folder: Path) -> Path | None:
    """The package OpenImageIO below Blender's folder of a version (the one that holds python/ and scripts/); None when it has none."""
    library = version_folder / "python" / "lib"
    places = (library / "site-packages", *sorted(library.glob("python3.*/site-packages")))  # Windows; Linux and macOS
    return next((place / NAME for place in places if (place / NAME / "__init__.py").is_file()), None)


def openimageio() -> Any | None:
    """The module: from the folder that the environment names, or installed in this Python; None where there is none that works."""
    return _loaded(os.environ.get(LIBRARY, ""))


@cache
def _loaded(folder: str) -> ModuleType | None:
    found = Path(folder) if folder else _installed_folder()
    with _loading, suppress(ImportError, OSError, AttributeError):
        return _from_folder(found) if found else None
    return None


def _installed_folder() -> Path | None:
    """Where this Python itself finds the package; Blender's own does."""
    with suppress(ImportError, ValueError):
        spec = importlib.util.find_spec(NAME)
        return Path(spec.origin).parent if spec and spec.origin else None
    return None


def _from_folder(folder: Path) -> ModuleType | None:
    """Import the package that lies in a folder; ImportError when it does not fit this Python."""
    if NAME in sys.modules:
        return sys.modules[NAME]
    register_libraries(folder)
    spec = importlib.util.spec_from_file_location(NAME, folder / "__init__.py", submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        return None
    module = sys.modules[NAME] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        for name in [name for name in sys.modules if name.partition(".")[0] == NAME]:
            del sys.modules[name]
        raise
    return module


def register_libraries(folder: Path) -> None:
    """Let Windows find the libraries of the module: python.exe, unlike blender.exe, does not say where they are.

    Blender's layout: blender.shared lies beside blender.exe, the module in VERSION/python/lib/site-packages below that.
    """
    register = getattr(os, "add_dll_directory", None)
    shared = next((parent / LIBRARIES for parent in folder.parents if (parent / LIBRARIES).is_dir()), None)
    if register is not None and shared is not None:
        register(str(shared))


def size_of(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels as stored; None for a file that is not read."""
    with opened(path) as image:
        return None if image is None else (image.spec().width, image.spec().height)


@contextmanager
def opened(path: Path) -> Iterator[Any | None]:
    """The opened file, or None for one that is not read. Alpha stays as files of straight alpha store it."""
    module = openimageio() if path.suffix.lower() in ENDINGS else None
    image = None
    if module is not None and may_open(path):
        config = module.ImageSpec()
        config.attribute("oiio:UnassociatedAlpha", 1)
        image = module.ImageInput.open(str(path), config)
        if image is None:
            module.geterror()  # else it is printed when the process ends
    try:
        yield image
    finally:
        if image is not None:
            image.close()
