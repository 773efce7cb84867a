"""A training with a budget: it warns, stops with checkpoint and result, counts over kills and pauses, and goes on when it is raised."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.core.errors import UserError
from engine.core.formats.ply import read_ply
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import BUDGET_ENDED, Failed, Finding, Progress
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.core.protocol.spending import Price, read_spent, write_price
from engine.jobs.local_engine import JobState, LocalEngine
from engine.training.checkpoint import load_checkpoint
from tests.processes import kill
from tests.scenes import write_ball_dataset
from tests.server.serving import ROOT, wait

ENDLESS = TrainConfig(max_steps=1_000_000, max_gaussians=500, resolution=64, sh_degree=1, checkpoint_seconds=0.2, threads=1,
                      budget_hours=6 / 3600)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("data")).folder


def found(engine: LocalEngine, job: str, code: str) -> list[Finding]:
    return [event for event in engine.events(job)[0] if isinstance(event, Finding) and event.code == code]


def steps(engine: LocalEngine, job: str) -> int:
    return max((event.step for event in engine.events(job)[0] if isinstance(event, Progress)), default=0)


def test_a_training_stops_at_its_budget_and_goes_on_when_it_is_raised(tmp_path: Path, dataset: Path) -> None:
    engine = LocalEngine(tmp_path)
    job = engine.submit(JobSpec(dataset, ENDLESS))
    folder = engine.folder(job)
    wait(lambda: engine.state(job) is JobState.FINISHED, lambda: folder.log.read_text())
    (near,), (ended,) = found(engine, job, "budget.job_near"), found(engine, job, BUDGET_ENDED)
    assert "% of the training's budget is spent" in near.message and "raise the budget and resume" in ended.hint
    told = engine.told(job)
    assert told.stopped and told.over_budget == ended and 0 < told.step < 1_000_000
    state = load_checkpoint(folder.checkpoint)
    assert state is not None and state.step == told.step and len(read_ply(folder.result).gaussians) == told.gaussians
    spent = read_spent(folder.spent)
    assert spent is not None and 6 <= spent < 20
    with pytest.raises(UserError, match="budget is spent"):
        engine.set_budget(job, ENDLESS.budget_hours, 0)
    engine.set_budget(job, (spent + 4) / 3600, 0)
    engine.resume(job)
    wait(lambda: len(found(engine, job, BUDGET_ENDED)) == 2 and engine.state(job) is JobState.FINISHED)
    assert engine.told(job).step > told.step
    (more,) = [read_spent(folder.spent)]
    assert more is not None and more >= spent + 4


def test_killed_workers_and_pauses(tmp_path: Path, dataset: Path) -> None:
    """What a killed worker has spent counts, a pause does not."""
    engine = LocalEngine(tmp_path)
    job = engine.submit(JobSpec(dataset, dataclasses.replace(ENDLESS, budget_hours=20 / 3600)))
    folder = engine.folder(job)
    wait(lambda: (read_spent(folder.spent) or 0) > 5)
    pid = folder.worker_pid()
    assert pid
    kill(pid)
    before = read_spent(folder.spent)
    assert before is not None
    wait(lambda: not engine.state(job).alive)
    engine.resume(job)
    wait(lambda: (read_spent(folder.spent) or 0) > before)
    engine.control(job, "pause")
    wait(lambda: engine.state(job) is JobState.PAUSED)
    time.sleep(6)  # longer than what is left would last
    engine.control(job, "run")
    wait(lambda: engine.state(job) is JobState.FINISHED)
    assert 20 <= (read_spent(folder.spent) or 0) < 35 and len(found(engine, job, BUDGET_ENDED)) == 1


def test_a_budget_in_money(tmp_path: Path, dataset: Path) -> None:
    """It needs a price; 3600 € an hour are one a second."""
    engine = LocalEngine(tmp_path)
    job = engine.submit(JobSpec(dataset, dataclasses.replace(ENDLESS, budget_hours=0, budget_cost=5)))
    wait(lambda: engine.state(job) is JobState.FAILED)
    failure = engine.told(job).failure
    assert isinstance(failure, Failed) and "no price per hour" in failure.message and failure.hint
    write_price(engine.folder(job).price, Price(3600, "€"))
    engine.resume(job)
    wait(lambda: engine.state(job) is JobState.FINISHED, lambda: engine.folder(job).log.read_text())
    (ended,) = found(engine, job, BUDGET_ENDED)
    assert "/ 5 €" in ended.message


def test_a_damaged_file_of_the_time_so_far_is_a_sentence(tmp_path: Path, dataset: Path) -> None:
    engine = LocalEngine(tmp_path)
    folder = JobFolder(tmp_path / "job")
    folder.write_spec(JobSpec(dataset, ENDLESS))
    folder.spent.write_text("{")
    engine.resume("job")
    wait(lambda: engine.state("job") is JobState.FAILED)
    assert "spent.json is damaged" in engine.told("job").problem


def test_the_command_line(tmp_path: Path, dataset: Path) -> None:
    def command(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "engine", *words], cwd=ROOT, env={**os.environ, "COLUMNS": "300"}, text=True,
                              capture_output=True, timeout=120)

    output = tmp_path / "scene.ply"
    training = ["train", str(dataset), "-o", str(output), "--max-steps", "1000000", "--max-gaussians", "500", "--resolution", "64",
                "--threads", "1", "--budget-hours"]
    first = command(*training, "0.001")
    assert first.returncode == 0 and output.exists() and "stopped by its budget" in first.stderr, first.stderr
    reached = json.loads(first.stdout)["steps"]
    for words in (["resume", str(tmp_path / "scene.job")], [*training, "0.001"]):
        again = command(*words)
        assert again.returncode == 1 and "budget is spent" in again.stderr and "Traceback" not in again.stderr, again.stderr
    spent = read_spent(tmp_path / "scene.job" / "spent.json")
    assert spent is not None
    more = command("resume", str(tmp_path / "scene.job"), "--budget-hours", str((spent + 3) / 3600))
    assert more.returncode == 0 and json.loads(more.stdout)["steps"] > reached, more.stderr
