"""What Blender's status bar says of work that goes on beside it."""

from __future__ import annotations

import bpy

from ...engine.jobs.local_engine import JobState
from ..jobs import jobs
from ..jobs.job_status import WatchedJob
from ..typed import layout_of
from . import photos, train


def draw(header: bpy.types.Header, context: bpy.types.Context) -> None:
    """How far each job is; nothing while none is at work."""
    at_work = [job for job in jobs.watched() if job.state.alive]
    for job in at_work:
        layout_of(header).label(text=f"{job.title}: {text_of(job)}", icon="PAUSE" if job.state is JobState.PAUSED else "SORTTIME")
    if at_work:
        layout_of(header).label(text="Goes on when Blender is closed")


def text_of(job: WatchedJob) -> str:
    """The words of the panel's progress bar."""
    return (photos if job.photos else train).progress_text(job)


def register() -> None:
    bpy.types.STATUSBAR_HT_header.append(draw)


def unregister() -> None:
    bpy.types.STATUSBAR_HT_header.remove(draw)
