"""Ctrl+C, a request to end, a closed terminal and a kill: no traceback, and nothing is left running two seconds later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.protocol.events import Evaluated, Progress, Started
from engine.core.protocol.folder import JobFolder
from engine.training.checkpoint import load_checkpoint
from tests.processes import running
from tests.scenes import colored_ball, write_ball_dataset
from tests.seeds import seeded

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has none of these signals")

ROOT = Path(__file__).resolve().parents[2]
MANY = 200_000
LEFT_SECONDS = 2.0
SLOW = 3.0
"""Tests share their processors with others: so many times as long."""


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset that begins with 200,000 start points."""
    ball = colored_ball(MANY)
    return write_ball_dataset(tmp_path_factory.mktemp("large"), views=12, size=200, truth=replace(ball, scales=ball.scales - 3)).folder


def command(*arguments: object, python: Sequence[str] = (), **options: object) -> subprocess.Popen[str]:
    """`splatwright …` in a session of its own, as a terminal starts it; errors are a pipe. `python` gets options of its own."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen([sys.executable, *python, "-m", "engine", *map(str, arguments)], stdout=subprocess.DEVNULL,
                            stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True, **options)  # type: ignore[call-overload]


def wait(reached: Callable[[], bool], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
        time.sleep(0.02)


def ends_with_all(process: subprocess.Popen[str], number: int, folder: Path) -> None:
    """Send a signal; the process and all that it started must be gone soon, and nobody has said `Traceback`."""
    begin = time.monotonic()
    process.send_signal(number)
    wait(lambda: process.poll() is not None and not running(str(folder)), SLOW * LEFT_SECONDS)
    print(f"gone after {time.monotonic() - begin:.2f} s")
    assert process.stderr is not None and "Traceback" not in process.stderr.read()


def test_no_traceback_while_python_still_imports() -> None:
    """At moments by chance, from the first module that the command line imports on: what comes before is Python's own."""
    chance = seeded(8)
    for _ in range(24):
        process = command("convert", "--help", python=["-X", "importtime"])
        assert process.stderr is not None
        while "engine.core.errors" not in process.stderr.readline():
            assert process.poll() is None
        time.sleep(chance.uniform(0, 0.4))
        process.send_signal(chance.choice([signal.SIGINT, signal.SIGTERM, signal.SIGHUP]))
        said = process.communicate(timeout=30)[1]
        assert "Traceback" not in said, said[-2000:]


def test_a_training_of_many_gaussians_ends_also_during_an_evaluation_and_goes_on(large: Path, tmp_path: Path) -> None:
    """Each time it is begun again it goes on from the step at which it was ended, or from at most ten seconds before."""
    job = JobFolder(tmp_path / "out.job")
    flags = ["--max-steps", 100_000, "--max-gaussians", MANY, "--resolution", 200, "--eval-every", 10, "--no-smoke-test", "--sh-degree", 3,
             "--no-pause-on-failure", "--quarter-until", 0, "--half-until", 0, "--start-share", 1]
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
        cursor = job.read_events()[1]
        process = command("train", large, "-o", tmp_path / "out.ply", *flags)
        wait(lambda cursor=cursor: any(isinstance(event, Evaluated) for event in job.read_events(cursor)[0]))
        ends_with_all(process, number, tmp_path)
        events = job.read_events(cursor)[0]
        checkpoint = load_checkpoint(job.checkpoint)
        assert checkpoint is not None and len(checkpoint.arrays["means"]) == MANY
        begun = next(event for event in events if isinstance(event, Started))
        assert dict(begun.values)["every"] == 10
        assert checkpoint.step >= max(event.step for event in events if isinstance(event, (Progress, Started)))
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + signal.SIGTERM)


def test_a_closed_terminal(large: Path, tmp_path: Path) -> None:
    import pty

    job = JobFolder(tmp_path / "out.job")
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execv(sys.executable, [sys.executable, "-m", "engine", "train", str(large), "-o", str(tmp_path / "out.ply")])
    wait(lambda: any(isinstance(event, Progress) for event in job.read_events()[0]))
    os.close(terminal)
    wait(lambda: os.waitpid(pid, os.WNOHANG)[0] == pid, SLOW * LEFT_SECONDS)
    wait(lambda: not running(str(tmp_path)), SLOW * LEFT_SECONDS)
    checkpoint = load_checkpoint(job.checkpoint)
    assert checkpoint is not None and checkpoint.step > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("verb", ["estimate", "check"])
def test_what_only_looks_leaves_nothing(large: Path, tmp_path: Path, verb: str, number: int) -> None:
    chance = seeded(number)
    process = command(verb, large, "--backend", "cpu", cwd=tmp_path) if verb == "estimate" else command(verb, large, cwd=tmp_path)
    time.sleep(chance.uniform(0.5, 2.5))
    ends_with_all(process, number, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_server_ends_in_order(tmp_path: Path, number: int) -> None:
    pytest.importorskip("uvicorn")
    process = command("serve", "--folder", tmp_path / "serve", "--port", 0, "--gpus", "cpu")
    assert process.stderr is not None
    said = ""
    while "startup complete" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.send_signal(number)
    said += process.communicate(timeout=30)[1]
    assert "Traceback" not in said and "shutdown complete" in said, said
