"""Job folders and batches of version 0.1.0, as they lie on the disk."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.batch.tasks import Task, TaskState, job_spec
from engine.batch.trainings import Trainings
from engine.core.errors import UserError
from engine.core.formats.ply import read_ply
from engine.core.former_names import SETTINGS
from engine.core.protocol.config import TrainConfig, config_from_json
from engine.core.protocol.events import Finished, Started
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.job_progress import told
from engine.core.protocol.spec import FramesSpec, JobSpec, PosesSpec, kind_of, output_of, source_of
from engine.jobs.local_engine import JobState, LocalEngine, rests
from engine.remote.local_copy import fingerprint, read_remote_state
from engine.report.writing import write_report
from tests.compatibility.former_version import copied


@pytest.fixture
def left(tmp_path: Path) -> Path:
    return copied(tmp_path, "somebody")


def wait_for(engine: LocalEngine, job: str, state: JobState) -> None:
    end = time.monotonic() + 120
    while engine.state(job) is not state:
        assert time.monotonic() < end, engine.folder(job).log.read_text(errors="replace")
        time.sleep(0.05)


def test_a_finished_training(left: Path) -> None:
    engine, job = LocalEngine(left), JobFolder(left / "finished.job")
    assert engine.state(job.name) is JobState.FINISHED and job.read_spec().dataset == left / "dataset"
    known = told(job.read_events()[0])
    assert known.step == known.max_steps == 160 and known.gaussians == len(read_ply(job.result).gaussians) == 70
    assert known.finished and known.psnr == known.finished.psnr and not known.stopped and not known.problem
    assert write_report(job) and "held-out" in job.page.read_text(encoding="utf-8")


def test_a_finished_training_goes_on(left: Path) -> None:
    engine, job = LocalEngine(left), JobFolder(left / "finished.job")
    spec = job.read_spec()
    job.write_spec(replace(spec, config=replace(spec.config, max_steps=200)))
    engine.resume(job.name)
    wait_for(engine, job.name, JobState.FINISHED)
    started = [event for event in job.read_events()[0] if isinstance(event, Started)]
    assert started[-1].step == 160 and told(job.read_events()[0]).step == 200


def test_a_paused_training_is_resumed_to_its_end(left: Path) -> None:
    engine, job = LocalEngine(left), JobFolder(left / "paused.job")
    assert engine.state(job.name) is JobState.INTERRUPTED and rests(job)
    before = len(job.read_events()[0])
    engine.resume(job.name)
    wait_for(engine, job.name, JobState.FINISHED)
    news = job.read_events()[0][before:]
    started = next(event for event in news if isinstance(event, Started))
    assert 3000 < started.step < 20_000, "from its checkpoint, not from the beginning"
    assert isinstance(news[-1], Finished) and news[-1].step == 20_000 and len(read_ply(job.result).gaussians) == news[-1].gaussians


def test_searches_and_videos(left: Path) -> None:
    poses, frames = (JobFolder(left / "settings" / f"{kind}.job").read_any() for kind in ("poses", "frames"))
    assert isinstance(poses, PosesSpec) and source_of(poses) == left / "dataset" / "images" and output_of(poses) == Path("dataset")
    assert isinstance(frames, FramesSpec) and source_of(frames) == left / "video.mp4" and output_of(frames) == Path("photos")
    for spec in (poses, frames):
        folder = JobFolder(left / "again" / kind_of(spec).name)
        folder.write_spec(spec)
        before = json.loads((left / "settings" / f"{kind_of(spec).name}.job" / "job.json").read_text(encoding="utf-8"))
        assert folder.read_any() == spec and json.loads((folder.path / "job.json").read_text(encoding="utf-8")) == before


def test_settings_other_than_the_defaults(left: Path) -> None:
    values = json.loads((left / "settings.json").read_text(encoding="utf-8"))
    config, current = config_from_json(values), {SETTINGS.get(name, name): value for name, value in values.items()}
    assert all(getattr(config, name) == value != getattr(TrainConfig(), name) for name, value in current.items())


@pytest.mark.parametrize(("dataset", "jobs", "name"), [("batch/splatwright/Kitchen", "batch/jobs", "Kitchen"),
                                                       ("batch/captured/scene_4_5/Kitchen", "batch/captured/jobs", "scene_4_5/Kitchen")])
def test_a_batch_that_is_done_stays_done(left: Path, dataset: str, jobs: str, name: str) -> None:
    engine = LocalEngine(left / jobs)
    job = engine.jobs()[0]
    spec = engine.spec(job)
    assert isinstance(spec, JobSpec) and spec.dataset.resolve() == (left / dataset).resolve()
    task = Task(name, left / dataset, spec.config)
    task.captured(5)
    assert job_spec(task).name == spec.name, "the job is known by its name"
    written = task.output.read_bytes()
    trainings = Trainings([engine], 1)
    trainings.add(task)
    while trainings.step():
        pass
    assert task.state is TaskState.DONE and task.job == job and engine.jobs() == [job] and task.output.read_bytes() == written
    assert task.psnr == told(engine.events(job)[0]).psnr


def test_copies_of_remote_jobs(left: Path) -> None:
    done, resting = (JobFolder(next((left / "remote" / "copies").glob(f"{name}-*"))) for name in ("far", "resting"))
    states = [read_remote_state(job) for job in (done, resting)]
    assert all(states) and [state.state for state in states if state] == [JobState.FINISHED, JobState.PAUSED]
    for job, state in zip((done, resting), states, strict=True):
        assert state and state.sent == fingerprint(job.read_any()), "as it was sent: nothing is sent again"
        there = JobFolder(left / "remote" / "store" / "clients" / "somebody" / "jobs" / state.job)
        assert state.cursor == there.events_file.stat().st_size, "all of its events were read"


def test_kinds_of_a_later_version_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text('{"protocol": 1, "kind": "relight", "scene": "a"}', encoding="utf-8")
    with pytest.raises(UserError) as caught:
        JobFolder(tmp_path).read_any()
    assert "relight" in caught.value.message and caught.value.hint and caught.value.code == "job.unknown_kind"
