"""ZIP archives of datasets: unpacked once into a cache, and no further than is safe.

Strangers' archives may name files outside of their folder, be links, or grow a million times; such are refused before anything is written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import sys
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from ...confinement import admitted, is_confined
from ...errors import UserError
from ...file_names import windows_takes
from ...files import discard_folder, disk_error, make_folder, rename

CACHE = "SPLATWRIGHT_CACHE"
"""The variable that names another folder for what is unpacked."""

MOST_FILES = 200_000
MOST_BYTES = 256 << 30
MOST_RATIO = 200
"""How many times larger than the archive what it holds may be, from UNSUSPICIOUS bytes on: text of poses shrinks well, photos do not."""
UNSUSPICIOUS = 64 << 20
MEND = "Unpack it yourself and choose the folder."
SKIPPED = ("__MACOSX",)
PIECE = 1 << 20


def find_zip(path: Path) -> Path | None:
    """The ZIP that a path is, or the only one in a folder."""
    if path.is_file():
        return path if path.suffix.lower() == ".zip" else None
    found = [each for each in sorted(path.glob("*.[zZ][iI][pP]")) if each.is_file() and not each.name.startswith(".")]
    return found[0] if len(found) == 1 else None


def unpacked(archive: Path) -> Path:
    """The folder in the cache that holds what is in an archive, unpacked when it is not there yet.

    UserError for archives that are damaged, encrypted, too large, or that name places outside of themselves, and for any in a process that
    is confined: what a client sent was unpacked and counted before.
    """
    if is_confined():
        raise UserError("A ZIP that was sent is not unpacked.", "Send the dataset itself: clients unpack it first.", "dataset.sent_zip")
    folder = cache_folder() / f"{archive.stem[:40]}-{_digest(archive)}"
    if folder.is_dir():
        return folder
    part = folder.with_name(f"{folder.name}.{os.getpid()}.part")
    try:
        with zipfile.ZipFile(admitted(archive)) as opened:
            members = _checked(opened, archive)
            _refuse_without_space(make_folder(folder.parent), sum(member.file_size for member in members), archive)
            for member in members:
                _write(opened, member, part / _inside(member.filename, archive))
        make_folder(part)
        rename(part, folder)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{archive} cannot be unpacked: {error}.", MEND, "zip.damaged", path=archive, problem=error) from None
    except OSError as error:
        if folder.is_dir():  # another process was faster
            return folder
        raise disk_error(folder, error) from error
    finally:
        discard_folder(part)
    return folder


def cache_folder() -> Path:
    """Where archives are unpacked: what the variable names, else the system's folder for caches."""
    if os.environ.get(CACHE):
        return Path(os.environ[CACHE])
    if sys.platform == "win32":
        root = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        root = Path.home() / "Library" / "Caches"
    else:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return root / "splatwright" / "unpacked"


def _digest(archive: Path) -> str:
    """Changes with the archive's place, size and time."""
    try:
        status = archive.stat()
    except OSError as error:
        raise disk_error(archive, error) from error
    key = f"{archive.resolve()}\0{status.st_size}\0{status.st_mtime_ns}"
    return hashlib.blake2s(key.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()


def _checked(opened: zipfile.ZipFile, archive: Path) -> list[zipfile.ZipInfo]:
    """The files to unpack, after all of them were looked at."""
    members = [member for member in opened.infolist() if not member.is_dir() and PurePosixPath(member.filename).parts[:1] != SKIPPED]
    total, size = sum(member.file_size for member in members), archive.stat().st_size
    if len(members) > MOST_FILES or total > MOST_BYTES or (total > UNSUSPICIOUS and total > MOST_RATIO * size):
        raise UserError(f"{archive} would become {len(members)} files of {total >> 20} MB, from {size >> 20} MB; it is not unpacked.", MEND,
                        "zip.too_large", path=archive, files=len(members), megabytes=total >> 20, size=size >> 20)
    for member in members:
        _inside(member.filename, archive)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise UserError(f"{archive} holds a link, {member.filename}; it is not unpacked.", MEND, "zip.link", path=archive,
                            name=member.filename)
    return members


def _inside(name: str, archive: Path) -> Path:
    """A member's path below the folder; UserError for one that leads elsewhere, on any system."""
    plain = PurePosixPath(name.replace("\\", "/"))
    if plain.is_absolute() or not plain.parts or any(part == ".." or ":" in part or "\0" in part for part in plain.parts):
        raise UserError(f"{archive} names a file outside of itself, {name}; it is not unpacked.", MEND, "zip.outside",
                        path=archive, name=name)
    if sys.platform == "win32" and not all(map(windows_takes, plain.parts)):
        raise UserError(f"{archive} holds a file whose name Windows does not take, {name}; it is not unpacked.",
                        "Rename the file in the archive.", "zip.windows_name", path=archive, name=name)
    return Path(*plain.parts)


def _refuse_without_space(place: Path, needed: int, archive: Path) -> None:
    free = shutil.disk_usage(place).free
    if free < needed:
        raise UserError(f"The disk is full: {archive.name} needs {needed >> 20} MB in {place}, {free >> 20} MB are left.",
                        f"Free some space, or name another folder in the variable {CACHE}.", "zip.space", path=place, file=archive.name,
                        needed=needed >> 20, free=free >> 20)


def _write(opened: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path) -> None:
    """One file, no more of it than the archive says."""
    make_folder(path.parent)
    with opened.open(member) as source, open(path, "wb") as target:
        left = member.file_size
        while left and (piece := source.read(min(PIECE, left))):
            target.write(piece)
            left -= len(piece)
