"""Registering operators that have an entry in one of Blender's menus."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy

from ..typed import Context, classes_factory

Draw = Callable[[Any, Context], None]


def register_with_menus(classes: tuple[type, ...], entries: dict[str, Draw]) -> tuple[Callable[[], None], Callable[[], None]]:
    """Functions that register and unregister the classes, and with them what is drawn in the menus of bpy.types of these names."""
    register_classes, unregister_classes = classes_factory(classes)

    def register() -> None:
        register_classes()
        for menu, draw in entries.items():
            getattr(bpy.types, menu).append(draw)

    def unregister() -> None:
        for menu, draw in entries.items():
            getattr(bpy.types, menu).remove(draw)
        unregister_classes()

    return register, unregister
