"""Files that other programs have open: tried again for a moment, then told in a sentence, and by one module for all."""

from __future__ import annotations

import ast
import os
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.core import files, windows
from engine.core.errors import UserError
from engine.core.files import (
    InUse,
    discard_folder,
    disk_error,
    move_folder,
    open_shared,
    read_shared,
    remove_file,
    remove_folder,
    rename,
    write_text,
)

ROOT = Path(__file__).resolve().parents[2]
on_windows = pytest.mark.skipif(sys.platform != "win32", reason="what only Windows refuses")


def refused(number: int, path: Path | None = None) -> PermissionError:
    """What Python raises on Windows."""
    error = PermissionError(13, "refused", None if path is None else str(path))
    error.winerror = number  # type: ignore[attr-defined]
    return error


def refusing(act: Callable[..., None], times: float, number: int | None) -> tuple[Callable[..., None], list[int]]:
    """A call of the system that is refused so often before it works, and a list with an entry for each call."""
    calls: list[int] = []

    def call(*arguments: object, **named: object) -> None:
        calls.append(1)
        if len(calls) <= times:
            raise PermissionError(13, "refused") if number is None else refused(number)
        act(*arguments, **named)

    return call, calls


@pytest.mark.parametrize("number", [windows.ACCESS_DENIED, windows.SHARING_VIOLATION, windows.LOCK_VIOLATION, windows.USER_MAPPED_FILE])
@pytest.mark.parametrize("name", ["replace", "unlink"])
@pytest.mark.skipif(sys.platform == "win32", reason="errors of Windows, where there are none")
def test_what_is_refused_for_an_instant_works(name: str, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old").write_text("1")
    call, calls = refusing(getattr(os, name), 5, number)
    with monkeypatch.context() as busy:
        busy.setattr(os, name, call)
        if name == "replace":
            write_text(tmp_path / "old", "2")
        else:
            remove_file(tmp_path / "old")
    assert len(calls) >= 6
    assert [path.name for path in tmp_path.iterdir()] == (["old"] if name == "replace" else [])


@pytest.mark.skipif(sys.platform == "win32", reason="errors of Windows, where there are none")
def test_what_stays_refused_is_told_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PATIENCE_SECONDS", 0.1)
    path = tmp_path / "file"
    write_text(path, "old")
    for number, used, kind in ((32, False, InUse), (5, True, InUse), (5, False, UserError)):
        with monkeypatch.context() as busy:
            busy.setattr(os, "replace", refusing(os.replace, float("inf"), number)[0])
            busy.setattr(windows, "first_in_use", lambda place, used=used: place if used else None)
            with pytest.raises(UserError) as told:
                write_text(path, "new")
        assert type(told.value) is kind and told.value.code == ("disk.in_use" if kind is InUse else "disk.forbidden")
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="there a missing right looks like a file in use, until it was tried again")
def test_a_missing_right_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call, calls = refusing(os.replace, 3, None)
    monkeypatch.setattr(os, "replace", call)
    with pytest.raises(UserError, match="may not be used"):
        write_text(tmp_path / "file", "1")
    assert len(calls) == 1


def test_names_too_long_are_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="too long"):
        write_text(tmp_path / ("n" * 300) / "file", "1")
    error = FileNotFoundError(2, "no such path")
    error.winerror = 206  # type: ignore[attr-defined]
    assert disk_error(Path("C:/" + "folder/" * 40), error).code == "disk.too_long"


def test_folders_move_to_another_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here" / "below").mkdir(parents=True)
    (tmp_path / "here" / "below" / "file").write_text("1")

    def other_disk(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    with monkeypatch.context() as two:
        two.setattr(files, "rename", other_disk)
        move_folder(tmp_path / "here", tmp_path / "there")
    assert not (tmp_path / "here").exists() and (tmp_path / "there" / "below" / "file").read_text() == "1"
    move_folder(tmp_path / "there", tmp_path / "here")
    assert (tmp_path / "here" / "below" / "file").exists()


def test_read_only_files_and_what_holds_them_go(tmp_path: Path) -> None:
    (tmp_path / "job" / "input").mkdir(parents=True)
    blob = tmp_path / "blob"
    blob.write_text("1")
    os.chmod(blob, stat.S_IREAD)
    os.link(blob, tmp_path / "job" / "input" / "image.png")
    remove_folder(tmp_path / "job")
    assert not (tmp_path / "job").exists() and blob.exists()
    os.chmod(blob, stat.S_IREAD)
    remove_file(blob)
    assert not blob.exists()
    for remove in (remove_file, remove_folder, discard_folder):
        remove(tmp_path / "nothing")


def test_writers_and_readers_of_one_file_hinder_nobody(tmp_path: Path) -> None:
    path = tmp_path / "control"
    write_text(path, "run")
    ended, refusals = threading.Event(), list[Exception]()

    def read() -> None:
        while not ended.is_set():
            try:
                assert read_shared(path) in ("run", "pause")
            except Exception as error:
                refusals.append(error)
            time.sleep(0.01)  # disks that cannot replace an open file need a moment when nobody reads

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for number in range(100):
            write_text(path, ("run", "pause")[number % 2])
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    assert refusals == []


def test_a_file_is_removed_while_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("1")
    with open_shared(tmp_path / "file") as file:
        remove_file(tmp_path / "file")
        assert file.read() == b"1"
    assert not (tmp_path / "file").exists()


@contextmanager
def impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as soon:
        soon.setattr(files, "PATIENCE_SECONDS", 0.2)
        yield


@on_windows
def test_files_that_another_program_has_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "job" / "preview.ply"
    path.parent.mkdir()
    (path.parent / "job.json").write_text("{}")
    write_text(path, "old")
    with open(path), impatient(monkeypatch):
        with pytest.raises(InUse, match=r"preview.ply is in use by another program"):
            write_text(path, "new")
        with pytest.raises(OSError) as told:
            remove_folder(path.parent)
        assert isinstance(disk_error(path.parent, told.value), InUse)
    assert path.read_text() == "old" and sorted(found.name for found in path.parent.iterdir()) == ["job.json", "preview.ply"]
    remove_folder(path.parent)
    assert not path.parent.exists()


@on_windows
def test_a_file_that_is_closed_soon_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    file = path.open()
    closing = threading.Timer(0.5, file.close)
    closing.start()
    write_text(path, "new")
    closing.join()
    assert path.read_text() == "new"


CALLS = {"os.replace", "os.rename", "os.renames", "os.remove", "os.unlink", "os.removedirs", "shutil.rmtree", "shutil.move"}


def moves(call: ast.Call) -> bool:
    """Whether a call renames or removes a file, or a folder with files."""
    name = ast.unparse(call.func)
    words = [*call.args, *call.keywords]
    of_path = name.endswith((".rename", ".replace")) and len(words) == 1 and len(call.args) == 1
    return name in CALLS or of_path or (name.endswith(".unlink") and not call.args)


def test_one_module_renames_and_removes() -> None:
    found, here = [], {"engine/core/files.py", "engine/core/windows.py"}
    for path in [*(ROOT / "engine").rglob("*.py"), *(ROOT / "addon").rglob("*.py")]:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and moves(node)]
        handed = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node) in CALLS]
        if path.relative_to(ROOT).as_posix() not in here:
            found += [f"{path.relative_to(ROOT)}:{node.lineno}" for node in (*calls, *handed)]
    assert found == []
    assert [moves(call) for call in (ast.parse(text, mode="eval").body for text in (
        "path.replace(other)", "path.rename(other)", "path.unlink(missing_ok=True)", "text.replace('a', 'b')", "replace(spec, name='x')",
        "jobs.rename(job, title)")) if isinstance(call, ast.Call)] == [True, True, True, False, False, False]


def test_rename_gives_the_new_path(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    (tmp_path / "b").write_text("2")
    assert rename(tmp_path / "a", tmp_path / "b").read_text() == "1"
