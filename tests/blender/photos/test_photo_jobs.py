"""Videos and photos from the panel: real workers find cameras where the engine's Python can, and say in a sentence where it cannot."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.blender.conftest import module
from tests.blender.jobs.training import Desk
from tests.blender.panels.test_panels import Layout
from tests.untyped import bpy

can_pose = pytest.mark.skipif(importlib.util.find_spec("pycolmap") is None, reason="pycolmap is not installed beside this Blender")
can_decode = pytest.mark.skipif(importlib.util.find_spec("av") is None, reason="PyAV is not installed beside this Blender")


def job() -> Any:
    return module("addon.jobs.jobs").current_photos(bpy.context.scene)


def wait(reached: Callable[[], object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, (job(), job().engine.folder(job().name).log.read_text(errors="replace"))
        module("addon.jobs.jobs").poll()
        time.sleep(0.02)


def drawn() -> Layout:
    layout = Layout()
    module("addon.panels.photos").SPLATWRIGHT_PT_photos.draw(SimpleNamespace(layout=layout), bpy.context)
    return layout


@can_decode
def test_frames_from_a_video_become_the_photos(desk: Desk, tmp_path: Path) -> None:
    from tests.sfm.videos import panning, write_video

    video = write_video(tmp_path / "Видео 一.mp4", panning(20))
    photos = bpy.context.scene.splatwright.photos
    photos.video, photos.count = str(video), 5
    assert bpy.ops.splatwright.frames_from_video() == {"FINISHED"}
    assert not bpy.ops.splatwright.frames_from_video.poll() and not bpy.ops.splatwright.cameras_from_photos.poll()
    assert "stop_photos" in drawn().operators
    wait(lambda: job().imported)
    taken = sorted(Path(photos.directory).glob("*.jpg"))
    assert len(taken) == 5 and taken[0].name == "Видео 一_00001.jpg"
    layout = drawn()
    assert "5 frames were extracted" in layout.text and "sharpest of 20 in" in layout.text
    assert bpy.context.scene.splatwright.job == "", "no training"


@can_pose
def test_cameras_from_photos_come_into_the_scene(desk: Desk, tmp_path: Path) -> None:
    from tests.sfm.photo_scene import take_photos

    take_photos(tmp_path / "снимки")
    settings = bpy.context.scene.splatwright.photos
    settings.directory, settings.image_size, settings.features = str(tmp_path / "снимки"), 320, "quick"
    assert bpy.ops.splatwright.cameras_from_photos() == {"FINISHED"}
    seen = set()
    wait(lambda: seen.add(drawn().text) or job().imported)
    assert any("Matching photos" in text or "Extracting features" in text for text in seen)
    photos = module("addon.photos.posed_photos")
    root = photos.roots()[0]
    assert root.name == "снимки"
    assert len(photos.photo_cameras(root.children)) == 8 == job().posed.placed and photos.sparse_cloud(root) is not None
    assert bpy.context.scene.splatwright.train.dataset == root.splatwright.dataset
    layout = drawn()
    assert "8 of 8 photos are registered" in layout.text and "show_photo_report" in layout.operators
    assert bpy.ops.splatwright.show_photo_report() == {"FINISHED"}
    assert "8 of 8 photos are registered" in bpy.data.texts["poses.txt"].as_string()
    assert min(bpy.data.images["poses.png"].size) > 100
    assert job().name not in [name for name, *_ in module("addon.operators.training")._earlier(None, bpy.context)]


def test_stopped_and_resumed(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").write_bytes(b"no photo")
    from tests.fakes.fake_engine import fake_python

    desk.use(fake_python(tmp_path / "engines", "patient_photos"))
    bpy.context.scene.splatwright.photos.directory = str(tmp_path / "photos")
    bpy.ops.splatwright.cameras_from_photos()
    wait(lambda: job().stage == "extracting features")
    layout = drawn()
    assert "Extracting features 3 of 10, a few seconds left" in layout.text and layout.progress_factor == pytest.approx(0.3)
    assert bpy.ops.splatwright.stop_photos() == {"FINISHED"} and "Finishing" in drawn().text
    wait(lambda: not job().state.alive)
    assert "Stopped" in drawn().text and "resume_photos" in drawn().operators and not module("addon.photos.posed_photos").roots()
    assert bpy.ops.splatwright.resume_photos() == {"FINISHED"}
    wait(lambda: job().state.alive and job().stage == "extracting features")
    bpy.ops.splatwright.stop_photos()
    wait(lambda: not job().state.alive)


def test_undo_keeps_the_work(desk: Desk, tmp_path: Path) -> None:
    from tests.fakes.fake_engine import fake_python

    desk.use(fake_python(tmp_path / "engines", "patient_photos"))
    bpy.ops.ed.undo_push(message="Before")
    bpy.ops.splatwright.cameras_from_photos(directory=str(tmp_path))
    name = job().name
    bpy.ops.ed.undo_push(message="After")
    bpy.ops.ed.undo()
    assert bpy.context.scene.splatwright.photo_job == name and job().name == name


def test_a_file_that_is_opened_again_knows_its_work(desk: Desk, tmp_path: Path) -> None:
    from tests.fakes.fake_engine import fake_python

    desk.use(fake_python(tmp_path / "engines", "patient_photos"))
    bpy.ops.splatwright.cameras_from_photos(directory=str(tmp_path))
    name = job().name
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert job() is not None and job().name == name and job().photos
    wait(lambda: job().stage == "extracting features")
    bpy.ops.splatwright.stop_photos()
    wait(lambda: not job().state.alive)


def test_what_is_wrong_is_one_sentence(desk: Desk, tmp_path: Path) -> None:
    for operator, options, words in (
        ("frames_from_video", {}, "No video is chosen"), ("cameras_from_photos", {}, "No photos are chosen"),
        ("frames_from_video", {"video": str(tmp_path / "a.mp4")}, "There is no video"),
        ("cameras_from_photos", {"directory": str(tmp_path / "no")}, "There is no folder"),
    ):
        with pytest.raises(RuntimeError, match=words):
            getattr(bpy.ops.splatwright, operator)(**options)
    (tmp_path / "empty").mkdir()
    bpy.ops.splatwright.cameras_from_photos(directory=str(tmp_path / "empty"))
    wait(lambda: job().failure and not job().state.alive)
    text = drawn().text
    assert ("holds no photos" in text or "which this Python lacks" in text) and "resume_photos" in drawn().operators


def without_packages(monkeypatch: pytest.MonkeyPatch, missing: bool) -> None:
    """Whether Blender's own Python lacks what photos need."""
    monkeypatch.setattr(module("addon.engines.full_engine"), "_has_photo_packages", lambda: not missing)


def test_where_photos_need_the_full_engine_its_button_is_there(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_packages(monkeypatch, missing=True)
    layout, scene = drawn(), bpy.context.scene
    assert layout.operators == ["install_engine", "import_photos"] and "needs the full engine" in layout.text
    assert layout.properties == ["video", "count", "directory"]
    scene.splatwright.photos.directory, scene.splatwright.train.dataset = str(tmp_path), str(tmp_path / "none")
    steps = module("addon.panels.next_step")
    assert steps.next_step(bpy.context).operator == "splatwright.install_engine"
    without_packages(monkeypatch, missing=False)
    assert steps.next_step(bpy.context).operator == "splatwright.cameras_from_photos"
    without_packages(monkeypatch, missing=True)
    desk.use(tmp_path / "a-full-python")
    assert drawn().operators == ["frames_from_video", "cameras_from_photos", "import_photos"], "another Python has them"


def test_photos_stand_before_train() -> None:
    order = module("addon").MODULES
    assert order.index("panels.photos") < order.index("panels.train")


def test_the_panel_offers_what_can_be_done(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.blender.photos.photo_samples import write_photos

    without_packages(monkeypatch, missing=False)
    assert drawn().operators == ["frames_from_video", "cameras_from_photos", "import_photos"]
    write_photos(tmp_path / "posed")
    bpy.ops.splatwright.import_photos(directory=str(tmp_path / "posed"))
    looking = ["look_through_photo"] * 3 + ["choose_photo"]
    placing = ["level_ground", "align_to_points", "scale_to_distance", "place_on_ground"]
    assert drawn().operators == ["frames_from_video", "cameras_from_photos", "import_photos", *looking, *placing]
    bpy.ops.splatwright.look_through_photo(step=1)
    assert "photo 0.png" in drawn().text or "photo 1.png" in drawn().text
    bpy.ops.object.select_all(action="DESELECT")
    assert drawn().operators[3:] == looking
