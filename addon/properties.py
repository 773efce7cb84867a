"""What Splatwright remembers in the scene: state only. Defaults come from the requests that the settings turn into."""

from pathlib import Path
from typing import Any, get_args

import bpy
from bpy.props import (
    BoolProperty,
    BoolVectorProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    IntVectorProperty,
    PointerProperty,
    StringProperty,
)

from ..engine.core.errors import UserError
from ..engine.core.former_names import SETTINGS
from ..engine.core.protocol.config import DEFAULT_PRESET, PRESETS, TrainConfig
from ..engine.core.protocol.settings import Settings, about
from ..engine.core.protocol.sfm_options import Features, FrameOptions, Mapping, Pairing, PosesOptions
from . import unsaved
from .automatic import AutomaticSettings
from .batch_properties import BatchEntry, BatchSettings
from .capture.request import CaptureRequest
from .typed import classes_factory, current_context, scene_settings, untyped

SOURCES = (
    ("SELECTED", "Selected Cameras", "Every selected camera takes one view"),
    ("DOME", "Dome", "Generated cameras on a dome around the selected objects, or around all visible ones"),
    ("ORBIT", "Orbit", "Generated cameras on a ring around the selected objects, or around all visible ones"),
    ("ANIMATION", "Animated Camera", "The frames of the active camera, or of the scene's camera"),
    ("WALK", "Walk", "Generated cameras at the height of the eyes, along a curve or through the rooms: for interiors"),
)
"""Files keep their number: new ones stand at the end."""

SOURCE_NAMES = [name for name, _, _ in SOURCES]


def shown(kind: type[Settings], name: str) -> dict[str, Any]:
    """Label, default, range and tooltip of a setting, as Blender's properties take them."""
    known, default = about(kind, name), getattr(kind, name)
    number = float if isinstance(default, float) else int
    ends = {end: number(value) for end, value in (("min", known.low), ("max", known.high)) if value is not None}
    return {"name": known.label, "default": default, "description": known.text[:1].upper() + known.text[1:], **ends}


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


def _preset_chosen(settings: "TrainSettings", context: bpy.types.Context) -> None:
    for name in {name for preset in PRESETS.values() for name in preset.settings} & set(TrainSettings.__annotations__):
        setattr(settings, name, PRESETS[settings.preset].settings.get(name, getattr(TrainConfig, name)))


class TrainSettings(bpy.types.PropertyGroup):
    """Settings of the next training. Defaults, limits and descriptions are TrainConfig's."""

    dataset: StringProperty(
        name="Dataset", subtype="DIR_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="Folder, file or ZIP with images and cameras: nerfstudio, COLMAP, RealityScan, Metashape and others. "
                    "Empty: the dataset that was captured last",
    )
    preset: EnumProperty(
        name="Preset", default=DEFAULT_PRESET, update=_preset_chosen, description="Settings that go together; each can be changed after",
        items=tuple((name, preset.label, preset.sentence[0].upper() + preset.sentence[1:]) for name, preset in PRESETS.items()),
    )
    max_steps: IntProperty(**shown(TrainConfig, "max_steps"))
    max_gaussians: IntProperty(**shown(TrainConfig, "max_gaussians"))
    resolution: IntProperty(subtype="PIXEL", **shown(TrainConfig, "resolution"))
    sh_degree: IntProperty(**shown(TrainConfig, "sh_degree"))
    background: EnumProperty(
        items=(("random", "Random", "Keeps transparent parts free of splats"), ("black", "Black", "Always black"),
               ("white", "White", "Always white")),
        **shown(TrainConfig, "background"),
    )
    seed: IntProperty(**shown(TrainConfig, "seed"))
    threads: IntProperty(**shown(TrainConfig, "threads"))
    image_memory: FloatProperty(**shown(TrainConfig, "image_memory"))
    max_minutes: FloatProperty(precision=0, **shown(TrainConfig, "max_minutes"))
    trial: BoolProperty(**shown(TrainConfig, "smoke_test"))
    pause_when_sick: BoolProperty(**shown(TrainConfig, "pause_on_failure"))
    anyway: BoolProperty(**shown(TrainConfig, "anyway"))

    def to_config(self) -> TrainConfig:
        """The training request that these settings make; files keep some under their former names."""
        names = [name for name in TrainSettings.__annotations__ if name not in ("dataset", "preset")]
        chosen = {SETTINGS.get(name, name): getattr(self, name) for name in names}
        return TrainConfig(**(PRESETS[self.preset].settings | chosen)).validate()


def _choices(kind: Any) -> tuple[tuple[str, str, str], ...]:
    """A setting of a few words as menu entries."""
    return tuple((name, name.capitalize(), "") for name in get_args(kind))


class PhotoSettings(bpy.types.PropertyGroup):
    """Settings of extracting frames from videos and of finding cameras. Defaults are the engine's."""

    video: StringProperty(
        name="Video", subtype="FILE_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"}, description="The video to take pictures from",
    )
    count: IntProperty(soft_max=500, **shown(FrameOptions, "count"))
    directory: StringProperty(
        name="Photos", subtype="DIR_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="Folder with the photos; masks of the same names may lie in its folder masks",
    )
    image_size: IntProperty(subtype="PIXEL", **shown(PosesOptions, "image_size"))
    features: EnumProperty(items=_choices(Features), **shown(PosesOptions, "features"))
    pairing: EnumProperty(items=_choices(Pairing), **shown(PosesOptions, "pairing"))
    mapping: EnumProperty(items=_choices(Mapping), **shown(PosesOptions, "mapping"))

    def frame_options(self) -> FrameOptions:
        """How pictures are taken from the video."""
        return FrameOptions(count=self.count).validate()

    def poses_options(self) -> PosesOptions:
        """How cameras are searched."""
        chosen = {name: getattr(self, name) for name in ("image_size", "features", "pairing", "mapping")}
        return PosesOptions(**chosen).validate()


DISPLAYS = (
    ("SPLATS", "Splats", "Soft ellipsoids with all their colours, as renders need them"),
    ("POINTS", "Points", "Small dots, quick to draw"),
)


def _display_changed(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    from .splats import display, splat_object

    if splat_object.is_splat_object(settings.id_data):
        display.show(untyped(settings).id_data)


def _show_originals_changed(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    from .splats import originals

    originals.settle()


def _source_changed(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    from .splats import source_paths

    source_paths.source_changed(untyped(settings).id_data)


class OriginalSettings(bpy.types.PropertyGroup):
    """What an object knows that splats were captured from: splats/originals.py."""

    captured: BoolProperty(name="Captured", override={"LIBRARY_OVERRIDABLE"}, description="The scene's last capture shows this object")
    hidden: BoolProperty(
        name="Hidden", override={"LIBRARY_OVERRIDABLE"}, description="This object is hidden while splats of it are in the scene",
    )
    before: BoolVectorProperty(
        name="Hidden Before", size=2, override={"LIBRARY_OVERRIDABLE"},
        description="Whether it was disabled in viewports and in renders before it was hidden",
    )
    selected: BoolProperty(
        name="Selected Before", override={"LIBRARY_OVERRIDABLE"}, description="Whether it was selected before it was hidden",
    )


class SplatSettings(bpy.types.PropertyGroup):
    """What splat objects, their originals, and the empty and cameras of posed photos know about themselves, as splat_settings(Object)."""

    is_splat: BoolProperty(name="Splats", description="This object holds Gaussian splats")
    job: StringProperty(name="Training", description="The training that made these splats")
    of_originals: BoolProperty(name="Of Originals", description="These splats show objects of the scene, which are hidden meanwhile")
    original: PointerProperty(type=OriginalSettings, override={"LIBRARY_OVERRIDABLE"})
    source: StringProperty(
        name="Source", subtype="FILE_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"}, update=_source_changed,
        description="The file that these splats were read from",
    )
    keeper: PointerProperty(
        type=bpy.types.Text, name="Path Keeper", description="An empty text with the source's path, which Blender's tools for paths know",
    )
    axes: StringProperty(name="Axes", default="AUTO", description="Orientation in which the source was read")
    axes_guessed: BoolProperty(name="Axes Guessed", description="The source does not name its axes: it may stand on its head")
    linear_scales: BoolProperty(name="Linear Scales", description="The source's sizes are lengths instead of logarithms")
    extra_types: StringProperty(name="Extra Types", description="Types in the source of the properties that splats do not have")
    linked: BoolProperty(
        name="Linked", override={"LIBRARY_OVERRIDABLE"},
        description="Leave the splats in their file: this one stays small, and changes on the disk are seen at once. "
        "Editing splats ends this",
    )
    stamp: StringProperty(name="Stamp", description="State of the source that these splats show")
    checksum: StringProperty(name="Checksum", description="Of these splats as they were read from the source")
    problem: StringProperty(name="Problem", description="Why the source could not be read")
    antialiased: BoolProperty(
        name="Antialiased", update=_display_changed,
        description="Trained with an antialiased rasterizer: drawn in the same way, and exported files say so",
    )
    dataset: StringProperty(name="Dataset", subtype="DIR_PATH", description="This empty carries the cameras and points of a dataset")
    photo: StringProperty(name="Photo", description="The photo of the dataset that this camera took")
    photo_size: IntVectorProperty(name="Photo Size", size=2, description="Width and height of the photo")
    photo_aspect: FloatProperty(name="Pixel Aspect", default=1.0, description="Height over width of the photo's pixels")
    display: EnumProperty(
        name="Display", items=DISPLAYS, default="SPLATS", update=_display_changed,
        description="How the splats are drawn where Blender has no splats of its own",
    )
    viewport: BoolProperty(
        name="Viewport Splats", default=True, update=_display_changed,
        description="Draw soft, sorted splats in Solid and Wireframe view. Off: the points that carry them",
    )
    stride: IntProperty(
        name="Show Every", default=1, min=1, soft_max=100, max=10_000, update=_display_changed,
        description="Viewports show every n-th splat of this object alone, for layout. Renders and exports have them all",
    )
    most_shown: IntProperty(
        name="Most Shown", default=2_000_000, min=1000, soft_max=5_000_000, max=16_000_000, step=10_000, update=_display_changed,
        description="Viewports show no more splats of this object than this. Renders and exports have them all",
    )


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


def beside_file(folder: Path) -> str:
    """A folder as the file remembers it: relative where it lies beside the file, so that both can move together."""
    beside = bool(bpy.data.filepath) and folder.is_relative_to(Path(bpy.data.filepath).resolve().parent)
    return bpy.path.relpath(str(folder)) if beside else str(folder)


def training_name(scene: bpy.types.Scene) -> str:
    """A name that people know again: of the chosen dataset, else of the file that is open."""
    chosen = scene_settings(scene).train.dataset
    return Path(bpy.path.abspath(chosen)).name if chosen else Path(bpy.data.filepath).stem or dataset_folder(scene).name


def absolute_folder(path: str) -> Path:
    """A folder as typed in Blender. One beside a file that was never saved lies in the extension's own folder until then."""
    if path.startswith("//") and not bpy.data.filepath:
        return unsaved.below(path)
    if not path.strip():
        raise UserError("No dataset folder is chosen.", "Choose a folder for the dataset.", "dataset.no_folder")
    return Path(bpy.path.abspath(path)).resolve()


def _chosen(name: str, settings: bpy.types.PropertyGroup, overrides: bpy.types.OperatorProperties | None) -> Any:
    chosen = overrides if overrides is not None and overrides.is_property_set(name) else settings
    return getattr(chosen, name)


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
