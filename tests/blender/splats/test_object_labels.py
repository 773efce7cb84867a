"""Splats that know their object: split by it, each part where its source stood; selected by it; and sentences where they do not know it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.blender.conftest import module
from tests.blender.splats.on_splats import run
from tests.scenes import colored_ball
from tests.untyped import bpy

TURNED = ((0.0, -2.0, 0.0, 1.0), (2.0, 0.0, 0.0, -3.0), (0.0, 0.0, 2.0, 0.5), (0.0, 0.0, 0.0, 1.0))
"""Twice as large, turned by 90° around Z, at (1, -3, 0.5)."""


def brought_in(folder: Path, labels: np.ndarray, names: dict[int, Any] | None = None) -> bpy.types.Object:
    """A ball of splats with these labels [N], imported, with the labels.json that names them."""
    extra = np.zeros(len(labels), [("label", "f4"), ("nx", "f4"), ("ny", "f4"), ("nz", "f4")])
    extra["label"], extra["nx"] = labels, 1.0
    module("engine.core.formats.ply").write_ply(folder / "result.ply", colored_ball(len(labels)), extra=extra)
    if names is not None:
        made = module("engine.core.datasets.labels")
        made.write_labels(folder / "labels.json", [made.Label(number, name, matrix=matrix) for number, (name, matrix) in names.items()])
    found, _ = module("addon.splats.importing").import_splats(folder / "result.ply")
    for other in bpy.context.selected_objects:
        other.select_set(False)
    found.select_set(True)
    bpy.context.view_layer.objects.active = found
    return found


UPRIGHT = tuple(tuple(float(row == column) for column in range(4)) for row in range(4))


def seen(targets: list[bpy.types.Object]) -> np.ndarray:
    """Places and normals of all splats in the world, sorted."""
    world = module("addon.splats.exporting").world_gaussians(targets)
    normals = np.column_stack([world.extra[name] for name in ("nx", "ny", "nz")])
    rows = np.column_stack([world.gaussians.means, world.gaussians.scales.sum(axis=1), normals])
    return rows[np.lexsort(rows[:, :3].round(3).T)]


def test_split_by_object_and_merged_again(layout: ModuleType, tmp_path: Path) -> None:
    labels = np.arange(300) % 3
    ball = brought_in(tmp_path, labels, {1: ("Stuhl 椅子", TURNED), 2: ("Table", UPRIGHT)})
    ball.location, ball.scale = (0.0, 0.0, 2.0), (1.5, 1.5, 1.5)
    bpy.context.view_layer.update()
    before = seen([ball])
    counted = module("addon.splats.object_labels").counts_of(ball)
    assert [(label.name, count) for label, count in counted] == [("Stuhl 椅子", 100), ("Table", 100)]
    assert run("split_by_object") == {"FINISHED"}
    parts = list(bpy.context.selected_objects)
    assert sorted(part.name for part in parts) == ["Stuhl 椅子 Splats", "Table Splats"]
    chair = bpy.data.objects["Stuhl 椅子 Splats"]
    assert np.allclose(chair.location, (1.5, -4.5, 2.75)) and np.allclose(chair.scale, 1)
    assert np.allclose(chair.rotation_euler, (0, 0, np.pi / 2), atol=1e-6)
    assert [collection.name for collection in chair.users_collection] == ["result by Object"]
    assert [len(part.data.points) for part in (*parts, ball)] == [100, 100, 100]
    np.testing.assert_allclose(seen([*parts, ball]), before, atol=2e-4)
    for part in (*parts, ball):
        part.select_set(True)
    bpy.context.view_layer.objects.active = ball
    assert run("merge_splats") == {"FINISHED"}
    np.testing.assert_allclose(seen([bpy.context.active_object]), before, atol=2e-4)


def test_where_all_splats_have_an_object_none_is_left_over(layout: ModuleType, tmp_path: Path) -> None:
    """And without a labels.json objects are numbered."""
    ball = brought_in(tmp_path, 1 + np.arange(60) % 2)
    assert run("split_by_object") == {"FINISHED"}
    assert sorted(part.name for part in bpy.context.selected_objects) == ["Object 1 Splats", "Object 2 Splats"]
    assert ball in list(bpy.context.selected_objects)


def test_a_later_result_takes_no_part_s_place(layout: ModuleType, tmp_path: Path) -> None:
    ball = brought_in(tmp_path, 1 + np.arange(60) % 2)
    ball.splatwright.job = "a job"
    assert run("split_by_object") == {"FINISHED"}
    assert [part.splatwright.job for part in bpy.context.selected_objects] == ["", ""]


def test_numbers_that_no_map_can_hold_are_no_labels(layout: ModuleType, tmp_path: Path) -> None:
    ball = brought_in(tmp_path, np.array([1, 2, -3, 70_000, 3e9, np.inf, 1, 0.4] * 5))
    counts = module("addon.splats.object_labels").counts_of(ball)
    assert [(label.number, count) for label, count in counts] == [(1, 10), (2, 5)]


def test_select_by_object(layout: ModuleType, tmp_path: Path) -> None:
    ball = brought_in(tmp_path, np.arange(90) % 3, {1: ("One", UPRIGHT)})
    assert run("select_by_object", label=1) == {"FINISHED"} and ball.mode == "EDIT"
    bpy.ops.object.mode_set(mode="OBJECT")
    chosen = module("addon.splats.subsets").selected_points(ball.data)
    assert chosen.sum() == 30 and chosen[1] and not chosen[0]
    with pytest.raises(RuntimeError, match="have the label 7"):
        run("select_by_object", label=7)


@pytest.mark.parametrize(("labels", "words"), [(np.ones(30), "show one object"), (1 + np.arange(1100), "more than 1000")])
def test_what_cannot_be_split_is_one_sentence(layout: ModuleType, tmp_path: Path, labels: np.ndarray, words: str) -> None:
    ball = brought_in(tmp_path, labels)
    with pytest.raises(RuntimeError, match=words):
        run("split_by_object")
    assert len(ball.data.points) == len(labels) and not [found for found in bpy.data.collections if "by Object" in found.name]


def test_splats_without_labels_are_not_asked(layout: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "plain.ply"
    module("engine.core.formats.ply").write_ply(path, colored_ball(50))
    made, _ = module("addon.splats.importing").import_splats(path)
    bpy.context.view_layer.objects.active = made
    assert not bpy.ops.splatwright.split_by_object.poll() and not module("addon.splats.object_labels").counts_of(made)


@pytest.mark.parametrize("text", ["", "{", '{"labels": 5}', '{"labels": [{"number": "x", "name": 3}]}'])
def test_a_damaged_list_of_names_costs_the_names_alone(layout: ModuleType, tmp_path: Path, text: str) -> None:
    (tmp_path / "labels.json").write_text(text)
    ball = brought_in(tmp_path, np.arange(30) % 3)
    assert [label.name for label, _ in module("addon.splats.object_labels").counts_of(ball)] == ["Object 1", "Object 2"]
    ball["splatwright_labels"] = text
    assert module("addon.splats.object_labels").names_of(ball) == {}
