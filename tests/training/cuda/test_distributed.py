"""Two processes train one scene together (gloo, CPU tensors): replicas stay equal, and as many photos teach as much as alone."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Failed, Finished, Started
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.training.cuda.availability import ask_driver
from engine.training.group import AGREE_EVERY, Group, SharedControl
from engine.training.schedule import multiple_within, refinement_at
from tests.scenes import write_ball_dataset

pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[3]
SHORT = TrainConfig(max_steps=160, max_gaussians=150, resolution=24, sh_degree=1, eval_every=80, refine_every=20, refine_until=0.7,
                    quarter_until=0.0, half_until=0.3, lr_exposure=1e-3)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("data"), views=12, size=24).folder


def train_together(folder: Path, dataset: Path, processes: int, *arguments: str, **changes: object) -> list:
    """Events of a training by so many processes."""
    job = JobFolder(folder)
    job.write_spec(JobSpec(dataset, dataclasses.replace(SHORT, **changes)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes),
               str(ROOT / "tests" / "training" / "cuda" / "two_ranks.py"), str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr[-3000:]
    return job.read_events()[0]


def states(folder: Path, processes: int) -> list[dict[str, np.ndarray]]:
    return [dict(np.load(folder / f"rank{rank}.npz")) for rank in range(processes)]


def test_replicas_stay_equal_and_learn_as_much_as_one(tmp_path: Path, dataset: Path) -> None:
    together = train_together(tmp_path / "two", dataset, 2)
    alone = train_together(tmp_path / "one", dataset, 1)
    first, second = states(tmp_path / "two", 2)
    assert first.keys() == second.keys() and "exposure" in first
    for name in first:
        assert np.array_equal(first[name], second[name]), name
    assert int(first["steps"]) == SHORT.max_steps // 2 and int(states(tmp_path / "one", 1)[0]["steps"]) == SHORT.max_steps
    scores = [events[-1].psnr for events in (together, alone) if isinstance(events[-1], Finished)]
    assert scores[0] == pytest.approx(scores[1], abs=0.7) and min(scores) > 18
    assert len([event for event in together if isinstance(event, Started)]) == 1
    assert json.loads((tmp_path / "two" / "report.json").read_text())["step"] == SHORT.max_steps


def test_the_first_process_stops_all(tmp_path: Path, dataset: Path) -> None:
    events = train_together(tmp_path / "stopped", dataset, 2, "2", strategy="default")
    last = events[-1]
    assert isinstance(last, Finished) and last.stopped and 0 < last.step < SHORT.max_steps
    first, second = states(tmp_path / "stopped", 2)
    shared = set(first) - {"sights"}  # what each has gathered is its own until it is summed
    assert all(np.array_equal(first[name], second[name]) for name in shared)


def test_workers_on_processors_do_not_train_apart(tmp_path: Path, dataset: Path) -> None:
    job = JobFolder(tmp_path / "job")
    job.write_spec(JobSpec(dataset, dataclasses.replace(SHORT, backend="cpu", lr_exposure=0.0)))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "engine.worker", str(job.path)]
    assert subprocess.run(command, capture_output=True, timeout=200, cwd=ROOT).returncode != 0
    failures = [event for event in job.read_events()[0] if isinstance(event, Failed)]
    assert failures and all("graphics cards alone" in event.message for event in failures)


@pytest.mark.skipif(ask_driver()[2] > 1, reason="several NVIDIA cards are here")
def test_more_cards_than_there_are_is_a_sentence(tmp_path: Path, dataset: Path) -> None:
    job = JobFolder(tmp_path / "job")
    job.write_spec(JobSpec(dataset, dataclasses.replace(SHORT, gpus=2)))
    done = subprocess.run([sys.executable, "-m", "engine.worker", str(job.path)], capture_output=True, timeout=100, cwd=ROOT)
    assert done.returncode == 1
    last = job.read_events()[0][-1]
    assert isinstance(last, Failed) and "gpus is 2" in last.message and "Set gpus to" in last.hint


def test_alone_every_question_is_answered() -> None:
    answers = iter(["run", "pause", "stop"])
    control = SharedControl(lambda: next(answers), Group())
    assert [control(), control(), control()] == ["run", "pause", "stop"]


def test_several_ask_now_and_then_and_always_in_a_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    answers = iter(["pause", "pause", "run"])

    def ask() -> str:
        asked.append(next(answers))
        return asked[-1]

    monkeypatch.setattr(Group, "agreed", lambda self, value: value)
    control = SharedControl(ask, Group(0, 2))
    assert [control() for _ in range(AGREE_EVERY - 1)] == ["run"] * (AGREE_EVERY - 1) and not asked
    assert [control(), control(), control(), control()] == ["pause", "pause", "run", "run"] and len(asked) == 3


def test_an_interruption_of_the_first_reaches_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(Group, "agreed", lambda self, value: value)
    control = SharedControl(interrupted, Group(0, 2))
    with pytest.raises(KeyboardInterrupt):
        for _ in range(AGREE_EVERY):
            control()


@pytest.mark.parametrize("stride", [1, 2, 3, 4, 7])
def test_no_multiple_is_missed_whatever_the_stride(stride: int) -> None:
    due = [multiple_within(step, stride, 10) for step in range(0, 100, stride)]
    assert [number for number in due if number is not None][:10] == list(range(0, 100, 10))
    config = TrainConfig(max_steps=100, refine_every=10, refine_from=0.2, refine_until=0.8)
    refined = [found for step in range(0, 100, stride) if (found := refinement_at(step, config, stride))]
    assert set(range(30, 80, 10)) <= set(refined) <= set(range(20, 90, 10))
