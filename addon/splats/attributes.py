"""Point clouds and their attributes as numpy arrays, the same way on every Blender."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass

import bpy
import numpy as np

from ..typed import current_context, operators, point_cloud, untyped

VALUES = {"FLOAT": ("value", 1), "FLOAT_VECTOR": ("vector", 3), "FLOAT4": ("vector", 4), "FLOAT_COLOR": ("color", 4),
          "QUATERNION": ("value", 4)}
"""By attribute type: what foreach_get and foreach_set call the numbers, and how many of them a point has."""


@dataclass(frozen=True)
class Layer:
    """One attribute to write: its type and a row for each point."""

    data_type: str
    rows: np.ndarray  # [N] or [N, width]


def has_float4() -> bool:
    """Whether this Blender knows the attribute type FLOAT4."""
    return "FLOAT4" in untyped(bpy.types.Attribute).bl_rna.properties["data_type"].enum_items


def can_resize() -> bool:
    """Whether Python can give a point cloud another number of points (since Blender 5.1)."""
    return "resize" in untyped(bpy.types.PointCloud).bl_rna.functions


def new_points(name: str, count: int) -> bpy.types.PointCloud:
    """A point cloud of `count` points at the origin that no object uses yet. Selection, mode and undo stay as they are."""
    if can_resize():
        points = bpy.data.pointclouds.new(name)
        untyped(points).resize(count)
        return points
    return _converted(name, count)


def _converted(name: str, count: int) -> bpy.types.PointCloud:
    """Blender before 5.1 makes points from Python only by converting a mesh: done in a scene of its own, out of the user's way."""
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(count)
    carrier = bpy.data.objects.new(name, mesh)
    scene = bpy.data.scenes.new("Splatwright conversion")
    try:
        scene.collection.objects.link(carrier)
        layer = scene.view_layers[0]
        carrier.select_set(True, view_layer=layer)
        layer.objects.active = carrier
        chosen = {"object": carrier, "active_object": carrier, "selected_editable_objects": [carrier]}
        with current_context().temp_override(scene=scene, view_layer=layer, **chosen):
            operators().object.convert(target="POINTCLOUD")
        points = point_cloud(carrier)
    finally:
        bpy.data.objects.remove(carrier)
        bpy.data.scenes.remove(scene)
        bpy.data.meshes.remove(mesh)
    points.name = name
    return points


def read_layer(points: bpy.types.PointCloud, name: str) -> np.ndarray | None:
    """A point attribute as float32 [N, width]; None when it is missing or holds no floats."""
    attribute = points.attributes.get(name)
    if attribute is None or attribute.domain != "POINT" or attribute.data_type not in VALUES:
        return None
    values, width = VALUES[attribute.data_type]
    rows = np.empty((len(points.points), width), np.float32)
    if len(rows):
        untyped(attribute).data.foreach_get(values, rows.ravel())
    return rows


def write_layers(points: bpy.types.PointCloud, layers: Mapping[str, Layer]) -> None:
    """Write attributes in place, making those that are missing or of another type. Pushes no undo step."""
    for _ in layer_steps(points, dict(layers)):
        pass


def layer_steps(points: bpy.types.PointCloud, layers: dict[str, Layer]) -> Generator[float, None, None]:
    """As write_layers, yielding after each attribute the share that is done. The dictionary is empty then: what is written is freed."""
    total = 2 * len(layers)
    for done, (name, layer) in enumerate(layers.items(), start=1):
        _prepare(points, name, layer.data_type)
        yield done / total
    while layers:
        name = next(iter(layers))
        _write(points, name, layers.pop(name))
        yield 1 - len(layers) / total
    points.update_tag()


def _write(points: bpy.types.PointCloud, name: str, layer: Layer) -> None:
    if len(layer.rows):
        untyped(points.attributes[name]).data.foreach_set(VALUES[layer.data_type][0], np.ascontiguousarray(layer.rows, np.float32).ravel())


def _prepare(points: bpy.types.PointCloud, name: str, data_type: str) -> None:
    """Making or removing an attribute moves the others: do this for all before any is written."""
    attribute = points.attributes.get(name)
    if attribute is not None and (attribute.data_type, attribute.domain) != (data_type, "POINT"):
        points.attributes.remove(attribute)
        attribute = None
    if attribute is None:
        untyped(points.attributes).new(name, data_type, "POINT")
