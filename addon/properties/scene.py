"""What a scene knows."""

import bpy
from bpy.props import BoolProperty, IntProperty, IntVectorProperty, PointerProperty, StringProperty

from .automatic import AutomaticSettings
from .batch import BatchSettings
from .capture import CaptureOutcome, CaptureSettings
from .photos import PhotoSettings
from .training import TrainSettings


def _show_originals_changed(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    from ..splats import originals

    originals.settle()


class SceneSettings(bpy.types.PropertyGroup):
    """Everything that Splatwright keeps in a scene, as splat_settings(Scene)."""

    capture: PointerProperty(type=CaptureSettings)
    outcome: PointerProperty(type=CaptureOutcome)
    train: PointerProperty(type=TrainSettings)
    photos: PointerProperty(type=PhotoSettings)
    automatic: PointerProperty(type=AutomaticSettings)
    photo_job: StringProperty(name="Photo Job", description="The search for cameras, or the video, that the Photos panel shows")
    imported_photo_job: StringProperty(name="Imported Photos", description="The photo job whose result was brought into this scene")
    batch: PointerProperty(type=BatchSettings)
    captured: StringProperty(
        name="Captured Dataset", subtype="DIR_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="The dataset that was captured last",
    )
    show_originals: BoolProperty(
        name="Show Originals", update=_show_originals_changed,
        description="Show the objects that the splats were captured from, in viewports and in renders. Off: they are hidden in both. "
        "Captures, checks and Instant Splats see them all the same",
    )
    not_hidden: StringProperty(name="Not Hidden", description="Which captured objects cannot be hidden, and why")
    untrained: BoolProperty(name="Untrained", description="A dataset was captured since the last training began")
    job: StringProperty(name="Training", description="The training that the Train panel shows")
    bounces_before: IntVectorProperty(
        name="Bounces Before", size=2, default=(-1, -1),
        description="Transparent bounces of Cycles, most and least, before splats first came into the scene",
    )
    imported_job: StringProperty(name="Imported Training", description="The training whose result was brought into this scene")
    owner: IntProperty(name="Owner", description="The scene, by Blender's number of this session, that training and dataset belong to")
    further_steps: IntProperty(
        name="Further Steps", default=1000, min=1, soft_max=30_000, max=1_000_000,
        description="How many steps more Train Further trains. The learning rates stay at their end and no splats are added",
    )
