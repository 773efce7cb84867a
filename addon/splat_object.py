"""Gaussians <-> a point cloud object, with the attributes that Blender 5.3 and later read as native splats on every version.

position; rotation (quaternion w x y z, normalised); scale (linear); radiance:base (f_dc raw, opacity after sigmoid);
radiance:sh_0 ... radiance:sh_14 (RGB of one coefficient each).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import bpy
import numpy as np

from ..engine.core.gaussians import Gaussians
from ..engine.core.transform import rotation_matrices
from . import preview

MOST_COEFFICIENTS = 15
OPACITY_MARGIN = 1e-7
"""Opacities keep this distance from 0 and 1, where a logit has no end."""

LOGIT = "opacity_logit"
"""An opacity near 1 rounds its logit away, so the logit itself is kept too, and believed as long as both agree."""

FIELDS = {"FLOAT_VECTOR": "vector", "FLOAT4": "vector", "QUATERNION": "value", "FLOAT": "value", "FLOAT_COLOR": "color"}


@dataclass(frozen=True)
class Column:
    """One attribute of the point cloud."""

    name: str
    kind: str
    values: np.ndarray  # [N] or [N, width] float32


def create_splat_object(name: str, gaussians: Gaussians, collection: bpy.types.Collection | None = None) -> bpy.types.Object:
    """A new splat object at identity in the scene's frame. Selection, active object and mode stay as they are."""
    cloud = _new_cloud(name, gaussians)
    made = bpy.data.objects.new(name, cloud)
    (collection or bpy.context.scene.collection).objects.link(made)
    made.splatwright.is_splat = True
    return made


def update_splat_object(target: bpy.types.Object, gaussians: Gaussians) -> None:
    """Rewrite the splats of an object in place; its transform, materials and modifiers stay. Pushes no undo step."""
    cloud = target.data
    if len(cloud.points) == len(gaussians):
        _fill(cloud, gaussians)
    elif _can_resize(cloud):
        cloud.resize(len(gaussians))
        _fill(cloud, gaussians)
    else:
        target.data = _new_cloud(cloud.name, gaussians)
        if not cloud.users:
            bpy.data.pointclouds.remove(cloud)


def is_splat_object(target: bpy.types.Object | None) -> bool:
    """Whether an object holds splats: ours, or Blender's own."""
    if target is None or target.type != "POINTCLOUD":
        return False
    return {"rotation", "scale", "radiance:base"} <= set(target.data.attributes.keys())


def gaussians_from_object(target: bpy.types.Object, depsgraph: bpy.types.Depsgraph | None = None) -> Gaussians:
    """The splats of an object in its own frame, as its modifiers leave them."""
    cloud = target.evaluated_get(depsgraph or bpy.context.evaluated_depsgraph_get()).data
    base = _read(cloud, "radiance:base", 4)
    return Gaussians(
        means=_read(cloud, "position", 3),
        quats=_read(cloud, "rotation", 4),
        scales=np.log(np.maximum(_read(cloud, "scale", 3), 1e-13)),
        opacities=_read_logits(cloud, base[:, 3]),
        sh0=base[:, None, :3].copy(),
        shN=_read_harmonics(cloud),
    )


def _new_cloud(name: str, gaussians: Gaussians) -> bpy.types.PointCloud:
    cloud = bpy.data.pointclouds.new(name)
    if _can_resize(cloud):
        cloud.resize(len(gaussians))
    else:
        bpy.data.pointclouds.remove(cloud)
        cloud = _converted_cloud(name, len(gaussians))
    _fill(cloud, gaussians)
    if not _make_native(cloud):
        cloud.materials.append(preview.splat_material())
    return cloud


def _can_resize(cloud: bpy.types.PointCloud) -> bool:
    return "resize" in cloud.bl_rna.functions


def _make_native(cloud: bpy.types.PointCloud) -> bool:
    """Blender 5.3 and later draw splats themselves."""
    kind = cloud.bl_rna.properties.get("type")
    if kind is None or "GAUSSIAN_SPLAT" not in kind.enum_items:
        return False
    cloud.type = "GAUSSIAN_SPLAT"
    return True


def _converted_cloud(name: str, count: int) -> bpy.types.PointCloud:
    """A point cloud of `count` points where Python cannot resize one: a mesh, converted in a scene of its own.

    The scene of its own leaves the user's selection, active object and mode alone.
    """
    mesh = bpy.data.meshes.new(name)
    mesh.vertices.add(count)
    carrier = bpy.data.objects.new(name, mesh)
    scene = bpy.data.scenes.new("Splatwright")
    try:
        scene.collection.objects.link(carrier)
        layer = scene.view_layers[0]
        layer.objects.active = carrier
        chosen = {"object": carrier, "active_object": carrier, "selected_objects": [carrier], "selected_editable_objects": [carrier]}
        with bpy.context.temp_override(scene=scene, view_layer=layer, **chosen):
            bpy.ops.object.convert(target="POINTCLOUD")
        cloud = carrier.data
    finally:
        bpy.data.objects.remove(carrier)
        bpy.data.scenes.remove(scene)
        bpy.data.meshes.remove(mesh)
    cloud.name = name
    return cloud


def _fill(cloud: bpy.types.PointCloud, gaussians: Gaussians) -> None:
    """Create every attribute first (creating moves memory), write them, and remove stale harmonics."""
    columns = list(_columns(cloud, gaussians))
    for column in columns:
        found = cloud.attributes.get(column.name)
        if found is not None and found.data_type != column.kind:
            cloud.attributes.remove(found)
            found = None
        if found is None:
            cloud.attributes.new(column.name, column.kind, "POINT")
    for number in range(gaussians.shN.shape[1], MOST_COEFFICIENTS):
        stale = cloud.attributes.get(f"radiance:sh_{number}")
        if stale is not None:
            cloud.attributes.remove(stale)
    for column in columns:
        flat = np.ascontiguousarray(column.values, np.float32).ravel()
        cloud.attributes[column.name].data.foreach_set(FIELDS[column.kind], flat)
    cloud.update_tag()


def _columns(cloud: bpy.types.PointCloud, gaussians: Gaussians) -> Iterator[Column]:
    scales = np.exp(gaussians.scales.astype(np.float64)).astype(np.float32)
    length = np.linalg.norm(gaussians.quats.astype(np.float64), axis=1, keepdims=True)
    quats = (gaussians.quats / np.maximum(length, 1e-30)).astype(np.float32)
    opacity = sigmoid(gaussians.opacities)
    base = np.concatenate([gaussians.sh0[:, 0], opacity[:, None]], axis=1)
    yield Column("position", "FLOAT_VECTOR", gaussians.means)
    yield Column("rotation", "QUATERNION", quats)
    yield Column("scale", "FLOAT_VECTOR", scales)
    yield Column("radiance:base", _base_kind(), base)
    yield Column(LOGIT, "FLOAT", gaussians.opacities)
    for number in range(gaussians.shN.shape[1]):
        yield Column(f"radiance:sh_{number}", "FLOAT_VECTOR", gaussians.shN[:, number])
    for name, kind, values in preview.display_columns(gaussians.sh0[:, 0], opacity, scales, rotation_matrices(quats)):
        yield Column(name, kind, values)


def _base_kind() -> str:
    """FLOAT4 where attributes can be that, else the colour type, which holds the same four floats."""
    return "FLOAT4" if "FLOAT4" in bpy.types.Attribute.bl_rna.properties["data_type"].enum_items else "FLOAT_COLOR"


def _read(cloud: bpy.types.PointCloud, name: str, width: int) -> np.ndarray:
    attribute = cloud.attributes[name]
    out = np.empty(len(cloud.points) * width, np.float32)
    attribute.data.foreach_get(FIELDS[attribute.data_type], out)
    return out.reshape(-1, width)


def _read_logits(cloud: bpy.types.PointCloud, opacity: np.ndarray) -> np.ndarray:
    """Logits [N] of opacities: those kept beside them, where nobody has changed the opacity since."""
    inside = opacity.astype(np.float64).clip(OPACITY_MARGIN, 1 - OPACITY_MARGIN)
    logits = (np.log(inside) - np.log1p(-inside)).astype(np.float32)
    if LOGIT in cloud.attributes:
        kept = _read(cloud, LOGIT, 1)[:, 0]
        logits = np.where(sigmoid(kept).astype(np.float32) == opacity, kept, logits)
    return logits


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Logits to opacities, float64."""
    return 0.5 + 0.5 * np.tanh(0.5 * logits.astype(np.float64))


def _read_harmonics(cloud: bpy.types.PointCloud) -> np.ndarray:
    """Coefficients [N, K-1, 3] of the highest whole degree that is there."""
    count = 0
    while f"radiance:sh_{count}" in cloud.attributes:
        count += 1
    whole = max(number for number in (0, 3, 8, 15) if number <= count)
    if not whole:
        return np.zeros((len(cloud.points), 0, 3), np.float32)
    return np.stack([_read(cloud, f"radiance:sh_{number}", 3) for number in range(whole)], axis=1)
