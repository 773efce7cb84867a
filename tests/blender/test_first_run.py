"""The first minutes: nothing chosen, nothing selected, nothing saved; and what is said to come next."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.untyped import bpy

from .conftest import add_camera, cube, module, select_only
from .jobs.training import Desk, write_dataset
from .splats.splat_samples import some_gaussians


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    yield
    bpy.ops.wm.read_homefile(use_empty=True)
    shutil.rmtree(module("addon.unsaved").root(), ignore_errors=True)


def middle() -> np.ndarray:
    """Middle of what a rig surrounds."""
    corners = module("addon.capture.shots").framed_corners(bpy.context)
    return (corners.min(axis=0) + corners.max(axis=0)) / 2


def test_cameras_are_a_dome_until_cameras_are_selected(fresh_scene: Any) -> None:
    settings, camera, box = fresh_scene.splatwright.capture, add_camera(fresh_scene), cube()
    for chosen, source in (((), "DOME"), ((box,), "DOME"), ((camera, box), "DOME"), ((camera,), "SELECTED")):
        select_only(*chosen)
        assert settings.cameras_from == settings.to_request().source == source
    settings.cameras_from = "ORBIT"
    assert settings.source == settings.to_request().source == "ORBIT"
    select_only()
    settings.source = "SELECTED"
    assert settings.cameras_from == "SELECTED", "what was chosen stays"


def test_nothing_selected_means_everything_that_renders(fresh_scene: Any) -> None:
    camera, one, two = add_camera(fresh_scene), cube((0, 0, 0)), cube((4, 0, 0))
    hidden, unrendered = cube((0, 50, 0)), cube((0, 0, 70))
    hidden.hide_set(True)
    unrendered.hide_render = True
    splats = module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians())
    splats.location = (0, 0, -90)
    bpy.context.view_layer.update()
    for chosen in ((), (camera,)):
        select_only(*chosen)
        assert np.allclose(middle(), (2, 0, 0))
    select_only(two)
    assert np.allclose(middle(), (4, 0, 0))
    for item in (one, two):
        item.hide_render = True
    select_only()
    with pytest.raises(module("engine.core.errors").UserError, match="nothing to look at"):
        middle()


@pytest.mark.parametrize("path", ["//dataset", "//../dataset", "//a/../../dataset", "//\\dataset"])
def test_folders_of_an_unsaved_file_lie_in_the_extensions_own(fresh_scene: Any, path: str) -> None:
    unsaved, found = module("addon.unsaved"), module("addon.properties.paths").absolute_folder(path)
    assert found.is_relative_to(unsaved.folder()) and unsaved.folder().parent == unsaved.root() and not unsaved.root().exists()


def captured_unsaved() -> Path:
    """A dataset of the factory kind: a cube, no selection, no saved file."""
    cube()
    select_only()
    scene = bpy.context.scene
    scene.splatwright.capture.count, scene.splatwright.capture.resolution = 3, 32
    assert bpy.ops.splatwright.capture_dataset() == {"FINISHED"}
    return Path(scene.splatwright.captured)


def test_an_unsaved_scene_is_captured_and_its_dataset_follows_the_first_save(fresh_scene: Any, tmp_path: Path) -> None:
    dataset = captured_unsaved()
    assert dataset.is_relative_to(module("addon.unsaved").root()) and (dataset / "images" / "0003.png").exists()
    assert module("addon.operators.training").problem(fresh_scene) == ""
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert fresh_scene.splatwright.captured == "//splatwright/dataset" and not dataset.exists()
    now = module("addon.properties.datasets").dataset_folder(fresh_scene)
    assert now == tmp_path / "splatwright" / "dataset" and len(list((now / "images").iterdir())) == 3
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert bpy.context.scene.splatwright.captured == "//splatwright/dataset", "the saved file knows"


def test_undo_after_the_first_save_keeps_the_dataset(fresh_scene: Any, tmp_path: Path) -> None:
    bpy.context.preferences.edit.use_global_undo = True
    captured_unsaved()
    bpy.ops.ed.undo_push(message="Captured")
    cube((3, 0, 0))
    bpy.ops.ed.undo_push(message="Cube")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.ed.undo()
    assert len(bpy.data.objects) == 1
    assert module("addon.properties.datasets").dataset_folder(bpy.context.scene) == tmp_path / "splatwright" / "dataset"


def test_a_dataset_that_is_there_is_not_touched(fresh_scene: Any, tmp_path: Path) -> None:
    other = tmp_path / "splatwright" / "dataset"
    other.mkdir(parents=True)
    (other / "mine.txt").write_text("mine")
    captured_unsaved()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    settings = fresh_scene.splatwright
    assert settings.captured == settings.capture.directory == "//splatwright/dataset-2"
    assert [path.name for path in other.iterdir()] == ["mine.txt"] and (tmp_path / "splatwright" / "dataset-2" / "images").is_dir()


def test_saving_a_copy_leaves_an_open_file_that_works(fresh_scene: Any, tmp_path: Path) -> None:
    captured_unsaved()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "copy.blend"), copy=True)
    moved = tmp_path / "splatwright" / "dataset"
    assert fresh_scene.splatwright.captured == str(moved) and module("addon.properties.datasets").dataset_folder(fresh_scene) == moved
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "copy.blend"))
    assert bpy.context.scene.splatwright.captured == "//splatwright/dataset"


def test_a_place_that_cannot_be_written_leaves_the_dataset(fresh_scene: Any, tmp_path: Path) -> None:
    dataset = captured_unsaved()
    (tmp_path / "splatwright").write_text("a file where the folder would be")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert fresh_scene.splatwright.captured == str(dataset) and (dataset / "images").is_dir()


def test_a_dataset_moves_after_the_training_that_reads_it(desk: Desk, tmp_path: Path) -> None:
    scene, unsaved = bpy.context.scene, module("addon.unsaved")
    dataset = write_dataset(unsaved.folder() / "splatwright" / "dataset")
    scene.splatwright.train.dataset, scene.splatwright.captured = "", str(dataset)
    desk.train("slow")
    desk.wait(lambda: desk.job.step > 0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert dataset.is_dir() and scene.splatwright.captured == str(dataset)
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    bpy.ops.wm.save_mainfile()
    assert not dataset.exists() and scene.splatwright.captured == "//splatwright/dataset"
    assert desk.choice.local_engine().spec(desk.name).dataset == tmp_path / "splatwright" / "dataset", "it can go on"


def step(**context: Any) -> Any:
    return module("addon.panels.next_step").next_step(SimpleNamespace(**{
        "scene": bpy.context.scene, "selected_objects": bpy.context.selected_objects, **context}))


def test_one_button_leads_to_the_next_step(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = bpy.context.scene
    monkeypatch.setattr(module("addon.engines.full_engine"), "_has_photo_packages", lambda: True)
    scene.splatwright.train.dataset = ""
    assert step().operator == "splatwright.capture_dataset" and step().at == 0
    scene.splatwright.photos.directory = str(desk.root)
    assert step().operator == "splatwright.cameras_from_photos"
    scene.splatwright.photos.directory, scene.splatwright.photos.video = "", "film.mp4"
    assert step().operator == "splatwright.frames_from_video"
    scene.splatwright.photos.video = ""
    scene.splatwright.train.dataset = str(desk.dataset)
    assert (step().at, step().operator) == (1, "splatwright.train")
    desk.train("slow")
    assert (step().at, step().operator) == (1, "") and "by itself" in step().sentence
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    assert (step().at, step().operator) == (3, "splatwright.export_splats")
    module("addon.properties.datasets").remember_captured(scene, desk.dataset)
    assert (step().at, step().operator) == (1, "splatwright.train"), "captured again"


def test_a_failed_training_is_resumed(desk: Desk) -> None:
    desk.train("failing")
    desk.wait(lambda: desk.job.state.value == "failed")
    assert step().operator == "splatwright.resume"


def test_splats_of_photos_are_placed_before_they_are_exported(desk: Desk) -> None:
    bpy.ops.splatwright.import_photos(directory=str(desk.dataset))
    bpy.ops.object.select_all(action="DESELECT")
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    assert (step().at, step().operator) == (2, "splatwright.select_result")
    assert bpy.ops.splatwright.select_result() == {"FINISHED"}
    assert step().operator == "splatwright.level_ground" and desk.splats().select_get() and bpy.context.active_object == desk.splats()
    module("addon.photos.posed_photos").roots()[0].location.z = 1
    bpy.context.view_layer.update()
    assert step().operator == "splatwright.export_splats"


def test_files_of_splats_alone_are_exported(desk: Desk) -> None:
    bpy.context.scene.splatwright.train.dataset = str(desk.root / "nowhere")
    module("addon.splats.splat_object").create_splat_object("Splats", some_gaussians())
    assert (step().at, step().operator) == (3, "splatwright.export_splats")


@pytest.mark.parametrize(("group", "name"), [("capture", "resolution"), ("capture", "samples"), ("train", "max_gaussians"),
                                             ("train", "threads"), ("train", "image_memory"), ("train", "max_minutes"),
                                             ("train", "budget_hours"), ("train", "budget_cost")])
def test_numbers_of_which_0_is_automatic_have_a_switch(fresh_scene: Any, group: str, name: str) -> None:
    settings, switches = getattr(fresh_scene.splatwright, group), fresh_scene.splatwright.automatic
    assert getattr(switches, f"{group}_{name}") and getattr(settings, name) == 0
    setattr(switches, f"{group}_{name}", False)
    assert getattr(settings, name) > 0 and not getattr(switches, f"{group}_{name}")
    setattr(switches, f"{group}_{name}", True)
    assert getattr(settings, name) == 0


def test_where_the_panels_are_is_said_once(fresh_scene: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    welcome, said = module("addon.welcome"), []
    monkeypatch.setattr(welcome, "_show", said.append)
    preferences = module("addon.engines.locations").preferences()
    preferences.welcomed = False
    try:
        welcome.say_once()
        welcome.say_once()
        assert said == [welcome.WHERE] and "press N" in welcome.WHERE and bpy.app.timers.is_registered(welcome.be_silent)
        welcome.unregister()
        assert said == [welcome.WHERE, None] and not bpy.app.timers.is_registered(welcome.be_silent)
    finally:
        preferences.welcomed = False
