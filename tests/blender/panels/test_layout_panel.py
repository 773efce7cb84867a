"""What the Layout panel offers, by what is selected."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from tests.blender.conftest import module
from tests.blender.panels.test_panels import Layout
from tests.blender.splats.splat_samples import some_gaussians
from tests.speed import cost
from tests.untyped import bpy

PLACING = ["place_on_ground", "level_ground", "align_to_points", "scale_to_distance", "apply_transform"]


def drawn() -> Layout:
    layout = Layout()
    module("addon.panels.layout").SPLATWRIGHT_PT_layout.draw(SimpleNamespace(layout=layout), bpy.context)
    return layout


@pytest.fixture
def made(fresh_scene: bpy.types.Scene) -> bpy.types.Object:
    made = module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians())
    made.select_set(True)
    return made


def test_the_panel_lies_closed_in_the_splats_tab() -> None:
    panel = bpy.types.SPLATWRIGHT_PT_layout
    assert panel.bl_category == "Splats" and "DEFAULT_CLOSED" in panel.bl_options


def test_without_splats_it_says_what_to_do(fresh_scene: bpy.types.Scene) -> None:
    layout = drawn()
    assert "Select splat objects" in layout.text and not layout.operators


def test_splats_can_be_placed_and_cleaned(made: bpy.types.Object) -> None:
    assert drawn().operators == [*PLACING, "select_floaters", "remove_floaters", "crop", "merge_splats", "split_splats"]


def test_a_crop_can_be_applied_from_its_box(made: bpy.types.Object) -> None:
    bpy.ops.splatwright.crop()
    assert drawn().operators == ["apply_crop"], "the box alone is selected"
    made.select_set(True)
    assert drawn().operators[-1] == "apply_crop" and "place_on_ground" in drawn().operators


def test_edit_mode_has_what_works_there(made: bpy.types.Object) -> None:
    bpy.context.view_layer.objects.active = made
    bpy.ops.splatwright.select_floaters()
    assert drawn().operators == ["select_floaters", "pointcloud.delete", "split_splats"]
    bpy.ops.object.mode_set(mode="OBJECT")


def test_splats_that_blender_moved_alone_are_told(made: bpy.types.Object) -> None:
    layers = module("addon.splats.attributes")
    moved = layers.read_layer(made.data, "position") * np.array([1, 2, 1])
    layers.write_layers(made.data, {"position": layers.Layer("FLOAT_VECTOR", moved)})
    layout = drawn()
    assert "The points of Splats were moved without turning" in layout.text and layout.operators[0] == "fix_unapplied_transform"


def test_drawing_is_quick_with_many_splats(fresh_scene: bpy.types.Scene) -> None:
    made = module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians(300_000, 0))
    made.select_set(True)
    assert cost(drawn) < 0.7
