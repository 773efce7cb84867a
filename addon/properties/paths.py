"""Folders as Blender's files remember them, and where they are."""

from __future__ import annotations

from pathlib import Path

import bpy

from ...engine.core.errors import UserError
from .. import unsaved


def absolute_folder(path: str) -> Path:
    """A folder as typed in Blender. One beside a file that was never saved lies in the extension's own folder until then."""
    if path.startswith("//") and not bpy.data.filepath:
        return unsaved.below(path)
    if not path.strip():
        raise UserError("No dataset folder is chosen.", "Choose a folder for the dataset.", "dataset.no_folder")
    return Path(bpy.path.abspath(path)).resolve()


def beside_file(folder: Path) -> str:
    """A folder as the file remembers it: relative where it lies beside the file, so that both can move together."""
    beside = bool(bpy.data.filepath) and folder.is_relative_to(Path(bpy.data.filepath).resolve().parent)
    return bpy.path.relpath(str(folder)) if beside else str(folder)
