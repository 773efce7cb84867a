"""Apply Transform to Splats, what Blender's own leaves behind, instances in the export, and splats of older files."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from mathutils import Euler, Matrix

from tests.blender.conftest import module
from tests.blender.splats.splat_samples import assert_same, keep_first, some_gaussians
from tests.untyped import bpy


@pytest.fixture
def splat_object(fresh_scene: bpy.types.Scene) -> ModuleType:
    return module("addon.splats.splat_object")


def splats(gaussians: Any, name: str = "Splats", collection: bpy.types.Collection | None = None) -> bpy.types.Object:
    made = module("addon.splats.splat_object").create_splat_object(name, gaussians, collection)
    made.select_set(collection is None)
    bpy.context.view_layer.update()
    return made


def seen(*targets: bpy.types.Object) -> Any:
    return module("addon.splats.exporting").world_gaussians(targets).gaussians


def covariances(gaussians: Any) -> np.ndarray:
    axes = module("engine.core.splats.transform").rotation_matrices(gaussians.quats) * np.exp(gaussians.scales)[:, None, :]
    return axes @ axes.transpose(0, 2, 1)


def assert_looks_same(one: Any, other: Any) -> None:
    """The same picture; axes of a Gaussian may have changed places."""
    np.testing.assert_allclose(one.means, other.means, atol=2e-5)
    np.testing.assert_allclose(covariances(one), covariances(other), atol=2e-5 * covariances(other).max())
    np.testing.assert_allclose(one.shN, other.shN, atol=2e-5)


def put(made: bpy.types.Object, scale: tuple[float, float, float] = (1, 1, 1)) -> bpy.types.Object:
    made.location, made.rotation_euler, made.scale = (1, 2, 3), (0.3, 0.5, 0.7), scale
    bpy.context.view_layer.update()
    return made


# Apply Transform


@pytest.mark.parametrize("scale", [(2, 2, 2), (1, 2, 0.5), (-1, 1, 1), (-2, -2, -2), (1, -3, 0.5)])
@pytest.mark.parametrize("parts", [(True, True, True), (False, False, True), (False, True, False), (True, False, False)])
def test_applied_splats_look_the_same(splat_object: ModuleType, scale: tuple[float, float, float], parts: tuple[bool, bool, bool]) -> None:
    made = put(splats(some_gaussians()), scale)
    before = seen(made)
    assert bpy.ops.splatwright.apply_transform(location=parts[0], rotation=parts[1], scale=parts[2]) == {"FINISHED"}
    assert_looks_same(seen(made), before)
    place, turn, size = made.matrix_basis.decompose()
    assert parts[0] == (place.length < 1e-6) and (not parts[2] or np.allclose(size, 1, atol=1e-6))
    assert not parts[1] or turn.angle < 1e-6
    assert not module("addon.splats.unapplied_transform").has_unapplied_transform(made)


def test_operator_and_function_do_the_same(splat_object: ModuleType) -> None:
    one, other = put(splats(some_gaussians()), (1, 2, 3)), put(splats(some_gaussians()), (1, 2, 3))
    one.select_set(False)
    bpy.ops.splatwright.apply_transform()
    module("addon.splats.apply_transform").apply_transform(one)
    for name, rows in splat_object.gaussians_from_object(one).arrays().items():
        assert np.array_equal(rows, splat_object.gaussians_from_object(other).arrays()[name])


def test_parent_children_modifiers_and_deltas_stay(splat_object: ModuleType) -> None:
    parent, child = (bpy.data.objects.new(name, None) for name in ("Parent", "Child"))
    for item in (parent, child):
        bpy.context.collection.objects.link(item)
    parent.location, parent.rotation_euler, parent.scale = (0, 0, 5), (0, 0, 1), (1, 2, 1)
    made = splats(some_gaussians(100, 1))
    made.parent, child.parent, child.location = parent, made, (1, 1, 1)
    made.delta_location = (0, 1, 0)
    put(made, (2, 1, 1))
    keep_first(made, 40)
    before, stood = seen(made), child.matrix_world.copy()
    bpy.ops.splatwright.apply_transform()
    assert_looks_same(seen(made), before)
    assert len(made.modifiers) == 1 and made.parent == parent and made.matrix_basis.is_identity
    assert np.allclose(child.matrix_world, stood, atol=1e-5)


def test_points_shared_with_others_are_copied(splat_object: ModuleType) -> None:
    made = put(splats(some_gaussians()))
    twin = bpy.data.objects.new("Twin", made.data)
    bpy.ops.splatwright.apply_transform()
    assert twin.data != made.data
    assert_same(splat_object.gaussians_from_object(twin), some_gaussians())


def test_apply_is_undone(splat_object: ModuleType) -> None:
    bpy.context.preferences.edit.use_global_undo = True
    put(splats(some_gaussians()), (2, 1, 1))
    bpy.ops.ed.undo_push(message="Before")
    bpy.ops.splatwright.apply_transform()
    bpy.ops.ed.undo_push(message="After")
    bpy.ops.ed.undo()
    assert np.allclose(bpy.data.objects["Splats"].scale, (2, 1, 1))
    assert_same(splat_object.gaussians_from_object(bpy.data.objects["Splats"]), some_gaussians())


def test_flat_objects_and_other_modes_are_refused(splat_object: ModuleType) -> None:
    made = splats(some_gaussians())
    made.scale = (1, 0, 1)
    with pytest.raises(RuntimeError, match="scaled to nothing"):
        bpy.ops.splatwright.apply_transform()
    made.select_set(False)
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.splatwright.apply_transform()


# Blender's own Apply Transform


def apply_as_blender_does(made: bpy.types.Object) -> None:
    """Its operator where it runs for point clouds, else what it does: positions alone are moved."""
    bpy.context.view_layer.objects.active = made
    try:
        assert bpy.ops.object.transform_apply() == {"FINISHED"}
    except RuntimeError:
        layers = module("addon.splats.attributes")
        matrix = np.array(made.matrix_world)
        moved = layers.read_layer(made.data, "position") @ matrix[:3, :3].T + matrix[:3, 3]
        layers.write_layers(made.data, {"position": layers.Layer("FLOAT_VECTOR", moved)})
        made.matrix_world = Matrix()
    bpy.context.view_layer.update()


@pytest.mark.parametrize("scale", [(1, 1, 1), (2, 2, 2), (1, 2, 0.5), (-1, 1, 1)])
def test_blenders_own_is_noticed_and_fixed(splat_object: ModuleType, scale: tuple[float, float, float]) -> None:
    made = put(splats(some_gaussians()), scale)
    before, unapplied = seen(made), module("addon.splats.unapplied_transform")
    assert not unapplied.has_unapplied_transform(made)
    apply_as_blender_does(made)
    assert made.matrix_world.is_identity and np.allclose(seen(made).means, before.means, atol=1e-5)
    assert not np.allclose(covariances(seen(made)), covariances(before), atol=1e-4), "only then there is something to fix"
    assert unapplied.has_unapplied_transform(made)
    assert bpy.ops.splatwright.fix_unapplied_transform() == {"FINISHED"}
    assert_looks_same(seen(made), before)
    assert not unapplied.has_unapplied_transform(made)
    with pytest.raises(RuntimeError, match="nothing to fix"):
        bpy.ops.splatwright.fix_unapplied_transform()


def test_joined_splats_are_noticed_and_fixed(splat_object: ModuleType) -> None:
    """Blender's Join moves the points of the other objects into the active one's frame, and nothing else."""
    one, other = splats(some_gaussians(40)), put(splats(some_gaussians(30, seed=1), "Other"), (1, 2, 0.5))
    before = seen(one, other)
    bpy.context.view_layer.objects.active = one
    assert bpy.ops.object.join() == {"FINISHED"}
    bpy.context.view_layer.update()
    assert module("addon.splats.unapplied_transform").has_unapplied_transform(one)
    bpy.ops.splatwright.fix_unapplied_transform()
    assert_looks_same(seen(one), before)
    assert not module("addon.splats.unapplied_transform").has_unapplied_transform(one)


def join(active: bpy.types.Object, *others: bpy.types.Object) -> bpy.types.Object:
    bpy.ops.object.select_all(action="DESELECT")
    for item in (active, *others):
        item.select_set(True)
    bpy.context.view_layer.objects.active = active
    assert bpy.ops.object.join() == {"FINISHED"}
    bpy.context.view_layer.update()
    return active


Numbers = tuple[float, ...]


def placed(made: bpy.types.Object, place: Numbers, turn: Numbers, scale: Numbers = (1, 1, 1)) -> bpy.types.Object:
    made.location, made.rotation_euler, made.scale = place, turn, scale
    bpy.context.view_layer.update()
    return made


@pytest.mark.parametrize("few", [200, 2000])
def test_a_few_joined_to_many(splat_object: ModuleType, few: int, capfd: pytest.CaptureFixture[str]) -> None:
    one, other = splats(some_gaussians(20_000, 1), "Room"), put(splats(some_gaussians(few, 1, seed=1), "Chair"), (2, 2, 2))
    before = seen(one, other)
    join(one, other)
    assert "Room" in module("addon.splats.unapplied_transform").warning(one)
    bpy.ops.splatwright.fix_unapplied_transform()
    assert f"Fixed {few:,} splats" in capfd.readouterr().out
    assert_looks_same(seen(one), before)
    assert not module("addon.splats.unapplied_transform").warning(one)


def test_three_turned_objects_and_a_copy_joined(splat_object: ModuleType) -> None:
    """The active one is turned too; two are copies of one object; one is only shifted; harmonics differ."""
    parts = [placed(splats(some_gaussians(300, 3), "A"), (1, 0, 0), (0.5, 0, 0), (1, 2, 1)),
             placed(splats(some_gaussians(200, 1, seed=1), "B"), (0, 3, 0), (0, 0.7, 0.1)),
             placed(splats(some_gaussians(200, 1, seed=1), "C"), (0, 0, 5), (1, 0.2, -2), (-1, 1, 1)),
             placed(splats(some_gaussians(40, 0, seed=2), "D"), (9, 0, 0), (0, 0, 0)),
             placed(splats(some_gaussians(10, 3, seed=3), "E"), (3, 1, 0), (0, 0, 1), (1, 1, 2))]
    before = seen(*parts)
    joined = join(*parts)
    assert bpy.ops.splatwright.fix_unapplied_transform() == {"FINISHED"}
    assert_looks_same(seen(joined), before)
    with pytest.raises(RuntimeError, match="nothing to fix"):
        bpy.ops.splatwright.fix_unapplied_transform()


@pytest.mark.parametrize("tool", ["merge_splats", "apply_transform"])
def test_our_own_tools_after_blenders_lose_nothing(splat_object: ModuleType, tool: str) -> None:
    """They write splats anew, after which nobody could tell that these had not been turned."""
    one, other = put(splats(some_gaussians(60), "One"), (1, 2, 1)), splats(some_gaussians(30, seed=2), "Other")
    before = seen(one, other) if tool == "merge_splats" else seen(one)
    apply_as_blender_does(one)
    for item, chosen in ((one, True), (other, tool == "merge_splats")):
        item.select_set(chosen)
    bpy.context.view_layer.objects.active = one
    assert getattr(bpy.ops.splatwright, tool)() == {"FINISHED"}
    assert_looks_same(seen(one), before)


def test_what_cannot_be_known_is_said(splat_object: ModuleType) -> None:
    """Rows of another program's object, and rows moved one by one, stay as they are and are named again at the next try."""
    layers = module("addon.splats.attributes")
    foreign = splats(some_gaussians(25, seed=3), "Foreign")
    foreign.data.attributes.remove(foreign.data.attributes["splatwright:rest"])
    with pytest.raises(RuntimeError, match="Nobody noted"):
        bpy.ops.splatwright.fix_unapplied_transform()
    made = join(splats(some_gaussians(100), "Ours"), put(foreign), put(splats(some_gaussians(50, seed=4), "Turned")))
    positions = layers.read_layer(made.data, "position")
    positions[:7] += np.random.default_rng(9).normal(size=(7, 3)).astype(np.float32)
    layers.write_layers(made.data, {"position": layers.Layer("FLOAT_VECTOR", positions)})
    fix = module("addon.splats.unapplied_transform").fix_unapplied_transform(made)
    assert fix.fixed == 50 and len(fix.sentences) == 2 and "7 splats" in fix.sentences[0] and "25 splats" in fix.sentences[1]
    with pytest.raises(RuntimeError, match=r"7 splats.*25 splats"):
        bpy.ops.splatwright.fix_unapplied_transform()


def geometry_nodes(made: bpy.types.Object, realize: bool) -> None:
    """Transform Geometry, or two instances at different turns made real."""
    group = bpy.data.node_groups.new("Turn", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    given, result = group.nodes.new("NodeGroupInput").outputs[0], group.nodes.new("NodeGroupOutput").inputs[0]
    turned = group.nodes.new("GeometryNodeTransform")
    turned.inputs["Rotation"].default_value, turned.inputs["Scale"].default_value = (0, 0.4, 1), (1, 2, 1)
    if realize:
        kinds = ("GeometryToInstance", "JoinGeometry", "RealizeInstances")
        instance, both, real = (group.nodes.new(f"GeometryNode{kind}") for kind in kinds)
        group.links.new(given, instance.inputs[0])
        group.links.new(instance.outputs[0], turned.inputs["Geometry"])
        for source in (turned.outputs[0], instance.outputs[0]):
            group.links.new(source, both.inputs[0])
        group.links.new(both.outputs[0], real.inputs[0])
        group.links.new(real.outputs[0], result)
    else:
        group.links.new(given, turned.inputs["Geometry"])
        group.links.new(turned.outputs[0], result)
    made.modifiers.new("Turn", "NODES").node_group = group
    bpy.context.view_layer.update()


@pytest.mark.parametrize("realize", [False, True])
def test_geometry_nodes_that_turn_points_are_seen(
    splat_object: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str], realize: bool,
) -> None:
    made, unapplied = splats(some_gaussians(80)), module("addon.splats.unapplied_transform")
    assert not unapplied.warning(made)
    geometry_nodes(made, realize)
    assert "Modifiers of Splats (Turn)" in unapplied.warning(made)
    with pytest.raises(RuntimeError, match="turn its points without their splats"):
        bpy.ops.splatwright.fix_unapplied_transform()
    bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "a.ply"))
    assert "Modifiers of Splats (Turn)" in capfd.readouterr().out
    bpy.context.view_layer.objects.active = made
    assert bpy.ops.object.modifier_apply(modifier="Turn") == {"FINISHED"}
    assert bpy.ops.splatwright.fix_unapplied_transform() == {"FINISHED"}
    whole, matrix = some_gaussians(80), np.array(Matrix.LocRotScale(None, Euler((0, 0.4, 1)), (1, 2, 1)))
    turned = module("engine.core.splats.transform").transform_gaussians(whole, matrix)
    if not realize:
        assert_looks_same(seen(made), turned)
        return
    found = seen(made)
    first = 0 if np.allclose(found.means[:80], turned.means, atol=1e-4) else 80
    assert len(found) == 160
    assert_looks_same(found.take(slice(first, first + 80)), turned)
    assert_looks_same(found.take(slice(80 - first, 160 - first)), whole)


def test_deletions_before_it_do_no_harm(splat_object: ModuleType) -> None:
    made = put(splats(some_gaussians(200)), (1, 2, 1))
    module("addon.splats.subsets").keep_points(made, np.arange(200) % 3 == 0)
    before = seen(made)
    apply_as_blender_does(made)
    bpy.ops.splatwright.fix_unapplied_transform()
    assert_looks_same(seen(made), before)


def test_what_is_no_apply_is_not_called_one(splat_object: ModuleType) -> None:
    """Shifting everything needs nothing; points moved one by one, or a position that is NaN, tell nothing."""
    layers, unapplied = module("addon.splats.attributes"), module("addon.splats.unapplied_transform")
    made = splats(some_gaussians())
    positions = layers.read_layer(made.data, "position")
    for moved in (positions + np.float32(5), positions + np.random.default_rng(1).normal(0, 0.1, positions.shape), positions * np.nan):
        layers.write_layers(made.data, {"position": layers.Layer("FLOAT_VECTOR", moved)})
        assert not unapplied.has_unapplied_transform(made) and not unapplied.find_moved(made.data).turned
    made.data.attributes.remove(made.data.attributes["splatwright:rest"])
    assert not unapplied.has_unapplied_transform(made), "splats of other programs"
    assert not unapplied.has_unapplied_transform(splats(some_gaussians(0)))


def test_export_warns(splat_object: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    apply_as_blender_does(put(splats(some_gaussians()), (1, 2, 1)))
    bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "a.ply"))
    assert "Blender's own Apply Transform" in capfd.readouterr().out


# Instances


def instance_of(collection: bpy.types.Collection, location: tuple[float, float, float]) -> bpy.types.Object:
    made = bpy.data.objects.new("Instance", None)
    made.instance_type, made.instance_collection, made.location = "COLLECTION", collection, location
    return made


def hidden_collection(name: str) -> bpy.types.Collection:
    made = bpy.data.collections.new(name)
    bpy.context.scene.collection.children.link(made)
    bpy.context.view_layer.layer_collection.children[name].exclude = True
    return made


def test_instances_of_collections_are_exported(splat_object: ModuleType, tmp_path: Path) -> None:
    """A collection within a collection, its objects placed and modified."""
    inner, outer = hidden_collection("Inner"), hidden_collection("Outer")
    made = put(splats(some_gaussians(30), collection=inner), (1, 2, 1))
    keep_first(made, 10)
    outer.objects.link(instance_of(inner, (0, 0, 1)))
    empty = instance_of(outer, (5, 0, 0))
    empty.rotation_euler = (0, 0, 0.5)
    bpy.context.scene.collection.objects.link(empty)
    empty.select_set(True)
    bpy.context.view_layer.update()
    stands = (Matrix.Translation((5, 0, 0)) @ Euler((0, 0, 0.5)).to_matrix().to_4x4() @ Matrix.Translation((0, 0, 1))
              @ Matrix.LocRotScale((1, 2, 3), Euler((0.3, 0.5, 0.7)), (1, 2, 1)))
    expected = module("engine.core.splats.transform").transform_gaussians(some_gaussians(30).take(slice(0, 10)), np.array(stands))
    assert_looks_same(seen(empty), expected)
    bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "a.ply"))
    assert len(module("engine.core.formats.ply").read_ply(tmp_path / "a.ply").gaussians) == 10


def test_instances_of_geometry_nodes_are_exported(splat_object: ModuleType) -> None:
    """Splats scattered on the corners of a square."""
    source = splats(some_gaussians(7, 1), collection=hidden_collection("Source"))
    bpy.ops.mesh.primitive_plane_add()
    plane = bpy.context.object
    group = bpy.data.node_groups.new("Scatter", "GeometryNodeTree")
    for way in ("INPUT", "OUTPUT"):
        group.interface.new_socket("Geometry", in_out=way, socket_type="NodeSocketGeometry")
    points, scatter, info = (group.nodes.new(f"GeometryNode{kind}") for kind in ("MeshToPoints", "InstanceOnPoints", "ObjectInfo"))
    info.inputs["Object"].default_value, info.inputs["As Instance"].default_value = source, True
    group.links.new(group.nodes.new("NodeGroupInput").outputs[0], points.inputs["Mesh"])
    group.links.new(points.outputs[0], scatter.inputs["Points"])
    group.links.new(info.outputs["Geometry"], scatter.inputs["Instance"])
    group.links.new(scatter.outputs[0], group.nodes.new("NodeGroupOutput").inputs[0])
    plane.modifiers.new("Scatter", "NODES").node_group = group
    bpy.context.view_layer.update()
    assert module("addon.splats.exporting").visible_to_export(bpy.context) == [plane]
    found = seen(plane)
    assert len(found) == 28
    corners = {tuple(np.round(found.means[first] - some_gaussians(7, 1).means[0], 4)) for first in range(0, 28, 7)}
    assert corners == {(1, 1, 0), (1, -1, 0), (-1, 1, 0), (-1, -1, 0)}


def test_linked_duplicates_are_exported_where_each_stands(splat_object: ModuleType) -> None:
    made = splats(some_gaussians(5))
    twin = bpy.data.objects.new("Twin", made.data)
    bpy.context.collection.objects.link(twin)
    twin.location = (9, 0, 0)
    bpy.context.view_layer.update()
    means = seen(made, twin).means
    np.testing.assert_allclose(means[5:] - means[:5], [[9, 0, 0]] * 5, atol=1e-5)


# One file each


def test_one_file_each(splat_object: ModuleType, tmp_path: Path) -> None:
    for name, count in (("Chair", 5), ("Tisch/größe", 6), ("tisch_größe", 7)):
        splats(some_gaussians(count), name)
    assert bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "layout.ply"), each=True) == {"FINISHED"}
    counts = {path.name: len(module("engine.core.formats.ply").read_ply(path).gaussians) for path in tmp_path.iterdir()}
    assert counts == {"layout Chair.ply": 5, "layout Tisch_größe.ply": 6, "layout tisch_größe 2.ply": 7}


def test_one_empty_object_stops_all_files(splat_object: ModuleType, tmp_path: Path) -> None:
    splats(some_gaussians(5), "Chair")
    splats(some_gaussians(0), "Nothing")
    with pytest.raises(RuntimeError, match="Nothing holds no splats"):
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "layout.ply"), each=True)
    assert not list(tmp_path.iterdir())


# Files from before Blender 5.3


def test_attributes_of_older_files_are_brought_up_to_date(splat_object: ModuleType) -> None:
    """Colours as FLOAT_COLOR, which files from before 5.1 hold, become what this Blender's splats have."""
    made, layers = splats(some_gaussians()), module("addon.splats.attributes")
    base = layers.read_layer(made.data, "radiance:base")
    layers.write_layers(made.data, {"radiance:base": layers.Layer("FLOAT_COLOR", base)})
    module("addon.splats.apply_transform").to_current_attributes(made)
    assert made.data.attributes["radiance:base"].data_type == ("FLOAT4" if layers.has_float4() else "FLOAT_COLOR")
    assert_same(splat_object.gaussians_from_object(made), some_gaussians())


def test_upgrade_says_where_it_works(splat_object: ModuleType) -> None:
    made = splats(some_gaussians())
    if module("addon.splats.display").draws_natively():
        made.data.type = "POINTCLOUD" if "POINTCLOUD" in type(made.data).bl_rna.properties["type"].enum_items else made.data.type
        assert bpy.ops.splatwright.upgrade_to_native() == {"FINISHED"}
        assert made.data.type == "GAUSSIAN_SPLAT" and not made.data.materials and "radius" not in made.data.attributes
        return
    with pytest.raises(module("engine.core.errors").UserError, match=r"5\.3"):
        module("addon.splats.apply_transform").upgrade(made)
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.splatwright.upgrade_to_native()
