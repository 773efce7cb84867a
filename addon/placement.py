"""Placing splat objects and posed photos in the scene: onto the ground, by three points, at a measured scale.

Objects are moved; splats, cameras and points themselves stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import bpy
import numpy as np
from mathutils import Matrix, Vector

from ..engine.core.errors import UserError
from ..engine.core.splats.gaussians import drawable
from ..engine.core.splats.placing import bottoms, ground_plane, levelling, lowest_height, scale_factor, scaling_about, three_point_alignment
from .photos.posed_photos import camera_places, sparse_cloud, sparse_places
from .splats.attributes import read_layer
from .splats.instances import splat_instances
from .splats.subsets import selected_points
from .typed import current_context, point_cloud

UP = 1e-4
"""How far above the top a ray for the ground starts, and below what it met it goes on, as a share of the splats' extent."""

SOLID = 5.0
"""Logit of opacity that a point counts as."""

HELD = 1e-4
"""Relative difference between where an object was put and where it is, beyond what rounding does."""


def place_on_ground(targets: Sequence[bpy.types.Object], ignored: float = 0.01, surfaces: bool = False, with_parent: bool = True) -> None:
    """Move objects up or down until their splats stand on z = 0, or on the meshes below them.

    `ignored`: share of the splats that may lie lower. UserError for objects without splats, or that cannot be moved.
    """
    for mover, moved in families(targets, with_parent).items():
        places = world_places(moved)
        height = lowest_height(places.bottoms, places.opacities, ignored)
        ground = _surface_below(places.means, {mover, *moved, *mover.children_recursive}) if surfaces else 0.0
        move(mover, np.array(Matrix.Translation((0, 0, ground - height))))


def turn_over(targets: Sequence[bpy.types.Object]) -> None:
    """Turn objects by half a turn about their own X axis: what was read in OpenGL's axes stands as if read in SuperSplat's."""
    for target in targets:
        target.matrix_world = target.matrix_world @ Matrix.Diagonal((1, -1, -1, 1))


def align_to_points(targets: Sequence[bpy.types.Object], points: np.ndarray, flip: bool = False, with_parent: bool = True) -> None:
    """Turn and move objects so that three points [3, 3] of the scene lie on the ground: the first at the origin, the second on
    the X axis. Most splats end above the ground, or below with `flip`. UserError for points on a line.
    """
    above = np.median(world_places(targets).means, axis=0)
    middle = np.asarray(points, np.float64)[0]
    matrix = three_point_alignment(points, 2 * middle - above if flip else above)
    for mover in families(targets, with_parent):
        move(mover, matrix)


def level_ground(targets: Sequence[bpy.types.Object], flip: bool = False, with_parent: bool = True) -> float:
    """Turn and move objects so that the plane which most of their points lie on becomes z = 0; returns the share that lies on it.

    Above the ground are the cameras of posed photos, else most of the splats; below with `flip`. UserError where there is no plane.
    """
    means, cameras = world_places(targets).means, camera_places(targets)
    above = np.median(cameras if len(cameras) else means, axis=0)
    place, normal, share = ground_plane(means, above)
    for mover in families(targets, with_parent):
        move(mover, levelling(place, -normal if flip else normal))
    return share


def scale_to_distance(
    targets: Sequence[bpy.types.Object], first: np.ndarray, second: np.ndarray, distance: float, with_parent: bool = True,
) -> float:
    """Scale objects about the first point [3] so that the second one is `distance` metres away; returns the factor."""
    factor = scale_factor(first, second, distance)
    for mover in families(targets, with_parent):
        move(mover, scaling_about(first, factor))
    return factor


@dataclass(frozen=True)
class Places:
    """Where splats are in the scene."""

    means: np.ndarray  # [N, 3]
    bottoms: np.ndarray  # [N], down to where half the alpha is gone
    opacities: np.ndarray  # [N], logits


def world_places(targets: Sequence[bpy.types.Object]) -> Places:
    """Where the splats of objects and their instances are, and the points of posed photos. UserError where there are none."""
    parts = [(drawable(part.gaussians), part.matrix) for part in splat_instances(targets, current_context().evaluated_depsgraph_get())]
    points = sparse_places(targets)
    if not len(points) and not any(len(gaussians) for gaussians, _ in parts):
        raise UserError("The selected objects hold no splats and no points of photos.", "Select objects that are not empty.",
                        "placing.nothing")
    return Places(
        np.concatenate([points, *(gaussians.means @ matrix[:3, :3].T + matrix[:3, 3] for gaussians, matrix in parts)]),
        np.concatenate([points[:, 2], *(bottoms(gaussians, matrix) for gaussians, matrix in parts)]),
        np.concatenate([np.full(len(points), SOLID), *(gaussians.opacities for gaussians, _ in parts)]),
    )


def families(targets: Sequence[bpy.types.Object], with_parent: bool) -> dict[bpy.types.Object, list[bpy.types.Object]]:
    """What has to be moved, and the targets that move with it: the topmost parent, so that cameras stay with their splats."""
    found: dict[bpy.types.Object, list[bpy.types.Object]] = {}
    for target in targets:
        mover = target
        while with_parent and mover.parent is not None:
            mover = mover.parent
        found.setdefault(mover, []).append(target)
    if not with_parent:  # a child goes where its parent goes, and must not go twice
        found = {mover: own for mover, own in found.items() if not any(parent in found for parent in _parents(mover))}
    return found


def move(mover: bpy.types.Object, matrix: np.ndarray) -> None:
    """Put an object through a motion [4, 4] of the scene. UserError, and nothing moved, when something holds it."""
    before, stood = mover.matrix_basis.copy(), mover.matrix_world.copy()
    wanted = Matrix(matrix.tolist()) @ stood
    mover.matrix_world = wanted
    current_context().view_layer.update()
    if not _alike(np.array(mover.matrix_world), np.array(wanted), np.array(stood)):
        mover.matrix_basis = before
        current_context().view_layer.update()
        raise UserError(f"{mover.name} is held by a constraint or a stretched parent.", "Remove that, or move the parent too.",
                        "placing.held", mover=mover.name)


def _alike(found: np.ndarray, wanted: np.ndarray, before: np.ndarray) -> bool:
    """Whether a matrix [4, 4] is the wanted one but for rounding, which is as coarse as the numbers that went into it."""
    axes, place = HELD * np.abs(wanted[:3, :3]).max(), HELD * max(np.abs(wanted[:3, 3]).max(), np.abs(before[:3, 3]).max())
    return bool(np.abs(found - wanted)[:3, :3].max() <= axes and np.abs(found - wanted)[:3, 3].max() <= place)


def selected_places(targets: Sequence[bpy.types.Object]) -> np.ndarray:
    """Places in the scene [P, 3] of the points that are selected in Edit Mode."""
    found = [np.zeros((0, 3))]
    for target in (sparse_cloud(target) or target for target in targets):
        positions = read_layer(point_cloud(target), "position") if target.type == "POINTCLOUD" else None
        if positions is not None:
            matrix = np.array(target.matrix_world, float)
            found.append(positions[selected_points(point_cloud(target))] @ matrix[:3, :3].T + matrix[:3, 3])
    return np.concatenate(found)


def _parents(item: bpy.types.Object) -> list[bpy.types.Object]:
    found: list[bpy.types.Object] = []
    while item.parent is not None:
        item = item.parent
        found.append(item)
    return found


def _surface_below(means: np.ndarray, own: set[bpy.types.Object]) -> float:
    """Height of the highest mesh under the middle of the splats; z = 0 where there is none."""
    low, high = np.quantile(means, (0.01, 0.99), axis=0)
    step = max(UP * float((high - low).max()), 4 * float(np.spacing(np.float32(np.abs([low, high]).max()))))
    start = Vector(((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, high[2] + step))
    depsgraph = current_context().evaluated_depsgraph_get()
    while True:
        hit, place, _, _, found, _ = current_context().scene.ray_cast(depsgraph, start, Vector((0, 0, -1)))
        if not hit:
            return 0.0
        if found.original not in own:
            return float(place.z)
        start = place - Vector((0, 0, step))
