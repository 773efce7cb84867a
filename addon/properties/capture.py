"""Settings of a capture, and what came of the last one."""

from pathlib import Path
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, PointerProperty, StringProperty

from ..capture.request import CaptureRequest
from ..typed import current_context, untyped
from .defaults import shown
from .paths import absolute_folder, beside_file

SOURCES = (
    ("SELECTED", "Selected Cameras", "Every selected camera takes one view"),
    ("DOME", "Dome", "Generated cameras on a dome around the selected objects, or around all visible ones"),
    ("ORBIT", "Orbit", "Generated cameras on a ring around the selected objects, or around all visible ones"),
    ("ANIMATION", "Animated Camera", "The frames of the active camera, or of the scene's camera"),
    ("WALK", "Walk", "Generated cameras at the height of the eyes, along a curve or through the rooms: for interiors"),
)
"""Files keep their number: new ones stand at the end."""

SOURCE_NAMES = [name for name, _, _ in SOURCES]


class CaptureProperties:
    """The settings of a capture, the same on the scene and on the operator."""

    directory: StringProperty(
        name="Dataset Folder", subtype="DIR_PATH", default="//splatwright/dataset", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="Where images, cameras and start points are written. An empty or new folder, or an earlier dataset to replace",
    )
    source: EnumProperty(name="Cameras", items=SOURCES, default=CaptureRequest.source, description="Which views are captured")
    count: IntProperty(soft_max=300, **shown(CaptureRequest, "count"))
    elevation: FloatProperty(subtype="ANGLE", **shown(CaptureRequest, "elevation"))
    focal_length: FloatProperty(subtype="DISTANCE_CAMERA", **shown(CaptureRequest, "focal_length"))
    margin: FloatProperty(**shown(CaptureRequest, "margin"))
    avoid_walls: BoolProperty(**shown(CaptureRequest, "avoid_walls"))
    path: StringProperty(name="Path", description="Full name of the curve that a walk follows. Empty: it goes through the rooms")
    eye_height: FloatProperty(subtype="DISTANCE", soft_max=10, **shown(CaptureRequest, "eye_height"))
    frame_step: IntProperty(**shown(CaptureRequest, "frame_step"))
    resolution: IntProperty(subtype="PIXEL", **shown(CaptureRequest, "resolution"))
    samples: IntProperty(soft_max=1024, **shown(CaptureRequest, "samples"))
    transparent: BoolProperty(**shown(CaptureRequest, "transparent"))
    depth: BoolProperty(**shown(CaptureRequest, "depth"))
    normals: BoolProperty(**shown(CaptureRequest, "normals"))
    objects: BoolProperty(**shown(CaptureRequest, "objects"))
    points: IntProperty(soft_max=200_000, **shown(CaptureRequest, "points"))


def _chosen_source(settings: Any) -> str:
    """The scene's choice of cameras. Where none was made: the selected cameras when they alone are selected, else a dome."""
    if settings.is_property_set("source"):
        return settings.source
    scene, shown_now = settings.id_data, current_context()
    layer = shown_now.view_layer if scene == shown_now.scene else scene.view_layers[0]
    selected = layer.objects.selected
    return "SELECTED" if selected and all(item.type == "CAMERA" for item in selected) else "DOME"


class CaptureSettings(CaptureProperties, bpy.types.PropertyGroup):
    """Capture settings of a scene."""

    cameras_from: EnumProperty(
        name="Cameras", items=SOURCES, description="Which views are captured",
        get=lambda settings: SOURCE_NAMES.index(_chosen_source(settings)),
        set=lambda settings, number: setattr(settings, "source", SOURCE_NAMES[number]),
    )
    """What panels show in the place of `source`, whose default files and scripts of version 0.1 count on."""

    walk_curve: PointerProperty(
        type=bpy.types.Object, name="Path", poll=lambda settings, item: untyped(item).type == "CURVE",
        description="The curve that the walk follows. Empty: it goes through the rooms of what is selected, or of all that is visible",
    )
    path: StringProperty(
        name="Path", description="Full name of the curve that the walk follows",
        get=lambda settings: untyped(settings).walk_curve.name_full if untyped(settings).walk_curve else "",
    )
    show_rig: BoolProperty(
        name="Show Cameras", default=True,
        description="Draw the cameras that would be captured from in the viewport, where the panel Capture is open. "
                    "They never appear in renders. Switched off when a capture is finished",
    )

    def rig_request(self) -> CaptureRequest:
        """As to_request(), of the cameras alone: the folder is not looked at."""
        values: dict[str, Any] = {name: getattr(self, name) for name in CaptureProperties.__annotations__}
        return CaptureRequest(**values | {"directory": Path(), "source": self.cameras_from})

    def to_request(self, overrides: bpy.types.OperatorProperties | None = None) -> CaptureRequest:
        """The request that these settings make; properties set on `overrides` win."""
        values: dict[str, Any] = {name: _chosen(name, self, overrides) for name in CaptureProperties.__annotations__}
        values["directory"] = absolute_folder(values["directory"])
        if overrides is None or not overrides.is_property_set("source"):
            values["source"] = self.cameras_from
        return CaptureRequest(**values)


class CaptureOutcome(bpy.types.PropertyGroup):
    """What came of the last capture of a scene."""

    images: IntProperty(name="Images", description="How many images were rendered")
    directory: StringProperty(name="Folder", subtype="DIR_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"}, description="Where they lie")
    seconds: FloatProperty(name="Seconds", description="How long it took")
    stopped: BoolProperty(name="Stopped", description="It was stopped before its end")
    warnings: StringProperty(name="Warnings", description="What was left out and what was strange, one sentence a line")

    def note(self, images: int, folder: Path, seconds: float, warnings: list[str], stopped: bool) -> None:
        """Remember a capture that has ended."""
        self.images, self.directory, self.seconds, self.stopped = images, beside_file(folder), seconds, stopped
        self.warnings = "\n".join(warnings)


def _chosen(name: str, settings: bpy.types.PropertyGroup, overrides: bpy.types.OperatorProperties | None) -> Any:
    chosen = overrides if overrides is not None and overrides.is_property_set(name) else settings
    return getattr(chosen, name)
