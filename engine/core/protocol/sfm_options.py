"""Settings of taking pictures from videos and of finding cameras, and their defaults, once."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from ..errors import UserError

Pairing = Literal["auto", "sequential", "similar", "exhaustive"]
Mapping = Literal["incremental", "global"]
Features = Literal["auto", "quick", "thorough"]


@dataclass(frozen=True)
class FrameOptions:
    """How pictures are taken out of a video."""

    count: int = 150
    """how many pictures, evenly spread over the video; of each stretch the sharpest"""
    rate: float = 0.0
    """pictures a second instead of a count; 0: by count"""
    size: int = 0
    """longest side in pixels; 0 keeps the video's"""
    keep_alike: bool = False
    """keep pictures that show nearly the same as the one before"""

    def validate(self) -> FrameOptions:
        """Return self, or raise UserError naming the first setting that is out of range."""
        for name, (low, high) in _FRAME_RANGES.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
                raise UserError(f"{name} is {value!r}.", f"Set it between {low} and {high}.")
        return self


@dataclass(frozen=True)
class PosesOptions:
    """How cameras are searched."""

    image_size: int = 1600
    """longest side in pixels of the dataset's photos; 0 keeps their size"""
    feature_size: int = 1280
    """longest side in pixels at which features are looked for; larger finds more and takes longer"""
    max_features: int = 4096
    """most features of one photo"""
    features: Features = "auto"
    """thorough ones recognise more, from farther apart, and take four times as long; auto tries them on small sets that need them"""
    pairing: Pairing = "auto"
    """which photos are compared: all with all, neighbours in a series, or look-alikes; auto chooses by their number and names"""
    mapping: Mapping = "incremental"
    """incremental is the surer one; global is meant for hundreds of photos whose EXIF tells the focal length"""
    threads: int = -1
    """CPU threads; -1 uses all"""

    def validate(self) -> PosesOptions:
        """Return self, or raise UserError naming the first setting that is out of range."""
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise UserError(f"{name} is {getattr(self, name)!r}.", f"Choose one of: {', '.join(choices)}.")
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise UserError(f"{name} is {value!r}.", f"Set it between {low} and {high}.")
        return self


_FRAME_RANGES: dict[str, tuple[float, float]] = {"count": (1, 100_000), "rate": (0, 1000), "size": (0, 16_384)}
_CHOICES: dict[str, tuple[str, ...]] = {"features": get_args(Features), "pairing": get_args(Pairing), "mapping": get_args(Mapping)}
_RANGES = {"image_size": (0, 16_384), "feature_size": (64, 8192), "max_features": (200, 65_536), "threads": (-1, 256)}


def options_from_json(values: dict[str, Any]) -> PosesOptions:
    """PosesOptions from plain values, as dataclasses.asdict makes them. Unknown names and bad values raise UserError."""
    _refuse_unknown(values, PosesOptions, "photos")
    return PosesOptions(**values).validate()


def frame_options_from_json(values: dict[str, Any]) -> FrameOptions:
    """FrameOptions from plain values, as dataclasses.asdict makes them. Unknown names and bad values raise UserError."""
    _refuse_unknown(values, FrameOptions, "videos")
    return FrameOptions(**values).validate()


def _refuse_unknown(values: dict[str, Any], kind: type, what: str) -> None:
    unknown = sorted(set(values) - {field.name for field in fields(kind)})
    if unknown:
        raise UserError(f"The settings for {what} contain {', '.join(unknown)}, which this version does not know.",
                        "Remove them, or use the version of Splatwright that wrote the file.")
