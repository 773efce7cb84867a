"""Writing, renaming and removing files, so that no reader ever sees half of one.

Windows refuses to rename, replace or remove a file while another program has it open: for an instant, as a virus scanner or whoever looks
at a job, or for long. Everything here tries again for a moment, and then says so. No other module renames or removes anything.
"""

from __future__ import annotations

import codecs
import errno
import itertools
import os
import re
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from . import windows
from .confinement import admitted
from .errors import UserError
from .parsing import parse_json

_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}

NO_NUMBERS = re.compile(r"(?<=[\s\[:,])[+-]?(nan(\([a-z]*\))?|inf(inity)?|1\.#[a-z]+\d*)(?=\s*[,\]}])", re.IGNORECASE)
"""NaN and infinity where JSON has a value."""

LONGEST_TEMPORARY = 100
"""Letters of a name that its temporary name keeps: systems take 255 bytes."""

PATIENCE_SECONDS = 2.0
"""So long a file that another program has open is tried again."""

READ_PATIENCE_SECONDS = 0.25
"""The same for reading, which people wait for."""

LONGEST_PAUSE = 0.01
WINDOWS_LONGEST = 259
"""Letters of a path that Windows takes, unless it was told to take longer ones."""

_IN_USE = {windows.SHARING_VIOLATION, windows.LOCK_VIOLATION, windows.USER_MAPPED_FILE}
_TOO_LONG = {windows.FILE_NOT_FOUND, windows.PATH_NOT_FOUND, windows.NAME_TOO_LONG}
"""What Windows says of paths that are too long."""

Result = TypeVar("Result")

_writes = itertools.count()


class InUse(UserError):
    """Another program has a file open, and Windows keeps it as it is meanwhile."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success rename it into place, on failure remove it.

    The name is another for each write: threads may write the same file at once, and one of them is the last.
    A full or read-only disk, a missing folder or forbidden access raises UserError.
    """
    temporary = path.with_name(f".{path.name[:LONGEST_TEMPORARY]}.{os.getpid()}-{next(_writes)}.tmp")
    try:
        yield temporary
        rename(temporary, path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        with suppress(OSError):
            remove_file(temporary)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece (UTF-8, LF)."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def rename(source: Path, target: Path) -> Path:
    """Give a file, or a folder, another name on the same disk, in place of the file of that name; returns the new path. OSError when that
    is refused."""
    def act() -> None:
        windows.replace(source, target) if sys.platform == "win32" else os.replace(source, target)

    patiently(act, PATIENCE_SECONDS)
    return target


def remove_file(path: Path) -> None:
    """Remove a file or a link, also a read-only one; nothing when there is none. OSError when that is refused.

    On Windows another hard link to the same file is writable afterwards.
    """
    patiently(lambda: _unlink(path), PATIENCE_SECONDS)


def remove_folder(path: Path) -> None:
    """Remove a folder with all that is in it; nothing when there is none. OSError when that is refused.

    Nothing is removed while a program on Windows has a file of it open; what is refused for another reason stays, and all else goes.
    """
    patiently(lambda: _refuse_in_use(path), PATIENCE_SECONDS)
    patiently(lambda: _remove_tree(path), PATIENCE_SECONDS)


def discard_folder(path: Path) -> None:
    """Remove a folder with all that can be removed of it."""
    with suppress(OSError):
        patiently(lambda: _remove_tree(path), PATIENCE_SECONDS)


def move_folder(source: Path, target: Path) -> None:
    """Move a folder to where nothing is, also to another disk. OSError when that is refused; what cannot be removed stays there too."""
    try:
        rename(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copytree(source, target)
        discard_folder(source)


def open_shared(path: Path, follow_links: bool = True) -> BinaryIO:
    """A file open for reading, which others may write, replace and remove meanwhile: for what several processes use. OSError as open()."""
    def opened() -> BinaryIO:
        if sys.platform == "win32":
            return open(path, "rb", opener=windows.open_for_reading)
        return open(path, "rb", opener=None if follow_links else _open_no_link)

    return patiently(opened, READ_PATIENCE_SECONDS)


def read_shared(path: Path) -> str:
    """The text (UTF-8) of a small file that others may replace meanwhile. OSError, or ValueError for other bytes."""
    with open_shared(path) as file:
        return file.read().decode("utf-8").replace("\r\n", "\n")


def patiently(act: Callable[[], Result], seconds: float) -> Result:
    """Do something; what Windows refuses because a program has a file open is tried again for so many seconds, then its OSError raised."""
    end, pause = time.monotonic() + seconds, 0.001
    while True:
        try:
            return act()
        except OSError as error:
            if getattr(error, "winerror", None) not in {*_IN_USE, windows.ACCESS_DENIED} or time.monotonic() > end:
                raise
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _windows_error(error: OSError) -> int | None:
    """The number of an error on Windows, where open() tells that of C alone."""
    known = {errno.EACCES: windows.ACCESS_DENIED, errno.ENOENT: windows.FILE_NOT_FOUND} if sys.platform == "win32" else {}
    return getattr(error, "winerror", None) or known.get(error.errno or 0)


def _unlink(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if not _make_writable(path):
            raise
        path.unlink(missing_ok=True)


def _make_writable(path: Path | str) -> bool:
    """Whether a file was read-only, which keeps it from being removed on Windows alone."""
    if sys.platform != "win32" or os.lstat(path).st_mode & stat.S_IWRITE:
        return False
    os.chmod(path, stat.S_IWRITE)
    return True


def _refuse_in_use(path: Path) -> None:
    used = windows.first_in_use(path) if sys.platform == "win32" and path.is_dir() else None
    if used is not None:
        raise OSError(0, "another program has it open", str(used), windows.SHARING_VIOLATION)


def _remove_tree(path: Path) -> None:
    problems: list[OSError] = []

    def refused(function: Callable[..., object], where: str, error: Any) -> None:
        reason = error[1] if isinstance(error, tuple) else error
        if isinstance(reason, FileNotFoundError):
            return
        try:
            if function is not os.unlink or not _make_writable(where):
                raise reason
            os.unlink(where)
        except OSError as problem:
            problems.append(problem)

    if sys.version_info >= (3, 12):
        shutil.rmtree(path, onexc=refused)
    else:
        shutil.rmtree(path, onerror=refused)
    if problems:
        raise problems[0]


def read_text(path: Path) -> str:
    """A text file of any program: UTF-8 or UTF-16 by its byte order mark. Bytes that are no UTF-8 stay marked (surrogateescape)."""
    with open_shared(admitted(path)) as file:
        data = file.read()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n")


def read_json(path: Path, wanted: str, hint: str, foreign: bool = False) -> dict[str, Any]:
    """The object that a JSON file holds; UserError, with that hint, when it is none and so no `wanted`.

    `foreign`: other programs wrote it, in whatever encoding, and with NaN as libraries of C spell it.
    """
    try:
        text = read_text(path) if foreign else read_shared(admitted(path)).removeprefix("\ufeff")
        values = parse_json(NO_NUMBERS.sub("NaN", text) if foreign and not _is_json(text) else text)
    except OSError as error:
        raise disk_error(path, error) from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}.", hint, "file.json", path=path, problem=error) from None
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no {wanted}.", hint, "file.no_object", path=path, wanted=wanted)
    return values


def _is_json(text: str) -> bool:
    try:
        parse_json(text)
    except ValueError:
        return False
    return True


def make_folder(path: Path) -> Path:
    """Create a folder and its parents; UserError when that is not allowed."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(path, error) from error
    return path


def disk_error(path: Path, error: OSError) -> UserError:
    """The sentence for an operating-system error about `path`."""
    number = _windows_error(error)
    named = [Path(name) for name in (error.filename, error.filename2) if isinstance(name, str)] or [path]
    used = named[0] if number in _IN_USE else None
    if number == windows.ACCESS_DENIED:
        used = next(filter(None, map(windows.first_in_use, named)), None)
    if used is not None:
        return InUse(f"{used} is in use by another program.", "Close the program that has it open, then try again.", "disk.in_use",
                     path=used)
    if error.errno == errno.ENAMETOOLONG or (number in _TOO_LONG and len(os.path.abspath(path)) > WINDOWS_LONGEST):
        return UserError(f"The name {path} is too long for this system.", "Choose a shorter name, or a folder nearer to the disk's root.",
                         "disk.too_long", path=path)
    if error.errno in _FULL:
        return UserError(f"The disk is full: {path} could not be written.", "Free some space and try again.", "disk.full", path=path)
    if error.errno is None and "written" in str(error):  # numpy's tofile on a full disk gives no number
        return disk_error(path, OSError(errno.ENOSPC, "No space left on device"))
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return UserError(f"{path} may not be used: {error.strerror}.", "Choose a place that you may read and write.",
                         "disk.forbidden", path=path, problem=error.strerror)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return UserError(f"{path} cannot be reached: {error.strerror}.", "Check that the folder exists.",
                         "disk.absent", path=path, problem=error.strerror)
    return UserError(f"{path} could not be used: {error.strerror or error}.", "Check the disk and try again.",
                     "disk.other", path=path, problem=error.strerror or error)
