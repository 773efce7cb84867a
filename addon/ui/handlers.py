"""Functions that Blender calls when something has happened, by the names of their lists in bpy.app.handlers."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import bpy

Handler = tuple[str, Callable[..., object]]
"""The name of a list, as `load_post`, and a function marked persistent: opening a file removes all others."""


def add_handlers(handlers: Iterable[Handler]) -> None:
    """Let Blender call the functions from now on."""
    for name, function in handlers:
        getattr(bpy.app.handlers, name).append(function)


def remove_handlers(handlers: Iterable[Handler]) -> None:
    """Take back what add_handlers() has added."""
    for name, function in handlers:
        getattr(bpy.app.handlers, name).remove(function)
