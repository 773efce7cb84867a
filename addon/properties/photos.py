"""Settings of work on photos and videos."""

from typing import Any, get_args

import bpy
from bpy.props import EnumProperty, IntProperty, StringProperty

from ...engine.core.protocol.sfm_options import Features, FrameOptions, Mapping, Pairing, PosesOptions
from .defaults import shown


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
