"""Some of the points of a splat object, with every attribute that they carry, and which of them are selected in Edit Mode."""

from __future__ import annotations

from dataclasses import dataclass

import bpy
import numpy as np

from ..typed import point_cloud, untyped
from . import display
from .attributes import new_points
from .splat_object import resize

STORED = {
    "FLOAT": ("value", 1, np.float32), "INT": ("value", 1, np.int32), "INT8": ("value", 1, np.int8), "BOOLEAN": ("value", 1, np.bool_),
    "FLOAT_VECTOR": ("vector", 3, np.float32), "FLOAT2": ("vector", 2, np.float32), "FLOAT4": ("vector", 4, np.float32),
    "FLOAT_COLOR": ("color", 4, np.float32), "BYTE_COLOR": ("color_srgb", 4, np.float32), "QUATERNION": ("value", 4, np.float32),
    "FLOAT4X4": ("value", 16, np.float32), "INT32_2D": ("value", 2, np.int32), "INT16_2D": ("value", 2, np.int16),
}
"""By attribute type: what foreach_get calls the numbers, how many a point has, and how Blender keeps them."""

SELECTION = ".selection"


@dataclass(frozen=True)
class StoredLayer:
    """One attribute of any type."""

    data_type: str
    rows: np.ndarray  # [N, width]


def keep_points(target: bpy.types.Object, keep: np.ndarray) -> None:
    """Remove the points outside the mask [N], for all objects that share them. Pushes no undo step."""
    kept = {name: StoredLayer(layer.data_type, layer.rows[keep]) for name, layer in read_stored(point_cloud(target)).items()}
    resize(target, int(keep.sum()))
    write_stored(point_cloud(target), kept)
    display.show(target)


def copy_points(target: bpy.types.Object, chosen: np.ndarray, name: str) -> bpy.types.PointCloud:
    """New points: those of `target` within the mask [N], with its materials."""
    made = new_points(name, int(chosen.sum()))
    for material in point_cloud(target).materials:
        made.materials.append(material)
    write_stored(made, {name: StoredLayer(layer.data_type, layer.rows[chosen]) for name, layer in read_stored(point_cloud(target)).items()})
    return made


def selected_points(points: bpy.types.PointCloud) -> np.ndarray:
    """Mask [N] of the points that are selected in Edit Mode; none where nothing was ever selected."""
    attribute = points.attributes.get(SELECTION)
    if attribute is None or attribute.data_type not in STORED or attribute.domain != "POINT":
        return np.zeros(len(points.points), bool)
    return _rows(attribute, len(points.points))[:, 0] > 0.5


def select_points(points: bpy.types.PointCloud, chosen: np.ndarray) -> None:
    """Select exactly the points within the mask [N]."""
    stale = points.attributes.get(SELECTION)
    if stale is not None:
        points.attributes.remove(stale)
    write_stored(points, {SELECTION: StoredLayer("BOOLEAN", chosen[:, None])})


def read_stored(points: bpy.types.PointCloud, prefix: str = "") -> dict[str, StoredLayer]:
    """Every attribute of the points, or those whose names begin so, but what holds text."""
    layers = {found.name: read_one(found, len(points.points)) for found in points.attributes if found.name.startswith(prefix)}
    return {name: layer for name, layer in layers.items() if layer is not None}


def read_one(attribute: bpy.types.Attribute, count: int) -> StoredLayer | None:
    """One attribute of so many points; None where it holds text, or is not theirs."""
    known = attribute.domain == "POINT" and attribute.data_type in STORED
    return StoredLayer(attribute.data_type, _rows(attribute, count)) if known else None


def _rows(attribute: bpy.types.Attribute, count: int) -> np.ndarray:
    values, width, kind = STORED[attribute.data_type]
    rows = np.empty((count, width), kind)
    if count:
        untyped(attribute).data.foreach_get(values, rows.ravel())
    return rows


def write_stored(points: bpy.types.PointCloud, layers: dict[str, StoredLayer]) -> None:
    """Write attributes of any type. All are made before any is written, because making one moves the others."""
    for name, layer in layers.items():
        stale = points.attributes.get(name)
        if stale is not None and (stale.data_type, stale.domain) != (layer.data_type, "POINT"):
            points.attributes.remove(stale)
        if name not in points.attributes:
            untyped(points.attributes).new(name, layer.data_type, "POINT")
    for name, layer in layers.items():
        if len(layer.rows):
            untyped(points.attributes[name]).data.foreach_set(STORED[layer.data_type][0], np.ascontiguousarray(layer.rows).ravel())
    points.update_tag()
