"""Link mode: an object whose splats stay in their file. The .blend holds the object, the file its splats.

While Blender saves, an empty point cloud stands in for the splats, and points without a user are not written. After opening,
and whenever the file on the disk has changed, a thread reads the splats again; a Blender without a window waits for it, and says
which are missing. Undo and appending need no care of their own: the object remembers which state of the file it shows (`stamp`), and
the next look finds that it shows another one. Splats that were edited in Blender (`checksum`) exist nowhere else: they end the link
and are saved. Objects of libraries, and such that override them, are filled as well (foreign_points).
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy

from ...engine.core.errors import UserError
from ...engine.core.formats.registry import read_splats
from ...engine.core.formats.splat_file import SplatFile
from ..translations import tr
from ..typed import point_cloud, splat_settings
from ..ui.background import start_timer, stop_timers
from ..ui.handlers import add_handlers, remove_handlers
from ..ui.redraw import redraw_sidebars
from .foreign_points import Loan, end_loans, fill_foreign, forget_loans, is_foreign, keep_loan, lend_again, take_back
from .importing import fill_splat_object, is_as_read, remember_state, stamp_of
from .source_paths import forget_path, keep_path, source_of
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
_taken: list[Loan] = []
"""What objects of other files show, while Blender saves."""

_told: set[str] = set()
"""Sentences that a Blender without a window has printed."""

_readings: dict[tuple[str, str, bool], Future[SplatFile]] = {}
"""Files that are being read, by stamp, axes and whether their scales are linear."""


def linked_objects() -> list[bpy.types.Object]:
    """Every object that refers to a splat file, of this .blend and of the libraries that it uses."""
    return [found for found in bpy.data.objects if found.type == "POINTCLOUD" and is_linked(found)]


def is_linked(target: bpy.types.Object) -> bool:
    """Whether an object's splats stay in a file."""
    return splat_settings(target).linked and bool(splat_settings(target).source)


def look() -> float | None:
    """Timer: start reading changed files in threads, and show those that are read.

    Returns the seconds until the next call; None without linked objects, whose coming starts the timer again.
    """
    if bpy.app.is_job_running("RENDER"):
        return INTERVAL
    _keep_paths()
    if not linked_objects():
        _readings.clear()
        return None
    changed = changed_links()
    for key in set(_readings) - {state.key for state in changed}:
        _readings.pop(key).cancel()
    for state in changed:
        if state.key not in _readings:
            _readings[state.key] = _begin_reading(source_of(state.target), state.axes, state.linear_scales)
    ready = [state for state in changed if _readings[state.key].done()]
    filled: set[tuple[object, int]] = set()
    for state in [state for state in ready if not _end_if_edited(state.target)]:  # all are asked first: objects may share their points
        _take(state, _readings[state.key], filled)
    return SOON if len(ready) < len(changed) else INTERVAL


def refresh() -> None:
    """As the timer, but returns when all changed files are read and shown."""
    while look() == SOON:
        wait(_readings.values())


def missing_sentences(targets: Iterable[bpy.types.Object]) -> list[str]:
    """Of linked objects among some: why the splats of each could not be read."""
    broken = [found for found in targets if found.type == "POINTCLOUD" and is_linked(found) and splat_settings(found).problem]
    return [tr("{found} does not show its splats. {problem}", found=found.name_full,
               problem=splat_settings(found).problem) for found in broken]


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
    """The linked objects that are not being edited and show another state than that of their file."""
    found = [ChangedLink(target, stamp_of(source_of(target)), splat_settings(target).axes, splat_settings(target).linear_scales)
             for target in linked_objects() if target.mode == "OBJECT"]
    return [state for state in found if state.stamp != splat_settings(state.target).stamp]


def _begin_reading(path: Path, axes: Any, linear_scales: bool) -> Future[SplatFile]:
    """Read a file in a thread that touches no Blender data."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="splatwright-linked")
    reading = executor.submit(read_splats, path, axes, linear_scales)
    executor.shutdown(wait=False)
    return reading


def _take(state: ChangedLink, reading: Future[SplatFile], filled: set[tuple[object, int]]) -> None:
    """Show what was read. A missing or bad file leaves the object as it is and becomes its `problem`. Pushes no undo step.

    `filled`: points of other files that others of their users have filled with it.
    """
    settings = splat_settings(state.target)
    try:
        found = reading.result()
        if is_foreign(state.target):
            if (state.key, point_cloud(state.target).as_pointer()) not in filled:
                fill_foreign(state.target, found, state.key)
            filled.add((state.key, point_cloud(state.target).as_pointer()))
        else:
            fill_splat_object(state.target, found)
        remember_state(state.target, state.stamp)
        settings.problem = ""
    except UserError as error:
        settings.stamp, settings.problem = state.stamp, f"{error.message} {error.hint}"
    redraw_sidebars()


def _end_if_edited(target: bpy.types.Object) -> bool:
    """End the link of an object whose splats are no longer those of its file; whether it was so."""
    shows_none_of_ours = is_foreign(target) and (target.override_library is None or point_cloud(target).library is not None)
    if shows_none_of_ours or is_as_read(target):
        return False
    keep_loan(target)
    end_link(target, EDITED)
    return True


def end_link(target: bpy.types.Object, why: str) -> None:
    """Let the .blend hold the splats of an object from now on; the panel says why."""
    settings = splat_settings(target)
    settings.linked, settings.stamp, settings.checksum, settings.problem = False, "", "", why
    redraw_sidebars()


def _keep_paths() -> None:
    for found in bpy.data.objects:
        if found.type == "POINTCLOUD" and is_linked(found):
            keep_path(found)
        elif found.type == "POINTCLOUD" and splat_settings(found).keeper is not None:
            forget_path(found)


@bpy.app.handlers.persistent
def _before_saving(*_: Any) -> None:
    """Take linked splats out of the file that is saved, except those whose own file is missing."""
    _after_saving()
    _keep_paths()
    targets = [found for found in linked_objects() if not _end_if_edited(found)]
    _taken.extend(take_back(targets))
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
    lend_again(_taken)
    _taken.clear()
    while _aside:
        found = _aside.pop()
        _swap(found.stand_in, found.points)
        bpy.data.pointclouds.remove(found.stand_in)
        found.points.use_fake_user = found.kept
        for user, stamp, checksum in found.states:
            splat_settings(user).stamp, splat_settings(user).checksum = stamp, checksum
    _keep_paths()


def _swap(old: bpy.types.PointCloud, new: bpy.types.PointCloud) -> None:
    """Let `new` take the users and the name of `old`."""
    name, old.name = old.name, "Splats aside"
    old.user_remap(new)
    new.name = name


@bpy.app.handlers.persistent
def _after_loading(*_: Any) -> None:
    _aside.clear()
    _taken.clear()
    _told.clear()
    forget_loans()
    _before_rendering()


@bpy.app.handlers.persistent
def _before_rendering(*_: Any) -> None:
    """Whoever renders without a window begins at once, and looks at nothing but what is printed."""
    if not bpy.app.background:
        return
    refresh()
    new = [sentence for sentence in missing_sentences(linked_objects()) if sentence not in _told]
    if new:
        print(f"Splatwright: {' '.join(new)}", flush=True)
    _told.update(new)


@bpy.app.handlers.persistent
def _after_change(*_: Any) -> None:
    """Undo and opened files may bring linked objects."""
    start_timer(look, INTERVAL)


@bpy.app.handlers.persistent
def _after_update(scene: bpy.types.Scene, depsgraph: bpy.types.Depsgraph) -> None:
    """Linked objects came, or an object was linked."""
    objects = (update.id for update in depsgraph.updates if isinstance(update.id, bpy.types.Object))
    if any(found.type == "POINTCLOUD" and is_linked(found) for found in objects):
        start_timer(look, INTERVAL)


@bpy.app.handlers.persistent
def _before_undo(*_: Any) -> None:
    """Undo frees what it does not know, whoever shows it."""
    end_loans(linked_objects())


_HANDLERS = (("save_pre", _before_saving), ("save_post", _after_saving), ("save_post_fail", _after_saving),
             ("load_post", _after_loading), ("render_init", _before_rendering), ("undo_pre", _before_undo), ("redo_pre", _before_undo),
             ("load_post", _after_change), ("undo_post", _after_change), ("redo_post", _after_change),
             ("depsgraph_update_post", _after_update))


def register() -> None:
    add_handlers(_HANDLERS)
    start_timer(look, INTERVAL)


def unregister() -> None:
    remove_handlers(_HANDLERS)
    stop_timers(look)
