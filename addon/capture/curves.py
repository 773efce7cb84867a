"""Curve objects as polylines in the world."""

from __future__ import annotations

import bpy
import numpy as np
from mathutils.geometry import interpolate_bezier

from ...engine.core.errors import UserError
from ..typed import Context, untyped

RESOLUTION = 24
"""Points from one control point to the next."""


def curve_lines(context: Context, name: str) -> list[np.ndarray]:
    """The splines of the curve object with this full name, each [N, 3] in the world with N > 1; a closed one ends where it begins.

    Modifiers are not in it, and NURBS curves with special knots are nearly as Blender draws them. UserError where there is no such
    curve, or nothing of it has a length.
    """
    found = next((item for item in context.view_layer.objects if item.name_full == name and item.type == "CURVE"), None)
    if found is None:
        raise UserError(f"There is no curve {name} in this scene.", "Choose another path, or none to walk through the rooms.",
                        "capture.no_curve", name=name)
    matrix = np.array(found.matrix_world)
    lines = [_line(spline) @ matrix[:3, :3].T + matrix[:3, 3] for spline in untyped(found.data).splines]
    lines = [line for line in lines if len(line) > 1 and np.ptp(line, axis=0).any()]
    if not lines:
        raise UserError(f"The curve {name} has no length.", "Give it two points or more.", "capture.no_length", name=name)
    return lines


def _line(spline: bpy.types.Spline) -> np.ndarray:
    """Points [N, 3] of a spline in its object's own frame."""
    if spline.type == "BEZIER":
        return _bezier(spline)
    points = np.array([point.co[:] for point in spline.points]).reshape(-1, 4)  # x, y, z and the weight
    if spline.type == "NURBS" and len(points) >= spline.order_u > 1:
        return _nurbs(spline, points)
    return _closed(points[:, :3]) if spline.use_cyclic_u else points[:, :3]


def _bezier(spline: bpy.types.Spline) -> np.ndarray:
    points = list(spline.bezier_points)
    following = [*points[1:], *points[:1]] if spline.use_cyclic_u else points[1:]
    parts = [interpolate_bezier(one.co, one.handle_right, other.handle_left, other.co, RESOLUTION)
             for one, other in zip(points, following, strict=False)]
    return np.array([place[:] for part in parts for place in part]).reshape(-1, 3)


def _nurbs(spline: bpy.types.Spline, points: np.ndarray) -> np.ndarray:
    """A rational B-spline of `points` [P, 4], by its basis functions."""
    order = spline.order_u
    if spline.use_cyclic_u:
        points = np.concatenate([points, points[: order - 1]])
    count = len(points)
    knots = np.arange(count + order, dtype=float)
    if spline.use_endpoint_u and not spline.use_cyclic_u:
        knots = np.clip(knots, order - 1, count)
    at = np.linspace(knots[order - 1], np.nextafter(knots[count], 0), RESOLUTION * (count - order + 1) + 1)
    weights = _basis(at, knots, order) * points[:, 3]
    return weights @ points[:, :3] / weights.sum(axis=1, keepdims=True)


def _basis(at: np.ndarray, knots: np.ndarray, order: int) -> np.ndarray:
    """B-spline basis functions of an order at some places, [N, P] (Cox and de Boor)."""
    at = at[:, None]
    basis = ((knots[:-1] <= at) & (at < knots[1:])).astype(float)
    for degree in range(1, order):
        rising, falling = knots[degree:-1] - knots[: -degree - 1], knots[degree + 1:] - knots[1:-degree]
        left = np.divide(at - knots[: -degree - 1], rising, out=np.zeros((len(at), len(rising))), where=rising > 0)
        right = np.divide(knots[degree + 1:] - at, falling, out=np.zeros((len(at), len(falling))), where=falling > 0)
        basis = left * basis[:, :-1] + right * basis[:, 1:]
    return basis


def _closed(line: np.ndarray) -> np.ndarray:
    return np.concatenate([line, line[:1]])
