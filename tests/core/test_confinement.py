"""Which files a process opens for a dataset: all that a person names, nothing but its own folder for a client's job."""

from __future__ import annotations

import ast
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.core.confinement import admitted, confined, is_confined, may_open
from engine.core.datasets.folder_index import FolderIndex
from engine.core.datasets.points_ply import read_points
from engine.core.datasets.read import read_dataset
from engine.core.datasets.sources.zip_file import unpacked
from engine.core.errors import UserError
from engine.core.images.image_size import image_size
from engine.core.images.png import write_png
from engine.training.data.images import read_image
from engine.training.data.maps import read_mask
from tests.scenes import write_ball_dataset

ROOT = Path(__file__).resolve().parents[2]
READERS = ("core/datasets", "core/images", "core/formats/ply_container.py", "core/files.py", "training/data", "sfm/photos.py",
           "sfm/panoramas.py", "sfm/video.py", "monocular.py")
"""Rooms that open files which a dataset may name."""

WRITTEN_HERE = {"capture_journal.py:append_frame", "through_blender.py:_taken"}
OPENERS = {"files.py:open_shared", "files.py:opened", "files.py:read_shared"}
"""Calls of these are looked at as calls of open() are."""

on_posix = pytest.mark.skipif(sys.platform == "win32", reason="links and pipes of POSIX")


@pytest.fixture
def job(tmp_path: Path) -> Path:
    """A client's folder, beside which lies what it must not read."""
    (tmp_path / "job").mkdir()
    write_png(tmp_path / "secret.png", np.full((8, 8, 3), 7, np.uint8))
    write_png(tmp_path / "job" / "own.png", np.full((8, 8, 3), 9, np.uint8))
    return tmp_path / "job"


def ways_out(job: Path) -> dict[str, Path]:
    """Paths to the secret."""
    secret = job.parent / "secret.png"
    (job / "link.png").symlink_to(secret)
    (job / "folder").symlink_to(job.parent)
    return {"absolute": secret, "above": job / ".." / "secret.png", "link": job / "link.png", "folder": job / "folder" / "secret.png",
            "process": Path(f"/proc/self/root{secret}"), "process's folder": Path(f"/proc/self/cwd/{os.path.relpath(secret)}")}


@on_posix
def test_a_clients_job_reads_its_own_files_alone(job: Path) -> None:
    with confined(job):
        assert is_confined() and read_image(job / "own.png")[0, 0, 0] == 9
        for way, path in ways_out(job).items():
            assert not may_open(path), way
            with pytest.raises(UserError, match="outside of the job's folder"):
                read_image(path)
            with pytest.raises(UserError, match="outside of the job's folder"):
                read_mask(path)
            assert image_size(path) is None
        assert FolderIndex(job).files == ("own.png",)
    assert not is_confined()


@on_posix
def test_people_read_where_they_like(job: Path) -> None:
    for way, path in ways_out(job).items():
        if not str(path).startswith("/proc") or sys.platform.startswith("linux"):
            assert may_open(path) and read_image(path)[0, 0, 0] == 7, way
    assert FolderIndex(job).files == ("folder/secret.png", "link.png", "own.png")


@on_posix
def test_what_is_there_and_what_is_not_are_told_alike(job: Path) -> None:
    with confined(job):
        said = []
        for path in (job.parent / "secret.png", job.parent / "absent.png"):
            with pytest.raises(UserError) as caught:
                read_image(path)
            said.append(str(caught.value).replace(path.name, ""))
    assert said[0] == said[1]


@on_posix
def test_pipes_and_devices_are_opened_for_nobody(job: Path) -> None:
    os.mkfifo(job / "pipe.png")
    for path in (job / "pipe.png", Path("/dev/zero")):
        assert not may_open(path)
        with pytest.raises(PermissionError, match="regular"):
            admitted(path)
        with pytest.raises(UserError):
            read_image(path)
        assert image_size(path) is None


def test_a_dataset_of_links_and_absolute_paths(tmp_path: Path) -> None:
    """As people keep them: the same files, wherever transforms.json lies."""
    dataset = write_ball_dataset(tmp_path / "photos")
    text = (dataset.folder / "transforms.json").read_text(encoding="utf-8")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    for view in dataset.views:
        name = view.image.relative_to(dataset.folder).as_posix()
        text = text.replace(f'"file_path": "{name}"', f'"file_path": "{view.image.as_posix()}"')
    text = text.replace('"points3d.ply"', f'"{(dataset.folder / "points3d.ply").as_posix()}"')
    (elsewhere / "transforms.json").write_text(text, encoding="utf-8")
    found = read_dataset(elsewhere)
    assert len(found.views) == len(dataset.views) and found.points is not None
    with confined(elsewhere), pytest.raises(UserError, match="not there"):
        read_dataset(elsewhere)


@on_posix
def test_points_behind_a_link(job: Path, tmp_path: Path) -> None:
    dataset = write_ball_dataset(tmp_path / "ball")
    (job / "points3d.ply").symlink_to(dataset.folder / "points3d.ply")
    assert len(read_points(job / "points3d.ply"))
    with confined(job), pytest.raises(UserError, match="outside"):
        read_points(job / "points3d.ply")


def test_no_archive_is_unpacked_for_a_client(job: Path) -> None:
    (job / "data.zip").write_bytes(b"PK")
    with confined(job), pytest.raises(UserError, match="not unpacked"):
        unpacked(job / "data.zip")


def opening_calls(path: Path) -> list[str]:
    """Calls that open a file for reading under a name that did not go through the gate, as file:function:line."""
    found = []
    for function in [node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.FunctionDef)]:
        for call in [node for node in ast.walk(function) if isinstance(node, ast.Call)]:
            if opens(call) and "admitted(" not in ast.unparse(call) and f"{path.name}:{function.name}" not in WRITTEN_HERE | OPENERS:
                found.append(f"{path.name}:{function.name}:{call.lineno}")
    return found


def opens(call: ast.Call) -> bool:
    """Whether a call opens a file to read it."""
    name = ast.unparse(call.func)
    mode = ast.unparse(call.args[1]) if len(call.args) > 1 else ""
    if name == "np.fromfile" and ast.unparse(call.args[0]) == "file":  # opened before
        return False
    if name in ("open", "open_shared", "read_shared", "np.fromfile", "np.load", "Image.open", "av.open", "zipfile.ZipFile"):
        return not any(letter in mode for letter in ("w", "a")) and "io.BytesIO" not in ast.unparse(call)
    return name.endswith((".read_bytes", ".read_text"))


def test_every_reader_asks_before_it_opens() -> None:
    files = [path for room in READERS for path in ([ROOT / "engine" / room] if room.endswith(".py")
                                                   else sorted((ROOT / "engine" / room).rglob("*.py")))]
    assert len(files) > 40
    assert [call for path in files for call in opening_calls(path)] == []
