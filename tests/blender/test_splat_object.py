"""Splat objects: what goes in comes out, on every Blender, without touching what the user does."""

from __future__ import annotations

from pathlib import Path

import bpy
import numpy as np
import pytest
from mathutils import Euler, Matrix, Vector

from tests.blender.conftest import module

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT.parent / "shared" / "data" / "splats"


def some_gaussians(count: int = 50, degree: int = 3, seed: int = 0) -> object:
    rng = np.random.default_rng(seed)
    return module("engine.core.gaussians").Gaussians(
        means=rng.normal(size=(count, 3)).astype(np.float32),
        quats=rng.normal(size=(count, 4)).astype(np.float32),
        scales=rng.normal(-3, 0.5, (count, 3)).astype(np.float32),
        opacities=rng.normal(0, 2, count).astype(np.float32),
        sh0=rng.normal(size=(count, 1, 3)).astype(np.float32),
        shN=rng.normal(0, 0.2, (count, (degree + 1) ** 2 - 1, 3)).astype(np.float32),
    )


def assert_same(one: object, other: object, tolerance: float = 2e-6) -> None:
    rotations = module("engine.core.transform").rotation_matrices
    for name in ("means", "scales", "opacities", "sh0", "shN"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=tolerance, atol=tolerance, err_msg=name)
    np.testing.assert_allclose(rotations(one.quats), rotations(other.quats), atol=tolerance)


@pytest.fixture
def splat_object(fresh_scene: bpy.types.Scene):
    return module("addon.splat_object")


@pytest.mark.parametrize("degree", [0, 1, 2, 3])
def test_gaussians_come_back_in_order(splat_object, degree: int) -> None:
    gaussians = some_gaussians(degree=degree)
    made = splat_object.create_splat_object("Splats", gaussians)
    bpy.context.view_layer.update()
    assert splat_object.is_splat_object(made) and made.type == "POINTCLOUD"
    assert_same(splat_object.gaussians_from_object(made), gaussians)


def test_the_attributes_are_those_of_native_splats(splat_object) -> None:
    gaussians = some_gaussians(degree=1)
    attributes = splat_object.create_splat_object("Splats", gaussians).data.attributes
    assert attributes["rotation"].data_type == "QUATERNION" and attributes["scale"].data_type == "FLOAT_VECTOR"
    assert attributes["radiance:base"].data_type in ("FLOAT4", "FLOAT_COLOR")
    assert "radiance:sh_2" in attributes and "radiance:sh_3" not in attributes
    lengths = [sum(x * x for x in item.value) for item in attributes["rotation"].data]
    assert np.allclose(lengths, 1, atol=1e-5)


def test_update_rewrites_in_place_and_removes_stale_harmonics(splat_object) -> None:
    made = splat_object.create_splat_object("Splats", some_gaussians(degree=3))
    made.location = (1, 2, 3)
    for count, degree in ((50, 0), (80, 2), (20, 1)):
        gaussians = some_gaussians(count, degree, seed=count)
        splat_object.update_splat_object(made, gaussians)
        bpy.context.view_layer.update()
        assert_same(splat_object.gaussians_from_object(made), gaussians)
    assert tuple(made.location) == (1, 2, 3) and len(bpy.data.pointclouds) == 1
    assert len(made.data.materials) <= 1


def test_selection_active_object_and_mode_stay(splat_object) -> None:
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    bpy.ops.object.mode_set(mode="EDIT")
    splat_object.create_splat_object("Splats", some_gaussians())
    assert bpy.context.object == cube and cube.mode == "EDIT" and bpy.context.selected_objects == [cube]
    assert len(bpy.data.scenes) == 1 and [mesh.name for mesh in bpy.data.meshes] == ["Cube"]
    bpy.ops.object.mode_set(mode="OBJECT")


def test_other_objects_are_no_splats(splat_object) -> None:
    bpy.ops.mesh.primitive_cube_add()
    assert not splat_object.is_splat_object(bpy.context.object) and not splat_object.is_splat_object(None)


def test_import_is_the_inverse_of_export(splat_object, tmp_path: Path) -> None:
    gaussians = some_gaussians()
    made = splat_object.create_splat_object("Splats", gaussians)
    made.select_set(True)
    bpy.context.view_layer.update()
    for axes in ("SUPERSPLAT", "BLENDER"):
        path = tmp_path / f"größe {axes}.ply"
        assert bpy.ops.splatwright.export_splats(filepath=str(path), axes=axes) == {"FINISHED"}
        assert bpy.ops.splatwright.import_splats(filepath=str(path)) == {"FINISHED"}
        again = bpy.context.object
        assert np.allclose(again.matrix_world, np.eye(4))
        assert_same(splat_object.gaussians_from_object(again), gaussians, 5e-6)
        again.select_set(False)
        made.select_set(True)
        bpy.context.view_layer.objects.active = made


def test_the_operator_does_what_the_function_does(splat_object, tmp_path: Path) -> None:
    made = splat_object.create_splat_object("Splats", some_gaussians())
    made.select_set(True)
    made.location, made.rotation_euler, made.scale = (1, 2, 3), (0.3, 0.5, 0.7), (2, 2, 2)
    bpy.context.view_layer.update()
    bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "operator.ply"))
    module("addon.export").export_splats([made], tmp_path / "function.ply", "SUPERSPLAT")
    assert (tmp_path / "operator.ply").read_bytes() == (tmp_path / "function.ply").read_bytes()


def test_export_bakes_transform_and_parent(splat_object) -> None:
    gaussians = some_gaussians()
    made = splat_object.create_splat_object("Splats", gaussians)
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.collection.objects.link(parent)
    made.parent = parent
    parent.location, parent.rotation_euler = (0, 0, 5), (0, 0, 1)
    made.scale, made.location = (0.5, 0.5, 0.5), (1, 0, 0)
    bpy.context.view_layer.update()
    baked = module("addon.export").world_gaussians([made]).gaussians
    matrix = Matrix.Translation((0, 0, 5)) @ Euler((0, 0, 1)).to_matrix().to_4x4() @ Matrix.Translation((1, 0, 0)) @ Matrix.Scale(0.5, 4)
    expected = np.array([matrix @ Vector(point.tolist()) for point in gaussians.means])
    np.testing.assert_allclose(baked.means, expected, atol=1e-5)
    np.testing.assert_allclose(baked.scales, gaussians.scales + np.log(0.5), atol=1e-5)


def test_several_objects_become_one_file(splat_object) -> None:
    parts = [splat_object.create_splat_object("Splats", some_gaussians(count, degree)) for count, degree in ((10, 0), (20, 2))]
    bpy.context.view_layer.update()
    joined = module("addon.export").world_gaussians(parts).gaussians
    assert len(joined) == 30 and joined.sh_degree == 2


def test_geometry_nodes_count(splat_object) -> None:
    made = splat_object.create_splat_object("Splats", some_gaussians(100, 0))
    group = bpy.data.node_groups.new("Delete", "GeometryNodeTree")
    group.interface.new_socket("Geometry", in_out="INPUT", socket_type="NodeSocketGeometry")
    group.interface.new_socket("Geometry", in_out="OUTPUT", socket_type="NodeSocketGeometry")
    delete, index, compare = (group.nodes.new(kind) for kind in (
        "GeometryNodeDeleteGeometry", "GeometryNodeInputIndex", "FunctionNodeCompare"))
    compare.data_type, compare.operation = "INT", "GREATER_EQUAL"
    number = [socket for socket in compare.inputs if socket.type == "INT"]
    group.links.new(index.outputs[0], number[0])
    number[1].default_value = 40
    group.links.new(compare.outputs[0], delete.inputs["Selection"])
    group.links.new(group.nodes.new("NodeGroupInput").outputs[0], delete.inputs["Geometry"])
    group.links.new(delete.outputs[0], group.nodes.new("NodeGroupOutput").inputs[0])
    made.modifiers.new("Delete", "NODES").node_group = group
    bpy.context.view_layer.update()
    assert len(splat_object.gaussians_from_object(made, bpy.context.evaluated_depsgraph_get())) == 40


def test_export_without_splats_is_one_sentence(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    bpy.ops.mesh.primitive_cube_add()
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "x.ply"))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("content", "word"), [
    (b"", "not a PLY"), (b"hello", "not a PLY"), (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n", "ASCII"),
    (b"ply\nformat binary_big_endian 1.0\nelement vertex 1\nproperty float x\nend_header\n0000", "big-endian"),
    (b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\nend_header\n00", "cut off"),
    (b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\nend_header\n0000", "lacks"),
])
def test_bad_files_are_one_sentence(fresh_scene: bpy.types.Scene, tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "bad.ply").write_bytes(content)
    with pytest.raises(RuntimeError, match=word):
        bpy.ops.splatwright.import_splats(filepath=str(tmp_path / "bad.ply"))
    assert not bpy.data.objects


@pytest.mark.skipif(not DATA.is_dir(), reason="the real splat files are not beside the checkout")
@pytest.mark.parametrize("name", ["train-1000_graphdeco_sh3.ply", "playbot_lod3_sh2_CONVERTED.ply"])
def test_real_files_come_back(splat_object, tmp_path: Path, name: str) -> None:
    bpy.ops.splatwright.import_splats(filepath=str(DATA / name))
    bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "again.ply"))
    read = module("engine.core.ply").read_ply
    assert_same(read(tmp_path / "again.ply").gaussians, read(DATA / name).gaussians)


def test_a_live_update_is_quick_enough_to_watch(splat_object) -> None:
    """No timing asserted: 200,000 splats must simply work through several updates."""
    gaussians = some_gaussians(200_000, 0)
    made = splat_object.create_splat_object("Splats", gaussians)
    for _ in range(3):
        splat_object.update_splat_object(made, gaussians)
    assert len(made.data.points) == 200_000
