"""Properties of a PLY that splats do not have, as attributes of the points, and back in the types that they had in the file."""

from __future__ import annotations

from collections.abc import Sequence

import bpy
import numpy as np

from ..typed import point_cloud, splat_settings, untyped
from .subsets import STORED, StoredLayer, read_stored, write_stored
from .thinning import all_splats

EXTRA = "ply:{}"
"""What an attribute is called that was a property of a PLY which splats do not have."""

KINDS = {"f4": "FLOAT", "f8": "FLOAT", "i1": "INT8", "u1": "INT", "i2": "INT", "u2": "INT", "i4": "INT", "u4": "INT"}
"""By type in the file: the attribute that holds it. Whole numbers beyond 2^31 keep their bits."""

USUAL = {"FLOAT": "f4", "INT": "i4", "INT8": "i1", "BOOLEAN": "u1"}
"""By attribute: what it is written as where its original type is not known."""


def write_extras(target: bpy.types.Object, extra: np.ndarray) -> None:
    """Attributes [N] of an object's points for all fields of a table; their types are remembered. Pushes no undo step."""
    write_stored(point_cloud(target), stored_extras(extra))
    splat_settings(target).extra_types = " ".join(f"{name}={kind}" for name, kind in _kinds(extra).items())


def stored_extras(extra: np.ndarray) -> dict[str, StoredLayer]:
    """Attributes for all fields of a table [N]."""
    return {EXTRA.format(name): StoredLayer(KINDS[kind], _as(extra[name], kind, STORED[KINDS[kind]][2])[:, None])
            for name, kind in _kinds(extra).items()}


def _kinds(extra: np.ndarray) -> dict[str, str]:
    return {name: extra.dtype[name].str[1:] for name in extra.dtype.names or ()}


def read_extras(source: bpy.types.Object, depsgraph: bpy.types.Depsgraph | None = None) -> np.ndarray | None:
    """The properties of an object's points as a table [N] in their types, with a depsgraph as modifiers leave them; None without any."""
    if depsgraph is None:
        return _table(point_cloud(source), splat_settings(source).extra_types)
    with all_splats(depsgraph):
        geometry = untyped(source.evaluated_get(depsgraph)).evaluated_geometry()  # owns the points: must live while they are read
        return _table(geometry.pointcloud, splat_settings(source).extra_types) if geometry.pointcloud is not None else None


def join_extras(parts: Sequence[tuple[int, np.ndarray | None]]) -> np.ndarray | None:
    """One table for several numbers of rows and their tables, one after the other; what one of them lacks is 0. None without any."""
    types: dict[str, np.dtype] = {}
    for extra in (extra for _, extra in parts if extra is not None):
        for name in extra.dtype.names or ():
            types[name] = np.promote_types(types.get(name, extra.dtype[name]), extra.dtype[name])
    if not types:
        return None
    joined, start = np.zeros(sum(count for count, _ in parts), list(types.items())), 0
    for count, extra in parts:
        if extra is not None:
            for name in extra.dtype.names or ():
                joined[name][start : start + count] = extra[name]
        start += count
    return joined


def rounded_extras(extra: np.ndarray | None) -> list[str]:
    """The properties in double precision that attributes, which have single precision, cannot hold exactly."""
    if extra is None:
        return []
    doubles = [name for name in extra.dtype.names or () if extra.dtype[name] == np.float64]
    return [name for name in doubles if not np.array_equal(extra[name].astype(np.float32), extra[name], equal_nan=True)]


def _table(points: bpy.types.PointCloud, types: str) -> np.ndarray | None:
    known = dict(word.split("=") for word in types.split() if word.count("=") == 1)
    found = {name.removeprefix(EXTRA.format("")): layer for name, layer in read_stored(points, EXTRA.format("")).items()
             if layer.data_type in USUAL}
    if not found:
        return None
    kinds = {name: _kind(layer, known.get(name)) for name, layer in found.items()}
    table = np.empty(len(points.points), list(kinds.items()))
    for name, layer in found.items():
        rows = layer.rows[:, 0]
        table[name] = rows.view(np.uint32) if kinds[name] == "u4" and rows.dtype == np.int32 else rows
    return table


def _kind(layer: StoredLayer, known: str | None) -> str:
    """The type that a property had, where its attribute is still of the kind that it was given and holds nothing beyond that type."""
    usual = USUAL[layer.data_type]
    if known not in KINDS or KINDS[known] != layer.data_type:
        return usual
    if known in ("f4", "f8", "u4") or not len(layer.rows):
        return known
    limits = np.iinfo(known)
    return known if limits.min <= layer.rows.min() and layer.rows.max() <= limits.max else usual


def _as(column: np.ndarray, kind: str, stored: type) -> np.ndarray:
    if kind == "u4":
        return np.ascontiguousarray(column).view(np.int32)
    with np.errstate(over="ignore"):
        return column.astype(stored)
