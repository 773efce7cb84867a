"""Everything that a capture needs to know, and its defaults, once."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...engine.core.protocol.settings import setting

Source = Literal["SELECTED", "DOME", "ORBIT", "WALK", "ANIMATION"]


@dataclass(frozen=True)
class CaptureRequest:
    """One capture. Blender's properties read defaults, labels, ranges and descriptions from here."""

    directory: Path
    source: Source = "SELECTED"
    """which views: the selected cameras, a dome or a ring of cameras around the selection (else all that is visible), a walk along a
    curve or through the rooms, or the frames of one animated camera"""
    cameras: tuple[str, ...] = ()
    """full names of the cameras that count as selected; empty: those that are"""
    count: int = setting(60, "Count", "number of generated cameras", 2, 10_000)
    elevation: float = setting(
        0.1, "Elevation", "lowest cameras of a dome, or height of an orbit, above the horizon", math.radians(-80), math.radians(80))
    """radians"""
    focal_length: float = setting(35.0, "Focal Length", "lens of generated cameras", 5, 500)
    """millimetres, on a sensor 36 mm wide"""
    margin: float = setting(1.05, "Margin", "room around the selection in generated views; 1 fits it tightly", 0.2, 10)
    avoid_walls: bool = setting(
        True, "Avoid Walls",
        "move generated cameras that stand inside or behind a wall in front of it, and leave out those that cannot be moved")
    path: str = ""
    """full name of the curve object that a walk follows; empty: it goes through the rooms"""
    eye_height: float = setting(1.6, "Eye Height", "height of the cameras of a walk above the floor, or above its curve", 0)
    frame_step: int = setting(1, "Frame Step", "take every n-th frame of an animated camera", 1)
    resolution: int = setting(0, "Longest Side", "longest side of the images; 0 keeps the scene's resolution", 0, 16_384)
    samples: int = setting(0, "Samples", "render samples; 0 keeps the scene's", 0)
    transparent: bool = setting(True, "Transparent", "leave the world out and keep alpha, so that only objects become splats")
    depth: bool = setting(
        False, "Depth",
        "also write depth maps (NumPy files, millimetres along the view axis). Trainings then start from them and learn faster")
    """depth/*.npy: float32 [H, W], 0 where nothing is"""
    normals: bool = setting(False, "Normals", "also write normal maps (NumPy files, vectors in the world)")
    """normals/*.npy: float16 [H, W, 3], unit vectors, 0 where nothing is"""
    objects: bool = setting(
        False, "Objects",
        "also write which object each pixel shows, so that splats know theirs. Each instance of a collection counts as one")
    """labels/*.png: uint16 [H, W], 0 where nothing is; labels.json names the numbers"""
    points: int = setting(
        20_000, "Start Points", "how many coloured points of the visible surfaces the training starts from; 0 writes none", 0)
