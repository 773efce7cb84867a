"""Splat files of other programs in Blender: what is said, what is kept, what one click puts right."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from plyfile import PlyData

from tests.blender.conftest import module
from tests.blender.panels.test_panels import Layout
from tests.blender.splats.splat_samples import assert_same, changed, some_gaussians
from tests.untyped import bpy

TYPES = {"label": "i4", "id": "u4", "kind": "u1", "level": "i1", "short": "i2", "word": "u2", "share": "f4", "time": "f8"}


@pytest.fixture
def formats(fresh_scene: bpy.types.Scene) -> ModuleType:
    return module("engine.core.formats.registry")


def imported(path: Path, **options: Any) -> bpy.types.Object:
    assert bpy.ops.splatwright.import_splats(filepath=str(path), **options) == {"FINISHED"}
    return bpy.context.object


def exported(path: Path, **options: Any) -> np.ndarray:
    """The vertices of what is exported, read by another implementation."""
    assert bpy.ops.splatwright.export_splats(filepath=str(path), **options) == {"FINISHED"}
    return PlyData.read(str(path))["vertex"].data


def read(target: bpy.types.Object) -> Any:
    return module("addon.splats.splat_object").gaussians_from_object(target)


def with_extras(formats: ModuleType, path: Path, count: int = 30) -> dict[str, np.ndarray]:
    """A PLY of splats with a property of every type; returns their columns."""
    columns = {name: (np.arange(count) + np.array(5)).astype(kind) for name, kind in TYPES.items()}
    columns["label"] += 16777217
    columns["id"] += np.uint32(2**31)
    columns["level"] -= np.int8(20)
    extra = np.empty(count, [(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        extra[name] = column
    formats.write_splats(path, some_gaussians(count, 1), extra=extra)
    return columns


# Extra properties


def test_extras_come_back_in_their_types(formats: ModuleType, tmp_path: Path) -> None:
    columns = with_extras(formats, tmp_path / "a.ply")
    made = imported(tmp_path / "a.ply")
    assert {made.data.attributes[f"ply:{name}"].data_type for name in ("label", "id", "kind")} == {"INT"}
    again = exported(tmp_path / "b.ply")
    for name, column in columns.items():
        assert again[name].dtype == column.dtype and np.array_equal(again[name], column), name


def test_extras_follow_what_is_done_to_the_points(formats: ModuleType, tmp_path: Path) -> None:
    """Splitting, instances and several objects at once; what one of them lacks is 0."""
    columns = with_extras(formats, tmp_path / "a.ply")
    made = imported(tmp_path / "a.ply")
    part = module("addon.splats.clean").split(made, np.arange(30) < 10)
    made.select_set(False)
    part.select_set(True)
    assert np.array_equal(exported(tmp_path / "b.ply")["id"], columns["id"][:10])
    module("addon.splats.splat_object").create_splat_object("Plain", some_gaussians(5)).select_set(True)
    made.select_set(True)
    world = module("addon.splats.exporting").world_gaussians([made, bpy.data.objects["Plain"], part])
    assert world.extra is not None and world.extra["label"].dtype == np.int32
    assert np.array_equal(world.extra["label"], [*columns["label"][10:], *np.zeros(5), *columns["label"][:10]])


def test_extras_of_rows_that_cannot_be_drawn_are_not_written(formats: ModuleType, tmp_path: Path) -> None:
    columns = with_extras(formats, tmp_path / "a.ply")
    made = imported(tmp_path / "a.ply")
    made.data.points[3].co = (float("nan"), 0, 0)
    bpy.context.view_layer.update()
    assert np.array_equal(exported(tmp_path / "b.ply")["kind"], np.delete(columns["kind"], 3))


def test_edited_extras_that_outgrow_their_type_get_a_wider_one(formats: ModuleType, tmp_path: Path) -> None:
    with_extras(formats, tmp_path / "a.ply")
    imported(tmp_path / "a.ply").data.attributes["ply:kind"].data[4].value = 70_000
    again = exported(tmp_path / "b.ply")["kind"]
    assert again.dtype == np.int32 and again[4] == 70_000


def test_attributes_that_users_made_are_written_too(formats: ModuleType, tmp_path: Path) -> None:
    made = module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians(4))
    made.data.attributes.new("ply:mark", "BOOLEAN", "POINT").data[2].value = True
    made.data.attributes.new("ply:weight", "FLOAT", "POINT").data[1].value = 0.5
    bpy.context.view_layer.update()
    again = exported(tmp_path / "b.ply")
    assert again["mark"].tolist() == [0, 0, 1, 0] and again["weight"].tolist() == [0, 0.5, 0, 0]


def test_what_is_not_kept_is_said(formats: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    extra = np.array([(1e9 + 1e-3,), (2.0,)], [("time", "f8")])
    formats.write_splats(tmp_path / "a.ply", some_gaussians(2), extra=extra)
    imported(tmp_path / "a.ply")
    assert "seven digits" in capfd.readouterr().out
    assert bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "b.spz")) == {"FINISHED"}
    assert "SPZ cannot hold it: time" in capfd.readouterr().out


# What is said on import, and what a click does


def test_the_few_that_spz_leaves_out_are_counted(formats: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    gaussians = some_gaussians(500)
    gaussians.means[7] = (4e6, 0, 0)
    formats.write_splats(tmp_path / "a.ply", gaussians)
    imported(tmp_path / "a.ply")
    assert "1 splat lies far beyond all others" in capfd.readouterr().out
    assert bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "b.spz")) == {"FINISHED"}
    assert "1 splat was left out" in capfd.readouterr().out and len(formats.read_splats(tmp_path / "b.spz").gaussians) == 499


def test_an_spz_without_axes_is_turned_over_by_a_click(formats: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """As PlayCanvas' tools write it: SuperSplat's axes, and no mark."""
    original = some_gaussians(50)
    formats.write_splats(tmp_path / "a.spz", original)
    data = (tmp_path / "a.spz").read_bytes()
    (tmp_path / "b.spz").write_bytes(data[:14] + bytes([0, data[15]]) + (32).to_bytes(4, "little") + data[20:32] + data[44:])
    upside_down = imported(tmp_path / "b.spz")
    assert upside_down.splatwright.axes_guessed and "Turn Over" in capfd.readouterr().out
    assert bpy.ops.splatwright.turn_over() == {"FINISHED"}
    bpy.context.view_layer.update()
    seen = module("addon.splats.exporting").world_gaussians([upside_down]).gaussians
    upright = formats.read_splats(tmp_path / "a.spz").gaussians
    assert_same(seen, upright, 1e-4)  # Blender keeps half a turn as an angle in single precision
    assert not imported(tmp_path / "a.spz").splatwright.axes_guessed


def linear_file(formats: ModuleType, path: Path) -> Any:
    gaussians = some_gaussians(200, 0)
    formats.write_splats(path, changed(gaussians, scales=np.exp(gaussians.scales)))
    return gaussians


@pytest.mark.parametrize("link", [False, True])
def test_linear_scales(formats: ModuleType, tmp_path: Path, link: bool, capfd: pytest.CaptureFixture[str]) -> None:
    gaussians = linear_file(formats, tmp_path / "a.ply")
    imported(tmp_path / "a.ply")
    assert "Scales Are Linear" in capfd.readouterr().out
    made = imported(tmp_path / "a.ply", linear_scales=True, link=link)
    np.testing.assert_allclose(read(made).scales, gaussians.scales, rtol=1e-5)
    if link:
        made.splatwright.stamp = ""  # as if the file had changed
        module("addon.splats.linked_files").refresh()
        np.testing.assert_allclose(read(made).scales, gaussians.scales, rtol=1e-5)


# Meshes whose points are splats


def as_mesh(path: Path) -> bpy.types.Object:
    """By Blender's own import."""
    bpy.ops.wm.ply_import(filepath=str(path))
    return bpy.context.object


@pytest.mark.parametrize("axes", ["BLENDER", "SUPERSPLAT"])
def test_a_mesh_of_blenders_own_import_becomes_splats(formats: ModuleType, tmp_path: Path, axes: str) -> None:
    original = some_gaussians(40, 2)
    formats.write_splats(tmp_path / "a.ply", original, axes)
    mesh = as_mesh(tmp_path / "a.ply")
    mesh.location = (1, 2, 3)
    bpy.context.view_layer.update()
    assert bpy.ops.splatwright.splats_from_mesh(axes=axes) == {"FINISHED"}
    made = bpy.context.object
    assert made.type == "POINTCLOUD" and made.matrix_world.translation[:] == (1, 2, 3) and mesh.hide_render and not mesh.visible_get()
    assert made.users_collection == mesh.users_collection
    assert_same(read(made), original, 1e-5)


def test_a_mesh_keeps_its_extras_and_says_what_it_lacks(formats: ModuleType, tmp_path: Path) -> None:
    made = bpy.data.objects.new("Mesh", bpy.data.meshes.new("Mesh"))
    made.data.vertices.add(3)
    bpy.context.collection.objects.link(made)
    for name in ("opacity", "scale_0", "scale_1", "rot_0", "rot_1", "rot_2", "rot_3"):
        made.data.attributes.new(name, "FLOAT", "POINT").data.foreach_set("value", np.full(3, 0.5, np.float32))
    made.data.attributes.new("label", "INT", "POINT").data.foreach_set("value", np.array([7, 8, 16777217], np.int32))
    made.select_set(True)
    with pytest.raises(RuntimeError, match="lacks f_dc_0, f_dc_1, f_dc_2"):
        bpy.ops.splatwright.splats_from_mesh()
    for index in range(3):
        made.data.attributes.new(f"f_dc_{index}", "FLOAT", "POINT")
    assert bpy.ops.splatwright.splats_from_mesh() == {"FINISHED"}
    assert exported(tmp_path / "a.ply")["label"].tolist() == [7, 8, 16777217]


def test_other_meshes_are_no_splats(fresh_scene: bpy.types.Scene) -> None:
    bpy.ops.mesh.primitive_cube_add()
    assert not bpy.ops.splatwright.splats_from_mesh.poll()


def panel() -> Any:
    layout = Layout()
    module("addon.panels.splats").SPLATWRIGHT_PT_splats.draw(SimpleNamespace(layout=layout), bpy.context)
    return layout


def test_the_panel_offers_what_fits(fresh_scene: bpy.types.Scene) -> None:
    made = module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians(5))
    bpy.context.view_layer.objects.active = made
    assert "turn_over" not in panel().operators
    made.splatwright.axes_guessed = True
    assert "turn_over" in panel().operators and "stand on its head" in panel().text
    bpy.ops.mesh.primitive_cube_add()
    assert "splats_from_mesh" not in panel().operators
    for name in ("opacity", "scale_0", "scale_1", "rot_0", "rot_3"):
        bpy.context.object.data.attributes.new(name, "FLOAT", "POINT")
    assert "splats_from_mesh" in panel().operators
