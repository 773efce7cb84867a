"""The last check, or estimate, of a scene's dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, TypeVar

import bpy

from ...engine.core.errors import UserError
from ..properties.datasets import dataset_folder
from ..ui.background import BackgroundTask, Work


class Inquiry(Work, Protocol):
    """A check, or an estimate, of a dataset."""

    @property
    def dataset(self) -> Path:
        """Its folder."""
        ...


Kind = TypeVar("Kind", bound=Inquiry)


class Latest(BackgroundTask[Kind]):
    """Holds one inquiry at a time."""

    def current(self, scene: bpy.types.Scene) -> Kind | None:
        """The last one, if it was about the scene's dataset."""
        try:
            return self.work if self.work is not None and self.work.dataset == dataset_folder(scene) else None
        except UserError:
            return None


def existing_dataset(scene: bpy.types.Scene) -> Path:
    """The folder of the scene's dataset; UserError when there is none."""
    folder = dataset_folder(scene)
    if not folder.exists():
        raise UserError("There is no dataset yet.", "Capture one, or choose its folder.", "dataset.not_yet")
    return folder
