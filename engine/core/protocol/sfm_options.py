"""Settings of extracting frames from videos and of finding cameras, and their defaults, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from .settings import checked, setting, settings_from_json

Pairing = Literal["auto", "sequential", "similar", "exhaustive"]
Mapping = Literal["incremental", "global"]
Features = Literal["auto", "quick", "thorough"]


@dataclass(frozen=True)
class FrameOptions:
    """How pictures are taken out of a video."""

    count: int = setting(150, "Frames", "how many pictures, evenly spread over the video; of each stretch the sharpest", 1, 100_000)
    rate: float = setting(0.0, "Rate", "pictures a second instead of a count; 0: by count", 0, 1000)
    size: int = setting(0, "Picture Size", "longest side in pixels; 0 keeps the video's", 0, 16_384)
    keep_alike: bool = setting(False, "Keep Alike", "keep pictures that show nearly the same as the one before")

    def validate(self) -> FrameOptions:
        """Return self, or raise UserError naming the first setting that is out of range."""
        return checked(self)


@dataclass(frozen=True)
class PosesOptions:
    """How cameras are searched."""

    image_size: int = setting(1600, "Photo Size", "longest side in pixels of the dataset's photos; 0 keeps their size", 0, 16_384)
    feature_size: int = setting(
        1280, "Feature Size", "longest side in pixels at which features are looked for; larger finds more and takes longer", 64, 8192)
    max_features: int = setting(4096, "Max Features", "most features of one photo", 200, 65_536)
    features: Features = setting(
        "auto", "Features",
        "thorough ones recognise more, from farther apart, and take four times as long; auto tries them on small sets that need them",
        choices=Features)
    pairing: Pairing = setting(
        "auto", "Compare",
        "which photos are compared: all with all, neighbours in a series, or look-alikes; auto chooses by their number and names",
        choices=Pairing)
    mapping: Mapping = setting(
        "incremental", "Mapping",
        "incremental is the surer one; global is meant for hundreds of photos whose EXIF tells the focal length",
        choices=Mapping)
    threads: int = setting(-1, "Threads", "CPU threads; -1 uses all", -1, 256)

    def validate(self) -> PosesOptions:
        """Return self, or raise UserError naming the first setting that is out of range."""
        return checked(self)


def options_from_json(values: dict[str, Any]) -> PosesOptions:
    """PosesOptions from plain values, as dataclasses.asdict makes them. Unknown names and bad values raise UserError."""
    return settings_from_json(PosesOptions, values, "photos")


def frame_options_from_json(values: dict[str, Any]) -> FrameOptions:
    """FrameOptions from plain values, as dataclasses.asdict makes them. Unknown names and bad values raise UserError."""
    return settings_from_json(FrameOptions, values, "videos")
