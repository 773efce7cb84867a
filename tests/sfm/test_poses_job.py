"""A search for cameras as a job: real workers that are stopped, killed and resumed."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.core.datasets.poses_report import read_report
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.protocol.events import Failed, Finding, Finished, Posed, Stage
from engine.core.protocol.progress import Step
from engine.core.protocol.sfm_options import PosesOptions
from engine.core.protocol.spec import PosesSpec
from engine.jobs.local_engine import JobState, LocalEngine
from engine.sfm.poses import find_poses
from tests.processes import kill, running
from tests.sfm.photo_scene import save, shots, take_photos
from tests.sfm.test_poses import described

ROOT = Path(__file__).resolve().parents[2]
QUICK = PosesOptions(features="quick", max_features=1200, threads=1)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("job photos – 仕事")
    take_photos(folder)
    save(folder / "stranger.jpg", shots(seed=7)[3])
    return folder


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    made = LocalEngine(tmp_path / "jobs – 仕事")
    yield made
    for job in made.jobs():
        made.kill(job)


def wait(reached: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_job_is_stopped_and_resumed_and_tells_what_it_does(engine: LocalEngine, photos: Path) -> None:
    spec = PosesSpec(photos, QUICK, "my photos")
    job = engine.submit(spec)
    folder = engine.folder(job).path
    assert engine.spec(job) == spec
    wait(lambda: (folder / "dataset.work" / "quick.db").is_file() and described(folder / "dataset.work") > 0)
    assert engine.state(job) is JobState.RUNNING
    engine.control(job, "stop")
    wait(lambda: not engine.state(job).alive, 20)
    events, cursor = engine.events(job)
    assert isinstance(events[-1], Finished) and events[-1].stopped and not (folder / "dataset").exists()
    kept = described(folder / "dataset.work")
    engine.resume(job)
    wait(lambda: not engine.state(job).alive)
    events = engine.events(job, cursor)[0]
    assert isinstance(events[-1], Finished) and not events[-1].stopped and events[-1].step == 8, events[-1]
    begin = next(event for event in events if isinstance(event, Stage) and event.name == "extracting features")
    assert begin.done >= kept > 0
    posed = next(event for event in events if isinstance(event, Posed))
    assert (posed.placed, posed.photos) == (8, 9) and posed.error < 1
    assert any(isinstance(event, Finding) and "stranger.jpg" in event.message for event in events)
    assert engine.file(job, "dataset/poses.png") and len(read_dataset(folder / "dataset").views) == 8
    assert read_report(folder / "dataset").unplaced[0].name == "stranger.jpg"


def test_what_cannot_work_is_a_failed_event(engine: LocalEngine, tmp_path: Path) -> None:
    job = engine.submit(PosesSpec(tmp_path / "nowhere", QUICK))
    wait(lambda: not engine.state(job).alive)
    last = engine.events(job)[0][-1]
    assert isinstance(last, Failed) and "does not exist" in last.message and engine.state(job) is JobState.FAILED
    with pytest.raises(UserError, match="no training"):
        engine.folder(job).read_spec()


def test_a_killed_run_leaves_no_process_and_goes_on_from_its_features(photos: Path, tmp_path: Path) -> None:
    dataset, work = tmp_path / "dataset", tmp_path / "dataset.work"
    command = [sys.executable, "-m", "engine", "poses", str(photos), str(dataset), "--features", "quick", "--max-features", "1200",
               "--threads", "1"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: (work / "quick.db").is_file() and described(work) > 0)
    kill(process.pid)
    process.wait()
    wait(lambda: not running(str(work)), 20)
    kept, steps = described(work), []
    assert 0 < kept < 9 and not dataset.exists()
    report = find_poses(photos, dataset, QUICK, steps.append)
    begin = next(step for step in steps if isinstance(step, Step) and step.name == "extracting features")
    assert begin.done == kept and len(report.placed) == 8
