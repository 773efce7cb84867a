"""Where the file of a splat object is.

Blender's tools for paths (Make Paths Relative, Find Missing Files, Save As into another folder, Append, Make Local) know the paths of
its own data alone. A linked object therefore carries an empty text with the path of its file, which they keep up to date; what people
see and set is the object's `source`, which follows it.
"""

from __future__ import annotations

import os
from pathlib import Path

import bpy

from ..typed import current_context, splat_settings, untyped

KEEPER = ".{}"
"""What the text is called; lists leave out names that begin with a dot."""


def source_of(target: bpy.types.Object) -> Path:
    """The file that an object names; where it is gone one of the same name beside the .blend that the object belongs to, or this one."""
    path = _named(target)
    if path.is_file():
        return path
    blends = [bpy.path.abspath(library.filepath) for library in [_library(target)] if library is not None] + [bpy.data.filepath]
    beside = [Path(blend).parent / path.name for blend in blends if blend]
    return next((found for found in beside if found.is_file()), path)


def keep_path(target: bpy.types.Object) -> None:
    """Give an object of this file a text that keeps its path, relative where Blender's preferences ask for it; let `source` follow."""
    settings = splat_settings(target)
    if target.library is not None or target.override_library is not None:
        return
    if settings.keeper is None:
        path = source_of(target)
        settings.keeper = made = bpy.data.texts.new(KEEPER.format(path.name))
        made.use_fake_user = False
        untyped(made).filepath = settings.source if settings.source.startswith("//") else _relative(path)
    if settings.source != settings.keeper.filepath:
        settings.source = settings.keeper.filepath


def forget_path(target: bpy.types.Object) -> None:
    """Take the text away from an object that is linked no more; its source stays named."""
    settings = splat_settings(target)
    keeper = settings.keeper
    if keeper is None or target.library is not None or target.override_library is not None:
        return
    settings.source, settings.keeper = str(_named(target)), None
    if not keeper.users and keeper.library is None:
        bpy.data.texts.remove(keeper)


def source_changed(target: bpy.types.Object) -> None:
    """Somebody set the object's source: the text follows, one of its own where others use it too."""
    settings = splat_settings(target)
    keeper = settings.keeper
    if keeper is None or keeper.filepath == settings.source:
        return
    if keeper.users > 1 or keeper.library is not None:
        settings.keeper = keeper = bpy.data.texts.new(keeper.name)
        keeper.use_fake_user = False
    untyped(keeper).filepath = settings.source


def _named(target: bpy.types.Object) -> Path:
    keeper = splat_settings(target).keeper
    if keeper is not None:
        found = bpy.path.abspath(keeper.filepath, library=keeper.library)
    else:
        found = bpy.path.abspath(splat_settings(target).source, library=_library(target))
    return Path(os.path.normpath(found)) if found else Path()


def _library(target: bpy.types.Object) -> bpy.types.Library | None:
    """The library that an object comes from, or that what it overrides comes from."""
    override = target.override_library
    return target.library or (override.reference.library if override is not None and override.reference is not None else None)


def _relative(path: Path) -> str:
    """As Blender writes paths: relative to the saved file where its preferences say so."""
    if not bpy.data.filepath or not current_context().preferences.filepaths.use_relative_paths:
        return str(path)
    try:
        return bpy.path.relpath(str(path))
    except ValueError:  # another drive
        return str(path)
