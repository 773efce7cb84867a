"""Splat objects of which points were moved together while their rotations, scales and harmonics stayed: by Blender's own
Apply Transform or Join, by turning and scaling in Edit Mode, or by Geometry Nodes. Found by comparing each point with where it was
when its splat was written, which is noted in an attribute that travels with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import bpy
import numpy as np

from ...engine.core.errors import UserError
from ...engine.core.splats.gaussians import Gaussians
from ...engine.core.splats.moved_points import MovedGroup, MovedPoints, moved_points
from ...engine.core.splats.surface_normals import turned_normals
from ...engine.core.splats.transform import rebase_gaussians
from ..translations import tr
from ..typed import current_context, point_cloud, untyped
from ..ui.handlers import add_handlers, remove_handlers
from . import display
from .attributes import Layer, read_layer, write_layers
from .extras import read_extras, write_extras
from .packing import POSITION, REST
from .splat_object import gaussians_from_object, is_splat_object, write_gaussians

SMALLEST_VOLUME = 1e-18
FLAT = 1e-5
"""Share of a map's largest scale below which a direction counts as flattened."""

NOTHING = "There is nothing to fix."
"""The hint where all is well."""

_known: dict[int, str] = {}
"""What panels were told, by the object's session_uid; forgotten when geometry changes."""


@dataclass(frozen=True)
class Fix:
    """What was done to an object, and what could not be."""

    fixed: int = 0  # rows
    sentences: list[str] = field(default_factory=list)
    """about what is left as it was"""


def find_moved(points: bpy.types.PointCloud) -> MovedPoints | None:
    """What happened to the points since their splats were written; None where that was not noted, as in splats of other programs."""
    rest, moved = read_layer(points, REST), read_layer(points, POSITION)
    if rest is None or moved is None or rest.shape[1] != 3:
        return None
    return moved_points(rest, moved)


def has_unapplied_transform(target: bpy.types.Object) -> bool:
    """Whether points of an object were turned, scaled or sheared without their splats. Every point is looked at."""
    return is_splat_object(target) and _turned(find_moved(point_cloud(target)))


def shows_unturned(target: bpy.types.Object, depsgraph: bpy.types.Depsgraph) -> bool:
    """As has_unapplied_transform, of the points as an object's modifiers leave them; thinned out where the depsgraph has them so."""
    geometry = untyped(target.evaluated_get(depsgraph)).evaluated_geometry()  # owns the points: must live while they are read
    return geometry.pointcloud is not None and _turned(find_moved(geometry.pointcloud))


def warning(target: bpy.types.Object) -> str:
    """A sentence where points were, or are by modifiers, turned without their splats; empty where they were not.

    For panels, which ask at every redraw: remembered until geometry changes.
    """
    key = target.session_uid
    if key not in _known:
        _known[key] = unturned_sentence(target) if _is_unturned(target) else ""
    return _known[key]


def unturned_sentence(target: bpy.types.Object) -> str:
    """The warning about an object that shows points which were turned without their splats."""
    return unapplied_transform_sentence(target) if has_unapplied_transform(target) else turning_modifiers_sentence(target)


def unapplied_transform_sentence(target: bpy.types.Object) -> str:
    """The warning about an object whose transform is not applied to its splats."""
    return (tr("The points of {target} were moved without turning their splats, as Blender's own Apply Transform and Join do: press Fix "
               "Unapplied Transform.", target=target.name))


def turning_modifiers_sentence(target: bpy.types.Object) -> str:
    """The warning about an object whose modifiers turn its points alone."""
    names = ", ".join(modifier.name for modifier in target.modifiers if modifier.type == "NODES")
    return (tr("Modifiers of {target} ({names}) turn its points without their splats: apply them and press Fix Unapplied Transform, or "
               "turn the object instead.", target=target.name, names=names))


def fix_unapplied_transform(target: bpy.types.Object) -> Fix:
    """Turn, scale and shear the Gaussians as their points were, each group of rows by its own map. Pushes no undo step.

    UserError when nothing can be fixed: because all fits, because points were flattened or moved one by one, or because nobody noted
    where they were.
    """
    moved = find_moved(point_cloud(target))
    if moved is None:
        raise UserError(f"Nobody noted where the splats of {target.name} were, so it cannot be told whether they fit their points.",
                        "Splats that Splatwright imports or writes carry that note.", "transform.no_note", target=target.name)
    sound = [group for group in moved.turned if not _is_flat(group)]
    left = _left(target, moved, sum(len(group.rows) for group in moved.turned if _is_flat(group)))
    if not sound:
        raise UserError(*_nothing_fixed(target, left))
    arrays, stands = gaussians_from_object(target).arrays(), _linear(target)
    extra = read_extras(target)
    for group in sound:
        extra = turned_normals(extra, group.matrix, group.rows)
        turned = rebase_gaussians(Gaussians(**arrays).take(group.rows), stands @ group.matrix, stands).arrays()
        for name in ("quats", "scales", "shN"):
            arrays[name][group.rows] = turned[name]
    _write(target, Gaussians(**arrays), _untouched(moved))
    if extra is not None:
        write_extras(target, extra)
    return Fix(sum(len(group.rows) for group in sound), left)


def fix_if_needed(target: bpy.types.Object) -> None:
    """Before splats are written anew, which notes where they are: afterwards nobody could tell that they had not been turned."""
    if has_unapplied_transform(target) and any(not _is_flat(group) for group in _groups(target)):
        fix_unapplied_transform(target)


def _groups(target: bpy.types.Object) -> list[MovedGroup]:
    moved = find_moved(point_cloud(target))
    return moved.turned if moved is not None else []


def _linear(target: bpy.types.Object) -> np.ndarray:
    """How an object turns and stretches [4, 4]: harmonics of what was joined to a stretched one turn as they stood in the scene."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.array(target.matrix_world, float)[:3, :3]
    return matrix if abs(np.linalg.det(matrix)) > SMALLEST_VOLUME else np.eye(4)


def _is_unturned(target: bpy.types.Object) -> bool:
    if has_unapplied_transform(target):
        return True
    depsgraph = untyped(current_context().view_layer).depsgraph  # as it is: a panel that is drawn must not evaluate
    return bool(target.modifiers) and depsgraph is not None and target.visible_get() and shows_unturned(target, depsgraph)


def _turned(moved: MovedPoints | None) -> bool:
    return moved is not None and bool(moved.turned)


def _is_flat(group: MovedGroup) -> bool:
    values = np.linalg.svd(group.matrix[:3, :3], compute_uv=False)
    return bool(values.min() < FLAT * max(values.max(), 1.0))


def _untouched(moved: MovedPoints) -> np.ndarray:
    """Rows whose note stays as it is: what happened to them is not settled."""
    return np.concatenate([moved.loose, moved.unknown, *(group.rows for group in moved.turned if _is_flat(group))]).astype(int)


def _left(target: bpy.types.Object, moved: MovedPoints, flat: int) -> list[str]:
    """Sentences about rows that cannot be fixed."""
    name, sentences = target.name, []
    if flat:
        sentences.append(tr("{flat:,} splats of {name} were flattened: they cannot be recovered.", flat=flat, name=name))
    if len(moved.loose):
        sentences.append(tr("{count:,} splats of {name} were moved one by one or bent: how they should be turned cannot be known.",
                            count=len(moved.loose), name=name))
    if len(moved.unknown):
        sentences.append(tr("{count:,} splats of {name} come from an object that did not note where they were: whether they were turned "
                            "cannot be known.", count=len(moved.unknown), name=name))
    return sentences


def _nothing_fixed(target: bpy.types.Object, left: list[str]) -> tuple[str, str]:
    """Message and hint."""
    if left:
        return " ".join(left), "Undo, or import them again."
    if _is_unturned(target):
        return turning_modifiers_sentence(target), "The splats themselves fit their points."
    return tr("The splats of {target} fit their points.", target=target.name), NOTHING


def _write(target: bpy.types.Object, gaussians: Gaussians, untouched: np.ndarray) -> None:
    before = read_layer(point_cloud(target), REST)
    quats = np.where(gaussians.quats.any(axis=1, keepdims=True), gaussians.quats, np.array([1, 0, 0, 0], np.float32))
    with display.shown_once(target):
        write_gaussians(point_cloud(target), replace(gaussians, quats=quats))
    rest = read_layer(point_cloud(target), REST)
    if len(untouched) and before is not None and rest is not None:
        rest[untouched] = before[untouched]
        write_layers(point_cloud(target), {REST: Layer("FLOAT_VECTOR", rest)})


@bpy.app.handlers.persistent
def _forget(*given: Any) -> None:
    """Geometry changed, or another file or state of it is shown."""
    depsgraph = given[1] if len(given) > 1 else None
    if not isinstance(depsgraph, bpy.types.Depsgraph) or any(update.is_updated_geometry for update in depsgraph.updates):
        _known.clear()


_HANDLERS = tuple((name, _forget) for name in ("depsgraph_update_post", "load_post", "undo_post", "redo_post"))


def register() -> None:
    add_handlers(_HANDLERS)


def unregister() -> None:
    remove_handlers(_HANDLERS)
    _known.clear()
