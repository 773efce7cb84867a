"""Splat files in and out: where objects stand is what the file holds, and reading is the inverse of writing."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from mathutils import Euler, Matrix, Vector

from tests.blender.conftest import module
from tests.blender.panels.test_panels import Layout
from tests.blender.splats.splat_samples import assert_same, keep_first, some_gaussians
from tests.data import DATA, needs
from tests.untyped import bpy


@pytest.fixture
def export(fresh_scene: bpy.types.Scene) -> ModuleType:
    return module("addon.splats.exporting")


def splats(gaussians: Any, name: str = "Splats", selected: bool = True) -> bpy.types.Object:
    made = module("addon.splats.splat_object").create_splat_object(name, gaussians)
    made.select_set(selected)
    bpy.context.view_layer.update()
    return made


def read(path: Path) -> Any:
    return module("engine.core.formats.ply").read_ply(path).gaussians


def turned(made: bpy.types.Object) -> bpy.types.Object:
    made.location, made.rotation_euler, made.scale = (1, 2, 3), (0.3, 0.5, 0.7), (2, 2, 2)
    bpy.context.view_layer.update()
    return made


@pytest.mark.parametrize("axes", ["SUPERSPLAT", "BLENDER"])
def test_import_is_the_inverse_of_export(export: ModuleType, tmp_path: Path, axes: str) -> None:
    gaussians = some_gaussians()
    splats(gaussians)
    path = tmp_path / f"größe {axes}.ply"
    assert bpy.ops.splatwright.export_splats(filepath=str(path), axes=axes) == {"FINISHED"}
    assert bpy.ops.splatwright.import_splats(filepath=str(path)) == {"FINISHED"}
    again = bpy.context.object
    assert again.matrix_world.is_identity and bpy.context.selected_objects == [again]
    assert again.name == path.stem and again.splatwright.source == str(path)
    assert_same(module("addon.splats.splat_object").gaussians_from_object(again), gaussians)


@pytest.mark.parametrize("axes", ["SUPERSPLAT", "BLENDER"])
def test_export_operator_does_what_the_function_does(export: ModuleType, tmp_path: Path, axes: str) -> None:
    made = turned(splats(some_gaussians()))
    bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "operator.ply"), axes=axes)
    written = export.export_splats([made], tmp_path / "function.ply", axes)
    assert (tmp_path / "operator.ply").read_bytes() == (tmp_path / "function.ply").read_bytes()
    assert len(written.gaussians) == 50 and written.dropped == 0


def test_import_operator_does_what_the_function_does(export: ModuleType, tmp_path: Path) -> None:
    module("engine.core.formats.ply").write_ply(tmp_path / "a.ply", some_gaussians())
    from_function, found = module("addon.splats.importing").import_splats(tmp_path / "a.ply")
    bpy.ops.splatwright.import_splats(filepath=str(tmp_path / "a.ply"))
    from_operator = bpy.context.object
    assert found.axes == "SUPERSPLAT" and from_operator != from_function
    gaussians = module("addon.splats.splat_object").gaussians_from_object
    for name, rows in gaussians(from_function).arrays().items():
        assert np.array_equal(gaussians(from_operator).arrays()[name], rows)


def test_axes_can_be_forced_on_import(export: ModuleType, tmp_path: Path) -> None:
    gaussians = some_gaussians()
    module("engine.core.formats.ply").write_ply(tmp_path / "a.ply", gaussians, axes="BLENDER")
    bpy.ops.splatwright.import_splats(filepath=str(tmp_path / "a.ply"), axes="SUPERSPLAT")
    means = module("addon.splats.splat_object").gaussians_from_object(bpy.context.object).means
    assert np.allclose(means, gaussians.means[:, [0, 2, 1]] * [1, 1, -1])


def test_transform_and_parent_are_baked(export: ModuleType) -> None:
    gaussians = some_gaussians()
    made = splats(gaussians)
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.collection.objects.link(parent)
    made.parent = parent
    parent.location, parent.rotation_euler = (0, 0, 5), (0, 0, 1)
    made.scale, made.location = (0.5, 0.5, 0.5), (1, 0, 0)
    bpy.context.view_layer.update()
    baked = export.world_gaussians([made]).gaussians
    matrix = Matrix.Translation((0, 0, 5)) @ Euler((0, 0, 1)).to_matrix().to_4x4() @ Matrix.Translation((1, 0, 0)) @ Matrix.Scale(0.5, 4)
    expected = np.array([matrix @ Vector(point.tolist()) for point in gaussians.means])
    np.testing.assert_allclose(baked.means, expected, atol=1e-5)
    np.testing.assert_allclose(baked.scales, gaussians.scales + np.log(0.5), atol=1e-5)


@pytest.mark.parametrize("scale", [(2, 2, 2), (1, 2, 0.5), (-1, 1, 1)], ids=["uniform", "stretched", "mirrored"])
def test_covariances_follow_the_object(export: ModuleType, scale: tuple[float, float, float]) -> None:
    gaussians = some_gaussians(20)
    made = turned(splats(gaussians))
    made.scale = scale
    bpy.context.view_layer.update()
    linear = np.array(made.matrix_world)[:3, :3]
    np.testing.assert_allclose(covariances(export.world_gaussians([made]).gaussians), linear @ covariances(gaussians) @ linear.T, atol=1e-6)


def covariances(gaussians: Any) -> np.ndarray:
    axes = module("engine.core.splats.transform").rotation_matrices(gaussians.quats) * np.exp(gaussians.scales)[:, None, :]
    return axes @ axes.transpose(0, 2, 1)


def test_modifiers_are_applied(export: ModuleType) -> None:
    made = splats(some_gaussians(100, 1))
    keep_first(made, 40)
    assert len(export.world_gaussians([made]).gaussians) == 40


def test_several_objects_become_one_file_in_their_order(export: ModuleType) -> None:
    parts = [splats(some_gaussians(10, 0)), splats(some_gaussians(20, 2, seed=1))]
    joined = export.world_gaussians(parts).gaussians
    assert len(joined) == 30 and joined.sh_degree == 2
    assert np.array_equal(joined.opacities[10:], some_gaussians(20, 2, seed=1).opacities)


def test_the_selection_is_exported_or_else_all_that_is_visible(export: ModuleType, tmp_path: Path) -> None:
    first, second = splats(some_gaussians(10, 0)), splats(some_gaussians(20, 0), selected=False)
    third = splats(some_gaussians(40, 0), selected=False)
    third.hide_set(True)
    bpy.ops.mesh.primitive_cube_add()
    first.select_set(True)
    for selected, count in ((True, 10), (False, 30)):
        first.select_set(selected)
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "a.ply"))
        assert len(read(tmp_path / "a.ply")) == count
    second.hide_set(True)
    first.hide_set(True)
    assert not bpy.ops.splatwright.export_splats.poll()


def test_rows_that_became_infinite_are_left_out_and_told(export: ModuleType, tmp_path: Path) -> None:
    made = splats(some_gaussians(10, 0))
    made.data.attributes["position"].data[4].vector = (float("nan"), 0, 0)
    made.data.attributes["scale"].data[6].vector = (1, -1, 1)
    assert export.export_splats([made], tmp_path / "a.ply", "SUPERSPLAT").dropped == 2
    assert len(read(tmp_path / "a.ply")) == 8


def test_flat_object_is_refused(export: ModuleType, tmp_path: Path) -> None:
    made = splats(some_gaussians())
    made.scale = (1, 1, 0)
    with pytest.raises(RuntimeError, match="scaled to nothing"):
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "a.ply"))
    assert not list(tmp_path.iterdir())


def test_export_without_splats(export: ModuleType, tmp_path: Path) -> None:
    bpy.ops.mesh.primitive_cube_add()
    with pytest.raises(RuntimeError, match="poll"):
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "x.ply"))
    with pytest.raises(module("engine.core.errors").UserError, match="No splat object"):
        export.world_gaussians([])
    with pytest.raises(RuntimeError, match="hold no splats"):
        splats(some_gaussians(0, 0))
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "x.ply"))
    assert not list(tmp_path.iterdir())


def test_failed_export_keeps_the_old_file(export: ModuleType, tmp_path: Path) -> None:
    made = splats(some_gaussians())
    with pytest.raises(RuntimeError, match="cannot be reached"):
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "missing" / "a.ply"))
    (tmp_path / "a.ply").write_bytes(b"old")
    made.scale = (0, 0, 0)
    with pytest.raises(RuntimeError):
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "a.ply"))
    assert (tmp_path / "a.ply").read_bytes() == b"old"


@pytest.mark.parametrize(("content", "word"), [
    (b"", "not a PLY"), (b"hello", "not a PLY"), (b"ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nend_header\n0\n", "lacks"),
    (b"ply\nformat binary_big_endian 1.0\nelement vertex 1\nproperty float x\nend_header\n000", "cut off"),
    (b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\nend_header\n00", "cut off"),
    (b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float x\nend_header\n0000", "lacks"),
])
def test_bad_files_are_one_sentence(export: ModuleType, tmp_path: Path, content: bytes, word: str) -> None:
    (tmp_path / "bad.ply").write_bytes(content)
    with pytest.raises(RuntimeError, match=word):
        bpy.ops.splatwright.import_splats(filepath=str(tmp_path / "bad.ply"))
    assert not bpy.data.objects and not bpy.data.pointclouds


def test_file_without_rows(export: ModuleType, tmp_path: Path) -> None:
    module("engine.core.formats.ply").write_ply(tmp_path / "a.ply", some_gaussians(0))
    with pytest.raises(RuntimeError, match="no usable splats"):
        bpy.ops.splatwright.import_splats(filepath=str(tmp_path / "a.ply"))


def test_import_in_edit_mode_leaves_the_mode(export: ModuleType, tmp_path: Path) -> None:
    module("engine.core.formats.ply").write_ply(tmp_path / "a.ply", some_gaussians())
    bpy.ops.mesh.primitive_cube_add()
    cube = bpy.context.object
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.splatwright.import_splats(filepath=str(tmp_path / "a.ply"))
    assert bpy.context.object == cube and cube.mode == "EDIT" and "a" in bpy.data.objects
    bpy.ops.object.mode_set(mode="OBJECT")


@needs("splats")
@pytest.mark.parametrize("name", ["train-1000_graphdeco_sh3.ply", "playbot_lod3_sh2_CONVERTED.ply"])
def test_real_files_come_back(export: ModuleType, tmp_path: Path, name: str) -> None:
    bpy.ops.splatwright.import_splats(filepath=str(DATA / "splats" / name))
    bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "again.ply"))
    assert_same(read(tmp_path / "again.ply"), read(DATA / "splats" / name))


def test_menus_hold_the_entries_only_while_enabled(export: ModuleType, extension: str) -> None:
    def entries() -> int:
        menus = (bpy.types.TOPBAR_MT_file_import, bpy.types.TOPBAR_MT_file_export, bpy.types.VIEW3D_MT_add)
        return sum(entry.__module__.startswith(extension) for menu in menus for entry in menu._dyn_ui_initialize())

    assert entries() == 6  # splats and camera paths both ways, posed photos in, the submenu of Add
    bpy.ops.preferences.addon_disable(module=extension)
    assert entries() == 0
    bpy.ops.preferences.addon_enable(module=extension)
    assert entries() == 6


def test_add_menu_leads_to_every_way_of_getting_splats(export: ModuleType) -> None:
    layout = Layout()
    bpy.types.SPLATWRIGHT_MT_add_splats.draw(SimpleNamespace(layout=layout), bpy.context)
    assert layout.operators == ["import_splats", "import_photos", "instant_splats", "splats_from_mesh"]
    assert layout.operator_context == "INVOKE_REGION_WIN"


def test_selected_only_decides_what_is_exported(export: ModuleType, tmp_path: Path) -> None:
    splats(some_gaussians(3, 1), "First")
    splats(some_gaussians(4, 2), "Second", selected=False)

    def written(**said: bool) -> int:
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "a.ply"), **said)
        return len(read(tmp_path / "a.ply"))

    assert (written(), written(use_selection=True), written(use_selection=False)) == (3, 3, 7)
    bpy.ops.object.select_all(action="DESELECT")
    assert (written(), written(use_selection=False)) == (7, 7)
    (tmp_path / "a.ply").unlink()
    with pytest.raises(RuntimeError, match=r"No splat object is selected\. .*Selected Only"):
        written(use_selection=True)
    assert not (tmp_path / "a.ply").exists()
