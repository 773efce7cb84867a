"""Settings of taking pictures from videos and of finding cameras, and their defaults, once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Pairing = Literal["auto", "sequential", "similar", "exhaustive"]
Mapping = Literal["incremental", "global"]


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


@dataclass(frozen=True)
class PosesOptions:
    """How cameras are searched."""

    image_size: int = 1600
    """longest side in pixels of the dataset's photos; 0 keeps their size"""
    feature_size: int = 1280
    """longest side in pixels at which features are looked for; larger finds more and takes longer"""
    max_features: int = 4096
    """most features of one photo"""
    pairing: Pairing = "auto"
    """which photos are compared: all with all, neighbours in a series, or look-alikes; auto chooses by their number and names"""
    mapping: Mapping = "incremental"
    """incremental is the surer one; global is faster for many photos whose EXIF tells the focal length"""
    threads: int = -1
    """CPU threads; -1 uses all"""
