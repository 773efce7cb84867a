"""Which files a process may open on behalf of a dataset.

A job that a client sent may read what was sent with it and what it made of that itself, and nothing else of the server's computer:
its worker confines itself to the job's folder before it reads anything. Every reader of datasets, photos and videos asks here before it
opens a file, whatever named the file. A process that is not confined, as everything that works for the person at the computer, may use
absolute paths and links; what is no regular file, as a device or a pipe, is never opened.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_root: Path | None = None
"""Of the process: readers work in threads, which a context variable would not reach."""


def confine(root: Path) -> None:
    """From now on this process opens nothing outside of a folder for a dataset."""
    global _root
    _root = Path(os.path.realpath(root))


@contextmanager
def confined(root: Path | None) -> Iterator[None]:
    """As confine() inside the block; None leaves the process as it is."""
    global _root
    before = _root
    if root is not None:
        confine(root)
    try:
        yield
    finally:
        _root = before


def is_confined() -> bool:
    """Whether this process works for a client who is a stranger to this computer."""
    return _root is not None


def may_open(path: Path) -> bool:
    """Whether a regular file lies there, after all links, that this process may open. No name that some file made up is an error."""
    try:
        return _is_inside(path) and stat.S_ISREG(os.stat(path).st_mode)
    except (OSError, ValueError):  # too long for the disk; a zero byte in it, or letters that the disk's code page lacks
        return False


def admitted(path: Path) -> Path:
    """The path itself; PermissionError when this process may not open it, and OSError when nothing is there.

    Outside of the folder nothing is looked at: the error does not tell what is there.
    """
    if not _is_inside(path):
        raise PermissionError(errno.EACCES, "it lies outside of the job's folder", str(path))
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a folder is refused by whoever opens it, in its own words
        raise PermissionError(errno.EACCES, "it is no regular file", str(path))
    return path


def _is_inside(path: Path) -> bool:
    return _root is None or Path(os.path.realpath(path)).is_relative_to(_root)
