"""Where splats stand in the scene: objects by themselves, and the instances of them that collections and modifiers make."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import bpy
import numpy as np

from ...engine.core.errors import UserError
from ...engine.core.splats.gaussians import Gaussians, drawable
from ..typed import current_context, original_of, owner_of, shown_by
from .extras import read_extras
from .splat_object import gaussians_from_object, is_splat_object
from .thinning import all_splats
from .unapplied_transform import has_unapplied_transform, shows_unturned

SMALLEST_VOLUME = 1e-36
"""Of a matrix that is not flat: float32 holds its inverse."""


@dataclass(frozen=True)
class SplatInstance:
    """Gaussians in their own frame, and the matrix [4, 4] that puts them into the scene."""

    gaussians: Gaussians
    matrix: np.ndarray
    extra: np.ndarray | None = None  # [N] with a field for each property of a PLY that splats do not have
    unturned: bpy.types.Object | None = None  # whose points were turned without their splats


def splat_instances(targets: Sequence[bpy.types.Object], depsgraph: bpy.types.Depsgraph) -> list[SplatInstance]:
    """What the objects show, in their order: their own splats as modifiers leave them, then their instances.

    UserError when one of them is scaled to nothing.
    """
    with all_splats(depsgraph):
        return _placed(targets, depsgraph)


def world_means(targets: Sequence[bpy.types.Object]) -> np.ndarray:
    """Where the splats of objects and their instances are in the scene [N, 3]. UserError where there are none."""
    placed = splat_instances(targets, current_context().evaluated_depsgraph_get())
    parts = [drawable(part.gaussians).means @ part.matrix[:3, :3].T + part.matrix[:3, 3] for part in placed]
    if not any(len(part) for part in parts):
        raise UserError("The selected objects hold no splats.", "Select objects that are not empty.", "splats.none_selected")
    return np.concatenate(parts)


def _placed(targets: Sequence[bpy.types.Object], depsgraph: bpy.types.Depsgraph) -> list[SplatInstance]:
    instanced = _instances(set(targets), depsgraph)
    found: list[SplatInstance] = []
    for target in targets:
        if is_splat_object(target):
            matrix = _matrix(target.name, target.evaluated_get(depsgraph).matrix_world)
            unturned = target if shows_unturned(target, depsgraph) else None
            found.append(SplatInstance(gaussians_from_object(target, depsgraph), matrix, read_extras(target, depsgraph), unturned))
        found += instanced.get(target, [])
    return found


def objects_with_splats(depsgraph: bpy.types.Depsgraph) -> set[bpy.types.Object]:
    """The visible objects that show splats, their own or instances."""
    return {owner for owner, shown, _ in _shown(depsgraph) if is_splat_object(shown)}


def may_show_splats(item: bpy.types.Object) -> bool:
    """A quick guess for buttons: whether the object holds splats, or makes instances that could."""
    return is_splat_object(item) or item.instance_type == "COLLECTION" or any(found.type == "NODES" for found in item.modifiers)


def _instances(owners: set[bpy.types.Object], depsgraph: bpy.types.Depsgraph) -> dict[bpy.types.Object, list[SplatInstance]]:
    found: dict[bpy.types.Object, list[SplatInstance]] = {}
    for owner, shown, instance in _shown(depsgraph):
        if instance.is_instance and owner in owners and is_splat_object(shown):
            # The depsgraph takes its objects back when the loop goes on. Their data are as modifiers leave them.
            matrix, unturned = _matrix(owner.name, instance.matrix_world), original_of(shown) if has_unapplied_transform(shown) else None
            placed = SplatInstance(gaussians_from_object(shown), matrix, read_extras(shown), unturned)
            found.setdefault(owner, []).append(placed)
    return found


def _shown(depsgraph: bpy.types.Depsgraph) -> Iterator[tuple[bpy.types.Object, bpy.types.Object, bpy.types.DepsgraphObjectInstance]]:
    """Everything that is visible: the object of the scene that shows it, what it is, and where."""
    for instance in depsgraph.object_instances:
        yield owner_of(instance), shown_by(instance), instance


def _matrix(name: str, matrix_world: object) -> np.ndarray:
    """[4, 4]; UserError when it is flat."""
    matrix = np.array(matrix_world, float)
    if not np.isfinite(matrix).all() or abs(np.linalg.det(matrix[:3, :3])) < SMALLEST_VOLUME:
        raise UserError(f"{name} is scaled to nothing.", "Give it a scale other than zero.", "transform.instance_size", name=name)
    return matrix
