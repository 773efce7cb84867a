"""Several captures and trainings in one go: real renders of two scenes and two collections, trained by the real engine."""

from __future__ import annotations

import os
import shutil
from collections import namedtuple
from collections.abc import Iterator
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.blender_file import HALL, KITCHEN, RINGS
from tests.untyped import bpy

from ..conftest import add_camera, empty_scene, module
from ..panels.test_panels import Layout, drawn
from ..viewport.windowless import CLICK, ESCAPE, TICK, FakeManager, windowless
from .batch_desk import FOLDERS, NAMES, STEPS, Desk, begin, opened, set_up


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with opened(tmp_path) as made:
        yield made


def refused(*words: str) -> None:
    with pytest.raises(RuntimeError) as error:
        bpy.ops.splatwright.run_batch()
    assert all(word in str(error.value) for word in words) and "Traceback" not in str(error.value), error.value


def test_every_scene_and_collection_is_captured_and_trained(desk: Desk) -> None:
    assert bpy.ops.splatwright.add_batch_scenes() == {"FINISHED"} and bpy.ops.splatwright.add_batch_collections() == {"FINISHED"}
    assert [entry.name for entry in desk.settings.entries] == NAMES
    shown = bpy.context.scene, bpy.context.view_layer, bpy.context.scene.camera
    assert bpy.ops.splatwright.run_batch() == {"FINISHED"}
    assert desk.states == ["done"] * 4 and desk.batch.ended() == "4 of 4 done"
    assert [task.images for task in desk.batch.tasks()] == [5, sum(RINGS.values()), *RINGS.values()]
    assert all(task.psnr > 5 and "dB" in task.sentence for task in desk.batch.tasks())
    assert (bpy.context.scene, bpy.context.view_layer, bpy.context.scene.camera) == shown
    read = module("engine.core.formats.registry").read_splats
    for name in FOLDERS:
        assert len(read(desk.dataset(f"{name}.ply")).gaussians) > 10
        assert module("engine.core.datasets.read").read_dataset(desk.dataset(name)).complete
    began = [(desk.folder / "jobs" / job / "job.json").stat().st_mtime_ns for job in desk.jobs()]
    ended = [(desk.folder / "jobs" / job / "report.json").stat().st_mtime_ns for job in desk.jobs()]
    order = sorted(zip(began, ended, strict=True))
    assert all(before[1] <= after[0] + 10**9 for before, after in pairwise(order)), "one training at a time"


def test_the_cameras_of_a_scene_that_is_not_shown_stand_where_they_are(desk: Desk) -> None:
    desk.rings()
    bpy.ops.splatwright.run_batch()
    camera = module("engine.core.datasets.read").read_dataset(desk.dataset(FOLDERS[2])).views[0].camera
    assert camera.camera_to_world[:3, 3].round(4).tolist() == [4, 0, 2]


def test_run_again_nothing_is_done_twice(desk: Desk) -> None:
    bpy.ops.splatwright.add_batch_scenes()
    bpy.ops.splatwright.run_batch()
    images, jobs, spoken = desk.images(), desk.jobs(), [task.psnr for task in desk.batch.tasks()]
    bpy.ops.splatwright.run_batch()
    assert (desk.images(), desk.jobs()) == (images, jobs) and desk.states == ["done"] * 2
    desk.reopen()
    desk.wait(lambda: desk.states == ["done"] * 2)
    assert [task.psnr for task in desk.batch.tasks()] == spoken
    desk.dataset(f"{KITCHEN}.ply").unlink()
    desk.reopen()
    desk.wait(lambda: desk.states == ["done"] * 2)
    assert not desk.dataset(f"{KITCHEN}.ply").exists(), "opening a file writes nothing"
    bpy.ops.splatwright.run_batch()
    assert desk.dataset(f"{KITCHEN}.ply").exists() and desk.jobs() == jobs


def test_other_settings_train_anew_and_other_cameras_capture_anew(desk: Desk) -> None:
    bpy.ops.splatwright.add_batch_entry()
    bpy.ops.splatwright.run_batch()
    images = desk.images()
    set_up(bpy.context.scene, STEPS + 5)
    bpy.ops.splatwright.run_batch()
    assert desk.images() == images and len(desk.jobs()) == 2
    bpy.data.objects.remove(bpy.context.scene.objects["Kamera 4"])
    bpy.ops.splatwright.run_batch()
    assert len(desk.images()) == 4 and len(desk.jobs()) == 3 and desk.states == ["done"]


def test_do_again(desk: Desk) -> None:
    bpy.ops.splatwright.add_batch_entry()
    bpy.ops.splatwright.run_batch()
    images = desk.images()
    assert bpy.ops.splatwright.repeat_batch() == {"FINISHED"}
    assert desk.images() == images and desk.batch.tasks() == []
    bpy.ops.splatwright.run_batch()
    assert not set(desk.images().values()) & set(images.values()) and len(desk.jobs()) == 2


def test_one_failure_is_told_and_the_others_go_on(desk: Desk) -> None:
    desk.rings()
    for _ in begin(desk):
        first = desk.batch.tasks()[0]
        if first.done == 1 and first.state.value == "capturing" and (first.dataset / "images").is_dir():
            shutil.rmtree(first.dataset / "images")
            (first.dataset / "images").write_text("in the way")
    assert desk.states == ["failed", "done"] and "0002.png" in desk.batch.tasks()[0].problem
    assert desk.batch.summary(desk.batch.tasks()) == "1 of 2 done, 1 failed"
    (desk.dataset(FOLDERS[2]) / "images").unlink()
    bpy.ops.splatwright.run_batch()
    assert desk.states == ["done", "done"]


def test_a_training_that_fails_leaves_the_others(desk: Desk) -> None:
    bpy.ops.splatwright.add_batch_collections()
    for camera in list(bpy.data.collections["Ring A"].objects)[2:]:
        bpy.data.objects.remove(camera)
    bpy.ops.splatwright.run_batch()
    assert desk.states == ["failed", "done"] and "at least 3" in desk.batch.tasks()[0].problem
    assert f"{NAMES[2]}: The dataset has 2 images" in drawn("batch", "addon.panels.batch").text.replace("  ", " ")


def test_what_cannot_work_is_refused_before_anything_begins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    refused("nothing to do")
    desk.rings()
    one, two = desk.settings.entries
    good = two.directory
    two.directory = one.directory.upper() if os.name == "nt" else one.directory + "/"
    refused(NAMES[2], NAMES[3], "same folder")
    two.directory = good
    two.collection = None
    refused(f"{NAMES[3]}: No collection")
    two.collection = bpy.data.collections.new("Empty")
    refused("The collection Empty", HALL, "no camera")
    two.collection = bpy.data.collections["Ring/B"]
    two.collection.objects[0].data.type = "PANO"
    refused("panoramic")
    two.collection.objects[0].data.type = "PERSP"
    two.scene = None
    refused("No scene is chosen")
    assert desk.states[-1] == "failed" and "No scene" in drawn("batch", "addon.panels.batch").text
    two.scene, two.cameras = bpy.data.scenes[HALL], "RIG"
    bpy.data.scenes[HALL].splatwright.capture.source = "DOME"
    meshes = [item for item in bpy.data.scenes[HALL].objects if item.type == "MESH"]
    for item in meshes:
        item.hide_render = True
    refused("There is nothing to look at in the scene", HALL)
    for item in meshes:
        item.hide_render = False
    two.cameras = "ALL"
    foreign = desk.dataset("photos")
    foreign.mkdir(parents=True)
    (foreign / "mine.txt").write_text("mine")
    two.directory = str(foreign)
    refused("holds other files")
    two.directory = str(foreign / "mine.txt" / "below")
    refused("mine.txt")
    two.directory = good
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(module("addon.batch.plan").shutil, "disk_usage", lambda _: usage(10, 10, 1000))
        refused("GB free")
    assert sorted(path.name for path in desk.dataset("").rglob("*")) == ["mine.txt", "photos"] and desk.jobs() == []


def test_a_file_that_was_never_saved_is_captured_into_the_extensions_own_folder(desk: Desk) -> None:
    add_camera(empty_scene())
    bpy.ops.splatwright.add_batch_scenes()
    plan = module("addon.batch.plan").plan_of(desk.settings.entries[0])
    assert plan.task.dataset == module("addon.unsaved").folder() / "splatwright" / plan.task.name


def test_the_rig_of_a_scene_that_is_not_shown(desk: Desk) -> None:
    hall = bpy.data.scenes[HALL]
    hall.splatwright.capture.source, hall.splatwright.capture.count = "DOME", 4
    hall.objects["Pyramid.001"].select_set(True, view_layer=hall.view_layers[0])
    entry = desk.entries.add_entry(hall)
    entry.cameras, entry.train = "RIG", False
    bpy.ops.splatwright.run_batch()
    views = module("engine.core.datasets.read").read_dataset(desk.dataset(HALL)).views
    assert len(views) == 4 and desk.states == ["done"]
    pictures = [module("engine.core.images.png").decode_png(view.image.read_bytes()) for view in views]
    assert all((picture[..., 3] > 0).mean() > 0.1 for picture in pictures), "the pyramid fills each view"
    assert not [item for item in bpy.data.objects if "Rig" in item.name]


def test_a_walk_of_a_scene_that_is_not_shown(desk: Desk) -> None:
    """Along a curve; one that the scene has not is named before anything begins."""
    hall, kitchen = bpy.data.scenes[HALL], bpy.data.scenes[KITCHEN]
    data = bpy.data.curves.new("Path", "CURVE")
    data.splines.new("POLY").points.add(1)
    data.splines[0].points[0].co, data.splines[0].points[1].co = (-3, -3, 0, 1), (3, -3, 0, 1)
    path = bpy.data.objects.new("Path", data)
    kitchen.collection.objects.link(path)
    settings, entry = hall.splatwright.capture, desk.entries.add_entry(hall)
    settings.cameras_from, settings.count, settings.walk_curve, settings.eye_height = "WALK", 5, path, 0.7
    entry.cameras, entry.train = "RIG", False
    with pytest.raises(RuntimeError, match=f"The curve Path is not in the scene {HALL}"):
        bpy.ops.splatwright.run_batch()
    hall.collection.objects.link(path)
    bpy.ops.splatwright.run_batch()
    views = module("engine.core.datasets.read").read_dataset(desk.dataset(HALL)).views
    assert np.allclose([view.camera.position[2] for view in views], 0.7) and len(views) == 5 and desk.states == ["done"]


def test_fingerprints_from_before_walks_stay_valid(desk: Desk) -> None:
    """Settings that came later count where they are not at their defaults."""
    plans, settings = module("addon.batch.plan"), bpy.data.scenes[HALL].splatwright.capture
    settings.cameras_from = "DOME"
    entry = desk.entries.add_entry(bpy.data.scenes[HALL])
    entry.cameras = "RIG"
    plan = plans.plan_of(entry)
    known = {name: value for name, value in asdict(replace(plan.request, directory=Path())).items() if name not in plans.LATER}
    size = module("addon.cameras").image_size(bpy.data.scenes[HALL].render)
    assert plan.asked == module("engine.batch.tasks").fingerprint([HALL, size, plan.task.images, known])
    settings.avoid_walls = False
    assert plans.plan_of(entry).asked != plan.asked


def test_the_list(desk: Desk) -> None:
    bpy.ops.splatwright.add_batch_entry()
    bpy.ops.splatwright.add_batch_entry()
    assert [entry.name for entry in desk.settings.entries] == [KITCHEN, f"{KITCHEN} 2"]
    assert len({entry.directory for entry in desk.settings.entries}) == len({entry.number for entry in desk.settings.entries}) == 2
    bpy.ops.splatwright.move_batch_entry(by=-1)
    assert desk.settings.entries[0].name == f"{KITCHEN} 2" and desk.settings.active == 0
    bpy.ops.splatwright.remove_batch_entry()
    bpy.ops.splatwright.add_batch_scenes()
    assert [entry.name for entry in desk.settings.entries] == [KITCHEN, HALL]
    bpy.context.window_manager.windows[0].scene = bpy.data.scenes[HALL]
    assert len(desk.settings.entries) == 2, "the list is the file's, not the scene's"
    desk.settings.entries[0].enabled = False
    desk.settings.entries[1].train = False
    bpy.ops.splatwright.run_batch()
    assert [task.name for task in desk.batch.tasks()] == [HALL] and not desk.dataset(KITCHEN).exists()


def test_names_that_no_system_takes_for_a_folder(desk: Desk) -> None:
    name = module("addon.properties.batch").file_name
    assert [name(text) for text in ("a/b\\c:d", " dots. ", "..", "日本 – ü")] == ["a-b-c-d", "dots", "entry", "日本 – ü"]


def start_modal(desk: Desk) -> tuple[Any, Any, FakeManager]:
    operators, manager, reports = module("addon.operators.batch"), FakeManager(), []
    operator = windowless(operators.SPLATWRIGHT_OT_run_batch)()
    operator.reports, operator.report = reports, lambda level, text: reports.append((*level, text))
    context = SimpleNamespace(window_manager=manager, workspace=manager, window=None, screen=None)
    operator.start(context, desk.batch.begin(), module("addon.capture.render_passes").render_blocking)
    return operator, context, manager


def test_the_modal_captures_and_leaves_the_trainings_to_a_timer(desk: Desk) -> None:
    bpy.ops.splatwright.add_batch_entry()
    operator, context, manager = start_modal(desk)
    assert operator.modal(context, CLICK) == {"RUNNING_MODAL"}
    while operator.modal(context, TICK) == {"PASS_THROUGH"}:
        pass
    assert any("capturing 2/5" in (text or "") for text in manager.status) and manager.timers == 0
    assert desk.batch.busy() and not bpy.ops.splatwright.run_batch.poll() and bpy.ops.splatwright.stop_batch.poll()
    desk.wait(lambda: desk.states == ["done"])
    assert desk.batch.poll() is None and desk.batch.ended() == "1 of 1 done"


def test_escape_stops_and_the_next_run_goes_on(desk: Desk) -> None:
    desk.rings()
    operator, context, manager = start_modal(desk)
    while desk.states != ["done", "capturing"]:
        operator.modal(context, TICK)
    operator.modal(context, ESCAPE)
    assert operator.modal(context, TICK) == {"CANCELLED"} and "Run it again to continue" in operator.reports[-1][1]
    assert desk.batch.ended() == "1 of 2 done, 1 to do"
    assert desk.states == ["done", "waiting"] and bpy.context.scene.name == KITCHEN and manager.timers == 0
    images = {path: stamp for path, stamp in desk.images().items() if "Ring A" in str(path)}
    bpy.ops.splatwright.run_batch()
    assert desk.states == ["done"] * 2 and images.items() <= desk.images().items()


def test_stop_ends_the_training_and_the_next_run_goes_on_from_its_checkpoint(desk: Desk) -> None:
    bpy.ops.splatwright.add_batch_entry()
    set_up(bpy.context.scene, 4000)
    for _ in begin(desk):
        pass
    task = desk.batch.tasks()[0]
    load = module("engine.training.checkpoint").load_checkpoint
    desk.wait(lambda: load(desk.folder / "jobs" / task.job / "checkpoint") is not None)
    assert bpy.ops.splatwright.stop_batch() == {"FINISHED"}
    place, job = module("addon.engines.choice").engine(), desk.jobs()
    assert not place.state(job[0]).alive and desk.states == ["captured"] and desk.batch.poll() is None
    assert desk.batch.ended() == "0 of 1 done, 1 to do"
    for _ in begin(desk):
        pass
    desk.wait(lambda: len(starts(place, job[0])) == 2)
    assert desk.jobs() == job and starts(place, job[0])[1] > 0


def starts(place: Any, job: str) -> list[int]:
    """The steps at which workers of a job began."""
    return [event.step for event in place.events(job)[0] if type(event).__name__ == "Started"]


def test_shown_splats_come_into_the_scene(desk: Desk) -> None:
    bpy.ops.splatwright.add_batch_entry()
    assert not bpy.ops.splatwright.show_batch_splats.poll()
    bpy.ops.splatwright.run_batch()
    assert not [found for found in bpy.data.objects if found.splatwright.job], "no splats stand in the way of the next capture"
    bpy.ops.splatwright.show_batch_splats()
    module("addon.jobs.jobs").poll()
    desk.wait(lambda: module("addon.jobs.jobs").poll() is None)
    assert [found.users_scene[0].name for found in bpy.data.objects if found.splatwright.job] == [KITCHEN]


def test_the_panel_in_every_state(desk: Desk) -> None:
    assert drawn("batch", "addon.panels.batch").operators[-2:] == ["add_batch_scenes", "add_batch_collections"]
    bpy.ops.splatwright.add_batch_entry()
    assert "run_batch" in drawn("batch", "addon.panels.batch").operators
    panel, summary_sentence = module("addon.panels.batch"), []
    for _ in begin(desk):
        summary_sentence.append(lines(panel, desk))
    assert any("capturing 3/5" in line for line in summary_sentence) and desk.batch.busy()
    assert "stop_batch" in drawn("batch", "addon.panels.batch").operators and "finished" in drawn("batch", "addon.panels.batch").text
    desk.wait(lambda: desk.states == ["done"])
    assert "dB" in lines(panel, desk)


def lines(panel: Any, desk: Desk) -> str:
    layout = Layout()
    for entry in desk.settings.entries:
        panel.draw_line(layout, entry)
    return layout.text
