"""The trainings of before, as their folders tell: looked through in a thread, when a panel wants to show them."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from ...engine.core.errors import UserError
from ...engine.core.protocol.events import Evaluated, Event, Finished, Progress, Started
from ...engine.core.protocol.folder import JobFolder
from ...engine.core.protocol.spec import JobSpec
from ...engine.jobs.local_engine import Engine
from ..engines import choice
from ..engines.locations import jobs_folder
from ..ui.background import BackgroundTask, ThreadWork
from . import jobs


@dataclass(frozen=True)
class EarlierTraining:
    """One training: the name of its folder, what people call it, when it was begun (seconds since 1970), how far and how good it is."""

    name: str
    title: str
    began: float
    steps: int
    psnr: float | None
    thumbnail: Path | None
    drawn: float
    """when the thumbnail was written"""


_rows: list[EarlierTraining] = []
_seen: tuple[int, Path] = (-1, Path())
"""State of the trainings, and where they lie, when the folders were last looked through."""

_pictures: Any = None
"""Blender's collection of small pictures."""


def rows() -> list[EarlierTraining]:
    """The trainings that are known, newest first. Where something has changed a look through the folders begins; until it is done the list
    stays as it is."""
    global _seen
    now = (jobs.revision(), jobs_folder())
    if _seen != now and not _looking.running:
        if _seen[1] != now[1]:
            _rows.clear()
        _seen, _looking.work = now, None
    _looking.want()
    return _rows


def icon_of(row: EarlierTraining) -> int:
    """Number of the training's picture; 0 without one."""
    known = _pictures.get(_key(row)) if _pictures is not None else None
    return known.icon_id if known is not None else 0


def wait() -> None:
    """Look through the folders at once, for scripts."""
    rows()
    _begin().join()
    _looking.poll()


def describe(folder: JobFolder) -> EarlierTraining:
    """What a job's folder tells of its training; UserError and OSError for one that cannot be read."""
    events = folder.last_events()
    thumbnail = folder.thumbnail if folder.thumbnail.is_file() else None
    return EarlierTraining(folder.name, folder.title(), (folder.path / "job.json").stat().st_mtime, _steps(events), _psnr(events),
                           thumbnail, thumbnail.stat().st_mtime if thumbnail else 0.0)


def _steps(events: list[Event]) -> int:
    return next((event.step for event in reversed(events) if isinstance(event, (Finished, Progress, Started))), 0)


def _psnr(events: list[Event]) -> float | None:
    return next((event.psnr for event in reversed(events) if isinstance(event, (Finished, Evaluated))), None)


def _look(places: list[Engine]) -> list[EarlierTraining]:
    """In a thread: every training of the engines, newest first."""
    found = []
    for place in places:
        for name in place.jobs():
            with suppress(UserError, OSError):
                if isinstance(place.spec(name), JobSpec):
                    found.append(describe(place.folder(name)))
    return sorted(found, key=lambda row: -row.began)


def _begin() -> ThreadWork[list[EarlierTraining]]:
    places = choice.engines()
    return _looking.start(ThreadWork(lambda: _look(places)))


def _ended() -> None:
    """Take in what was found, with the pictures that are new."""
    work = _looking.work
    if work is None or work.answer is None:
        return
    _rows[:] = work.answer
    for row in _rows:
        if _pictures is not None and row.thumbnail is not None and _key(row) not in _pictures:
            _pictures.load(_key(row), str(row.thumbnail), "IMAGE")


def _key(row: EarlierTraining) -> str:
    return f"{row.name} {row.drawn}"


_looking: BackgroundTask[ThreadWork[list[EarlierTraining]]] = BackgroundTask(_begin, _ended)


def register() -> None:
    global _pictures
    _pictures = bpy.utils.previews.new()


def unregister() -> None:
    global _pictures
    bpy.utils.previews.remove(_pictures)
    _pictures = None
    _rows.clear()
