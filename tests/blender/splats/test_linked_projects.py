"""Splats that stay in their file, in projects as people have them: libraries, moved folders, edits, exports over the source, no window."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.blender.conftest import EXTENSION, empty_scene, module
from tests.blender.splats.splat_samples import assert_same, some_gaussians
from tests.blender.splats.test_linked_files import link, read, reopen, save, write
from tests.untyped import bpy


@pytest.fixture
def linked(fresh_scene: bpy.types.Scene) -> ModuleType:
    return module("addon.splats.linked_files")


# Libraries


def library(folder: Path, count: int = 100) -> Any:
    """A .blend whose collection Props holds two linked objects that share their points; the Gaussians of their file."""
    folder.mkdir(exist_ok=True)
    gaussians = write(folder / "a.ply", count)
    made = link(folder / "a.ply")
    props = bpy.data.collections.new("Props")
    bpy.context.scene.collection.children.link(props)
    for item in (made, made.copy()):
        props.objects.link(item)
    bpy.context.scene.collection.objects.unlink(made)
    save(folder / "library.blend")
    return gaussians


def shot(folder: Path, way: str) -> Path:
    """A .blend that links the collection Props, or overrides it."""
    empty_scene()
    bpy.ops.wm.link(directory=str(folder / "library.blend" / "Collection"), filename="Props", instance_collections=way == "instanced")
    if way == "overridden":
        theirs = bpy.data.collections["Props"]
        theirs.override_hierarchy_create(bpy.context.scene, bpy.context.view_layer)
        if theirs in bpy.context.scene.collection.children.values():
            bpy.context.scene.collection.children.unlink(theirs)
    return save(folder / "shot.blend")


def in_scene() -> list[bpy.types.Object]:
    return [found for found in bpy.context.scene.objects if found.type == "POINTCLOUD"]


@pytest.mark.parametrize("way", ["linked", "overridden", "instanced"])
def test_splats_of_a_library_are_there(linked: ModuleType, tmp_path: Path, way: str) -> None:
    gaussians = library(tmp_path / "project")
    saved = shot(tmp_path / "project", way)
    size = saved.stat().st_size
    reopen(saved)
    depsgraph = bpy.context.evaluated_depsgraph_get()
    shown = [instance.object for instance in depsgraph.object_instances if instance.object.type == "POINTCLOUD"]
    assert [len(found.data.points) for found in shown] == [100, 100]
    targets = in_scene() if way != "instanced" else [bpy.context.scene.objects[0]]
    exported = module("addon.splats.exporting").world_gaussians(targets).gaussians
    assert_same(exported.take(slice(0, 100)), gaussians)
    for found in in_scene():
        assert found.data.attributes["radius"].data[3].value > 0 and not found.splatwright.problem
    assert save(saved).stat().st_size < size + 30_000, "nothing of them is saved here"
    assert all(len(found.data.points) == 100 for found in in_scene())
    reopen(saved)
    gaussians = write(tmp_path / "project" / "a.ply", 130, seed=3, age=4)
    linked.refresh()
    assert [len(found.data.points) for found in in_scene()] == [130] * len(in_scene())
    for found in in_scene():
        assert_same(read(found), gaussians)


@pytest.mark.parametrize("way", ["linked", "overridden"])
def test_undo_leaves_splats_of_a_library_alone(linked: ModuleType, tmp_path: Path, way: str) -> None:
    gaussians = library(tmp_path / "project")
    shot(tmp_path / "project", way)
    bpy.context.preferences.edit.use_global_undo = True
    linked.refresh()
    bpy.ops.ed.undo_push(message="Start")
    for step in range(3):
        bpy.context.scene.collection.objects.link(bpy.data.objects.new(f"Empty {step}", None))
        bpy.ops.ed.undo_push(message=f"Step {step}")
    for step in (bpy.ops.ed.undo, bpy.ops.ed.undo, bpy.ops.ed.redo, bpy.ops.ed.undo):
        step()
        linked.refresh()
        bpy.context.view_layer.update()
        assert len(in_scene()) == 2
        for found in in_scene():
            assert_same(read(found), gaussians)
    save(tmp_path / "project" / "shot.blend")
    assert not local_points()


def local_points() -> list[str]:
    """Point clouds that the saved file holds."""
    copy = shutil.copy(bpy.data.filepath, Path(bpy.data.filepath).with_name("copy.blend"))  # Blender reads no open file so
    with bpy.data.libraries.load(str(copy), link=True) as (have, _):
        return list(have.pointclouds)


def test_an_edited_override_is_saved(linked: ModuleType, tmp_path: Path) -> None:
    library(tmp_path / "project")
    saved = shot(tmp_path / "project", "overridden")
    reopen(saved)
    made = bpy.context.scene.objects["a"]
    sh(made.data)
    edited = read(made)
    save(saved)
    assert_same(read(made), edited)
    reopen(saved)
    for name in ("a", "a.001"):  # they share their points
        again = bpy.context.scene.objects[name]
        assert not again.splatwright.linked
        assert_same(read(again), edited)


def test_a_missing_file_of_a_library_is_said(linked: ModuleType, tmp_path: Path) -> None:
    library(tmp_path / "project")
    saved = shot(tmp_path / "project", "linked")
    (tmp_path / "project" / "a.ply").unlink()
    reopen(saved)
    assert all("a.ply" in found.splatwright.problem for found in in_scene())


# Moved projects


def test_paths_are_relative_by_blenders_custom(linked: ModuleType, tmp_path: Path) -> None:
    """On the first save, after Save As elsewhere, by Make Paths Absolute and Relative; not where the preferences say so."""
    gaussians = write(tmp_path / "a.ply", 50)
    made = link(tmp_path / "a.ply")
    assert Path(made.splatwright.source) == tmp_path / "a.ply"
    save(tmp_path / "a.blend")
    assert made.splatwright.source == "//a.ply"
    (tmp_path / "deep").mkdir()
    save(tmp_path / "deep" / "a.blend")
    assert made.splatwright.source == "//../a.ply"
    bpy.ops.file.make_paths_absolute()
    linked.refresh()
    assert made.splatwright.source == str(tmp_path / "a.ply")
    bpy.ops.file.make_paths_relative()
    linked.refresh()
    assert made.splatwright.source == "//../a.ply" and made.splatwright.stamp and not made.splatwright.problem
    assert_same(read(made), gaussians)
    assert link(tmp_path / "a.ply").splatwright.source == "//../a.ply"
    bpy.context.preferences.filepaths.use_relative_paths = False
    try:
        assert link(tmp_path / "a.ply").splatwright.source == str(tmp_path / "a.ply")
    finally:
        bpy.context.preferences.filepaths.use_relative_paths = True


def test_a_copied_project_reads_its_own_copy(linked: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "one" / "splats").mkdir(parents=True)
    write(tmp_path / "one" / "splats" / "a.ply", 50)
    link(tmp_path / "one" / "splats" / "a.ply")
    save(tmp_path / "one" / "a.blend")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    gaussians = write(tmp_path / "two" / "splats" / "a.ply", 70, seed=2)
    assert_same(read(reopen(tmp_path / "two" / "a.blend")), gaussians)


def test_find_missing_files_finds_splats(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 50)
    made = link(tmp_path / "a.ply")
    save(tmp_path / "a.blend")
    (tmp_path / "archive" / "2025").mkdir(parents=True)
    (tmp_path / "a.ply").unlink()
    linked.refresh()
    assert "a.ply" in made.splatwright.problem
    gaussians = write(tmp_path / "archive" / "2025" / "a.ply", 60, seed=1)
    bpy.ops.file.find_missing_files(directory=str(tmp_path / "archive"))
    linked.refresh()
    assert Path(made.splatwright.source) == tmp_path / "archive" / "2025" / "a.ply" and not made.splatwright.problem
    assert_same(read(made), gaussians)


@pytest.mark.parametrize("way", ["append", "make_local"])
def test_an_object_that_comes_from_another_folder_knows_its_file(linked: ModuleType, tmp_path: Path, way: str) -> None:
    """Though a file of the same name lies beside this .blend too."""
    gaussians = library(tmp_path / "project")
    empty_scene()
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "a.ply", 30, seed=5)
    save(tmp_path / "other" / "b.blend")
    where = {"directory": str(tmp_path / "project" / "library.blend" / "Object"), "filename": "a"}
    if way == "append":
        bpy.ops.wm.append(**where)
    else:
        bpy.ops.wm.link(**where)
        bpy.ops.object.make_local(type="ALL")
    linked.refresh()
    made = bpy.context.scene.objects["a"]
    assert made.library is None and made.splatwright.source == "//../project/a.ply"
    assert_same(read(made), gaussians)


def test_two_objects_of_one_file_are_named_anew_one_by_one(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 50)
    other = write(tmp_path / "b.ply", 60, seed=1)
    made = link(tmp_path / "a.ply")
    twin = made.copy()
    twin.data = made.data.copy()
    bpy.context.collection.objects.link(twin)
    twin.splatwright.source = str(tmp_path / "b.ply")
    linked.refresh()
    assert len(made.data.points) == 50
    assert_same(read(twin), other)
    made.splatwright.linked = twin.splatwright.linked = False
    linked.refresh()
    assert not bpy.data.texts and Path(made.splatwright.source) == tmp_path / "a.ply"


# Edits of any attribute


def sh(points: Any) -> None:
    points.attributes["radiance:sh_2"].data[7].vector = (0.5, 0.25, 0.125)


def opacity_logit(points: Any) -> None:
    points.attributes["splatwright:logit"].data[7].value += 1e-3


def extra(points: Any) -> None:
    points.attributes["ply:label"].data[7].value = 99


def new_attribute(points: Any) -> None:
    points.attributes.new("mask", "BOOLEAN", "POINT").data[7].value = True


def removed_attribute(points: Any) -> None:
    points.attributes.remove(points.attributes["ply:label"])


def place(points: Any) -> None:
    points.attributes["position"].data[7].vector = (1, 2, 3)


EDITS = (sh, opacity_logit, extra, new_attribute, removed_attribute, place)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_every_edit_is_kept(linked: ModuleType, tmp_path: Path, edit: Any) -> None:
    label = np.zeros(40, [("label", np.int32)])
    label["label"] = np.arange(40)
    module("engine.core.formats.registry").write_splats(tmp_path / "a.ply", some_gaussians(40), extra=label)
    made = link(tmp_path / "a.ply")
    edit(made.data)
    before = module("addon.splats.subsets").read_stored(made.data)
    again = reopen(save(tmp_path / "a.blend"))
    after = module("addon.splats.subsets").read_stored(again.data)
    assert not again.splatwright.linked and "edited" in again.splatwright.problem
    assert before.keys() == after.keys() and all(np.array_equal(before[name].rows, after[name].rows) for name in before)


def test_custom_properties_of_the_points_are_saved(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 40)
    made = link(tmp_path / "a.ply")
    made.data["note"], made.data["more"] = "scanned in May", {"by": [1, 2, 3]}
    again = reopen(save(tmp_path / "a.blend"))
    assert again.data["note"] == "scanned in May" and list(again.data["more"]["by"]) == [1, 2, 3] and len(again.data.points) == 40


def test_selecting_and_drawing_are_no_edits(linked: ModuleType, tmp_path: Path) -> None:
    write(tmp_path / "a.ply", 40)
    made = link(tmp_path / "a.ply")
    module("addon.splats.subsets").select_points(made.data, np.arange(40) < 5)
    made.splatwright.display = "POINTS"
    bpy.context.scene.render.engine = "BLENDER_EEVEE_NEXT" if bpy.app.version < (5, 0) else "BLENDER_EEVEE"
    module("addon.splats.display").show(made)
    save(tmp_path / "a.blend")
    assert made.splatwright.linked


def test_a_checksum_of_version_0_1_is_understood(linked: ModuleType, tmp_path: Path) -> None:
    """It knew places, shapes, colours and opacities alone."""
    write(tmp_path / "a.ply", 40)
    made, importing = link(tmp_path / "a.ply"), module("addon.splats.importing")
    total = 0
    for name in importing.WIDTHS:
        total = importing.zlib.crc32(importing.read_layer(made.data, name).data, total)
    made.splatwright.checksum = f"{total:08x}"
    assert importing.is_as_read(made)
    place(made.data)
    assert not importing.is_as_read(made)


# Exports over the source


def export(path: Path, **options: Any) -> None:
    assert bpy.ops.splatwright.export_splats(filepath=str(path), **options) == {"FINISHED"}


def test_an_edit_goes_back_into_its_file(linked: ModuleType, tmp_path: Path) -> None:
    """Exported where it stands at the origin, the file holds what the object shows: the link goes on."""
    write(tmp_path / "a.ply", 40)
    made = link(tmp_path / "a.ply")
    sh(made.data)
    edited = read(made)
    export(tmp_path / "a.ply")
    linked.refresh()
    assert made.splatwright.linked and not made.splatwright.problem
    assert_same(read(reopen(save(tmp_path / "a.blend"))), edited)


def test_what_no_file_holds_is_not_left_to_it(linked: ModuleType, tmp_path: Path) -> None:
    """An attribute of the user's own, though all that the file holds is as the object shows it."""
    write(tmp_path / "a.ply", 40)
    made = link(tmp_path / "a.ply")
    new_attribute(made.data)
    export(tmp_path / "a.ply")
    again = reopen(save(tmp_path / "a.blend"))
    assert not again.splatwright.linked and again.data.attributes["mask"].data[7].value


@pytest.mark.parametrize("options", [{}, {"axes": "BLENDER"}])
def test_an_export_of_something_else_over_the_source_ends_the_link(
    linked: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str], options: dict[str, str],
) -> None:
    """Placed in the scene it would be placed twice; read in other axes it would lie on its side."""
    gaussians = write(tmp_path / "a.ply", 40)
    bpy.ops.splatwright.import_splats(filepath=str(tmp_path / "a.ply"), link=True, axes="SUPERSPLAT")
    made = bpy.context.object
    if not options:
        made.location = (5, 0, 0)
    export(tmp_path / "a.ply", **options)
    assert "linked to a.ply no more" in capfd.readouterr().out
    linked.refresh()
    assert_same(read(made), gaussians)
    again = reopen(save(tmp_path / "a.blend"))
    assert_same(read(again), gaussians)
    assert "export" in again.splatwright.problem


def test_what_is_still_read_is_exported_too_and_what_is_missing_is_said(
    linked: ModuleType, tmp_path: Path, capfd: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / "a.ply", 40)
    write(tmp_path / "b.ply", 30, seed=1)
    names = [link(tmp_path / name).name for name in ("a.ply", "b.ply")]
    saved = save(tmp_path / "a.blend")
    (tmp_path / "b.ply").unlink()
    reopen(saved)
    for found in bpy.data.objects:
        found.select_set(True)
    gaussians = write(tmp_path / "a.ply", 60, seed=2, age=3)
    export(tmp_path / "c.ply")
    assert f"{names[1]} does not show its splats" in capfd.readouterr().out
    assert len(module("engine.core.formats.registry").read_splats(tmp_path / "c.ply").gaussians) == len(gaussians)


# Without a window


def without_window(code: str, *arguments: Path) -> str:
    """What a Blender with the extension prints."""
    start = f"import bpy, sys; bpy.ops.preferences.addon_enable(module={EXTENSION!r})\n"
    end = "\nimport os; sys.stdout.flush(); os._exit(0)"
    done = subprocess.run([sys.executable, "-c", start + code + end, *map(str, arguments)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_render_without_window_says_what_is_missing(linked: ModuleType, tmp_path: Path) -> None:
    """One line, once: when the file is opened, and when something comes in by a script just before the render."""
    for name in ("a", "b"):
        write(tmp_path / f"{name}.ply", 30)
        link(tmp_path / f"{name}.ply").name = f"Chair {name}"
    saved = save(tmp_path / "a.blend")
    (tmp_path / "a.ply").unlink()
    (tmp_path / "b.ply").unlink()
    out = without_window("bpy.ops.wm.open_mainfile(filepath=sys.argv[1])\n"
                         "bpy.context.scene.camera = bpy.data.objects.new('C', bpy.data.cameras.new('C'))\n"
                         "bpy.context.scene.render.resolution_percentage = 10\n"
                         "for _ in range(2): bpy.ops.render.render()", saved)
    lines = [line for line in out.splitlines() if line.startswith("Splatwright:")]
    assert len(lines) == 1 and all(word in lines[0] for word in ("Chair a", "a.ply", "Chair b", "b.ply"))


def test_captures_do_not_ask_for_splats_that_are_missing(linked: ModuleType, tmp_path: Path) -> None:
    """They show no splats."""
    write(tmp_path / "a.ply", 30)
    link(tmp_path / "a.ply")
    camera = bpy.data.objects.new("Camera", bpy.data.cameras.new("Camera"))
    bpy.context.scene.collection.objects.link(camera)
    camera.select_set(True)
    saved = save(tmp_path / "a.blend")
    (tmp_path / "a.ply").unlink()
    reopen(saved)
    bpy.context.scene.render.resolution_percentage = 10
    assert bpy.ops.splatwright.capture_dataset(directory=str(tmp_path / "data"), source="SELECTED", points=0) == {"FINISHED"}
