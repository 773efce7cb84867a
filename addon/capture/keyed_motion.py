"""Where an object is at a frame by its keys alone, without going there: changing the frame would undo what nobody has keyed yet."""

from __future__ import annotations

from collections.abc import Iterator

import bpy
import numpy as np
from mathutils import Euler, Matrix, Quaternion, Vector

from ..cameras import rigid
from ..typed import untyped


def matrix_at(item: bpy.types.Object, frame: int) -> np.ndarray | None:
    """camera_to_world [4, 4] of an object; None where constraints, drivers, the nonlinear animation or bones have a say in it."""
    matrix = _world(item, frame)
    return None if matrix is None else rigid(matrix)


def _world(item: bpy.types.Object, frame: int) -> Matrix | None:
    basis = _basis(item, frame)
    if basis is None or item.parent is None:
        return basis
    above = _world(item.parent, frame) if item.parent_type == "OBJECT" else None
    return None if above is None else above @ item.matrix_parent_inverse @ basis


def _basis(item: bpy.types.Object, frame: int) -> Matrix | None:
    known = item.animation_data
    moved_otherwise = item.constraints or _has_deltas(item) or (known is not None and (known.drivers or known.nla_tracks))
    if moved_otherwise or item.rotation_mode == "AXIS_ANGLE":
        return None
    turn = "rotation_quaternion" if item.rotation_mode == "QUATERNION" else "rotation_euler"
    values = {name: list(getattr(item, name)) for name in ("location", turn, "scale")}
    for curve in _curves(item):
        if curve.data_path in values:
            values[curve.data_path][curve.array_index] = curve.evaluate(frame)
    rotation = Quaternion(values[turn]) if item.rotation_mode == "QUATERNION" else Euler(values[turn], untyped(item).rotation_mode)
    return Matrix.LocRotScale(Vector(values["location"]), rotation, Vector(values["scale"]))


def _curves(item: bpy.types.Object) -> Iterator[bpy.types.FCurve]:
    """The curves of an object's action."""
    known = item.animation_data
    if known is None or known.action is None or known.action_slot is None:
        return
    for layer in known.action.layers:
        for strip in layer.strips:
            bag = untyped(strip).channelbag(known.action_slot)
            yield from bag.fcurves if bag is not None else ()


def _has_deltas(item: bpy.types.Object) -> bool:
    return any(item.delta_location[:]) or any(item.delta_rotation_euler[:]) or item.delta_scale[:] != (1.0, 1.0, 1.0)
