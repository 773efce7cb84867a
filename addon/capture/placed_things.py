"""The placed things of a scene, which labels tell apart: objects, and whole instances of collections; what is scattered belongs to its
scatterer."""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from dataclasses import dataclass, replace

import bpy
import numpy as np
from mathutils import Matrix

from ...engine.core.datasets.labels import LARGEST, Label
from ...engine.core.errors import UserError
from ..splats.originals import has_geometry, rendered_objects
from ..typed import shown_by, untyped
from .rigs import GOLDEN_ANGLE


@dataclass(frozen=True)
class DrawnObject:
    """One object or instance that renders show."""

    name: str  # of the object, without its library: all that Cryptomatte knows of it
    label: int
    matrix: np.ndarray  # [4, 4], its own space to the world
    low: np.ndarray  # [3], of its box in its own space
    high: np.ndarray  # [3]

    def distances(self, points: np.ndarray) -> np.ndarray:
        """Of points [P, 3] in the world to the box, [P] in metres; inside of it those to its middle count, below zero."""
        inverse, linear = np.linalg.pinv(self.matrix), self.matrix[:3, :3]
        local = points @ inverse[:3, :3].T + inverse[:3, 3]
        beyond = np.maximum(np.maximum(self.low - local, local - self.high), 0)
        size = np.linalg.norm((self.high - self.low) @ linear.T) or 1.0
        inside = np.linalg.norm((local - (self.low + self.high) / 2) @ linear.T, axis=1) / size - 1
        far = np.linalg.norm(beyond @ linear.T, axis=1)
        return np.where(far > 0, far, inside)


class PlacedThings:
    """Numbers the placed things of a scene as they are first seen. A thing keeps its number and its first matrix over all frames."""

    def __init__(self) -> None:
        self._labels: dict[str, Label] = {}

    @property
    def labels(self) -> tuple[Label, ...]:
        """What label maps may show, by number."""
        return tuple(self._labels.values())

    def drawn(self, view_layer: bpy.types.ViewLayer, depsgraph: bpy.types.Depsgraph) -> list[DrawnObject]:
        """All that renders show at this moment, with its label; UserError for more things than a label map can number.

        Objects that viewports alone hide are not in the depsgraph: of them the box is that without modifiers.
        """
        found = list(_evaluated(depsgraph))
        owners = {owner for _, owner in found}
        found += [(_boxed(item, item.matrix_world), item) for item in rendered_objects(view_layer, depsgraph)
                  if item not in owners and has_geometry(item)]
        return [replace(made, label=self._number(owner)) for made, owner in found]

    def _number(self, owner: bpy.types.Object) -> int:
        known = self._labels.get(owner.name_full)
        if known is None:
            if len(self._labels) == LARGEST:
                raise UserError(f"The scene has more than {LARGEST} objects, which label maps cannot number.",
                                "Switch off Objects, or hide some from renders.", "capture.too_many_objects", most=LARGEST)
            known = self._labels[owner.name_full] = label_of(owner, len(self._labels) + 1)
        return known.number


def label_of(owner: bpy.types.Object, number: int) -> Label:
    """What labels.json says of an object."""
    library = owner.library.filepath if owner.library else ""
    collection = owner.users_collection[0].name if owner.users_collection else ""
    matrix = tuple(tuple(float(value) for value in row) for row in owner.matrix_world)
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN_ANGLE / (2 * np.pi) % 1, 0.6, 0.95)
    return Label(number, owner.name, library, collection, matrix, (round(red, 4), round(green, 4), round(blue, 4)))


def _evaluated(depsgraph: bpy.types.Depsgraph) -> Iterator[tuple[DrawnObject, bpy.types.Object]]:
    """Each object and instance that renders show, and the object that it belongs to. Blender lists an instance for a moment only."""
    for instance in depsgraph.object_instances:
        shown = shown_by(instance)
        if not has_geometry(shown) or shown.hide_render:
            continue
        maker = instance.parent if instance.is_instance else None
        owner: bpy.types.Object = untyped(maker or shown).original
        if owner.hide_render:
            continue
        yield _boxed(shown, instance.matrix_world), owner


def _boxed(shown: bpy.types.Object, matrix: Matrix) -> DrawnObject:
    corners = np.array([corner[:] for corner in shown.bound_box])
    return DrawnObject(shown.name, 0, np.array(matrix), corners.min(axis=0), corners.max(axis=0))
