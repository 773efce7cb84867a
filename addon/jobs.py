"""Trainings as Blender sees them: one timer drains the engine's events, shows previews and brings results home.

Nothing here keeps a reference to Blender's data: objects are found by the job that they name, so undo, deletion and reopened
files do no harm.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

import bpy
import numpy
import plyfile

from ..engine.client import JobState, LocalEngine
from ..engine.core.errors import UserError
from ..engine.core.events import Evaluated, Event, Failed, Finding, Finished, Preview, Progress, Started, newest
from ..engine.core.job import JobSpec
from ..engine.core.ply import read_ply
from .preferences import jobs_folder, python_path
from .splat_object import create_splat_object, update_splat_object

INTERVAL = 0.25
BUDGET_SECONDS = 0.02
"""Time that one tick may spend on events; what is left waits for the next."""

PREVIEW_SHARE = 0.2
"""Previews may cost no more than this share of the time, so that Blender stays quick with millions of splats."""

KEPT_FINDINGS = 20


@dataclass
class WatchedJob:
    """What panels show of one training."""

    name: str
    state: JobState = JobState.STARTING
    step: int = 0
    max_steps: int = 0
    loss: float | None = None
    gaussians: int = 0
    rate: float = 0.0
    eta: float | None = None
    psnr: float | None = None
    ssim: float | None = None
    findings: list[Finding] = field(default_factory=list)
    failure: Failed | None = None
    cursor: int = 0
    waiting: list[Event] = field(default_factory=list)
    preview_due: bool = False
    next_preview: float = 0.0
    has_object: bool = False
    imported: bool = False

    @property
    def fraction(self) -> float:
        """Share of the training that is done."""
        return self.step / self.max_steps if self.max_steps else 0.0


_watched: dict[str, WatchedJob] = {}
_engine: LocalEngine | None = None


def engine() -> LocalEngine:
    """The engine on this computer, its jobs in the folder that the preferences name."""
    global _engine
    root, python = jobs_folder(), python_path()
    if _engine is None or _engine.root != root or _engine.python != python:
        _engine = LocalEngine(root, python, import_paths())
    return _engine


def import_paths() -> tuple[Path, ...]:
    """Where the worker finds numpy and plyfile: Blender keeps an extension's wheels in a folder of their own."""
    return tuple(dict.fromkeys((Path(plyfile.__file__).resolve().parent, Path(numpy.__file__).resolve().parents[1])))


def watched() -> list[WatchedJob]:
    """Every job that this Blender follows, oldest first."""
    return list(_watched.values())


def current(scene: bpy.types.Scene) -> WatchedJob | None:
    """The job that the scene's Train panel is about."""
    return _watched.get(scene.splatwright.job)


def submit(scene: bpy.types.Scene, spec: JobSpec) -> WatchedJob:
    """Start a training and follow it."""
    job = engine().submit(spec)
    scene.splatwright.job = job
    return watch(job)


def watch(name: str) -> WatchedJob:
    """Follow a job from its first event on."""
    if name not in _watched:
        _watched[name] = WatchedJob(name)
    start_timer()
    return _watched[name]


def forget(name: str) -> None:
    """Stop following a job; it goes on."""
    _watched.pop(name, None)


def attach() -> None:
    """Follow the jobs that this file knows: after opening it, and when the extension is enabled."""
    wanted = {scene.splatwright.job for scene in bpy.data.scenes} | {found.splatwright.job for found in bpy.data.objects}
    wanted.discard("")
    if not wanted:
        return
    try:
        known = set(engine().jobs())
    except UserError:
        return
    imported_before = {scene.splatwright.imported_job for scene in bpy.data.scenes}
    for name in sorted(wanted & known):
        job = watch(name)
        job.has_object = splat_object(name) is not None
        job.imported = name in imported_before or _object_is_result(name)


def poll() -> float | None:
    """One tick: read events, show what is new. Returns the seconds to the next tick, None when nothing is left to follow."""
    end = time.monotonic() + BUDGET_SECONDS
    busy = False
    for job in watched():
        busy |= _follow(job, end)
    redraw()
    return INTERVAL if busy else None


def splat_object(job: str) -> bpy.types.Object | None:
    """The object that shows a job's splats."""
    return next((found for found in bpy.data.objects if found.splatwright.job == job), None)


def start_timer() -> None:
    """Tick, if not ticking already."""
    if not bpy.app.timers.is_registered(poll):
        bpy.app.timers.register(poll, first_interval=INTERVAL, persistent=True)


def redraw() -> None:
    """Let every sidebar and viewport draw what is new."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "VIEW_3D":
                area.tag_redraw()


def _follow(job: WatchedJob, end: float) -> bool:
    """Bring one job up to date; whether it needs another tick."""
    alive_before = engine().state(job.name)
    fresh, job.cursor = engine().events(job.name, job.cursor)
    job.waiting = newest(job.waiting + fresh)
    while job.waiting and time.monotonic() < end:
        _note(job, job.waiting.pop(0))
    if job.preview_due and time.monotonic() >= job.next_preview and not job.imported:
        _show_preview(job)
    job.state = alive_before
    if not job.waiting and job.state is JobState.FINISHED and not job.imported:
        _bring_home(job)
    return job.state.alive or bool(job.waiting)


def _note(job: WatchedJob, event: Event) -> None:
    match event:
        case Started():
            job.step, job.max_steps, job.gaussians = event.step, event.max_steps, event.gaussians
            job.failure, job.imported = None, False
        case Progress():
            job.step, job.max_steps, job.loss, job.gaussians = event.step, event.max_steps, event.loss, event.gaussians
            job.rate, job.eta = event.steps_per_second, event.eta_seconds
        case Evaluated():
            job.psnr, job.ssim = event.psnr, event.ssim
        case Preview():
            job.preview_due = True
        case Finding():
            job.findings = [*job.findings, event][-KEPT_FINDINGS:]
        case Finished():
            job.step, job.gaussians, job.psnr, job.ssim = event.step, event.gaussians, event.psnr, event.ssim
        case Failed():
            job.failure = event
        case _:
            pass


def _show_preview(job: WatchedJob) -> None:
    """Rewrite the splats of the job's object; make the object with the first preview. No undo step."""
    start = time.monotonic()
    job.preview_due = False
    path = engine().file(job.name, "preview.ply")
    found = splat_object(job.name)
    if path is None or (found is None and job.has_object):
        return  # the user deleted the object: the result will come back all the same
    try:
        gaussians = read_ply(path).gaussians
    except UserError:
        return  # the next one will do
    if found is None:
        _create(job, gaussians)
    else:
        update_splat_object(found, gaussians)
    job.next_preview = time.monotonic() + (time.monotonic() - start) / PREVIEW_SHARE


def _bring_home(job: WatchedJob) -> None:
    """Replace the preview by the result, in one undo step."""
    job.imported = True
    path = engine().file(job.name, "result.ply")
    if path is None:
        return
    try:
        gaussians = read_ply(path).gaussians
    except UserError as error:
        job.findings.append(Finding("error", error.message, error.hint))
        return
    found = splat_object(job.name)
    if found is None:
        found = _create(job, gaussians)
    else:
        update_splat_object(found, gaussians)
    found.splatwright.source = str(path)
    for scene in bpy.data.scenes:
        if scene.splatwright.job == job.name:
            scene.splatwright.imported_job = job.name
    bpy.ops.ed.undo_push(message="Train Splats")


def _create(job: WatchedJob, gaussians: object) -> bpy.types.Object:
    made = create_splat_object(engine().spec(job.name).name or "Splats", gaussians)  # type: ignore[arg-type]
    made.splatwright.job = job.name
    job.has_object = True
    return made


def _object_is_result(name: str) -> bool:
    """Whether the job's object already holds the final splats."""
    found, path = splat_object(name), engine().file(name, "result.ply")
    return found is not None and path is not None and found.splatwright.source == str(path)


@bpy.app.handlers.persistent
def _on_load(*_: object) -> None:
    _watched.clear()
    attach()


def _attach_later() -> None:
    """Registering happens before Blender lets anybody look at its data."""
    attach()


def register() -> None:
    bpy.app.handlers.load_post.append(_on_load)
    bpy.app.timers.register(_attach_later, first_interval=0.1)


def unregister() -> None:
    bpy.app.handlers.load_post.remove(_on_load)
    for timer in (poll, _attach_later):
        if bpy.app.timers.is_registered(timer):
            bpy.app.timers.unregister(timer)
    _watched.clear()
