"""Everything that a capture needs to know, and its defaults, once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Source = Literal["SELECTED", "DOME", "ORBIT", "ANIMATION"]


@dataclass(frozen=True)
class CaptureRequest:
    """One capture. Blender's properties read the defaults from here."""

    directory: Path
    source: Source = "SELECTED"
    """which views: the selected cameras, a dome or a ring of cameras around the selection, or the frames of one animated camera"""
    cameras: tuple[str, ...] = ()
    """full names of the cameras that count as selected; empty: those that are"""
    count: int = 60
    """number of cameras of a dome or an orbit"""
    elevation: float = 0.1
    """lowest cameras of a dome, or height of an orbit, in radians above the horizon"""
    focal_length: float = 35.0
    """lens of generated cameras in millimetres, on a sensor 36 mm wide"""
    margin: float = 1.05
    """room around the selection in generated views; 1 fits it tightly"""
    frame_step: int = 1
    """take every n-th frame of an animated camera"""
    resolution: int = 0
    """longest side of the images in pixels; 0 keeps the scene's resolution"""
    samples: int = 0
    """render samples; 0 keeps the scene's"""
    transparent: bool = True
    """leave the world out and keep alpha, so that only objects become splats"""
    depth: bool = False
    """also write depth/*.npy: float32 [H, W], millimetres along the view axis, 0 where nothing is"""
    normals: bool = False
    """also write normals/*.npy: float16 [H, W, 3], unit vectors in the world, 0 where nothing is"""
    points: int = 20_000
    """how many coloured start points to take from the visible surfaces"""
