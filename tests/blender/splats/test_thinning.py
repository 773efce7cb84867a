"""How many splats viewports show, and that renders and exports have them all."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.blender.conftest import module
from tests.blender.splats.splat_samples import assert_same, keep_first, some_gaussians
from tests.untyped import bpy


@pytest.fixture
def detail(fresh_scene: bpy.types.Scene) -> ModuleType:
    return module("addon.splats.thinning")


def create(count: int) -> bpy.types.Object:
    return module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians(count))


def shown(target: bpy.types.Object) -> np.ndarray:
    """Places [N, 3] of the splats that viewports show."""
    bpy.context.view_layer.update()
    geometry = target.evaluated_get(bpy.context.evaluated_depsgraph_get()).evaluated_geometry()
    return module("addon.splats.attributes").read_layer(geometry.pointcloud, "position")


@pytest.mark.parametrize(("stride", "most", "step"), [(1, 2_000_000, 1), (3, 2_000_000, 3), (1, 1000, 3), (5, 1000, 5), (2, 1000, 3)])
def test_viewports_show_every_nth(detail: ModuleType, stride: int, most: int, step: int) -> None:
    made = create(2500)
    made.splatwright.stride, made.splatwright.most_shown = stride, most
    assert detail.step_of(made) == step
    assert np.array_equal(shown(made), some_gaussians(2500).means[::step])
    assert (detail.MODIFIER in made.modifiers) == (step > 1)


def test_exports_and_renders_have_them_all(detail: ModuleType, tmp_path: Path) -> None:
    made = create(100)
    made.splatwright.stride = 7
    world = module("addon.splats.exporting").world_gaussians([made]).gaussians
    assert_same(world, some_gaussians(100))
    assert not made.modifiers[0].show_render and made.modifiers[0].show_viewport
    assert len(shown(made)) == 15
    bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "a.ply"))
    assert len(module("engine.core.formats.ply").read_ply(tmp_path / "a.ply").gaussians) == 100


def test_thinned_splats_keep_their_material(detail: ModuleType) -> None:
    made = create(100)
    made.splatwright.stride = 4
    bpy.context.view_layer.update()
    evaluated = made.evaluated_get(bpy.context.evaluated_depsgraph_get()).data
    assert len(evaluated.points) == 25 and [found.original for found in evaluated.materials] == list(made.data.materials)


def test_instances_of_thinned_splats_are_exported_whole(detail: ModuleType) -> None:
    made = create(100)
    made.splatwright.stride = 4
    collection = bpy.data.collections.new("Things")
    collection.objects.link(made)
    bpy.ops.object.collection_instance_add(collection="Things", location=(5, 0, 0))
    instance = bpy.context.active_object
    bpy.context.view_layer.update()
    world = module("addon.splats.exporting").world_gaussians([instance]).gaussians
    assert len(world) == 100 and np.allclose(world.means, some_gaussians(100).means + np.array([5, 0, 0]), atol=1e-5)


def test_other_modifiers_still_count(detail: ModuleType) -> None:
    made = create(100)
    made.splatwright.stride = 4
    keep_first(made, 40)
    assert_same(module("addon.splats.exporting").world_gaussians([made]).gaussians, some_gaussians(100).take(slice(0, 40)))


def test_a_training_that_grows_is_thinned_anew(detail: ModuleType) -> None:
    made = create(500)
    made.splatwright.most_shown = 1000
    assert not made.modifiers
    module("addon.splats.splat_object").update_splat_object(made, some_gaussians(3000))
    assert len(shown(made)) == 1000
    module("addon.splats.splat_object").update_splat_object(made, some_gaussians(900))
    assert len(shown(made)) == 900 and not made.modifiers


def test_objects_of_one_detail_share_their_nodes(detail: ModuleType) -> None:
    for stride in (3, 3, 4):
        create(50).splatwright.stride = stride
    assert len(bpy.data.node_groups) == 2


def test_detail_comes_back_from_a_saved_file(detail: ModuleType, tmp_path: Path) -> None:
    create(100).splatwright.stride = 10
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "a.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "a.blend"))
    again = bpy.data.objects["Splats"]
    assert again.splatwright.stride == 10 and len(shown(again)) == 10
    again.splatwright.stride = 1
    assert len(shown(again)) == 100
