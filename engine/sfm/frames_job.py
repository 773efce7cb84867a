"""Extracting frames as a job: what the worker does with a job folder of the kind `frames`."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..core.errors import values
from ..core.protocol.events import Event, Finding, Finished
from ..core.protocol.folder import Control, JobFolder
from ..core.protocol.spec import FramesSpec
from .job import ProgressEvents, Stopped
from .needs import check_video_packages


def run_frames(job: JobFolder, emit: Callable[[Event], None], control: Callable[[], Control]) -> None:
    """Extract the frames that the job asks for. Emits events; raises UserError when the video cannot be used. A stop leaves no frames."""
    check_video_packages()
    from .frames import extract_frames

    spec, begin = job.read_any(), time.monotonic()
    assert isinstance(spec, FramesSpec)
    try:
        report = extract_frames(spec.video, job.path / spec.photos, spec.options, ProgressEvents(job, emit, control).report)
    except Stopped:
        emit(Finished(0, 0, None, None, time.monotonic() - begin, True))
        return
    for sentence in report.text().splitlines():
        emit(Finding("warning" if report.cut_off and "cut off" in sentence else "info", sentence,
                     code="frames.report", values=values(sentence=sentence)))
    emit(Finished(len(report.pictures), 0, None, None, time.monotonic() - begin, False))
