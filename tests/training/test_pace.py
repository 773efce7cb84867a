"""Trainings that have minutes: planned anew on the way, ended in time, repeated exactly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.datasets.fingerprint import fingerprint
from engine.core.datasets.read import read_dataset
from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.course import stretches_of
from engine.core.protocol.events import Finished
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.core.protocol.plan import Plan, read_plan, repeated, write_plan
from engine.training.checkpoint import load_checkpoint
from engine.training.pace import TimeKeeper, planned_anew
from engine.training.schedule import settings_at, share_at
from engine.training.trainer import train
from engine.worker import Preflight
from tests.scenes import write_ball_dataset

TIMED = TrainConfig(minutes=0.07, backend="cpu", threads=1, sh_degree=1, checkpoint_seconds=0.1, strategy="default", smoke_test=False)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("a dataset ü"), size=96).folder


def run(job: JobFolder, control=lambda: "run") -> list:
    events: list = []
    train(job, events.append, control, checks=Preflight())
    return events


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 3000)), max_size=6))
def test_the_schedule_is_walked_through_once_whatever_is_planned_on_the_way(turns: list[tuple[int, int]]) -> None:
    config, at = TrainConfig(max_steps=1000), 0
    for later, further in turns:
        at = min(at + later, config.max_steps)
        before = share_at(at, config)
        config = planned_anew(config, at, at + further)
        assert share_at(at, config) == pytest.approx(before)
    shares = [share_at(step, config) for step in range(config.max_steps + 1)]
    assert shares[0] == 0 and shares[-1] == pytest.approx(1) and (np.diff(shares) > -1e-12).all()


def test_what_was_done_before_a_turn_stays_as_it_was() -> None:
    before = TrainConfig(max_steps=1000, strategy="default")
    after = planned_anew(before, 400, 700)
    assert after.course == "0:1000 400:700" and after.max_steps == 700 and stretches_of(after.course) == ((0, 1000), (400, 700))
    assert all(settings_at(step, before, 2.0, True) == settings_at(step, after, 2.0, True) for step in range(400))


def simulated(pace: TimeKeeper, config: TrainConfig, seconds_of: list[float]) -> tuple[float, TrainConfig]:
    """Seconds at the end of a training whose steps take as long as parts of the schedule say."""
    step, seconds = 0, 0.0
    while step < config.max_steps:
        seconds += seconds_of[min(len(seconds_of) - 1, int(share_at(step, config) * len(seconds_of)))]
        step += 1
        end = pace.end(step, seconds, config)
        config = config if end is None else planned_anew(config, step, end)
    return seconds, config


@pytest.mark.parametrize("slowness", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("known", [None, 1.0])
def test_ends_in_time_on_a_slower_and_a_faster_computer(slowness: float, known: float | None) -> None:
    costs = (0.002, 0.004, 0.004, 0.012, 0.02)
    seconds, config = simulated(TimeKeeper(20.0, costs, known), TrainConfig(max_steps=2400), [slowness * cost for cost in costs])
    assert 19.0 < seconds < 20.5
    assert config.max_steps == pytest.approx(2400 / slowness, rel=0.2)


def test_ends_in_time_where_only_late_steps_are_slower() -> None:
    costs = (0.002, 0.004, 0.004, 0.012, 0.02)
    seconds, _ = simulated(TimeKeeper(20.0, costs, 1.0), TrainConfig(max_steps=2400), [0.002, 0.004, 0.004, 0.03, 0.06])
    assert 19.0 < seconds < 21.0


def test_a_finished_training_with_minutes_is_repeated_bit_for_bit_by_its_plan(tmp_path: Path, dataset: Path) -> None:
    job = JobFolder(tmp_path / "timed")
    job.write_spec(JobSpec(dataset, TIMED))
    (ended,) = [event for event in run(job) if isinstance(event, Finished)]
    plan = read_plan(job.plan)
    assert plan.config == job.read_spec().config and plan.config.course and plan.config.max_steps == ended.step
    again = JobFolder(tmp_path / "again")
    again.write_spec(JobSpec(dataset, repeated(plan, fingerprint(read_dataset(dataset)), TrainConfig(threads=2))))
    run(again)
    assert again.result.read_bytes() == job.result.read_bytes()


def test_a_resumed_training_with_minutes_follows_what_was_written(tmp_path: Path, dataset: Path) -> None:
    job, calls = JobFolder(tmp_path / "cut"), [0]

    def cut() -> str:
        calls[0] += 1
        if calls[0] == 60:
            raise KeyboardInterrupt
        return "run"

    job.write_spec(JobSpec(dataset, TIMED))
    with pytest.raises(KeyboardInterrupt):
        run(job, cut)
    checkpoint, written = load_checkpoint(job.checkpoint), job.read_spec().config.course
    assert checkpoint and written
    run(job)
    course = job.read_spec().config.course
    assert course.startswith(written)
    again = JobFolder(tmp_path / "again")
    again.write_spec(JobSpec(dataset, repeated(read_plan(job.plan), fingerprint(read_dataset(dataset)), TIMED)))
    run(again)
    assert again.result.read_bytes() == job.result.read_bytes()


def test_a_plan_of_another_dataset_and_a_damaged_one_are_refused(tmp_path: Path, dataset: Path) -> None:
    path = tmp_path / "plan.json"
    write_plan(path, Plan(fingerprint(read_dataset(dataset)), replace(TIMED, course="0:10 5:12")))
    other = write_ball_dataset(tmp_path / "other", views=9).folder
    with pytest.raises(UserError, match="made for another dataset"):
        repeated(read_plan(path), fingerprint(read_dataset(other)), TIMED)
    whole = path.read_text()
    for damaged in (whole[:-40], whole.replace("0:10 5:12", "0:10 5"), whole.replace('"minutes"', '"minuten"'), "[]", "\0"):
        path.write_text(damaged)
        with pytest.raises(UserError, match="is damaged"):
            read_plan(path)
    with pytest.raises(UserError, match="is not there"):
        read_plan(tmp_path / "none.json")
