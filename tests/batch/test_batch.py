"""The trainings of a batch, with real worker processes that behave well or badly."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.batch import trainings as batch_trainings
from engine.batch.tasks import RECORD, Task, TaskState, fingerprint, forget, progress, read_record, summary, summary_sentence, write_record
from engine.batch.trainings import Trainings
from engine.core.formats.registry import read_splats
from engine.core.protocol.config import TrainConfig
from engine.jobs.local_engine import JobState, LocalEngine
from tests.fakes.fake_engine import FINAL_SPLATS, fake_python

CONFIG = TrainConfig(max_steps=100)


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    made = LocalEngine(tmp_path / "jobs – 仕事", fake_python(tmp_path, "happy"))
    yield made
    for job in made.jobs():
        made.kill(job)


def tasks(folder: Path, count: int = 2) -> list[Task]:
    """Captured datasets; what is in them does not matter to workers that learn nothing."""
    made = [Task(f"scene {number}", folder / f"scene {number}", CONFIG) for number in range(count)]
    for task in made:
        task.dataset.mkdir()
        write_record(task.dataset, "asked")
        task.captured(5)
    return made


def run(engine: LocalEngine, todo: list[Task], at_once: int = 1, each: Callable[[], None] = lambda: None) -> None:
    trainings = Trainings([engine], at_once)
    for task in todo:
        trainings.add(task)
        trainings.add(task)  # once more does no harm
    end = time.monotonic() + 60
    while trainings.step():
        each()
        assert time.monotonic() < end, [task.sentence for task in todo]
        time.sleep(0.01)


@pytest.mark.parametrize("at_once", [1, 2])
def test_no_more_train_at_the_same_time_than_may(engine: LocalEngine, tmp_path: Path, at_once: int) -> None:
    todo, seen = tasks(tmp_path, 3), set()
    run(engine, todo, at_once, lambda: seen.add(sum(engine.state(job).alive for job in engine.jobs())))
    assert max(seen) == at_once and [task.state for task in todo] == [TaskState.DONE] * 3
    assert all(len(read_splats(task.output).gaussians) == FINAL_SPLATS and task.psnr == 31.5 for task in todo)
    assert summary(todo) == "3 of 3 done" and progress(todo) == (1.0, 0.0)


def test_begun_again_finished_trainings_are_found(engine: LocalEngine, tmp_path: Path) -> None:
    todo = tasks(tmp_path)
    run(engine, todo)
    stamp, jobs = todo[0].output.stat().st_mtime_ns, engine.jobs()
    again = [dataclasses.replace(task, state=TaskState.CAPTURED, psnr=None, job="") for task in todo]
    run(engine, again)
    assert engine.jobs() == jobs and again[0].psnr == 31.5 and again[0].output.stat().st_mtime_ns == stamp
    other = [dataclasses.replace(again[0], state=TaskState.CAPTURED, config=TrainConfig(max_steps=101))]
    run(engine, other)
    forget(todo[1].dataset)
    write_record(todo[1].dataset, "asked")
    run(engine, [dataclasses.replace(again[1], state=TaskState.CAPTURED)])
    assert len(engine.jobs()) == len(jobs) + 2, "other settings, and another capture, are trained anew"


def test_a_running_training_is_attached_to_and_no_other_begins_beside_it(engine: LocalEngine, tmp_path: Path) -> None:
    todo = tasks(tmp_path)
    engine.python = fake_python(tmp_path, "slow")
    left = Trainings([engine], 1)
    left.add(todo[1])
    left.step()
    seen = set()
    engine.python = fake_python(tmp_path, "happy")
    again = [dataclasses.replace(task, state=TaskState.CAPTURED, job="") for task in todo]
    run(engine, again, 1, lambda: (seen.add(sum(engine.state(job).alive for job in engine.jobs())), engine.control(todo[1].job, "stop")))
    assert max(seen) == 1 and len(engine.jobs()) == 2 and again[1].job == todo[1].job


def test_a_failure_is_its_own(engine: LocalEngine, tmp_path: Path) -> None:
    todo = tasks(tmp_path)
    engine.python = fake_python(tmp_path, "failing")

    def mended() -> None:
        engine.python = fake_python(tmp_path, "happy")

    run(engine, todo, 1, mended)
    assert [task.state for task in todo] == [TaskState.FAILED, TaskState.DONE] and "out of memory" in todo[0].problem
    assert summary(todo) == "1 of 2 done, 1 failed" and not todo[0].output.exists()
    todo[0].captured(5)
    run(engine, todo[:1])
    assert todo[0].state is TaskState.DONE and len(engine.jobs()) == 2, "the same job goes on"


def test_a_crash_is_gone_on_from_by_itself(engine: LocalEngine, tmp_path: Path) -> None:
    todo = tasks(tmp_path, 1)
    engine.python = fake_python(tmp_path, "crashing")
    run(engine, todo)
    assert todo[0].state is TaskState.DONE and len(engine.jobs()) == 1


def test_a_sick_training_is_ended_and_begun_again_goes_on_nonetheless(engine: LocalEngine, tmp_path: Path) -> None:
    todo = tasks(tmp_path, 1)
    engine.python = fake_python(tmp_path, "sick")
    run(engine, todo)
    assert todo[0].state is TaskState.FAILED and "paused itself at step 50. Most splats" in todo[0].problem
    assert not engine.state(todo[0].job).alive, "nothing waits for ever"
    todo[0].captured(5)
    run(engine, todo)
    assert todo[0].state is TaskState.DONE and not todo[0].problem and len(engine.jobs()) == 1


def test_a_training_that_somebody_paused_goes_on(engine: LocalEngine, tmp_path: Path) -> None:
    todo = tasks(tmp_path, 1)
    engine.python = fake_python(tmp_path, "happy")
    left = Trainings([engine], 1)
    left.add(todo[0])
    left.step()
    engine.control(todo[0].job, "pause")
    end = time.monotonic() + 30
    while engine.state(todo[0].job) is not JobState.PAUSED:
        assert time.monotonic() < end
        left.step()
        time.sleep(0.01)
    again = [dataclasses.replace(todo[0], state=TaskState.CAPTURED)]
    run(engine, again)
    assert again[0].state is TaskState.DONE and len(engine.jobs()) == 1


def test_an_engine_that_never_stays_is_given_up(engine: LocalEngine, tmp_path: Path) -> None:
    todo = tasks(tmp_path)
    engine.python = Path("/bin/false")
    run(engine, todo)
    assert [task.state for task in todo] == [TaskState.FAILED] * 2 and "stopped before the end" in todo[0].problem
    engine.python = tmp_path / "no such python"
    again = [dataclasses.replace(task, state=TaskState.CAPTURED) for task in todo]
    run(engine, again)
    assert "could not be started" in again[1].problem


def test_a_hanging_worker_is_ended_and_begun_again(engine: LocalEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_trainings, "LOST_SECONDS", 2.0)
    monkeypatch.setattr(batch_trainings, "HEARTBEAT_LOST_SECONDS", 3.0)
    todo = tasks(tmp_path, 1)
    engine.python = fake_python(tmp_path, "hanging")
    run(engine, todo)
    assert todo[0].state is TaskState.DONE


def test_stopped_trainings_rest_and_go_on(engine: LocalEngine, tmp_path: Path) -> None:
    todo = tasks(tmp_path)
    engine.python = fake_python(tmp_path, "slow")
    trainings = Trainings([engine], 1)
    for task in todo:
        trainings.add(task)
    while not todo[0].total:
        trainings.step()
        time.sleep(0.05)
    trainings.stop()
    assert not trainings.busy and [task.state for task in todo] == [TaskState.CAPTURED] * 2
    assert not any(engine.state(job).alive for job in engine.jobs())
    engine.python = fake_python(tmp_path, "happy")
    run(engine, todo)
    assert [task.state for task in todo] == [TaskState.DONE] * 2 and len(engine.jobs()) == 2


def test_what_is_left_is_measured_and_not_guessed(tmp_path: Path) -> None:
    one, two = Task("one", tmp_path / "1", CONFIG, images=10), Task("two", tmp_path / "2", CONFIG, images=20)
    assert progress([one, two]) == (0.0, None)
    one.state, one.done, one.total, one.view_seconds = TaskState.CAPTURING, 5, 10, 2.0
    assert progress([one, two]) == (0.125, None), "no training was measured yet"
    assert summary_sentence([one, two]) == "one: capturing 5/10, 0 of 2 finished"
    one.eta = 10.0
    assert summary_sentence([one, two]).endswith("0 of 2 finished, 10 s left for this capture")
    one.captured(10)
    two.captured(20)
    one.state, one.done, one.total, one.step_seconds = TaskState.TRAINING, 50, 100, 0.1
    share, left = progress([one, two])
    assert share == 0.625 and left == pytest.approx(15.0)
    assert summary_sentence([one, two]) == "one: training 50/100, 0 of 2 finished, 20 s left"
    assert progress([]) == (0.0, 0.0)


@settings(deadline=None, max_examples=40)
@given(st.text(), st.text())
def test_a_record_is_read_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, asked: str, other: str) -> None:
    folder = tmp_path_factory.mktemp("record")
    write_record(folder, asked)
    found = read_record(folder)
    assert found is not None and found.asked == asked
    write_record(folder, asked)
    again = read_record(folder)
    assert again is not None and again.capture != found.capture, "each capture has a name of its own"
    assert (fingerprint([asked]) == fingerprint([other])) == (asked == other)


@pytest.mark.parametrize("text", ["", "[]", "{", '{"asked": "x"}', "\x00"])
def test_a_damaged_record_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / RECORD).write_text(text)
    assert read_record(tmp_path) is None
    forget(tmp_path)
    forget(tmp_path)
    assert read_record(tmp_path) is None
