"""The last of its kind: something that an engine's process does for a dataset, followed by a timer, known until the next one."""

from __future__ import annotations

from pathlib import Path
from typing import Generic, Protocol, TypeVar

import bpy

from ...engine.core.errors import UserError
from ..properties import dataset_folder
from ..ui.redraw import redraw_sidebars

TICK_SECONDS = 0.2


class Inquiry(Protocol):
    """A check, or an estimate, of a dataset."""

    running: bool

    @property
    def dataset(self) -> Path:
        """Its folder."""
        ...

    def follow(self) -> None:
        """Take in what the process has told."""

    def stop(self) -> None:
        """End the process, if it still runs."""


Kind = TypeVar("Kind", bound=Inquiry)


class Latest(Generic[Kind]):
    """Holds one inquiry at a time."""

    def __init__(self) -> None:
        self._held: Kind | None = None
        self.poll = self._tick  # a timer is known by its function, and each look at a method makes another one

    def current(self, scene: bpy.types.Scene) -> Kind | None:
        """The last one, if it was about the scene's dataset."""
        try:
            return self._held if self._held is not None and self._held.dataset == dataset_folder(scene) else None
        except UserError:
            return None

    def follow(self, begun: Kind) -> Kind:
        """Know this one from here on, and look at it until it is over."""
        self._held = begun
        if not bpy.app.timers.is_registered(self.poll):
            bpy.app.timers.register(self.poll, first_interval=TICK_SECONDS)
        return begun

    def _tick(self) -> float | None:
        if self._held is None:
            return None
        self._held.follow()
        redraw_sidebars()
        return TICK_SECONDS if self._held.running else None

    def forget(self) -> None:
        """End what still runs, and know nothing."""
        if self._held is not None:
            self._held.stop()
        self._held = None
        redraw_sidebars()

    def close(self) -> None:
        """Before the extension goes."""
        if bpy.app.timers.is_registered(self.poll):
            bpy.app.timers.unregister(self.poll)
        self.forget()


def existing_dataset(scene: bpy.types.Scene) -> Path:
    """The folder of the scene's dataset; UserError when there is none."""
    folder = dataset_folder(scene)
    if not folder.exists():
        raise UserError("There is no dataset yet.", "Capture one, or choose its folder.")
    return folder
