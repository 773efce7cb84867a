"""The batch at work: captures entry by entry, then trainings; what is known of each. Files alone tell what is done.

On this computer everything is captured before the first training begins: renders and trainings would take each other's processor,
graphics card and memory, Blender can be used again the sooner, and what is wrong with a scene shows while somebody still looks. An
engine elsewhere gets each dataset as soon as it is captured.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from pathlib import Path

import bpy

from ...engine.batch.tasks import Task, TaskState, forget, progress, summary, summary_sentence
from ...engine.batch.trainings import Trainings
from ...engine.core.errors import UserError
from ..capture.render_passes import Render
from ..engines import choice, remote
from ..engines.locations import preferences
from ..properties.batch import BatchEntry, batch_settings
from ..translations import tr
from ..ui.background import start_timer, stop_timers
from ..ui.redraw import redraw_sidebars
from .capture import captured
from .plan import BatchPlan, check_apart, check_places, check_room, plan_of

INTERVAL = 0.5
AT_ONCE_ELSEWHERE = 1000
"""An engine elsewhere has a queue of its own."""

_tasks: dict[int, Task] = {}
"""How far each entry is, by its number."""

_trainings: Trainings | None = None
_ended = ""


def task_of(entry: BatchEntry) -> Task | None:
    """How far an entry is; None where nothing is known of it."""
    return _tasks.get(entry.number)


def tasks() -> list[Task]:
    """How far the entries are that shall be done."""
    return [_tasks[entry.number] for entry in batch_settings().entries if entry.enabled and entry.number in _tasks]


def busy() -> bool:
    """Trainings of the batch are under way or to come."""
    return _trainings is not None and _trainings.busy


def at_work() -> tuple[float, str]:
    """Share of the batch that is done, and a line about it."""
    return progress(tasks())[0], summary_sentence(tasks())


def ended() -> str:
    """How the batch ended; empty before it did."""
    return _ended


def begin() -> list[BatchPlan]:
    """Look at every entry that shall be done. UserError, before anything begins, with what is wrong; each entry is told its own."""
    global _trainings, _ended
    entries = [entry for entry in batch_settings().entries if entry.enabled]
    if not entries:
        raise UserError("The batch has nothing to do.", "Add scenes or collections of cameras, and enable them.", "batch.nothing_to_do")
    plans = _checked(entries)
    check_apart(plans)
    check_room(plans)
    _trainings, _ended = Trainings([choice.engine(), *choice.engines()], AT_ONCE_ELSEWHERE if _elsewhere() else 1), ""
    for entry, plan in zip(entries, plans, strict=True):
        _tasks[entry.number] = plan.task
        if plan.ready:
            plan.task.captured(plan.ready)
    return plans


def capturing(plans: list[BatchPlan], render: Render) -> Generator[str, None, None]:
    """Capture what is not captured yet, scene by scene, and hand the datasets to the engine; yields lines for the status bar.

    Closing it early leaves what is not captured waiting. A capture that fails is noted, and the next one begins.
    """
    for plan in plans:
        if plan.task.state is TaskState.WAITING:
            for _ in captured(plan, render):
                yield summary_sentence(tasks())
        if _elsewhere():
            hand_over([plan])
    hand_over(plans)


def hand_over(plans: list[BatchPlan]) -> None:
    """Let captured datasets be trained on."""
    for task in (plan.task for plan in plans):
        if task.state is TaskState.CAPTURED and _trainings is not None:
            _trainings.add(task)
    start_timer(poll, INTERVAL)


def poll() -> float | None:
    """One look at the trainings; the seconds to the next, None when none is left."""
    global _ended
    going_on = _trainings is not None and _trainings.step()
    redraw_sidebars()
    if going_on:
        return INTERVAL
    _ended = summary(tasks())
    return None


def stop() -> None:
    """End the trainings under way and begin no other; begun again, the batch goes on where it was."""
    global _ended
    if _trainings is not None:
        _trainings.stop()
        _ended = summary(tasks())


def again(entry: BatchEntry) -> None:
    """Let an entry be captured and trained once more; its dataset stays until the new one is whole. UserError for a bad entry."""
    forget(plan_of(entry).task.dataset)
    _tasks.pop(entry.number, None)


def look() -> None:
    """Find out from the files how far the entries are, and follow the trainings that are at work."""
    global _trainings
    _trainings = Trainings(choice.engines(), 1)
    for entry in batch_settings().entries:
        with suppress(UserError, OSError):
            plan = plan_of(entry)
            if plan.ready:
                _tasks[entry.number] = plan.task
                plan.task.captured(plan.ready)
                if plan.task.config:
                    _trainings.attach(plan.task)
    if busy():
        start_timer(poll, INTERVAL)


def _checked(entries: list[BatchEntry]) -> list[BatchPlan]:
    plans, problems = [], []
    for entry in entries:
        try:
            plan = plan_of(entry)
            check_places(plan)
            plans.append(plan)
        except UserError as error:
            problems.append((entry.name, error))
            _tasks[entry.number] = Task(entry.name, Path())
            _tasks[entry.number].fail(error)
    if problems:
        name, error = problems[0]
        others = tr(" {count} more cannot begin either.", count=len(problems) - 1) if len(problems) > 1 else ""
        raise UserError(f"{name}: {error.message}{others}", error.hint)
    return plans


def _elsewhere() -> bool:
    return remote.chosen(preferences()) is not None


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    global _trainings, _ended
    _tasks.clear()
    _trainings, _ended = None, ""
    if batch_settings().entries:
        look()


def _look_later() -> None:
    """While Blender registers an extension its data cannot be read."""
    _on_load()


def register() -> None:
    bpy.app.handlers.load_post.append(_on_load)
    start_timer(_look_later, 0.2)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_on_load)
    stop_timers(poll, _look_later)
    _tasks.clear()
