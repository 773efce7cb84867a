"""Splat files of every format in and out of Blender, and what a round trip through Blender may change."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plyfile import PlyData, PlyElement

from tests.blender.conftest import empty_scene, module
from tests.blender.splats.splat_samples import changed, some_gaussians
from tests.data import DATA, needs
from tests.untyped import bpy

REAL = DATA / "splats"
SUFFIXES = {"PLY": ".ply", "COMPRESSED_PLY": ".compressed.ply", "SPZ": ".spz", "SPZ_3": ".spz", "SPLAT": ".splat"}


@pytest.fixture
def formats(fresh_scene: bpy.types.Scene) -> ModuleType:
    return module("engine.core.formats.registry")


def imported(path: Path, **options: Any) -> bpy.types.Object:
    assert bpy.ops.splatwright.import_splats(filepath=str(path), **options) == {"FINISHED"}
    return bpy.context.object


def exported(path: Path, **options: Any) -> Path:
    assert bpy.ops.splatwright.export_splats(filepath=str(path), **options) == {"FINISHED"}
    return path


def columns(path: Path) -> np.ndarray:
    """The vertices of a PLY, read by another implementation."""
    return PlyData.read(str(path))["vertex"].data


# Exactness


def assert_exact(path: Path, again: Path) -> None:
    """Row by row no value changed by more than a millionth.

    The parts of a quaternion count against its length and harmonics against the largest of their splat: the change of axes
    mixes them, and float32 holds a sum no better.
    """
    before, after = columns(path), columns(again)
    assert len(before) == len(after)
    rotation = np.sqrt(sum(before[f"rot_{index}"].astype(float) ** 2 for index in range(4)))
    rest = [name for name in before.dtype.names or () if name.startswith("f_rest")]
    largest = np.max([np.abs(before[name]) for name in rest], axis=0) if rest else 0
    for name in (name for name in before.dtype.names or () if name not in ("nx", "ny", "nz")):
        size = rotation if name.startswith("rot") else largest if name in rest else np.abs(before[name])
        assert (np.abs(after[name].astype(float) - before[name]) <= 1e-6 * size).all(), name


@needs("splats")
@pytest.mark.parametrize("name", ["train-1000_graphdeco_sh3.ply", "playbot_lod3_sh2_CONVERTED.ply"])
def test_a_real_ply_comes_back_exactly(formats: ModuleType, tmp_path: Path, name: str) -> None:
    imported(REAL / name)
    assert_exact(REAL / name, exported(tmp_path / "again.ply"))


@needs("splats")
def test_a_real_ply_in_blenders_axes_comes_back_bit_by_bit_but_for_rounding(formats: ModuleType, tmp_path: Path) -> None:
    """Without a change of axes every single value keeps its first six digits, quaternions and harmonics too."""
    path = REAL / "train-1000_graphdeco_sh3.ply"
    imported(path, axes="BLENDER")
    before, after = columns(path), columns(exported(tmp_path / "again.ply", axes="BLENDER"))
    for name in (name for name in before.dtype.names or () if name not in ("nx", "ny", "nz")):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-6, err_msg=name)


numbers = st.floats(-100, 100, width=32, allow_subnormal=False)


@settings(max_examples=25, deadline=None)
@given(rows=hnp.arrays(np.float32, (4, 3 + 3 + 1 + 3 + 4 + 9), elements=numbers))
def test_any_ply_comes_back_exactly(tmp_path_factory: pytest.TempPathFactory, rows: np.ndarray) -> None:
    """Quaternions of any length, scales and logits near 0 and far from it."""
    empty_scene()
    names = ["x", "y", "z", "f_dc_0", "f_dc_1", "f_dc_2", "opacity", "scale_0", "scale_1", "scale_2", "rot_0", "rot_1", "rot_2", "rot_3",
             *(f"f_rest_{index}" for index in range(9))]
    rows[:, 7:10] = rows[:, 7:10] / 5  # e^20 is further than any scene
    rows[np.abs(rows) < 1e-30] = 0
    rows[(np.abs(rows[:, 10:14]) < 1e-3).all(axis=1), 10] = 1
    table = np.ascontiguousarray(rows).view([(name, "<f4") for name in names]).reshape(-1)
    folder = tmp_path_factory.mktemp("any")
    PlyData([PlyElement.describe(table, "vertex")], byte_order="<").write(str(folder / "a.ply"))
    imported(folder / "a.ply")
    assert_exact(folder / "a.ply", exported(folder / "b.ply"))


def test_scales_that_were_edited_count(formats: ModuleType) -> None:
    """What is kept of the digits is used only where the scale is still the same."""
    splat_object, layers = module("addon.splats.splat_object"), module("addon.splats.attributes")
    gaussians = changed(some_gaussians(4, 0), scales=np.full((4, 3), 1e-3, np.float32))
    made = splat_object.create_splat_object("Splats", gaussians)
    scale = layers.read_layer(made.data, "scale")
    scale[1] *= 2
    layers.write_layers(made.data, {"scale": layers.Layer("FLOAT_VECTOR", scale)})
    read = splat_object.gaussians_from_object(made).scales
    assert np.array_equal(read[[0, 2, 3]], gaussians.scales[[0, 2, 3]]) and np.allclose(read[1], np.log(2) + 1e-3)


def test_digits_are_kept_only_where_they_are_needed(formats: ModuleType) -> None:
    splat_object = module("addon.splats.splat_object")
    gaussians = some_gaussians(4, 0)
    unit = gaussians.quats / np.linalg.norm(gaussians.quats, axis=1, keepdims=True)
    made = splat_object.create_splat_object("Splats", changed(gaussians, scales=np.full((4, 3), 0.01, np.float32)))
    assert {"splatwright:log_scale", "splatwright:length"} <= set(made.data.attributes.keys())
    splat_object.update_splat_object(made, changed(gaussians, quats=unit.astype(np.float32), scales=np.full((4, 3), -3, np.float32)))
    assert not {"splatwright:log_scale", "splatwright:length"} & set(made.data.attributes.keys())


# Formats


@pytest.mark.parametrize("name", SUFFIXES)
@pytest.mark.parametrize("axes", ["SUPERSPLAT", "OPENGL", "BLENDER"])
def test_operators_do_what_the_functions_do(formats: ModuleType, tmp_path: Path, name: str, axes: str) -> None:
    gaussians, chosen = some_gaussians(20), formats.format_named(name)
    module("addon.splats.splat_object").create_splat_object("Splats", gaussians)
    bpy.context.view_layer.update()
    path = exported(tmp_path / f"größe{SUFFIXES[name]}", format=name, axes=axes)
    world = module("addon.splats.exporting").world_gaussians(list(bpy.data.objects)).gaussians
    formats.write_splats(tmp_path / f"function{SUFFIXES[name]}", world, axes, chosen=chosen)
    assert path.read_bytes() == (tmp_path / f"function{SUFFIXES[name]}").read_bytes()
    made = imported(path, axes=axes)
    expected = formats.read_splats(path, axes).gaussians
    read = module("addon.splats.splat_object").gaussians_from_object(made)
    np.testing.assert_allclose(read.means, expected.means, atol=1e-6)
    np.testing.assert_allclose(read.scales, expected.scales, rtol=1e-5, atol=1e-6)
    assert read.sh_degree == (0 if name == "SPLAT" else 3)


def test_the_name_chooses_the_format_for_scripts(formats: ModuleType, tmp_path: Path) -> None:
    module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians(5))
    heads = {"a.ply": b"ply", "a.compressed.ply": b"ply", "a.spz": b"NGSP"}
    for name, head in heads.items():
        assert exported(tmp_path / name).read_bytes().startswith(head)
    assert exported(tmp_path / "old.spz", format="SPZ_3").read_bytes().startswith(b"\x1f\x8b")
    assert b"packed_position" in (tmp_path / "a.compressed.ply").read_bytes()
    assert exported(tmp_path / "a.splat").stat().st_size == 5 * 32
    with pytest.raises(RuntimeError, match="no splat file by its name"):
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "a.obj"))


def test_the_name_follows_the_format_in_the_dialog(formats: ModuleType) -> None:
    named_for = module("addon.operators.export").named_for
    for name, suffix in SUFFIXES.items():
        for before in ("/tmp/a b", "/tmp/a b.ply", "/tmp/a b.compressed.ply", "/tmp/a b.SPZ", "/tmp/a b.splat"):
            assert named_for(before, formats.format_named(name)) == f"/tmp/a b{suffix}"


def test_antialiasing_goes_through_blender(formats: ModuleType, tmp_path: Path) -> None:
    for flag in (True, False):
        empty_scene()
        formats.write_splats(tmp_path / "a.spz", some_gaussians(5), antialiased=flag)
        assert imported(tmp_path / "a.spz").splatwright.antialiased == flag
        assert formats.read_splats(exported(tmp_path / "b.ply")).antialiased == flag


def test_extra_properties_become_attributes(formats: ModuleType, tmp_path: Path) -> None:
    formats.write_splats(tmp_path / "a.ply", some_gaussians(5, 0))
    table = columns(tmp_path / "a.ply")
    wider = np.zeros(5, [*table.dtype.descr, ("label", "i4"), ("color", "f8")])
    for name in table.dtype.names or ():
        wider[name] = table[name]
    wider["label"], wider["color"], wider["x"][2] = np.arange(5), 0.5, np.nan
    PlyData([PlyElement.describe(wider, "vertex")], byte_order="<").write(str(tmp_path / "b.ply"))
    attributes = imported(tmp_path / "b.ply").data.attributes
    assert [item.value for item in attributes["ply:label"].data] == [0, 1, 3, 4]
    assert [item.value for item in attributes["ply:color"].data] == [0.5] * 4 and "color" not in attributes


def test_several_files_at_once(formats: ModuleType, tmp_path: Path) -> None:
    """What is sound comes in; of the rest each gets its sentence."""
    for name in ("one.ply", "two.spz"):
        formats.write_splats(tmp_path / name, some_gaussians(5))
    (tmp_path / "bad.splat").write_bytes(b"bad")
    names = [{"name": name} for name in ("one.ply", "bad.splat", "two.spz")]
    with pytest.raises(RuntimeError, match=r"bad\.splat does not hold whole splats"):
        bpy.ops.splatwright.import_splats(directory=str(tmp_path), files=names)
    assert {found.name for found in bpy.context.selected_objects} == {"one", "two"} and len(bpy.data.pointclouds) == 2


def test_dropped_files_ask_for_their_axes(formats: ModuleType) -> None:
    """Dropping opens a small dialog, whatever number of files it was."""
    operator, asked = module("addon.operators.splats").SPLATWRIGHT_OT_import_splats, []
    window_manager = SimpleNamespace(invoke_props_dialog=lambda *_args, **options: asked.append(options["title"]) or {"RUNNING_MODAL"})
    for count in (1, 2):
        dropped = SimpleNamespace(properties=SimpleNamespace(is_property_set=lambda name: True), bl_label="Import Splats",
                                  paths=lambda count=count: [Path("/some/folder/a.spz")] * count)
        assert operator.invoke(dropped, SimpleNamespace(window_manager=window_manager), None) == {"RUNNING_MODAL"}
    assert asked == ["a.spz", "2 splat files"]
    handler = module("addon.operators.splats").SPLATWRIGHT_FH_splats
    assert handler.bl_file_extensions == ".ply;.splat;.spz"


def test_what_is_lost_is_said(formats: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians(5))
    exported(tmp_path / "a.splat")
    assert "cannot hold colour that changes with the view" in capfd.readouterr().out


@pytest.mark.parametrize(("name", "data", "words"), [
    ("a.spz", b"hello", "not an SPZ"), ("a.spz", b"NGSP\x09\0\0\0" + bytes(24), "version 9"), ("a.splat", b"hello", "whole splats"),
    ("a.compressed.ply", b"hello", "not a PLY"),
    ("a.ply", b"ply\nformat ascii 1.0\nelement vertex 4000000000\nproperty float x\nend_header\n", "header names 4000000000 rows"),
    ("a.spz", b"NGSP\x04\0\0\0\xff\xff\xff\xff" + bytes(20), "claims 4294967295"), ("a.xyz", b"1 2 3", "by its name")])
def test_bad_files_are_one_sentence_and_leave_nothing(formats: ModuleType, tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RuntimeError, match=words):
        bpy.ops.splatwright.import_splats(filepath=str(tmp_path / name))
    assert not bpy.data.objects and not bpy.data.pointclouds
