"""Link mode: an object whose splats stay in their file. The .blend holds the object, the file its splats.

While Blender saves, an empty point cloud stands in for the splats, and points without a user are not written. After opening,
and whenever the file on the disk has changed, a thread reads the splats again; a Blender without a window waits for it. Undo and
appending need no care of their own: the object remembers which state of the file it shows (`stamp`), and the next look finds that
it shows another one. Splats that were edited in Blender (`checksum`) exist nowhere else: they end the link and are saved.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ...engine.core.errors import UserError
from ...engine.core.formats.registry import read_splats
from ...engine.core.formats.splat_file import SplatFile
from ..typed import point_cloud, splat_settings
from ..ui.redraw import redraw_sidebars
from .importing import checksum_of, fill_splat_object, remember_state, stamp_of
from .splat_object import is_splat_object, make_empty

EDITED = "These splats were edited, so the .blend holds them. Keep in File reads them from their file again."
INTERVAL = 1.0
"""Seconds between two checks of the files."""
SOON = 0.1
"""Seconds until the next check while a file is being read."""


@dataclass(frozen=True)
class SetAside:
    """Splats that are not written while Blender saves."""

    points: bpy.types.PointCloud
    stand_in: bpy.types.PointCloud
    kept: bool  # by a fake user
    states: tuple[tuple[bpy.types.Object, str, str], ...]  # stamp and checksum of each user


_aside: list[SetAside] = []
_readings: dict[tuple[str, str, bool], Future[SplatFile]] = {}
"""Files that are being read, by stamp, axes and whether their scales are linear."""


def linked_objects() -> list[bpy.types.Object]:
    """Every object of this file that refers to a splat file."""
    return [found for found in bpy.data.objects if found.type == "POINTCLOUD" and is_linked(found) and found.library is None]


def is_linked(target: bpy.types.Object) -> bool:
    """Whether an object's splats stay in a file."""
    return splat_settings(target).linked and bool(splat_settings(target).source)


def source_of(target: bpy.types.Object) -> Path:
    """The file that an object names; where it is gone one of the same name beside the .blend, for projects that were moved."""
    path = Path(bpy.path.abspath(splat_settings(target).source))
    beside = Path(bpy.data.filepath).parent / path.name
    return beside if bpy.data.filepath and not path.exists() and beside.is_file() else path


def look() -> float:
    """Timer: start reading changed files in threads, and show those that are read. Returns the seconds until the next call."""
    if bpy.app.is_job_running("RENDER"):
        return INTERVAL
    changed = changed_links()
    for key in set(_readings) - {state.key for state in changed}:
        _readings.pop(key).cancel()
    for state in changed:
        if state.key not in _readings:
            _readings[state.key] = _begin_reading(source_of(state.target), state.axes, state.linear_scales)
    ready = [state for state in changed if _readings[state.key].done()]
    for state in [state for state in ready if not _end_if_edited(state.target)]:  # all are asked first: objects may share their points
        _take(state, _readings[state.key])
    return SOON if len(ready) < len(changed) else INTERVAL


def refresh() -> None:
    """As the timer, but returns when all changed files are read and shown."""
    while look() == SOON:
        wait(_readings.values())


@dataclass(frozen=True)
class ChangedLink:
    """A linked object that does not show its file's state."""

    target: bpy.types.Object
    stamp: str
    axes: str
    linear_scales: bool

    @property
    def key(self) -> tuple[str, str, bool]:
        return self.stamp, self.axes, self.linear_scales


def changed_links() -> list[ChangedLink]:
    """The linked objects that can be written to and show another state than that of their file."""
    found = [ChangedLink(target, stamp_of(source_of(target)), splat_settings(target).axes, splat_settings(target).linear_scales)
             for target in linked_objects() if target.mode == "OBJECT" and point_cloud(target).library is None]
    return [state for state in found if state.stamp != splat_settings(state.target).stamp]


def _begin_reading(path: Path, axes: Any, linear_scales: bool) -> Future[SplatFile]:
    """Read a file in a thread that touches no Blender data."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="splatwright-linked")
    reading = executor.submit(read_splats, path, axes, linear_scales)
    executor.shutdown(wait=False)
    return reading


def _take(state: ChangedLink, reading: Future[SplatFile]) -> None:
    """Show what was read. A missing or bad file leaves the object as it is and becomes its `problem`. Pushes no undo step."""
    settings = splat_settings(state.target)
    try:
        fill_splat_object(state.target, reading.result())
        remember_state(state.target, state.stamp)
        settings.problem = ""
    except UserError as error:
        settings.stamp, settings.problem = state.stamp, f"{error.message} {error.hint}"
    redraw_sidebars()


def _end_if_edited(target: bpy.types.Object) -> bool:
    """End the link of an object whose splats are no longer those of its file; whether it was so."""
    settings = splat_settings(target)
    if not settings.checksum or settings.checksum == checksum_of(point_cloud(target)):
        return False
    settings.linked, settings.stamp, settings.checksum, settings.problem = False, "", "", EDITED
    redraw_sidebars()
    return True


@bpy.app.handlers.persistent
def _before_saving(*_: Any) -> None:
    """Take linked splats out of the file that is saved, except those whose own file is missing."""
    _after_saving()
    targets = [found for found in linked_objects() if not _end_if_edited(found)]
    for points in {point_cloud(target) for target in targets if is_splat_object(target)}:
        users = [found for found in bpy.data.objects if found.data == points]
        if points.library is None and all(found in targets and source_of(found).is_file() for found in users):
            _put_aside(points, users)


def _put_aside(points: bpy.types.PointCloud, users: list[bpy.types.Object]) -> None:
    stand_in = make_empty(points)
    states = tuple((user, splat_settings(user).stamp, splat_settings(user).checksum) for user in users)
    _aside.append(SetAside(points, stand_in, points.use_fake_user, states))
    points.use_fake_user = False
    for user in users:
        splat_settings(user).stamp = splat_settings(user).checksum = ""  # who opens or appends this shows nothing yet
    _swap(points, stand_in)


@bpy.app.handlers.persistent
def _after_saving(*_: Any) -> None:
    while _aside:
        found = _aside.pop()
        _swap(found.stand_in, found.points)
        bpy.data.pointclouds.remove(found.stand_in)
        found.points.use_fake_user = found.kept
        for user, stamp, checksum in found.states:
            splat_settings(user).stamp, splat_settings(user).checksum = stamp, checksum


def _swap(old: bpy.types.PointCloud, new: bpy.types.PointCloud) -> None:
    """Let `new` take the users and the name of `old`."""
    name, old.name = old.name, "Splats aside"
    old.user_remap(new)
    new.name = name


@bpy.app.handlers.persistent
def _after_loading(*_: Any) -> None:
    _aside.clear()
    if bpy.app.background:
        refresh()  # whoever renders without a window begins at once


def _hooks() -> list[tuple[list[Any], Any]]:
    handlers = bpy.app.handlers
    return [(handlers.save_pre, _before_saving), (handlers.save_post, _after_saving), (handlers.save_post_fail, _after_saving),
            (handlers.load_post, _after_loading)]


def register() -> None:
    for handlers, function in _hooks():
        handlers.append(function)
    bpy.app.timers.register(look, first_interval=INTERVAL, persistent=True)


def unregister() -> None:
    for handlers, function in _hooks():
        handlers.remove(function)
    if bpy.app.timers.is_registered(look):
        bpy.app.timers.unregister(look)
