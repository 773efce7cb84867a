"""Free places to stand in the rooms of a scene, found by rays: a floor below, a ceiling above, walls at some distance."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum

import numpy as np

from .walks import BEARINGS, Standpoint
from .walls import Hit, Walls

COLUMNS = 900
"""Places of the ground that are looked at."""

HEADROOM = 1.1
"""Times the height of the eyes that must be free above a floor."""

CLEARANCE = 0.25
"""Times the height of the eyes that must be free around them."""

LEVEL = 0.7
"""Least upward part of a floor's normal."""

STOREY = 0.25
"""Times the height of the eyes within which floors are of one storey."""

COMMON = 0.2
"""Share of the largest storey's places that a storey must have: tops of furniture are fewer."""

HOLLOW = 0.4
"""Share of the places in the open above which the inside of hollow meshes counts as rooms."""

MOST_LAYERS = 40
EDGE = 1e-3

UP, DOWN = np.array([0.0, 0.0, 1.0]), np.array([0.0, 0.0, -1.0])
AROUND = np.stack([np.cos(BEARINGS), np.sin(BEARINGS), np.zeros(len(BEARINGS))], axis=1)


class FloorKind(Enum):
    """What one stands on."""

    ROOM = "a floor below a ceiling"
    HOLLOW = "the inner side of a mesh whose front faces outwards, as of a box that is used as a room"
    OPEN = "a floor below the sky"


@dataclass(frozen=True)
class Floor:
    """A place where one could stand."""

    place: np.ndarray  # [3] on the floor
    kind: FloorKind


def standpoint_steps(walls: Walls, low: np.ndarray, high: np.ndarray, eye_height: float) -> Generator[None, None, list[Standpoint]]:
    """Free places at the height of the eyes between two corners [3]; yields now and then. Empty where there is no room.

    Rooms with a ceiling count before all others; hollow meshes and places under the sky only where there are none.
    """
    floors: list[Floor] = []
    for x, y in _columns(low, high):
        floors += _floors(walls, np.array([x, y]), low, high, eye_height)
        yield
    found: dict[FloorKind, list[Standpoint]] = {}
    for kind in FloorKind:
        found[kind] = []
        for floor in _of_storeys([floor for floor in floors if floor.kind is kind], STOREY * eye_height):
            found[kind] += _standpoint(walls, floor, eye_height, float(np.linalg.norm(high - low)))
            yield
        if kind is FloorKind.ROOM and found[kind]:
            return found[kind]
    return found[FloorKind.HOLLOW] if len(found[FloorKind.HOLLOW]) >= HOLLOW * len(found[FloorKind.OPEN]) else found[FloorKind.OPEN]


def _columns(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Places [N, 2] on a square grid over the ground between two corners."""
    width, depth = np.maximum(high[:2] - low[:2], 1e-6)
    spacing = np.sqrt(width * depth / COLUMNS)
    counts = np.clip(np.round([width / spacing, depth / spacing]), 1, COLUMNS).astype(int)
    x, y = (low[axis] + (np.arange(counts[axis]) + 0.5) / counts[axis] * (high[axis] - low[axis]) for axis in (0, 1))
    return np.stack(np.meshgrid(x, y), axis=2).reshape(-1, 2)


def _floors(walls: Walls, at: np.ndarray, low: np.ndarray, high: np.ndarray, eye_height: float) -> list[Floor]:
    """Every floor of a column with enough room above."""
    above, floors = None, []
    for layer in _layers(walls, at, low, high):
        free = np.inf if above is None else above.place[2] - layer.place[2]
        if abs(layer.normal[2]) > LEVEL and free >= HEADROOM * eye_height and (above is not None or layer.normal[2] > 0):
            kind = FloorKind.OPEN if above is None else FloorKind.HOLLOW if layer.normal[2] < 0 else FloorKind.ROOM
            floors.append(Floor(layer.place, kind))
        above = layer
    return floors


def _layers(walls: Walls, at: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[Hit]:
    """The surfaces of a column from the top down."""
    edge = EDGE * max(float(high[2] - low[2]), 1e-3)
    top, found = high[2] + edge, []
    while len(found) < MOST_LAYERS:
        hit = walls.hit(np.array([*at, top]), DOWN, float(top - low[2] + edge))
        if hit is None:
            break
        found.append(hit)
        top = hit.place[2] - edge
    return found


def _of_storeys(floors: list[Floor], height: float) -> list[Floor]:
    """Those at heights that many others have too."""
    if not floors:
        return []
    heights = np.array([floor.place[2] for floor in floors])
    counts = (np.abs(heights[:, None] - heights) < height / 2).sum(axis=1)
    return [floor for floor, count in zip(floors, counts, strict=True) if count >= COMMON * counts.max()]


def _standpoint(walls: Walls, floor: Floor, eye_height: float, reach: float) -> list[Standpoint]:
    """The place above a floor, where the walls around leave enough room."""
    place, nearest = floor.place + eye_height * UP, CLEARANCE * eye_height
    distances = []
    for direction in AROUND:
        hit = walls.hit(place, direction, reach)
        if hit is not None and hit.distance < nearest:
            return []
        distances.append(reach if hit is None else hit.distance)
    return [Standpoint(place, np.array(distances))]
