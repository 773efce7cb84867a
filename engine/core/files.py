"""Writing files so that no reader ever sees half of one."""

from __future__ import annotations

import codecs
import errno
import itertools
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .confinement import admitted
from .errors import UserError
from .parsing import parse_json

_FULL = {errno.ENOSPC, errno.EDQUOT} if hasattr(errno, "EDQUOT") else {errno.ENOSPC}

NO_NUMBERS = re.compile(r"(?<=[\s\[:,])[+-]?(nan(\([a-z]*\))?|inf(inity)?|1\.#[a-z]+\d*)(?=\s*[,\]}])", re.IGNORECASE)
"""NaN and infinity where JSON has a value."""

LONGEST_TEMPORARY = 100
"""Letters of a name that its temporary name keeps: systems take 255 bytes."""

_writes = itertools.count()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary name beside `path`; on success rename it into place, on failure remove it.

    The name is another for each write: threads may write the same file at once, and one of them is the last.
    A full or read-only disk, a missing folder or forbidden access raises UserError.
    """
    temporary = path.with_name(f".{path.name[:LONGEST_TEMPORARY]}.{os.getpid()}-{next(_writes)}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise disk_error(path, error) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in one piece (UTF-8, LF)."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def read_text(path: Path) -> str:
    """A text file of any program: UTF-8 or UTF-16 by its byte order mark. Bytes that are no UTF-8 stay marked (surrogateescape)."""
    data = admitted(path).read_bytes()
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    return data.decode("utf-8-sig", "surrogateescape").replace("\r\n", "\n")


def read_json(path: Path, wanted: str, hint: str, foreign: bool = False) -> dict[str, Any]:
    """The object that a JSON file holds; UserError, with that hint, when it is none and so no `wanted`.

    `foreign`: other programs wrote it, in whatever encoding, and with NaN as libraries of C spell it.
    """
    try:
        text = read_text(path) if foreign else admitted(path).read_text(encoding="utf-8-sig")
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
