"""On a file's first save the datasets that were captured before move beside it, and everything that names them follows."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import bpy

from ..engine.core.errors import UserError
from ..engine.core.files import make_folder, move_folder
from ..engine.core.protocol.spec import JobSpec
from . import unsaved
from .batch.run import busy
from .capture.dataset_folder import TRANSFORMS
from .engines import choice
from .jobs import jobs
from .operators.batch import SPLATWRIGHT_OT_run_batch
from .operators.capture import SPLATWRIGHT_OT_capture_dataset
from .properties.paths import absolute_folder
from .typed import scene_settings
from .ui.handlers import add_handlers, remove_handlers
from .ui.redraw import redraw_sidebars

_followed: list[tuple[Any, str, Path]] = []
"""What the save under way made relative to the file: the owner and name of a property, and the folder."""

_moved: dict[Path, Path] = {}
"""Where the open file's datasets lay and where they lie: undo brings back the paths of before."""


def move_datasets(beside: Path) -> dict[Path, Path]:
    """Move the open file's datasets into a folder, and return from where to where.

    One that a training reads stays until a later save, as does one that cannot be moved.
    """
    moved: dict[Path, Path] = {}
    for dataset in sorted(_datasets() - _read_now()):
        target = _free(beside.joinpath(*dataset.relative_to(unsaved.root()).parts[1:]))
        with suppress(OSError, UserError):
            make_folder(target.parent)
            move_folder(dataset, target)
            moved[dataset] = target
    _follow_in_jobs(moved)
    jobs.datasets_moved(moved)
    return moved


def _datasets() -> set[Path]:
    """Folders of datasets of the open file that lie in the extension's own folder."""
    named = {folder for owner, name in _paths() if (folder := _folder(owner, name)) and folder.is_relative_to(unsaved.root())}
    found = named | {path.parent for path in unsaved.folder().rglob(TRANSFORMS)}
    return {folder for folder in found if (folder / TRANSFORMS).is_file()}


def _read_now() -> set[Path]:
    """Datasets of trainings that go on."""
    specs = [job.engine.spec(job.name) for job in jobs.watched() if job.state.alive and not job.photos]
    return {spec.dataset for spec in specs if isinstance(spec, JobSpec)}


def _free(target: Path) -> Path:
    """The folder, or one of a like name where it holds files."""
    number, found = 1, target
    while found.exists() and (not found.is_dir() or any(found.iterdir())):
        number += 1
        found = target.with_name(f"{target.name}-{number}")
    if found.exists():
        found.rmdir()
    return found


def _paths() -> Iterator[tuple[Any, str]]:
    """The properties of scenes that name datasets: their owners and names."""
    for scene in bpy.data.scenes:
        settings = scene_settings(scene)
        yield from ((settings, "captured"), (settings.train, "dataset"), (settings.capture, "directory"),
                    (settings.outcome, "directory"))
        yield from ((entry, "directory") for entry in settings.batch.entries)


def _folder(owner: Any, name: str) -> Path | None:
    with suppress(UserError):
        return absolute_folder(getattr(owner, name))
    return None


def _follow_in_jobs(moved: dict[Path, Path]) -> None:
    """Trainings that have ended find their images again when they go on."""
    place = choice.local_engine()
    for name in place.jobs() if moved else ():
        with suppress(UserError, OSError):
            spec = place.spec(name)
            if isinstance(spec, JobSpec) and spec.dataset in moved:
                place.folder(name).write_spec(replace(spec, dataset=moved[spec.dataset]))


@bpy.app.handlers.persistent
def _on_save_begins(filepath: str = "", *_: object) -> None:
    """Blender says where it will save; the startup file has no place."""
    _followed.clear()
    if not filepath or busy() or SPLATWRIGHT_OT_capture_dataset.progress is not None or SPLATWRIGHT_OT_run_batch.progress is not None:
        return
    beside = Path(filepath).resolve().parent
    named = [(owner, name, _folder(owner, name)) for owner, name in _paths()]
    moved = move_datasets(beside)
    for owner, name, before in named:
        if before is not None and before in moved:
            setattr(owner, name, f"//{moved[before].relative_to(beside).as_posix()}")
            _followed.append((owner, name, moved[before]))
    _moved.update(moved)


@bpy.app.handlers.persistent
def _on_save_ended(*_: object) -> None:
    """After saving a copy, or onto a full disk, the open file still has no folder that paths could be relative to."""
    for owner, name, folder in _followed if not bpy.data.filepath else ():
        setattr(owner, name, str(folder))
    if _followed:
        redraw_sidebars()
    _followed.clear()


@bpy.app.handlers.persistent
def _on_undo(*_: object) -> None:
    for owner, name in _paths() if _moved else ():
        now = _moved.get(_folder(owner, name) or Path())
        if now is not None:
            setattr(owner, name, str(now))


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    _moved.clear()


_HANDLERS = (("undo_post", _on_undo), ("redo_post", _on_undo), ("load_post", _on_load),
             ("save_pre", _on_save_begins), ("save_post", _on_save_ended), ("save_post_fail", _on_save_ended))


def register() -> None:
    add_handlers(_HANDLERS)


def unregister() -> None:
    remove_handlers(_HANDLERS)
