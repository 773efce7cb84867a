"""Gaussians as a Blender point cloud and back, in the attributes of Blender 5.3's own splats on every version.

`position`; `rotation` (w x y z, normalised); `scale` (linear); `radiance:base` (f_dc raw, opacity after sigmoid);
`radiance:sh_0` and on (RGB of one coefficient each). Ours besides: `radius` for drawing, `splatwright:rest`, the position once
more, and what these numbers cannot hold: `splatwright:logit`, because an opacity near 1 does not hold the digits of its logit, and
where they are needed `splatwright:log_scale`, because a scale near 1 does not hold those of its logarithm, and `splatwright:length`
of quaternions.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

import bpy
import numpy as np

from ...engine.core.errors import UserError
from ...engine.core.splats.gaussians import LARGEST_LOGIT, Gaussians, drawable
from ..scene_collections import writable_collection
from ..typed import current_context, point_cloud, splat_settings, untyped
from . import display, renders
from .attributes import Layer, can_resize, has_float4, layer_steps, new_points, read_layer, write_layers
from .thinning import all_splats

POSITION, ROTATION, SCALE, BASE = "position", "rotation", "scale", "radiance:base"
WIDTHS = {POSITION: 3, ROTATION: 4, SCALE: 3, BASE: 4}
LOGIT, LOG_SCALE, LENGTH = "splatwright:logit", "splatwright:log_scale", "splatwright:length"
REST = "splatwright:rest"
"""Positions of the points when rotations and scales were written: shows whether Blender has moved the points alone."""
BLURRED_LOG_SCALE = 0.1
"""Logarithms nearer to 0 lose more than a millionth of themselves in a float32 scale."""

HARMONIC = "radiance:sh_{}"
MOST_HARMONICS = 15
LARGEST_LOG_SCALE = 80.0  # float32 ends at e^88

Result = TypeVar("Result")


def is_splat_object(item: bpy.types.ID | None) -> bool:
    """Whether an object holds Gaussians: a point cloud with rotation, scale and radiance."""
    if not isinstance(item, bpy.types.Object) or item.type != "POINTCLOUD":
        return False
    return all(name in point_cloud(item).attributes for name in (BASE, ROTATION, SCALE))


def create_splat_object(
    name: str, gaussians: Gaussians, collection: bpy.types.Collection | None = None, antialiased: bool = False,
) -> bpy.types.Object:
    """A new splat object at the origin, in `collection`, or the scene's where none is given or it cannot be changed.

    Selection and mode stay as they are. `antialiased` splats are drawn as those of an antialiased rasterizer.
    UserError where the scene belongs to another file.
    """
    return run_to_end(creation_steps(name, gaussians, collection, antialiased))


def creation_steps(
    name: str, gaussians: Gaussians, collection: bpy.types.Collection | None = None, antialiased: bool = False,
) -> Generator[float, None, bpy.types.Object]:
    """As create_splat_object, attribute by attribute: yields the share that is done; closed early it leaves nothing behind."""
    place, gaussians = writable_collection(collection), drawable(gaussians)
    points = new_points(name, len(gaussians))
    try:
        yield from layer_steps(points, _layers(gaussians))
    except BaseException:
        bpy.data.pointclouds.remove(points)
        raise
    made = bpy.data.objects.new(name, points)
    place.objects.link(made)
    with display.shown_once(made):
        splat_settings(made).is_splat, splat_settings(made).antialiased = True, antialiased
    if not display.draws_natively():
        renders.prepare_once(current_context().scene)
    return made


def run_to_end(steps: Generator[Any, None, Result]) -> Result:
    """Take all steps at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def make_empty(like: bpy.types.PointCloud) -> bpy.types.PointCloud:
    """A point cloud of no splats that looks like another one."""
    empty = bpy.data.pointclouds.new(like.name)
    carry_over(like, empty)
    rows = np.zeros((0, 3), np.float32)
    write_gaussians(empty, Gaussians(rows, np.zeros((0, 4), np.float32), rows, rows[:, 0], rows[:, None], np.zeros((0, 0, 3), np.float32)))
    return empty


def carry_over(old: bpy.types.PointCloud, new: bpy.types.PointCloud) -> None:
    """Give new points the materials and custom properties of others."""
    for material in old.materials:
        new.materials.append(material)
    for name, value in old.items():
        new[name] = value.to_dict() if hasattr(value, "to_dict") else value


def update_splat_object(target: bpy.types.Object, gaussians: Gaussians, antialiased: bool | None = None) -> None:
    """Replace the Gaussians of a splat object; its transform, name and materials stay. Pushes no undo step.

    `antialiased` as in create_splat_object(); None leaves it as it was.
    """
    gaussians = drawable(gaussians)
    with display.shown_once(target):
        if antialiased is not None:
            splat_settings(target).antialiased = antialiased
        if len(point_cloud(target).points) != len(gaussians):
            resize(target, len(gaussians))
        write_gaussians(point_cloud(target), gaussians)


def gaussians_from_object(source: bpy.types.Object, depsgraph: bpy.types.Depsgraph | None = None) -> Gaussians:
    """The Gaussians in the object's own frame; with a depsgraph as its modifiers leave them. UserError for other objects."""
    if depsgraph is None:
        return _read(source.name, point_cloud(source))
    with all_splats(depsgraph):
        geometry = untyped(source.evaluated_get(depsgraph)).evaluated_geometry()  # owns the points: must live while they are read
        if geometry.pointcloud is None:
            return _read(source.name, point_cloud(source)).take(slice(0, 0))
        return _read(source.name, geometry.pointcloud)


def write_gaussians(points: bpy.types.PointCloud, gaussians: Gaussians) -> None:
    """Write the schema's attributes; `points` has as many points as there are Gaussians."""
    layers = _layers(gaussians)
    # readers go on until the first harmonic that is missing
    for name in (LOG_SCALE, LENGTH, *(HARMONIC.format(index) for index in range(MOST_HARMONICS))):
        if name not in layers and (stale := points.attributes.get(name)) is not None:
            points.attributes.remove(stale)
    write_layers(points, layers)


def _layers(gaussians: Gaussians) -> dict[str, Layer]:
    base = np.concatenate([gaussians.sh0[:, 0], sigmoid(gaussians.opacities)[:, None]], axis=1)
    layers = {
        POSITION: Layer("FLOAT_VECTOR", gaussians.means),
        REST: Layer("FLOAT_VECTOR", gaussians.means),
        ROTATION: Layer("QUATERNION", _normalised(gaussians.quats)),
        SCALE: Layer("FLOAT_VECTOR", _linear(gaussians.scales)),
        BASE: Layer("FLOAT4" if has_float4() else "FLOAT_COLOR", base),
        LOGIT: Layer("FLOAT", gaussians.opacities),
    }
    harmonics = {HARMONIC.format(index): Layer("FLOAT_VECTOR", gaussians.shN[:, index]) for index in range(gaussians.shN.shape[1])}
    return layers | harmonics | _digits(gaussians)


def _digits(gaussians: Gaussians) -> dict[str, Layer]:
    """What scales and unit quaternions do not hold of these splats."""
    lengths = _lengths(gaussians.quats)
    scales = {LOG_SCALE: Layer("FLOAT_VECTOR", gaussians.scales)} if (np.abs(gaussians.scales) < BLURRED_LOG_SCALE).any() else {}
    return scales | ({LENGTH: Layer("FLOAT", lengths)} if (np.abs(lengths - 1) > 2e-7).any() else {})


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Opacities [N] in float32."""
    return (0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64))).astype(np.float32)


def _read(name: str, points: bpy.types.PointCloud) -> Gaussians:
    layers = {layer: read_layer(points, layer) for layer in (POSITION, ROTATION, SCALE, BASE)}
    wrong = [layer for layer, rows in layers.items() if rows is None or rows.shape[1] != WIDTHS[layer]]
    if wrong:
        raise UserError(f"{name} holds no splats: {', '.join(wrong)} is missing or of a wrong type.", "Choose a splat object.")
    means, quats, scales, base = (rows for rows in layers.values() if rows is not None)
    logits = _logits(base[:, 3], read_layer(points, LOGIT))
    log_scales = _log_scales(scales, read_layer(points, LOG_SCALE))
    lengths = read_layer(points, LENGTH)
    if lengths is not None and lengths.shape[1] == 1:
        quats = quats * np.where(lengths > 0, lengths, 1)
    return Gaussians(means, quats, log_scales, logits, base[:, None, :3].copy(), _read_harmonics(points))


def _logits(opacities: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """Logits [N]: as they were stored, unless the opacity was changed since."""
    clipped = opacities.astype(np.float64).clip(0.0, 1.0)
    with np.errstate(divide="ignore"):
        logits = (np.log(clipped) - np.log1p(-clipped)).clip(-LARGEST_LOGIT, LARGEST_LOGIT).astype(np.float32)
    if kept is None or kept.shape[1] != 1:
        return logits
    return np.where(np.abs(sigmoid(kept[:, 0]) - opacities) <= 1e-7, kept[:, 0], logits)


def _log_scales(scales: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """Logarithms [N, 3]: as they were stored, unless the scale was changed since."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logarithms = np.log(scales.astype(np.float64)).astype(np.float32)
        if kept is None or kept.shape[1] != 3:
            return logarithms
        return np.where(np.abs(np.exp(kept) - scales) <= 1e-6 * scales, kept, logarithms)


def _read_harmonics(points: bpy.types.PointCloud) -> np.ndarray:
    """Coefficients [N, K-1, 3] up to the first missing one, cut to whole degrees."""
    found: list[np.ndarray] = []
    while len(found) < MOST_HARMONICS and (layer := read_layer(points, HARMONIC.format(len(found)))) is not None and layer.shape[1] == 3:
        found.append(layer)
    whole = max(count for count in (0, 3, 8, 15) if count <= len(found))
    return np.stack(found[:whole], axis=1) if whole else np.zeros((len(points.points), 0, 3), np.float32)


def _lengths(quats: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("nk,nk->n", quats, quats, dtype=np.float64))


def _normalised(quats: np.ndarray) -> np.ndarray:
    normalised = np.empty(quats.shape, np.float32)  # the division in float64, its result never as a whole
    return np.divide(quats, _lengths(quats)[:, None], out=normalised, casting="same_kind")


def _linear(scales: np.ndarray) -> np.ndarray:
    linear = np.empty(scales.shape, np.float32)
    return np.exp(np.minimum(scales, LARGEST_LOG_SCALE), out=linear, dtype=np.float64, casting="same_kind")


def resize(target: bpy.types.Object, count: int) -> None:
    """Give the object's point cloud another number of points, for all objects that share it."""
    old = point_cloud(target)
    if can_resize():
        untyped(old).resize(count)
        return
    new = new_points(old.name, count)
    carry_over(old, new)
    name = old.name
    old.user_remap(new)
    bpy.data.pointclouds.remove(old)
    new.name = name
