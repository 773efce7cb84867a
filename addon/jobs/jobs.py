"""Trainings and work on photos as Blender follows them: one timer reads what engines say and brings results into the scene."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import bpy

from ...engine.core.errors import UserError
from ...engine.core.protocol.events import BUDGET_ENDED
from ...engine.core.protocol.spec import JobSpec, Spec, kind_of
from ...engine.jobs.local_engine import Engine, JobState, LocalEngine
from ..engines import choice, remote
from ..properties.datasets import claim, dataset_folder, is_copy
from ..translations import tr
from ..typed import scene_settings, splat_settings
from ..ui.background import start_timer, stop_timers
from ..ui.handlers import add_handlers, remove_handlers
from ..ui.redraw import redraw_sidebars, redraw_status_bars
from ..ui.steps import Steps, advance
from . import copied_scenes, photo_results
from .job_status import WatchedJob
from .training_results import clear_imported, is_imported, may_change, preview_steps, result_steps, splat_object

INTERVAL = 0.25
BUDGET_SECONDS = 0.01
"""Time that one tick may spend on reading events; what is left waits for the next."""

SHOWING_INTERVAL = 0.02
"""As long as splats are brought into the scene."""
SHOWING_SECONDS = 0.01
"""So long a tick works on that before Blender goes on; a step more may follow."""

DELETING_SECONDS = 30.0
"""So long a deletion is watched; an engine that does not answer by then is asked again when the job is looked at the next time."""

_watched: dict[str, WatchedJob] = {}
_revision = 0
_before_undo: tuple[dict[int, tuple[str, str]], set[str]] = ({}, set())
_last_preview: tuple[WatchedJob, float] | None = None


def watched() -> list[WatchedJob]:
    """Every job that this Blender follows, oldest first."""
    return list(_watched.values())


def current(scene: bpy.types.Scene) -> WatchedJob | None:
    """The job that the scene's Train panel is about."""
    return None if _left_alone(scene) else _watched.get(scene_settings(scene).job)


def current_photos(scene: bpy.types.Scene) -> WatchedJob | None:
    """The job that the scene's Photos panel is about."""
    return None if _left_alone(scene) else _watched.get(scene_settings(scene).photo_job)


def _left_alone(scene: bpy.types.Scene) -> bool:
    """Whether a scene is a copy, whose jobs are those of another one; as soon as Blender has time it forgets them."""
    if is_copy(scene):
        start_timer(_forget_belongings, 0.0)
        return True
    return False


def _forget_belongings() -> None:
    copied_scenes.forget_belongings()
    redraw_sidebars()


def required_photos(scene: bpy.types.Scene) -> WatchedJob:
    """The job of the scene's Photos panel; UserError when there is none."""
    job = current_photos(scene)
    if job is None:
        raise UserError("This scene has no work on photos.", "Press Cameras from Photos to begin.", "job.no_photos")
    return job


def required(scene: bpy.types.Scene) -> WatchedJob:
    """The job of the scene's Train panel; UserError when there is none."""
    job = current(scene)
    if job is None:
        raise UserError("This scene has no training.", "Press Train to begin one.", "job.none")
    return job


def submit(scene: bpy.types.Scene, spec: Spec) -> WatchedJob:
    """Start a training, or work on photos or a video, and follow it."""
    place = choice.engine()
    job = place.submit(spec)
    copied_scenes.forget_belongings()
    claim(scene)
    setattr(scene_settings(scene), "job" if kind_of(spec).makes == "splats" else "photo_job", job)
    _watched.pop(job, None)
    _changed()
    return watch(job, place)


def watch(name: str, place: Engine | None = None) -> WatchedJob:
    """Follow a job from its first event on, at the engine that has it."""
    if name not in _watched:
        place = place or next((found for found in choice.engines() if name in found.jobs()), choice.local_engine())
        job = WatchedJob(name, place, photo_results.works_on_photos(place, name), title=place.folder(name).title(),
                         dataset=_dataset_of(place, name))
        job.has_object, job.imported = splat_object(name) is not None, (photo_results.is_imported if job.photos else is_imported)(job)
        _watched[name] = job
    start_timer(poll, INTERVAL)
    return _watched[name]


def _dataset_of(place: Engine, name: str) -> Path | None:
    """What a training learns from; None for what is none, or cannot be read."""
    with suppress(UserError, OSError):
        spec = place.spec(name)
        return spec.dataset if isinstance(spec, JobSpec) else None
    return None


def tells_of(scene: bpy.types.Scene, job: WatchedJob) -> bool:
    """Whether what a training has found is about the dataset that the scene would train on now."""
    if job.state.alive:
        return True
    with suppress(UserError):
        return not scene_settings(scene).untrained and dataset_folder(scene) == job.dataset
    return False


def datasets_moved(moved: dict[Path, Path]) -> None:
    """Datasets lie elsewhere now: from where to where."""
    for job in watched():
        job.dataset = moved.get(job.dataset, job.dataset) if job.dataset is not None else None


def known(name: str) -> str:
    """The name itself; UserError where no engine has a job of that name."""
    if name not in _watched and not any(name in place.jobs() for place in choice.engines()):
        raise UserError(f"There is no training {name}.", "Choose one of the list.", "job.no_such_training", name=name)
    return name


def show(scene: bpy.types.Scene, name: str) -> WatchedJob:
    """Let a scene be about an earlier job; its result comes in once more."""
    copied_scenes.forget_belongings()
    claim(scene)
    _watched.pop(name, None)
    scene_settings(scene).job = name
    clear_imported(name)
    return watch(name)


def resume(job: WatchedJob, budget: tuple[float, float] | None = None) -> None:
    """Let a paused, interrupted, failed or stopped job go on; one that its own budget has stopped with another one, in hours and money."""
    if not job.state.alive:
        if job.over_budget is not None and job.over_budget.code == BUDGET_ENDED:
            spec = job.engine.folder(job.name).read_spec()
            job.engine.set_budget(job.name, *(budget or (spec.config.budget_hours, spec.config.budget_cost)))
        (photo_results.clear_imported if job.photos else clear_imported)(job.name)
        _use_engine_of_now(job)
        job.begin_again()
    job.engine.resume(job.name)
    start_timer(poll, INTERVAL)


def _use_engine_of_now(job: WatchedJob) -> None:
    """A job of this computer goes on with the engine that is installed by now, which may be the one that it waited for."""
    here = choice.local_engine()
    if isinstance(job.engine, LocalEngine) and job.engine.root == here.root and not job.engine.state(job.name).alive:
        job.engine = here


def train_further(job: WatchedJob, steps: int) -> int:
    """Let a training that has ended go on for so many steps more; the step at which it will end. UserError while it runs."""
    _use_engine_of_now(job)
    end = job.engine.train_further(job.name, steps)
    clear_imported(job.name)
    job.begin_again()
    start_timer(poll, INTERVAL)
    return end


def delete(name: str) -> None:
    """Remove a training from this computer; splats in the scene stay. UserError while it runs, while a remote engine keeps it, and while
    splats are linked to its result."""
    job = watch(name)
    if job.engine.state(name).alive:
        raise UserError("The training is running.", "Stop it first.", "job.running")
    if job.engine.kept_there(name):
        raise UserError("A remote engine keeps this training.", "Show it and press Delete at Remote Engine first.",
                        "job.kept_there")
    folder = job.engine.folder(name).path
    linked = next((item for item in bpy.data.objects if splat_settings(item).linked
                   and Path(bpy.path.abspath(splat_settings(item).source)).is_relative_to(folder)), None)
    if linked is not None:
        raise UserError(f"The splats of {linked.name} are read from this training.", "Turn off Keep in File in the panel Splats first.",
                        "job.linked", name=linked.name)
    LocalEngine(job.engine.root).delete(name)
    forget(name)


def forget(name: str) -> None:
    """Let nothing in this file be about a job that is gone; what it made stays."""
    _watched.pop(name, None)
    _changed()
    clear_imported(name)
    for scene in bpy.data.scenes:
        if scene_settings(scene).job == name and scene.library is None:
            scene_settings(scene).job = ""
    for item in bpy.data.objects:
        if splat_settings(item).job == name and item.library is None:
            splat_settings(item).job = ""


def rename(name: str, title: str) -> None:
    """Give a training a name of its own; its folder keeps its name, which files know it by. An empty one takes it away."""
    job = watch(name)
    folder = job.engine.folder(name)
    folder.set_title(title)
    job.title = folder.title()
    _changed()


def revision() -> int:
    """Another number after each change to the list of trainings."""
    return _revision


def _changed() -> None:
    global _revision
    _revision += 1


def stop(job: WatchedJob) -> None:
    """End a job early and keep its splats; a worker that does not answer any more is ended at once."""
    if job.lost:
        job.engine.kill(job.name)
    else:
        job.engine.control(job.name, "stop")
        job.stopping = True


def delete_remote_job(job: WatchedJob) -> None:
    """Delete a job that has ended at its remote engine, which frees its disk there; downloaded files are kept."""
    job.engine.delete(job.name)
    job.watch_until = time.monotonic() + DELETING_SECONDS
    start_timer(poll, INTERVAL)


def attach() -> None:
    """Follow the jobs that this file knows: after opening it, and when the extension is enabled."""
    copied_scenes.claim_all()
    wanted = {name for scene in bpy.data.scenes for name in (scene_settings(scene).job, scene_settings(scene).photo_job)}
    wanted |= {splat_settings(found).job for found in bpy.data.objects}
    for place in choice.engines():
        with suppress(UserError, OSError):
            for name in sorted(wanted & set(place.jobs())):
                watch(name, place)


def poll() -> float | None:
    """One tick: read events, show what is new. Returns the seconds to the next tick, None when nothing is left to follow."""
    _weigh_last_preview()
    end = time.monotonic() + BUDGET_SECONDS
    before, busy = [job.shown for job in watched()], False
    for job in watched():
        with suppress(UserError, OSError):
            busy |= _follow(job, end)
    if [job.shown for job in watched()] != before:
        redraw_sidebars()
        redraw_status_bars()
    if any(job.showing is not None and may_change(job.name) for job in watched()):
        return SHOWING_INTERVAL
    return INTERVAL if busy else None


def _follow(job: WatchedJob, end: float) -> bool:
    """Bring one job up to date; whether it needs another tick."""
    if job.showing is not None and may_change(job.name):
        _go_on_showing(job, job.showing)
        return True
    read_all = job.follow(end)
    finished = read_all and job.state is JobState.FINISHED and not job.imported
    if job.showing is None and may_change(job.name):
        if finished:
            _changed()
        if finished and job.photos:
            photo_results.import_result(job)
        elif finished:
            job.showing = result_steps(job)
        elif job.preview_due and not job.imported and time.monotonic() >= job.next_preview:
            job.showing = _preview_steps(job)
    return job.state.alive or not read_all or finished or job.showing is not None or time.monotonic() < job.watch_until


def _go_on_showing(job: WatchedJob, showing: Steps[None]) -> None:
    try:
        advance(showing, SHOWING_SECONDS)
    except StopIteration:
        job.showing = None
    except BaseException:
        job.showing = None
        raise


def _preview_steps(job: WatchedJob) -> Steps[None]:
    global _last_preview
    start = time.monotonic()
    yield from preview_steps(job)
    _last_preview = (job, start)


def _stop_showing(job: WatchedJob) -> None:
    """What has come in does not change; it begins anew with the next tick."""
    if job.showing is not None:
        job.showing.close()
        job.showing, job.preview_due = None, True


def _weigh_last_preview() -> None:
    """What Blender needed to draw the last preview shows in how late this tick comes."""
    global _last_preview
    if _last_preview is not None:
        job, start = _last_preview
        _last_preview = None
        job.preview_took(max(0.0, time.monotonic() - start - INTERVAL))


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    for job in watched():
        _stop_showing(job)
    _watched.clear()
    attach()


@bpy.app.handlers.persistent
def _on_undo_begins(*_: object) -> None:
    """Remember what undo must not take back: trainings go on outside of Blender's history."""
    global _before_undo
    for job in watched():
        _stop_showing(job)
    _before_undo = ({scene.session_uid: (scene_settings(scene).job, scene_settings(scene).photo_job) for scene in bpy.data.scenes},
                    {job.name for job in watched() if splat_object(job.name)})


@bpy.app.handlers.persistent
def _on_undo_ended(*_: object) -> None:
    shown, objects = _before_undo
    for scene in bpy.data.scenes:
        settings = scene_settings(scene)
        before = shown.get(scene.session_uid, (settings.job, settings.photo_job))
        if before != (settings.job, settings.photo_job):
            settings.job, settings.photo_job = before
    for job in watched():
        present = splat_object(job.name) is not None
        if present or job.name in objects:  # lost by undo, not deleted: the next preview makes it anew
            job.has_object = present


def _attach_later() -> None:
    """While Blender registers an extension its data cannot be read."""
    attach()


@bpy.app.handlers.persistent
def _on_save_begins(*_: object) -> None:
    """A copy must not be taken for the original when the file is opened again."""
    copied_scenes.forget_belongings()


def farewell() -> str:
    """What is said when Blender or the extension ends while something is at work; empty when nothing is."""
    going_on = [job.title for job in watched() if job.state.alive]
    if not going_on:
        return ""
    return tr("Splatwright: {names} goes on without Blender. Open the file again to follow it.", names=", ".join(going_on))


_HANDLERS = (("load_post", _on_load), ("save_pre", _on_save_begins), ("undo_pre", _on_undo_begins), ("redo_pre", _on_undo_begins),
             ("undo_post", _on_undo_ended), ("redo_post", _on_undo_ended))


def register() -> None:
    add_handlers(_HANDLERS)
    start_timer(_attach_later, 0.1)


def unregister() -> None:
    remove_handlers(_HANDLERS)
    stop_timers(poll, _attach_later, _forget_belongings)
    if sentence := farewell():
        print(sentence, flush=True)
    for job in watched():
        _stop_showing(job)
    remote.close_all()
    _watched.clear()
