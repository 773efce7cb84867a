"""Gaussians as a Blender point cloud and back, in the attributes of Blender 5.3's own splats on every version.

`position`; `rotation` (w x y z, normalised); `scale` (linear); `radiance:base` (f_dc raw, opacity after sigmoid);
`radiance:sh_0` and on (RGB of one coefficient each). Ours besides: `radius` for drawing, `splatwright:logit`, because
an opacity near 1 does not hold the digits of its logit, and `splatwright:rest`, the position once more.
"""

from __future__ import annotations

import bpy
import numpy as np

from ..engine.core.errors import UserError
from ..engine.core.gaussians import Gaussians
from ..engine.core.ply import LARGEST_LOGIT, drawable
from . import preview
from .points import Layer, can_resize, has_float4, new_points, read_layer, write_layers

POSITION, ROTATION, SCALE, BASE = "position", "rotation", "scale", "radiance:base"
WIDTHS = {POSITION: 3, ROTATION: 4, SCALE: 3, BASE: 4}
LOGIT = "splatwright:logit"
REST = "splatwright:rest"
"""Where the points were when their rotations and scales were written: tells of a Blender that moved the points alone."""

HARMONIC = "radiance:sh_{}"
MOST_HARMONICS = 15
LARGEST_LOG_SCALE = 80.0  # float32 ends at e^88


def is_splat_object(item: bpy.types.ID | None) -> bool:
    """Whether an object holds Gaussians: a point cloud with rotation, scale and radiance."""
    if not isinstance(item, bpy.types.Object) or item.type != "POINTCLOUD":
        return False
    return all(name in item.data.attributes for name in (BASE, ROTATION, SCALE))


def create_splat_object(name: str, gaussians: Gaussians, collection: bpy.types.Collection | None = None) -> bpy.types.Object:
    """A new splat object at the origin, linked to `collection` or the scene's; selection and mode stay as they are."""
    gaussians = drawable(gaussians)
    points = new_points(name, len(gaussians))
    write_gaussians(points, gaussians)
    made = bpy.data.objects.new(name, points)
    (collection or bpy.context.scene.collection).objects.link(made)
    made.splatwright.is_splat = True
    preview.show(made)
    return made


def update_splat_object(target: bpy.types.Object, gaussians: Gaussians) -> None:
    """Replace the Gaussians of a splat object; its transform, name and materials stay. Pushes no undo step."""
    gaussians = drawable(gaussians)
    if len(target.data.points) != len(gaussians):
        resize(target, len(gaussians))
    write_gaussians(target.data, gaussians)
    preview.show(target)


def gaussians_from_object(source: bpy.types.Object, depsgraph: bpy.types.Depsgraph | None = None) -> Gaussians:
    """The Gaussians in the object's own frame; with a depsgraph as its modifiers leave them. UserError for other objects."""
    if depsgraph is None:
        return _read(source.name, source.data)
    geometry = source.evaluated_get(depsgraph).evaluated_geometry()  # owns the points: must live while they are read
    if geometry.pointcloud is None:
        return _read(source.name, source.data).take(slice(0, 0))
    return _read(source.name, geometry.pointcloud)


def write_gaussians(points: bpy.types.PointCloud, gaussians: Gaussians) -> None:
    """Write the schema's attributes; `points` has as many points as there are Gaussians."""
    base = np.concatenate([gaussians.sh0[:, 0], sigmoid(gaussians.opacities)[:, None]], axis=1)
    layers = {
        POSITION: Layer("FLOAT_VECTOR", gaussians.means),
        REST: Layer("FLOAT_VECTOR", gaussians.means),
        ROTATION: Layer("QUATERNION", _normalised(gaussians.quats)),
        SCALE: Layer("FLOAT_VECTOR", np.exp(np.minimum(gaussians.scales, LARGEST_LOG_SCALE), dtype=np.float64)),
        BASE: Layer("FLOAT4" if has_float4() else "FLOAT_COLOR", base),
        LOGIT: Layer("FLOAT", gaussians.opacities),
    }
    count = gaussians.shN.shape[1]
    layers |= {HARMONIC.format(index): Layer("FLOAT_VECTOR", gaussians.shN[:, index]) for index in range(count)}
    for index in range(count, MOST_HARMONICS):  # readers go on until the first name that is missing
        if (stale := points.attributes.get(HARMONIC.format(index))) is not None:
            points.attributes.remove(stale)
    write_layers(points, layers)


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Opacities [N] in float32."""
    return (0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64))).astype(np.float32)


def _read(name: str, points: bpy.types.PointCloud) -> Gaussians:
    layers = {layer: read_layer(points, layer) for layer in (POSITION, ROTATION, SCALE, BASE)}
    wrong = [layer for layer, rows in layers.items() if rows is None or rows.shape[1] != WIDTHS[layer]]
    if wrong:
        raise UserError(f"{name} holds no splats: {', '.join(wrong)} is missing or of a wrong type.", "Choose a splat object.")
    means, quats, scales, base = (rows for rows in layers.values() if rows is not None)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_scales = np.log(scales.astype(np.float64)).astype(np.float32)
    logits = _logits(base[:, 3], read_layer(points, LOGIT))
    return Gaussians(means, quats, log_scales, logits, base[:, None, :3].copy(), _read_harmonics(points))


def _logits(opacities: np.ndarray, kept: np.ndarray | None) -> np.ndarray:
    """Logits [N]: as they were kept, where nobody changed the opacity since."""
    clipped = opacities.astype(np.float64).clip(0.0, 1.0)
    with np.errstate(divide="ignore"):
        logits = (np.log(clipped) - np.log1p(-clipped)).clip(-LARGEST_LOGIT, LARGEST_LOGIT).astype(np.float32)
    if kept is None or kept.shape[1] != 1:
        return logits
    return np.where(np.abs(sigmoid(kept[:, 0]) - opacities) <= 1e-7, kept[:, 0], logits)


def _read_harmonics(points: bpy.types.PointCloud) -> np.ndarray:
    """Coefficients [N, K-1, 3] up to the first missing one, cut to whole degrees."""
    found: list[np.ndarray] = []
    while len(found) < MOST_HARMONICS and (layer := read_layer(points, HARMONIC.format(len(found)))) is not None and layer.shape[1] == 3:
        found.append(layer)
    whole = max(count for count in (0, 3, 8, 15) if count <= len(found))
    return np.stack(found[:whole], axis=1) if whole else np.zeros((len(points.points), 0, 3), np.float32)


def _normalised(quats: np.ndarray) -> np.ndarray:
    lengths = np.sqrt(np.einsum("nk,nk->n", quats, quats, dtype=np.float64))
    return quats / lengths[:, None]


def resize(target: bpy.types.Object, count: int) -> None:
    """Give the object's point cloud another number of points, for all objects that share it."""
    old = target.data
    if can_resize():
        old.resize(count)
        return
    new = new_points(old.name, count)
    for material in old.materials:
        new.materials.append(material)
    name = old.name
    old.user_remap(new)
    bpy.data.pointclouds.remove(old)
    new.name = name
