"""What Splatwright remembers in scenes and objects: state only. Defaults come from the requests that the settings turn into."""

from __future__ import annotations

import bpy
from bpy.props import PointerProperty

from ..typed import classes_factory, untyped
from .automatic import AutomaticSettings
from .batch import BatchEntry, BatchSettings
from .capture import CaptureOutcome, CaptureSettings
from .photos import PhotoSettings
from .scene import SceneSettings
from .splats import OriginalSettings, SplatSettings
from .training import TrainSettings

_register_classes, _unregister_classes = classes_factory(
    (CaptureSettings, CaptureOutcome, TrainSettings, PhotoSettings, OriginalSettings, SplatSettings, BatchEntry, BatchSettings,
     AutomaticSettings, SceneSettings))


def register() -> None:
    _register_classes()
    untyped(bpy.types.Scene).splatwright = PointerProperty(type=SceneSettings)
    untyped(bpy.types.Object).splatwright = PointerProperty(type=SplatSettings, override={"LIBRARY_OVERRIDABLE"})


def unregister() -> None:
    del untyped(bpy.types.Object).splatwright
    del untyped(bpy.types.Scene).splatwright
    _unregister_classes()
