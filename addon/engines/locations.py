"""The extension's preferences, and the folders that they choose."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import bpy

from ..typed import current_context, untyped

PACKAGE = (__package__ or "").rpartition(".addon")[0]
"""The extension's own module name."""


class Preferences(Protocol):
    """What addon/preferences.py registers."""

    jobs_folder: str
    python: str
    engine_folder: str
    welcomed: bool
    engines: Any
    engine: str


def preferences() -> Preferences:
    """The extension's preferences."""
    return untyped(current_context().preferences.addons[PACKAGE]).preferences


def jobs_folder() -> Path:
    """The folder of all trainings."""
    chosen = preferences().jobs_folder
    return Path(bpy.path.abspath(chosen)) if chosen else default_jobs_folder()


def default_jobs_folder() -> Path:
    """The extension's own folder; it stays when the extension is updated."""
    return Path(bpy.utils.extension_path_user(PACKAGE, path="jobs"))


def engine_folder() -> Path:
    """The folder of the full engine."""
    chosen = preferences().engine_folder
    return Path(bpy.path.abspath(chosen)) if chosen else default_engine_folder()


def default_engine_folder() -> Path:
    """In the extension's own folder."""
    return Path(bpy.utils.extension_path_user(PACKAGE, path="engine"))
