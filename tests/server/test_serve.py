"""The server and RemoteEngine: real processes over real sockets."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.client import JobState
from engine.core.config import TrainConfig
from engine.core.events import Finished, Preview
from engine.core.job import JobSpec
from engine.core.ply import read_ply
from engine.remote.engine import RemoteEngine
from tests.scenes import write_ball_dataset
from tests.server.serving import Server, ask, wait, wait_for

SHORT = TrainConfig(max_steps=200, max_gaussians=600, resolution=64, sh_degree=1, refine_every=20, checkpoint_seconds=0.1,
                    preview_seconds=0.1, threads=1)
ENDLESS = dataclasses.replace(SHORT, max_steps=1_000_000)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("data") / "Kugel – 球").folder


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("serve"), "--gpus", "cpu", "--price-per-hour", "3600", "--currency", "EUR")
    yield made
    made.close()


@pytest.fixture
def engine(server: Server, tmp_path: Path) -> Iterator[RemoteEngine]:
    made = RemoteEngine(tmp_path / "copies", server.address())
    yield made
    for job in made.jobs():
        made.kill(job)
        wait(lambda job=job: not made.state(job).alive)
    made.close()


def test_a_job_runs_to_its_end_and_its_result_comes_home(engine: RemoteEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, SHORT, "ball"))
    wait_for(engine, job, JobState.FINISHED)
    events = engine.events(job)[0]
    last = events[-1]
    assert isinstance(last, Finished) and any(isinstance(event, Preview) for event in events)
    result, preview = engine.file(job, "result.ply"), engine.file(job, "preview.ply")
    assert result and preview and len(read_ply(result).gaussians) == last.gaussians and len(read_ply(preview).gaussians)
    assert engine.spec(job).dataset == dataset
