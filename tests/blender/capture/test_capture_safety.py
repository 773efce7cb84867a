"""Capture leaves the scene as it was, loses no files, and says plainly what is wrong."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.untyped import bpy

from ..conftest import module
from .capturing import ball_scene, capture, folder_contents, pixels, snapshot, steps, transforms, unusual_settings


def test_scene_is_restored_after_success(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    unusual_settings(fresh_scene)
    before = snapshot()
    capture(tmp_path, depth=True, resolution=48, samples=2)
    assert snapshot() == before


def test_scene_is_restored_after_a_generated_rig(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    bpy.ops.object.select_all(action="SELECT")
    unusual_settings(fresh_scene)
    before = snapshot()
    capture(tmp_path, source="DOME", count=3)
    assert snapshot() == before


def test_stopping_keeps_a_clearly_incomplete_dataset(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=4)
    unusual_settings(fresh_scene)
    before = snapshot()
    running = steps(tmp_path)
    while next(running).done < 2:
        pass
    running.close()
    assert snapshot() == before
    dataset = module("engine.core.datasets.transforms_json").read_transforms(tmp_path)
    assert not dataset.complete
    assert len(dataset.views) == 2 and len(dataset.points) > 0


def test_a_killed_capture_keeps_every_view(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    """Nothing runs after the kill: what lies on the disk is read as a dataset, and captured anew without a trace."""
    ball_scene(cameras=4)
    folder, copy = tmp_path / "dataset", tmp_path / "killed"
    running = steps(folder, depth=True, normals=True)
    while next(running).done < 3:
        pass
    shutil.copytree(folder, copy)
    running.close()
    with open(copy / "frames.jsonl", "a") as journal:
        journal.write('{"file_path": "images/00')
    read = module("engine.core.datasets.transforms_json").read_transforms
    killed, closed = read(copy), read(folder)
    assert not killed.complete and [view.name for view in killed.views] == ["0001.png", "0002.png", "0003.png"]
    assert [view.held_out for view in killed.views] == [view.held_out for view in closed.views]
    for one, other in zip(killed.views, closed.views, strict=True):
        assert one.depth and one.normals and one.depth.is_file() and one.normals.is_file()
        assert (one.camera.camera_to_world == other.camera.camera_to_world).all() and one.camera.fl_x == other.camera.fl_x
    assert not (folder / "frames.jsonl").exists()
    capture(copy)
    assert sorted(folder_contents(copy)) == [*(f"images/000{n}.png" for n in (1, 2, 3, 4)), "points3d.ply", "transforms.json"]


def test_transforms_are_not_written_for_every_view(
    fresh_scene: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    files, written = module("engine.core.datasets.transforms_json"), []
    original = files.write_text
    monkeypatch.setattr(files, "write_text", lambda path, text: written.append(len(text)) or original(path, text))
    ball_scene(cameras=6)
    capture(tmp_path, points=0, resolution=16, samples=1)
    assert len(written) == 3, "at the beginning, when all is rendered, and when it is marked as complete"


def test_an_error_keeps_what_was_rendered(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=3)
    unusual_settings(fresh_scene)
    before, running = snapshot(), steps(tmp_path)
    while next(running).done < 1:
        pass
    shutil.rmtree(tmp_path / "images")
    (tmp_path / "images").write_text("in the way")
    with pytest.raises(module("engine.core.errors").UserError, match=r"0002\.png"):
        list(running)
    assert snapshot() == before
    assert transforms(tmp_path)["splatwright"] == {"complete": False, "rendered": True}


def test_a_finished_dataset_is_replaced_only_by_a_finished_one(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=3)
    folder = tmp_path / "dataset"
    capture(folder, depth=True)
    (folder / "notes.txt").write_text("mine")
    before = folder_contents(folder)
    running = steps(folder, resolution=48)
    while next(running).done < 1:
        pass
    running.close()
    assert folder_contents(folder) == before
    assert len(transforms(tmp_path / "dataset-incomplete")["frames"]) == 1

    bpy.data.objects["Camera 2"].select_set(False)
    dataset = capture(folder, resolution=48)
    assert sorted(folder_contents(folder)) == ["images/0001.png", "images/0002.png", "notes.txt", "points3d.ply", "transforms.json"]
    assert module("engine.core.datasets.transforms_json").read_transforms(folder).complete
    assert dataset.folder == folder and all(view.image.is_file() for view in dataset.views)
    assert not (tmp_path / "dataset-incomplete").exists()


def test_an_incomplete_dataset_is_captured_anew(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=3)
    running = steps(tmp_path)
    while next(running).done < 2:
        pass
    running.close()
    assert len(capture(tmp_path).views) == 3
    assert transforms(tmp_path)["splatwright"] == {"complete": True, "rendered": True}


def test_foreign_files_are_never_touched(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    (tmp_path / "transforms.json").write_text('{"frames": []}')
    (tmp_path / "photo.jpg").write_bytes(b"precious")
    before = folder_contents(tmp_path)
    with pytest.raises(RuntimeError, match="holds other files"):
        bpy.ops.splatwright.capture_dataset(directory=str(tmp_path))
    assert folder_contents(tmp_path) == before


@pytest.mark.parametrize(("values", "sentence"), [
    ({"source": "SELECTED"}, "No camera is selected"),
    ({"source": "ANIMATION"}, "no camera"),
    ({"source": "DOME"}, "There is nothing to look at"),
])
def test_nothing_to_capture(fresh_scene: bpy.types.Scene, tmp_path: Path, values: dict[str, str], sentence: str) -> None:
    with pytest.raises(RuntimeError, match=sentence) as caught:
        bpy.ops.splatwright.capture_dataset(directory=str(tmp_path / "new"), **values)
    assert "Traceback" not in str(caught.value)
    assert not (tmp_path / "new").exists()


def test_folder_that_cannot_be_made(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene()
    (tmp_path / "file").write_text("not a folder")
    before = snapshot()
    with pytest.raises(RuntimeError, match="Check that the folder exists") as caught:
        bpy.ops.splatwright.capture_dataset(directory=str(tmp_path / "file" / "dataset"))
    assert "Traceback" not in str(caught.value)
    assert snapshot() == before


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24k", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk(fresh_scene: bpy.types.Scene, small_disk: Path) -> None:
    ball_scene(cameras=8)
    fresh_scene.render.resolution_x = fresh_scene.render.resolution_y = 256
    before = snapshot()
    with pytest.raises(RuntimeError, match="disk is full") as caught:
        bpy.ops.splatwright.capture_dataset(directory=str(small_disk / "dataset"), points=100)
    assert "Traceback" not in str(caught.value)
    assert snapshot() == before
    values = transforms(small_disk / "dataset")
    assert values["splatwright"] == {"complete": False, "rendered": True}
    for frame in values["frames"]:
        assert pixels(small_disk / "dataset" / frame["file_path"]).shape[:2] == (256, 256)


def test_a_cut_off_image_is_noticed(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    ball_scene(cameras=1)
    image = capture(tmp_path, points=0).views[0].image
    strip = module("addon.capture.strip_png").strip_metadata
    whole = image.read_bytes()
    assert strip(image) and image.read_bytes() == whole
    assert not any(text in whole for text in (b"tEXt", b"tIME", b"eXIf"))
    image.write_bytes(whole[:-20])
    assert not strip(image)


def test_passes_that_cannot_be_read(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    (tmp_path / "passes.exr").write_bytes(b"no such thing")
    with pytest.raises(module("engine.core.errors").UserError, match="not an EXR"):
        module("addon.capture.exr").read_channels(tmp_path / "passes.exr", "")


def test_work_beside_the_renders_comes_in_slices(fresh_scene: bpy.types.Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same dataset comes of it; stopped between two slices, no image is left that the dataset does not name."""
    ball_scene(cameras=3)
    capture(tmp_path / "whole", depth=True, normals=True)
    monkeypatch.setattr(module("addon.capture.capture"), "SLICE_SECONDS", -1.0)
    seen = [progress.done for progress in steps(tmp_path / "sliced", depth=True, normals=True)]
    assert seen == sorted(seen) and len(seen) > 4 + 3 * 4
    assert folder_contents(tmp_path / "sliced") == folder_contents(tmp_path / "whole")
    stopped = steps(tmp_path / "stopped", depth=True, normals=True)
    while next(stopped).done < 1:
        pass
    for _ in range(2):
        next(stopped)
    assert (tmp_path / "stopped" / "images" / "0002.png").exists(), "it is rendered"
    stopped.close()
    assert [path.name for path in (tmp_path / "stopped" / "images").iterdir()] == ["0001.png"]
    assert len(transforms(tmp_path / "stopped")["frames"]) == 1
