"""Splats that know the object that they show: by their attribute `ply:label`, and the names that the object keeps of its labels."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import bpy
import numpy as np
from mathutils import Matrix

from ...engine.core.datasets.labels import LABELS, LARGEST, Label, labels_from_text, labels_to_json, read_labels
from ...engine.core.errors import UserError
from ..scene_collections import writable_collection
from ..translations import tr
from ..typed import point_cloud, splat_settings
from . import display
from .apply_transform import stand_at
from .clean import copy_part
from .extras import EXTRA
from .subsets import keep_points, read_one, select_points

ATTRIBUTE = EXTRA.format("label")

NAMES = "splatwright_labels"
"""The custom property of a splat object that says, as labels.json does, what its labels are."""

MOST_SPLIT = 1000
"""Objects that one split makes; more would take Blender minutes."""


def keep_names(target: bpy.types.Object, folder: Path) -> None:
    """Let an object remember the labels.json that lies beside its splats, if there is one; without it labels have numbers alone."""
    with suppress(UserError):
        if (folder / LABELS).exists():
            target[NAMES] = labels_to_json(read_labels(folder / LABELS))


def labels_of(target: bpy.types.Object) -> np.ndarray | None:
    """The label of each splat, int [N], 0: none; None where splats have no labels. What no label map can hold is none."""
    points = point_cloud(target)
    attribute = points.attributes.get(ATTRIBUTE)
    layer = read_one(attribute, len(points.points)) if attribute is not None else None
    if layer is None or layer.rows.shape[1] != 1:
        return None
    labels = np.nan_to_num(layer.rows[:, 0], posinf=0, neginf=0).round()
    return np.where((labels > 0) & (labels <= LARGEST), labels, 0).astype(np.int64)


def has_labels(target: bpy.types.Object) -> bool:
    """Whether splats know their object."""
    return ATTRIBUTE in point_cloud(target).attributes


def names_of(target: bpy.types.Object) -> dict[int, Label]:
    """What the object remembers of its labels, by number."""
    text = target.get(NAMES)
    with suppress(ValueError, KeyError, TypeError, AttributeError):
        return {label.number: label for label in labels_from_text(text)} if isinstance(text, str) else {}
    return {}


def counts_of(target: bpy.types.Object) -> list[tuple[Label, int]]:
    """Each label that splats have, and of how many, most first. Quick enough for panels: some milliseconds for a million."""
    labels = labels_of(target)
    if labels is None:
        return []
    known, counts = names_of(target), np.bincount(labels)
    found = [(known.get(number) or unnamed(number), int(counts[number])) for number in np.flatnonzero(counts).tolist() if number]
    return sorted(found, key=lambda each: -each[1])


def unnamed(number: int) -> Label:
    """A label that nothing is known of."""
    return Label(number, tr("Object {number}", number=number))


def select_label(target: bpy.types.Object, number: int) -> int:
    """Select in Edit Mode exactly the splats of a label; how many there are. UserError where there are none."""
    labels = labels_of(target)
    chosen = labels == number if labels is not None else np.zeros(0, bool)
    if not chosen.any():
        raise UserError(f"No splats of {target.name} have the label {number}.", "Choose another object.", "labels.none_of",
                        target=target.name, number=number)
    select_points(point_cloud(target), chosen)
    return int(chosen.sum())


def split_by_object(target: bpy.types.Object) -> list[bpy.types.Object]:
    """A splat object for each label, in a collection of their own: named like its source, with its origin and its turn as they were at
    capture. Splats without a label stay in `target`, which is one of the parts where all have one. Pushes no undo step.

    UserError where splats have no labels, all have the same, or there are too many.
    """
    labels = labels_of(target)
    if labels is None:
        raise UserError(f"The splats of {target.name} do not know their object.",
                        "Capture with Objects switched on, and train on that dataset.", "labels.no_labels", target=target.name)
    numbers = [int(number) for number in np.unique(labels) if number]
    if len(numbers) + bool((labels == 0).any()) < 2:
        raise UserError(f"All splats of {target.name} show one object.", "There is nothing to split.", "labels.one_object",
                        target=target.name)
    if len(numbers) > MOST_SPLIT:
        raise UserError(f"The splats of {target.name} show {len(numbers)} objects, more than {MOST_SPLIT}.",
                        "Select one in the list of objects, and split the selection.", "labels.too_many", target=target.name,
                        count=len(numbers), most=MOST_SPLIT)
    known, stood, place = names_of(target), np.array(target.matrix_world, float), _collection_for(target)
    kept = labels == 0 if (labels == 0).any() else labels == numbers.pop()
    made = [(copy_part(target, labels == number), number) for number in numbers]
    keep_points(target, kept)
    splat_settings(target).job = ""  # a later result is whole splats again, not a part's
    if labels[kept][0]:
        made.append((target, int(labels[kept][0])))
    for part, number in made:
        _settle(part, known.get(number) or unnamed(number), stood, place)
    return [part for part, _ in made]


def _settle(part: bpy.types.Object, label: Label, stood: np.ndarray, place: bpy.types.Collection) -> None:
    """Name a part like its source, and give it its origin and its turn, where the whole stood at a matrix [4, 4]."""
    part.name = tr("{name} Splats", name=label.name)
    for collection in part.users_collection:
        collection.objects.unlink(part)
    place.objects.link(part)
    display.show(part)
    location, turn, _ = Matrix((stood @ np.array(label.matrix, float)).tolist()).decompose()
    stand_at(part, np.array(Matrix.LocRotScale(location, turn, None), float))


def _collection_for(target: bpy.types.Object) -> bpy.types.Collection:
    made = bpy.data.collections.new(tr("{name} by Object", name=target.name))
    writable_collection(target.users_collection[0] if target.users_collection else None).children.link(made)
    return made
