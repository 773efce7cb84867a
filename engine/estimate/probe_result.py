"""What a probe of a training has measured."""

from __future__ import annotations

from dataclasses import dataclass

from ..core.protocol.config import TrainConfig
from ..training.backend import BackendName


@dataclass(frozen=True)
class Kind:
    """One kind of step: the median of its rounds, and the standard error of their mean, in seconds."""

    reduction: int
    pixels: float
    harmonics: int  # coefficients of colour that take part
    seconds: float
    error: float


@dataclass(frozen=True)
class Size:
    """What a model of so many Gaussians takes: seconds, bytes of memory beyond those of an idle engine, bytes on the disk."""

    gaussians: int
    kinds: tuple[Kind, ...]
    refining: float
    saving: float
    preview: float
    score: float
    memory: float
    card: float
    checkpoint: float
    result: float


@dataclass(frozen=True)
class Probe:
    """What was measured. `config` is what was tried: its resolution may be lower than the training's."""

    engine: BackendName
    config: TrainConfig
    start: int  # Gaussians that the training begins with
    growth: float  # share of Gaussians that a refinement of the strategy default would add
    views: int
    held_out: int
    idle: float  # bytes of the engine with its libraries
    free: float  # bytes that the training may take
    free_card: float  # bytes of the graphics card that may be used; 0 without one
    longest_side: int  # pixels of the largest photo
    largest: float  # pixels of the largest picture, at the resolution that was tried
    reading: float  # bytes that reading photos takes at the highest, beside those that are kept
    left: float  # bytes of them that the system does not get back
    photo_bytes: float
    photo_seconds: float
    small: Size
    large: Size
    seconds: float
