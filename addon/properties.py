"""What Splatwright remembers in the scene: state only. Defaults come from the requests that the settings turn into."""

import math
from pathlib import Path
from typing import Any, get_args

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty, IntVectorProperty, PointerProperty, StringProperty

from ..engine.core.errors import UserError
from ..engine.core.protocol.config import DEFAULT_PRESET, PRESETS, TrainConfig, describe, limits
from ..engine.core.protocol.sfm_options import Features, FrameOptions, Mapping, Pairing, PosesOptions
from .batch_properties import BatchEntry, BatchSettings
from .capture.request import CaptureRequest
from .typed import Context, classes_factory, scene_settings, untyped

SOURCES = (
    ("SELECTED", "Selected Cameras", "Every selected camera takes one view"),
    ("DOME", "Dome", "Generated cameras on a dome around the selected objects"),
    ("ORBIT", "Orbit", "Generated cameras on a ring around the selected objects"),
    ("ANIMATION", "Animated Camera", "The frames of the active camera, or of the scene's camera"),
)


def setting(name: str, kind: type = int) -> dict[str, Any]:
    """Default, limits and description of a setting of TrainConfig, which is a number."""
    low, high = limits(name)
    return {"default": getattr(TrainConfig, name), "min": kind(low), "max": kind(high), "description": description(name)}


def description(name: str) -> str:
    """A setting's description as a tooltip."""
    text = describe(name)
    return text[:1].upper() + text[1:]


class CaptureProperties:
    """The settings of a capture, the same on the scene and on the operator."""

    directory: StringProperty(
        name="Dataset Folder", subtype="DIR_PATH", default="//splatwright/dataset", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="Where images, cameras and start points are written. An empty or new folder, or an earlier dataset to replace",
    )
    source: EnumProperty(name="Cameras", items=SOURCES, default=CaptureRequest.source, description="Which views are captured")
    count: IntProperty(
        name="Count", min=2, soft_max=300, max=10_000, default=CaptureRequest.count, description="Number of generated cameras",
    )
    elevation: FloatProperty(
        name="Elevation", subtype="ANGLE", min=math.radians(-80), max=math.radians(80), default=CaptureRequest.elevation,
        description="Lowest cameras of a dome, or height of an orbit, above the horizon",
    )
    focal_length: FloatProperty(
        name="Focal Length", subtype="DISTANCE_CAMERA", min=5, max=500, default=CaptureRequest.focal_length,
        description="Lens of generated cameras",
    )
    margin: FloatProperty(
        name="Margin", min=0.2, max=10, default=CaptureRequest.margin,
        description="Room around the selection in generated views; 1 fits it tightly",
    )
    frame_step: IntProperty(
        name="Frame Step", min=1, default=CaptureRequest.frame_step, description="Take every n-th frame of an animated camera",
    )
    resolution: IntProperty(
        name="Longest Side", subtype="PIXEL", min=0, max=16_384, default=CaptureRequest.resolution,
        description="Longest side of the images; 0 keeps the scene's resolution",
    )
    samples: IntProperty(
        name="Samples", min=0, soft_max=1024, default=CaptureRequest.samples, description="Render samples; 0 keeps the scene's",
    )
    transparent: BoolProperty(
        name="Transparent", default=CaptureRequest.transparent,
        description="Leave the world out and keep alpha, so that only objects become splats",
    )
    depth: BoolProperty(
        name="Depth", default=CaptureRequest.depth,
        description="Also write depth maps (NumPy files, millimetres along the view axis). Trainings then start from them and learn faster",
    )
    normals: BoolProperty(
        name="Normals", default=CaptureRequest.normals,
        description="Also write normal maps (NumPy files, vectors in the world)",
    )
    points: IntProperty(
        name="Start Points", min=0, soft_max=200_000, default=CaptureRequest.points,
        description="How many coloured points of the visible surfaces the training starts from; 0 writes none",
    )


class CaptureSettings(CaptureProperties, bpy.types.PropertyGroup):
    """Capture settings of a scene."""

    def to_request(self, overrides: bpy.types.OperatorProperties | None = None) -> CaptureRequest:
        """The request that these settings make; properties set on `overrides` win."""
        values: dict[str, Any] = {name: _chosen(name, self, overrides) for name in CaptureProperties.__annotations__}
        values["directory"] = absolute_folder(values["directory"])
        return CaptureRequest(**values)


def _preset_chosen(settings: "TrainSettings", context: Context) -> None:
    for name in {name for preset in PRESETS.values() for name in preset.settings} & set(TrainSettings.__annotations__):
        setattr(settings, name, PRESETS[settings.preset].settings.get(name, getattr(TrainConfig, name)))


class TrainSettings(bpy.types.PropertyGroup):
    """Settings of the next training. Defaults, limits and descriptions are TrainConfig's."""

    dataset: StringProperty(
        name="Dataset", subtype="DIR_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="Folder with images and cameras. Empty: the dataset that was captured last",
    )
    preset: EnumProperty(
        name="Preset", default=DEFAULT_PRESET, update=_preset_chosen, description="Settings that go together; each can be changed after",
        items=tuple((name, preset.label, preset.sentence[0].upper() + preset.sentence[1:]) for name, preset in PRESETS.items()),
    )
    max_steps: IntProperty(name="Steps", **setting("max_steps"))
    max_gaussians: IntProperty(name="Max Splats", **setting("max_gaussians"))
    resolution: IntProperty(name="Resolution", subtype="PIXEL", **setting("resolution"))
    sh_degree: IntProperty(name="View Dependence", **setting("sh_degree"))
    background: EnumProperty(
        name="Background", default=TrainConfig.background, description=description("background"),
        items=(("random", "Random", "Keeps transparent parts free of splats"), ("black", "Black", "Always black"),
               ("white", "White", "Always white")),
    )
    seed: IntProperty(name="Seed", **setting("seed"))
    threads: IntProperty(name="Threads", **setting("threads"))
    image_memory: FloatProperty(name="Photo Memory (GB)", **setting("image_memory", float))
    max_minutes: FloatProperty(name="Max Minutes", precision=0, **setting("max_minutes", float))
    trial: BoolProperty(name="Smoke Trial", default=TrainConfig.trial, description=description("trial"))
    pause_when_sick: BoolProperty(name="Pause When Sick", default=TrainConfig.pause_when_sick, description=description("pause_when_sick"))

    def to_config(self) -> TrainConfig:
        """The training request that these settings make."""
        shown = {name: getattr(self, name) for name in TrainSettings.__annotations__ if name not in ("dataset", "preset")}
        return TrainConfig(**(PRESETS[self.preset].settings | shown)).validate()


def _choices(kind: Any) -> tuple[tuple[str, str, str], ...]:
    """A setting of a few words as menu entries."""
    return tuple((name, name.capitalize(), "") for name in get_args(kind))


class PhotoSettings(bpy.types.PropertyGroup):
    """Settings of taking pictures from videos and of finding cameras. Defaults are the engine's."""

    video: StringProperty(
        name="Video", subtype="FILE_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"}, description="The video to take pictures from",
    )
    count: IntProperty(
        name="Pictures", default=FrameOptions.count, min=1, soft_max=500, max=100_000,
        description="How many pictures, evenly spread over the video; of each stretch the sharpest",
    )
    directory: StringProperty(
        name="Photos", subtype="DIR_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="Folder with the photos; masks of the same names may lie in its folder masks",
    )
    image_size: IntProperty(
        name="Photo Size", subtype="PIXEL", default=PosesOptions.image_size, min=0, max=16_384,
        description="Longest side of the photos that are trained on; 0 keeps their size",
    )
    features: EnumProperty(
        name="Features", items=_choices(Features), default=PosesOptions.features,
        description="Thorough ones recognise more, from farther apart, and take four times as long; Auto tries them where they are needed",
    )
    pairing: EnumProperty(
        name="Compare", items=_choices(Pairing), default=PosesOptions.pairing,
        description="Which photos are compared: all with all, neighbours in a series, or look-alikes; Auto chooses by number and names",
    )
    mapping: EnumProperty(
        name="Mapping", items=_choices(Mapping), default=PosesOptions.mapping,
        description="Incremental is the surer one; Global is faster for many photos whose EXIF tells the focal length",
    )

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


def _display_changed(settings: bpy.types.PropertyGroup, context: Context) -> None:
    from .splats import display, splat_object

    if splat_object.is_splat_object(settings.id_data):
        display.show(untyped(settings).id_data)


class SplatSettings(bpy.types.PropertyGroup):
    """What splat objects, and the empty and cameras of posed photos, know about themselves, as Object.splatwright."""

    is_splat: BoolProperty(name="Splats", description="This object holds Gaussian splats")
    job: StringProperty(name="Training", description="The training that made these splats")
    source: StringProperty(name="Source", subtype="FILE_PATH", description="The file that these splats were read from")
    axes: StringProperty(name="Axes", default="AUTO", description="Orientation in which the source was read")
    linked: BoolProperty(
        name="Linked", description="Leave the splats in their file: this one stays small, and changes on the disk are seen at once. "
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
    """Everything that Splatwright keeps in a scene, as Scene.splatwright."""

    capture: PointerProperty(type=CaptureSettings)
    train: PointerProperty(type=TrainSettings)
    photos: PointerProperty(type=PhotoSettings)
    photo_job: StringProperty(name="Photo Job", description="The search for cameras, or the video, that the Photos panel shows")
    imported_photo_job: StringProperty(name="Imported Photos", description="The photo job whose result was brought into this scene")
    batch: PointerProperty(type=BatchSettings)
    captured: StringProperty(
        name="Captured Dataset", subtype="DIR_PATH", options={"PATH_SUPPORTS_BLEND_RELATIVE"},
        description="The dataset that was captured last",
    )
    job: StringProperty(name="Training", description="The training that the Train panel shows")
    imported_job: StringProperty(name="Imported Training", description="The training whose result was brought into this scene")


def dataset_folder(scene: bpy.types.Scene) -> Path:
    """The dataset to train on: the chosen one, else the one captured last, else the one that Capture would write."""
    return absolute_folder(scene_settings(scene).train.dataset or usual_dataset(scene))


def usual_dataset(scene: bpy.types.Scene) -> str:
    """The dataset where none is chosen."""
    return scene_settings(scene).captured or scene_settings(scene).capture.directory


def remember_captured(scene: bpy.types.Scene, folder: Path) -> None:
    """What Train will use. Relative to the file where that is shorter, so that both can move together."""
    beside = bool(bpy.data.filepath) and folder.is_relative_to(Path(bpy.data.filepath).resolve().parent)
    scene_settings(scene).captured = bpy.path.relpath(str(folder)) if beside else str(folder)


def training_name(scene: bpy.types.Scene) -> str:
    """A name that people know again: of the chosen dataset, else of the file that is open."""
    chosen = scene_settings(scene).train.dataset
    return Path(bpy.path.abspath(chosen)).name if chosen else Path(bpy.data.filepath).stem or dataset_folder(scene).name


def absolute_folder(path: str) -> Path:
    """A folder as typed in Blender; UserError when it is relative to a file that was never saved."""
    if path.startswith("//") and not bpy.data.filepath:
        raise UserError("The dataset folder is relative to this file, which is not saved yet.", "Save the file, or choose a folder.")
    if not path.strip():
        raise UserError("No dataset folder is chosen.", "Choose a folder for the dataset.")
    return Path(bpy.path.abspath(path)).resolve()


def _chosen(name: str, settings: bpy.types.PropertyGroup, overrides: bpy.types.OperatorProperties | None) -> Any:
    chosen = overrides if overrides is not None and overrides.is_property_set(name) else settings
    return getattr(chosen, name)


_register_classes, _unregister_classes = classes_factory(
    (CaptureSettings, TrainSettings, PhotoSettings, SplatSettings, BatchEntry, BatchSettings, SceneSettings))


def register() -> None:
    _register_classes()
    untyped(bpy.types.Scene).splatwright = PointerProperty(type=SceneSettings)
    untyped(bpy.types.Object).splatwright = PointerProperty(type=SplatSettings)


def unregister() -> None:
    del untyped(bpy.types.Object).splatwright
    del untyped(bpy.types.Scene).splatwright
    _unregister_classes()
