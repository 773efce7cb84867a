"""Which dataset a scene has, and whether it and the trainings are the scene's own."""

from __future__ import annotations

from pathlib import Path

import bpy

from ..typed import scene_settings
from .paths import absolute_folder, beside_file


def claim(scene: bpy.types.Scene) -> None:
    """What the scene has now is its own."""
    scene_settings(scene).owner = scene.session_uid


def is_copy(scene: bpy.types.Scene) -> bool:
    """Whether what the scene has was copied with it from another one."""
    return scene_settings(scene).owner not in (0, scene.session_uid)


def dataset_folder(scene: bpy.types.Scene) -> Path:
    """The dataset to train on: the chosen one, else the one captured last, else the one that Capture would write."""
    return absolute_folder(scene_settings(scene).train.dataset or usual_dataset(scene))


def usual_dataset(scene: bpy.types.Scene) -> str:
    """The dataset where none is chosen."""
    return (not is_copy(scene) and scene_settings(scene).captured) or scene_settings(scene).capture.directory


def captured_by_another(scene: bpy.types.Scene, folder: Path) -> bool:
    """Whether a dataset that the scene has by default alone, neither chosen nor captured, is one that another scene captured."""
    settings = scene_settings(scene)
    if settings.train.dataset or (settings.captured and not is_copy(scene)):
        return False
    others = [scene_settings(other).captured for other in bpy.data.scenes if other != scene and not is_copy(other)]
    return any(absolute_folder(captured) == folder for captured in others if captured)


def remember_captured(scene: bpy.types.Scene, folder: Path) -> None:
    """What Train will use."""
    scene_settings(scene).captured = beside_file(folder)
    scene_settings(scene).untrained = True
    claim(scene)


def captured_datasets(scene: bpy.types.Scene) -> set[Path]:
    """The folders that the scene was captured into: by the panel Capture, and by entries of a batch."""
    entries = [entry for other in bpy.data.scenes for entry in scene_settings(other).batch.entries if entry.scene == scene]
    folders = [scene_settings(scene).captured, *(entry.directory for entry in entries)]
    return {absolute_folder(folder) for folder in folders if folder.strip()}


def training_name(scene: bpy.types.Scene) -> str:
    """A name that people know again: of the chosen dataset, else of the file that is open."""
    chosen = scene_settings(scene).train.dataset
    return Path(bpy.path.abspath(chosen)).name if chosen else Path(bpy.data.filepath).stem or dataset_folder(scene).name
