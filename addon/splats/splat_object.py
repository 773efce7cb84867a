"""Gaussians as a Blender point cloud and back, in the attributes of Blender 5.3's own splats on every version.

`position`; `rotation` (w x y z, normalised); `scale` (linear); `radiance:base` (f_dc raw, opacity after sigmoid);
`radiance:sh_0` and on (RGB of one coefficient each). Ours besides: `radius` for drawing, `splatwright:rest`, the position once
more, and what these numbers cannot hold: `splatwright:logit`, because an opacity near 1 does not hold the digits of its logit, and
where they are needed `splatwright:log_scale`, because a scale near 1 does not hold those of its logarithm, and `splatwright:length`
of quaternions.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial

import bpy
import numpy as np

from ...engine.core.errors import UserError
from ...engine.core.splats.gaussians import LARGEST_LOGIT, Gaussians
from ..scene_collections import writable_collection
from ..typed import current_context, point_cloud, splat_settings, untyped
from ..ui.steps import Steps, in_thread, run_to_end
from . import display, renders
from .attributes import can_resize, layer_steps, new_points, read_layer, write_layers
from .packing import BASE, HARMONIC, LENGTH, LOG_SCALE, LOGIT, POSITION, ROTATION, SCALE, WIDTHS, Layers, degree_of, pack, sigmoid
from .thinning import all_splats

MOST_HARMONICS = 15


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
) -> Steps[bpy.types.Object]:
    """As create_splat_object, in steps; closed early they leave nothing behind."""
    place = writable_collection(collection)
    layers = yield from in_thread(partial(pack, gaussians, display.schema()))
    points = yield from filling_steps(name, layers, antialiased)
    return place_points(name, points, place, antialiased)


def filling_steps(name: str, layers: Layers, antialiased: bool) -> Steps[bpy.types.PointCloud]:
    """A point cloud without users that holds these attributes, which are freed; closed early they leave nothing behind."""
    yield from display.preparing_steps(degree_of(layers), antialiased)
    points = new_points(name, len(layers[POSITION].rows))
    try:
        yield from layer_steps(points, layers)
    except BaseException:
        with suppress(ReferenceError):  # another file was opened
            bpy.data.pointclouds.remove(points)
        raise
    return points


def place_points(name: str, points: bpy.types.PointCloud, place: bpy.types.Collection, antialiased: bool) -> bpy.types.Object:
    """A new splat object of points that were filled."""
    made = bpy.data.objects.new(name, points)
    place.objects.link(made)
    with display.shown_once(made, is_written=True):
        splat_settings(made).is_splat, splat_settings(made).antialiased = True, antialiased
    if not display.draws_natively():
        renders.prepare_once(current_context().scene)
    return made


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
    write_packed(target, pack(gaussians, display.schema(splat_settings(target).display)), antialiased)


def write_packed(target: bpy.types.Object, layers: Layers, antialiased: bool | None = None) -> None:
    """As update_splat_object, of Gaussians that were packed for the object's display."""
    with display.shown_once(target, is_written=True):
        _remember_antialiased(target, antialiased)
        count = len(layers[POSITION].rows)
        if len(point_cloud(target).points) != count:
            resize(target, count)
        _write(point_cloud(target), layers)


def take_points(target: bpy.types.Object, points: bpy.types.PointCloud, antialiased: bool | None = None) -> None:
    """As write_packed, of points that were filled beside: they take the place of the old ones at once, for all who share them."""
    with display.shown_once(target, is_written=True):
        _remember_antialiased(target, antialiased)
        _replace(point_cloud(target), points)


def _remember_antialiased(target: bpy.types.Object, antialiased: bool | None) -> None:
    if antialiased is not None:
        splat_settings(target).antialiased = antialiased


def gaussians_from_object(source: bpy.types.Object, depsgraph: bpy.types.Depsgraph | None = None) -> Gaussians:
    """The Gaussians in the object's own frame; with a depsgraph as its modifiers leave them. UserError for other objects."""
    if depsgraph is None:
        return _read(source.name, point_cloud(source))
    with all_splats(depsgraph):
        geometry = untyped(source.evaluated_get(depsgraph)).evaluated_geometry()  # owns the points: must live while they are read
        if geometry.pointcloud is None:
            return _read(source.name, point_cloud(source)).take(slice(0, 0))
        return _read(source.name, geometry.pointcloud)


def write_gaussians(points: bpy.types.PointCloud, gaussians: Gaussians, shown_as: str = "SPLATS") -> None:
    """Write the schema's attributes; `points` has as many points as there are Gaussians that can be drawn."""
    _write(points, pack(gaussians, display.schema(shown_as)))


def _write(points: bpy.types.PointCloud, layers: Layers) -> None:
    # readers go on until the first harmonic that is missing
    for name in (LOG_SCALE, LENGTH, *(HARMONIC.format(index) for index in range(MOST_HARMONICS))):
        if name not in layers and (stale := points.attributes.get(name)) is not None:
            points.attributes.remove(stale)
    write_layers(points, layers)


def _read(name: str, points: bpy.types.PointCloud) -> Gaussians:
    layers = {layer: read_layer(points, layer) for layer in (POSITION, ROTATION, SCALE, BASE)}
    wrong = [layer for layer, rows in layers.items() if rows is None or rows.shape[1] != WIDTHS[layer]]
    if wrong:
        raise UserError(f"{name} holds no splats: {', '.join(wrong)} is missing or of a wrong type.", "Choose a splat object.",
                        "splats.attributes", name=name, wrong=", ".join(wrong))
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


def resize(target: bpy.types.Object, count: int) -> None:
    """Give the object's point cloud another number of points, for all objects that share it."""
    old = point_cloud(target)
    if can_resize():
        untyped(old).resize(count)
        return
    _replace(old, new_points(old.name, count))


def _replace(old: bpy.types.PointCloud, new: bpy.types.PointCloud) -> None:
    """Let new points take the users, the looks and the name of others."""
    carry_over(old, new)
    name = old.name
    old.user_remap(new)
    bpy.data.pointclouds.remove(old)
    new.name = name
