"""Cameras as somebody would hold them who walks along a line or through rooms. Pure geometry; the ground is level."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from ...engine.core.cameras.camera import look_at
from .rigs import GOLDEN_ANGLE

SIDES = np.radians([0.0, 65.0, -65.0])
"""Where one looks along a line: ahead, to the left, to the right."""

PITCHES = np.radians([0.0, -25.0, 12.0])
"""Looks go level, down and up in turn, so that floors and ceilings are seen too."""

TURNS = 4
"""Looks from each place of a room, a quarter turn apart."""

BEARINGS = np.arange(16) * (2 * np.pi / 16)
"""Directions in which the distance to the walls is known, as angles from +X."""


@dataclass(frozen=True)
class Standpoint:
    """A free place in a room, at the height of the eyes, and how far it is to the walls in each of BEARINGS."""

    place: np.ndarray  # [3]
    distances: np.ndarray  # [len(BEARINGS)]


def along(lines: Sequence[np.ndarray], count: int, eye_height: float) -> np.ndarray:
    """camera_to_world [count, 4, 4] above polylines [N, 3], at even spacing: from each place ahead, to the left and to the right."""
    places, headings = _stations(lines, -(-count // len(SIDES)))
    places[:, 2] += eye_height
    views = [_view(place, heading + side, PITCHES[(number + turn) % len(PITCHES)])
             for number, (place, heading) in enumerate(zip(places, headings, strict=True)) for turn, side in enumerate(SIDES)]
    return np.stack(views[:count])


def through(standpoints: Sequence[Standpoint], count: int, nearest: float) -> np.ndarray:
    """camera_to_world [at most count, 4, 4] from places far from each other, in several directions from each.

    Nobody looks at a wall that is nearer than `nearest`. Fewer cameras come out only where there are too few places.
    """
    looks = (view for number, chosen in enumerate(_spread(standpoints)) for view in _looks_around(chosen, number, nearest))
    return np.array(list(islice(looks, count))).reshape(-1, 4, 4)


def _looks_around(standpoint: Standpoint, number: int, nearest: float) -> Iterator[np.ndarray]:
    for turn in range(TURNS):
        heading = number * GOLDEN_ANGLE + turn * 2 * np.pi / TURNS
        bearing = round(heading / (2 * np.pi) * len(BEARINGS)) % len(BEARINGS)
        if standpoint.distances[bearing] >= nearest:
            yield _view(standpoint.place, heading, PITCHES[(number + turn) % len(PITCHES)])


def _spread(standpoints: Sequence[Standpoint]) -> Iterable[Standpoint]:
    """The one with most room around it first, then always the one that is farthest from all before."""
    places = np.stack([standpoint.place for standpoint in standpoints])
    chosen = int(np.argmax([standpoint.distances.min() for standpoint in standpoints]))
    left = np.full(len(places), np.inf)
    for _ in range(len(places)):
        yield standpoints[chosen]
        left = np.minimum(left, np.linalg.norm(places - places[chosen], axis=1))
        chosen = int(left.argmax())


def _stations(lines: Sequence[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray]:
    """Places [count, 3] evenly along all lines, in the middles of as many parts, and their headings [count] in the ground's plane."""
    parts = np.concatenate([np.diff(line, axis=0) for line in lines])
    starts = np.concatenate([line[:-1] for line in lines])
    lengths = np.linalg.norm(parts, axis=1)
    starts, parts, lengths = starts[lengths > 0], parts[lengths > 0], lengths[lengths > 0]
    ends = np.cumsum(lengths)
    at = (np.arange(count) + 0.5) / count * ends[-1]
    part = np.minimum(np.searchsorted(ends, at), len(ends) - 1)
    share = (at - ends[part] + lengths[part]) / lengths[part]
    return starts[part] + share[:, None] * parts[part], np.arctan2(parts[part, 1], parts[part, 0])


def _view(place: np.ndarray, heading: float, pitch: float) -> np.ndarray:
    direction = np.array([np.cos(heading) * np.cos(pitch), np.sin(heading) * np.cos(pitch), np.sin(pitch)])
    return look_at(np.asarray(place, float), np.asarray(place, float) + direction)
