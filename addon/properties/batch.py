"""The list of captures and trainings that a file keeps: state only. It lies in one scene and is about all of them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, IntProperty, PointerProperty, StringProperty

from ...engine.core.protocol.config import PRESETS
from ..typed import current_context, scene_settings

AS_IN_TRAIN = "SCENE"
CAMERAS = (
    ("ALL", "Every Camera", "Every camera of the scene takes one view"),
    ("COLLECTION", "Collection", "The cameras of a collection take one view each"),
    ("RIG", "As in Capture", "What the panel Capture says in that scene: a dome or an orbit around what is selected there, a walk, "
     "an animated camera, the selected cameras"),
)
SETTINGS = (
    (AS_IN_TRAIN, "As in Train", "The settings of the panel Train in that scene"),
    *((name, preset.label, preset.sentence[0].upper() + preset.sentence[1:]) for name, preset in PRESETS.items()),
)
FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]+')
"""What some system allows in no file name."""


class BatchEntry(bpy.types.PropertyGroup):
    """A capture, and the training on it."""

    number: IntProperty(description="Identifies the entry, wherever it is in the list")
    name: StringProperty(name="Name", description="Name of the entry and of its trainings")
    enabled: BoolProperty(name="Enabled", default=True, description="Capture and train this entry with the others")
    scene: PointerProperty(name="Scene", type=bpy.types.Scene, description="The scene that is captured")
    cameras: EnumProperty(name="Cameras", items=CAMERAS, description="Which views are captured")
    collection: PointerProperty(name="Collection", type=bpy.types.Collection, description="The collection with the cameras")
    directory: StringProperty(
        name="Folder", subtype="DIR_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="Where the dataset is written, an own folder for each entry. The splats come to lie beside it",
    )
    train: BoolProperty(name="Train", default=True, description="Train splats when the dataset is captured")
    preset: EnumProperty(name="Settings", items=SETTINGS, description="How it is trained")


class BatchSettings(bpy.types.PropertyGroup):
    """The entries, and which one is shown."""

    entries: CollectionProperty(type=BatchEntry)
    active: IntProperty(name="Entry", description="The entry whose settings are shown")


def batch_settings() -> BatchSettings:
    """The file's list: that of the first scene that has one, else the open scene's."""
    scene = next((scene for scene in bpy.data.scenes if scene_settings(scene).batch.entries), current_context().scene)
    return scene_settings(scene).batch


def active_entry() -> BatchEntry | None:
    """The entry whose settings are shown."""
    settings = batch_settings()
    return settings.entries[settings.active] if 0 <= settings.active < len(settings.entries) else None


def add_entry(scene: bpy.types.Scene, collection: bpy.types.Collection | None = None) -> BatchEntry:
    """A new entry at the end for a scene's cameras, or for those of a collection, with a name and a folder that no other has."""
    settings = batch_settings()
    taken = {entry.name.casefold() for entry in settings.entries}
    number = max((entry.number for entry in settings.entries), default=0) + 1
    entry = settings.entries.add()
    entry.number = number
    entry.name = _free(f"{scene.name} {collection.name}" if collection else scene.name, taken)
    entry.scene, entry.collection = scene, collection
    entry.cameras = "COLLECTION" if collection else "ALL" if len(cameras_of(scene.objects)) > 1 else "RIG"
    entry.directory = f"//splatwright/{file_name(entry.name)}"
    settings.active = len(settings.entries) - 1
    return entry


def cameras_of(objects: Iterable[bpy.types.Object]) -> list[bpy.types.Object]:
    """The cameras among objects."""
    return [item for item in objects if item.type == "CAMERA"]


def camera_collections(scene: bpy.types.Scene) -> list[bpy.types.Collection]:
    """The collections of a scene, at any depth, that hold several cameras themselves."""
    return [found for found in scene.collection.children_recursive if len(cameras_of(found.objects)) > 1]


def file_name(name: str) -> str:
    """A name that every system takes for a folder."""
    return FORBIDDEN.sub("-", name).strip(" .") or "entry"


def _free(name: str, taken: set[str]) -> str:
    numbered = (name if number == 1 else f"{name} {number}" for number in range(1, len(taken) + 2))
    return next(found for found in numbered if found.casefold() not in taken)
