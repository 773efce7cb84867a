"""Videos as jobs: a worker process takes the pictures, tells how far it is, stops when asked and says what is wrong."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from engine.core.errors import UserError
from engine.core.protocol.events import Failed, Finding, Finished, Stage
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.sfm_options import FrameOptions
from engine.core.protocol.spec import FramesSpec
from engine.jobs.local_engine import JobState, LocalEngine
from engine.sfm.frames_job import run_frames
from tests.sfm.videos import panning, write_video


def wait(engine: LocalEngine, job: str) -> list[object]:
    end = time.monotonic() + 60
    while engine.state(job).alive:
        assert time.monotonic() < end
        time.sleep(0.05)
    return list(engine.events(job)[0])


def test_a_worker_takes_the_pictures(tmp_path: Path) -> None:
    video = write_video(tmp_path / "ein Video ü.mp4", panning(20))
    engine = LocalEngine(tmp_path / "jobs")
    job = engine.submit(FramesSpec(video, FrameOptions(count=4), "Flur"))
    events = wait(engine, job)
    assert engine.state(job) is JobState.FINISHED and engine.spec(job) == FramesSpec(video, FrameOptions(count=4), "Flur")
    assert len(list((tmp_path / "jobs" / job / "photos").glob("*.jpg"))) == 4
    assert [event for event in events if isinstance(event, Stage)][-1].done == 20
    assert any(isinstance(event, Finding) and "4 frames of 160 x 120" in event.message for event in events)
    assert isinstance(events[-1], Finished) and events[-1].step == 4 and not events[-1].stopped


def test_what_is_no_video_fails_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("text")
    engine = LocalEngine(tmp_path / "jobs")
    last = wait(engine, engine.submit(FramesSpec(tmp_path / "a.mp4")))[-1]
    assert isinstance(last, Failed) and "is no video" in last.message and last.hint


def test_stopped_on_the_way(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job")
    job.write_spec(FramesSpec(write_video(tmp_path / "a.mp4", panning(20))))
    events: list[object] = []
    run_frames(job, events.append, lambda: "stop" if any(isinstance(event, Stage) and event.done for event in events) else "run")
    assert isinstance(events[-1], Finished) and events[-1].stopped and not (job.path / "photos").exists()


def test_settings_of_another_version(tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job")
    job.write_spec(FramesSpec(tmp_path / "a.mp4"))
    path = job.path / "job.json"
    path.write_text(path.read_text().replace('"count"', '"number"'))
    with pytest.raises(UserError, match="number, which this version does not know"):
        job.read_any()
    with pytest.raises(UserError, match="holds frames from a video"):
        path.write_text(path.read_text().replace('"number"', '"count"'))
        job.read_spec()
