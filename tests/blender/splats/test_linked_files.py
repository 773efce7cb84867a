"""Splats that stay in their file: small .blend files, changes on the disk, files that are missing."""

from __future__ import annotations

import os
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.blender.conftest import empty_scene, module
from tests.blender.splats.splat_samples import assert_same, some_gaussians
from tests.untyped import bpy


@pytest.fixture
def linked(fresh_scene: bpy.types.Scene) -> ModuleType:
    return module("addon.splats.linked_files")


def write(path: Path, count: int, seed: int = 0, age: int = 0) -> Any:
    """A splat file, as if written `age` seconds later."""
    gaussians = some_gaussians(count, seed=seed)
    module("engine.core.formats.registry").write_splats(path, gaussians)
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + age * 10**9))
    return gaussians


def link(path: Path) -> bpy.types.Object:
    assert bpy.ops.splatwright.import_splats(filepath=str(path), link=True) == {"FINISHED"}
    return bpy.context.object


def save(path: Path) -> Path:
    bpy.ops.wm.save_as_mainfile(filepath=str(path), compress=False)
    return path


def reopen(path: Path) -> bpy.types.Object:
    empty_scene()
    bpy.ops.wm.open_mainfile(filepath=str(path))
    return bpy.data.objects[0]


def read(target: bpy.types.Object) -> Any:
    return module("addon.splats.splat_object").gaussians_from_object(target)


def test_saving_and_reopening_keeps_the_splats_in_their_file(linked: ModuleType, tmp_path: Path) -> None:
    gaussians = write(tmp_path / "größe a.ply", 20_000)
    made = link(tmp_path / "größe a.ply")
    made.location, made.name = (1, 2, 3), "Placed"
    material, points = made.data.materials[0] if made.data.materials else None, made.data.name
    made.data.use_fake_user = True
    saved = save(tmp_path / "a.blend")
    assert saved.stat().st_size < 1_500_000 < 20_000 * 236
    assert_same(read(made), gaussians)  # the open scene has lost nothing
    assert made.data.name == points and made.data.use_fake_user and len(bpy.data.pointclouds) == 1
    again = reopen(saved)
    assert (again.name, tuple(again.location), again.data.name) == ("Placed", (1, 2, 3), points)
    assert_same(read(again), gaussians)
    assert (again.data.materials[0] if again.data.materials else None) == (material and bpy.data.materials[0])
    assert not again.splatwright.problem and len(bpy.data.pointclouds) == 1


def test_splats_that_are_not_linked_are_saved(linked: ModuleType, tmp_path: Path) -> None:
    gaussians = write(tmp_path / "a.ply", 100)
    made = link(tmp_path / "a.ply")
    made.splatwright.linked = False
    saved = save(tmp_path / "a.blend")
    (tmp_path / "a.ply").unlink()
    assert_same(read(reopen(saved)), gaussians)


def test_a_file_that_changed_is_read_again(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 100)
    made = link(tmp_path / "a.ply")
    made.scale = (2, 2, 2)
    before = made.data.attributes["scale"]
    assert linked.look() == linked.INTERVAL and made.data.attributes["scale"] == before and len(made.data.points) == 100
    gaussians = write(tmp_path / "a.ply", 250, seed=1, age=2)
    linked.refresh()
    assert_same(read(made), gaussians)
    assert tuple(made.scale) == (2, 2, 2)


def test_blender_goes_on_while_a_file_is_read(linked: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.ply", 100)
    made = link(tmp_path / "a.ply")
    gaussians, begun, go_on, really = write(tmp_path / "a.ply", 150, seed=1, age=2), Event(), Event(), linked.read_splats

    def slowly(*asked: Any) -> Any:
        begun.set()
        assert go_on.wait(10)
        return really(*asked)

    monkeypatch.setattr(linked, "read_splats", slowly)
    assert linked.look() == linked.SOON and begun.wait(10)
    assert linked.look() == linked.SOON and len(made.data.points) == 100
    go_on.set()
    linked.refresh()
    assert_same(read(made), gaussians)


def test_objects_that_share_splats_stay_linked_when_their_file_changes(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 100)
    made = link(tmp_path / "a.ply")
    other = made.copy()
    bpy.context.collection.objects.link(other)
    gaussians = write(tmp_path / "a.ply", 150, seed=1, age=2)
    linked.refresh()
    assert made.splatwright.linked and other.splatwright.linked and not other.splatwright.problem and made.data == other.data
    assert_same(read(other), gaussians)


def test_a_file_that_changed_while_blender_was_away(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 100)
    link(tmp_path / "a.ply")
    saved = save(tmp_path / "a.blend")
    gaussians = write(tmp_path / "a.ply", 130, seed=2, age=5)
    assert_same(read(reopen(saved)), gaussians)


def test_a_missing_file_keeps_the_object_and_says_so(linked: ModuleType, tmp_path: Path) -> None:
    gaussians = write(tmp_path / "a.ply", 100)
    link(tmp_path / "a.ply").location = (4, 0, 0)
    saved = save(tmp_path / "a.blend")
    (tmp_path / "a.ply").rename(tmp_path / "b.ply")
    again = reopen(saved)
    assert again.location.x == 4 and len(again.data.points) == 0
    assert module("addon.splats.splat_object").is_splat_object(again)
    assert "a.ply" in again.splatwright.problem and again.splatwright.problem.count(".") >= 2
    with pytest.raises(RuntimeError, match="hold no splats"):
        bpy.ops.splatwright.export_splats(filepath=str(tmp_path / "c.ply"))
    again.splatwright.source = str(tmp_path / "b.ply")
    linked.refresh()
    assert_same(read(again), gaussians)
    assert not again.splatwright.problem


def test_splats_whose_file_went_are_saved_after_all(linked: ModuleType, tmp_path: Path) -> None:
    """The .blend is their last place."""
    gaussians = write(tmp_path / "a.ply", 100)
    made = link(tmp_path / "a.ply")
    (tmp_path / "a.ply").unlink()
    linked.refresh()
    assert "a.ply" in made.splatwright.problem
    assert_same(read(made), gaussians)
    again = reopen(save(tmp_path / "a.blend"))
    assert_same(read(again), gaussians)


def test_a_moved_project_finds_its_files_beside_it(linked: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    gaussians = write(tmp_path / "here" / "a.ply", 100)
    link(tmp_path / "here" / "a.ply")
    save(tmp_path / "here" / "a.blend")
    (tmp_path / "here").rename(tmp_path / "there")
    assert_same(read(reopen(tmp_path / "there" / "a.blend")), gaussians)


@pytest.mark.parametrize("damage", [
    b"", b"hello", b"ply\nformat binary_little_endian 1.0\nelement vertex 9\nproperty float x\nend_header\n"])
def test_a_file_half_written_is_waited_for(linked: ModuleType, tmp_path: Path, damage: bytes) -> None:
    gaussians = write(tmp_path / "a.ply", 100)
    made = link(tmp_path / "a.ply")
    (tmp_path / "a.ply").write_bytes(damage)
    linked.refresh()
    assert_same(read(made), gaussians)
    assert "a.ply" in made.splatwright.problem and "\n" not in made.splatwright.problem
    gaussians = write(tmp_path / "a.ply", 120, seed=3, age=3)
    linked.refresh()
    assert_same(read(made), gaussians)
    assert not made.splatwright.problem


def test_objects_that_share_splats(linked: ModuleType, tmp_path: Path) -> None:
    """Both linked: small. One of them not: its splats are saved."""
    gaussians = write(tmp_path / "a.ply", 500)
    made = link(tmp_path / "a.ply")
    other = made.copy()
    bpy.context.collection.objects.link(other)
    small = save(tmp_path / "a.blend").stat().st_size
    assert made.data == other.data and len(made.data.points) == 500
    other.splatwright.linked = False
    assert save(tmp_path / "b.blend").stat().st_size > small + 500 * 200
    reopen(tmp_path / "b.blend")
    assert len(bpy.data.objects) == 2
    for found in bpy.data.objects:
        assert_same(read(found), gaussians)


def test_linked_objects_can_be_appended(linked: ModuleType, tmp_path: Path) -> None:
    gaussians = write(tmp_path / "a.ply", 100)
    name = link(tmp_path / "a.ply").name
    saved = save(tmp_path / "a.blend")
    empty_scene()
    bpy.ops.wm.append(directory=str(saved / "Object"), filename=name)
    linked.refresh()
    assert_same(read(bpy.data.objects[name]), gaussians)


def test_a_save_that_fails_loses_nothing(linked: ModuleType, tmp_path: Path) -> None:
    gaussians = write(tmp_path / "a.ply", 100)
    made = link(tmp_path / "a.ply")
    stamp = made.splatwright.stamp
    with pytest.raises(RuntimeError):
        save(tmp_path / "no such folder" / "a.blend")
    assert_same(read(made), gaussians)
    assert made.splatwright.stamp == stamp and len(bpy.data.pointclouds) == 1


def test_extra_properties_and_antialiasing_come_back(linked: ModuleType, tmp_path: Path) -> None:
    module("engine.core.formats.registry").write_splats(tmp_path / "a.spz", some_gaussians(50), antialiased=True)
    link(tmp_path / "a.spz")
    again = reopen(save(tmp_path / "a.blend"))
    assert again.splatwright.antialiased and len(again.data.points) == 50


def test_a_link_in_chosen_axes_stays_in_them(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 50)
    bpy.ops.splatwright.import_splats(filepath=str(tmp_path / "a.ply"), link=True, axes="BLENDER")
    before = read(bpy.context.object)
    after = read(reopen(save(tmp_path / "a.blend")))
    assert np.array_equal(before.means, after.means)


def edit(target: bpy.types.Object) -> Any:
    """What layout tools do: other Gaussians in the same object."""
    edited = some_gaussians(80, seed=9)
    module("addon.splats.splat_object").update_splat_object(target, edited)
    return edited


def test_edited_splats_are_saved_and_no_longer_linked(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 100)
    made = link(tmp_path / "a.ply")
    edited = edit(made)
    again = reopen(save(tmp_path / "a.blend"))
    assert_same(read(again), edited)
    assert not again.splatwright.linked and "edited" in again.splatwright.problem


def test_a_changed_file_does_not_replace_edited_splats(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 100)
    made = link(tmp_path / "a.ply")
    edited = edit(made)
    gaussians = write(tmp_path / "a.ply", 150, seed=4, age=3)
    linked.refresh()
    assert_same(read(made), edited)
    assert not made.splatwright.linked and "edited" in made.splatwright.problem
    made.splatwright.linked = True  # on purpose
    linked.refresh()
    assert_same(read(made), gaussians)
    assert made.splatwright.linked and not made.splatwright.problem


def test_nothing_is_looked_at_without_linked_objects(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "scene.ply", 50)
    target = link(tmp_path / "scene.ply")
    assert linked.look() == linked.INTERVAL
    target.splatwright.linked = False
    assert linked.look() is None
    bpy.app.timers.unregister(linked.look)  # as Blender does then
    bpy.context.view_layer.update()
    assert not bpy.app.timers.is_registered(linked.look)
    target.splatwright.linked = True
    target.update_tag()
    bpy.context.view_layer.update()
    assert bpy.app.timers.is_registered(linked.look)


def test_moving_an_object_is_no_edit(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 100)
    made = link(tmp_path / "a.ply")
    made.location, made.scale, made.splatwright.display, made.splatwright.stride = (1, 2, 3), (2, 2, 2), "POINTS", 3
    save(tmp_path / "a.blend")
    assert made.splatwright.linked and made.splatwright.checksum
