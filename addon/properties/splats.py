"""What objects know: splats, their originals, and posed photos."""

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

from ..typed import untyped

DISPLAYS = (
    ("SPLATS", "Splats", "Soft ellipsoids with all their colours, as renders need them"),
    ("POINTS", "Points", "Small dots, quick to draw"),
)


def _display_changed(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    from ..splats import display, splat_object

    if splat_object.is_splat_object(settings.id_data):
        display.show(untyped(settings).id_data)


def _source_changed(settings: bpy.types.PropertyGroup, context: bpy.types.Context) -> None:
    from ..splats import source_paths

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
