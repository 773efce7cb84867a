"""`splatwright serve`, and the commands that use an engine on another computer."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engine.core.errors import UserError
from engine.core.formats.ply import read_ply
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Estimated, Failed, Stage
from engine.core.protocol.spec import JobSpec
from engine.remote.estimation import RemoteEstimation
from engine.remote.http import Address
from engine.server.options import ServeOptions
from engine.server.serving import is_no_hang_up, listen
from tests.fakes.programs import program
from tests.preflight.planting import sound_dataset
from tests.scenes import write_ball_dataset
from tests.server.serving import ROOT, TOKEN, Server, wait


def test_a_dataset_is_checked_there(server: Server, tmp_path: Path) -> None:
    environment = {**os.environ, "SPLATWRIGHT_TOKEN": TOKEN}
    command = [sys.executable, "-m", "engine", "check", str(sound_dataset(tmp_path / "sound").folder), "--engine", server.url]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "A training needs about" in done.stdout and "nothing suspicious" in done.stderr, done.stderr
    done = subprocess.run([*command, "--sheet", "s.png"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "no contact sheet" in done.stderr


def serve(*flags: str, token: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SPLATWRIGHT_TOKEN": token}
    command = [sys.executable, "-m", "engine", "serve", *flags]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_what_serve_refuses(server: Server, tmp_path: Path) -> None:
    folder = ("--folder", str(tmp_path / "s"))
    for flags, token, word in ((("--host", "0.0.0.0"), "", "no token"), (("--host", "::"), "", "no token"), ((), "short", "at least 16"),
                               (("--port", str(server.port)), "", "cannot listen"), (("--key", "x"), "", "certificate"),
                               (("--certificate", "x", "--key", "x"), "", "cannot be used")):
        done = serve(*folder, *flags, token=token)
        assert done.returncode == 1 and word in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_a_port_belongs_to_one_program() -> None:
    with listen(ServeOptions(port=0)) as first:
        first.listen()
        port = first.getsockname()[1]
        with pytest.raises(UserError, match=f"cannot listen at 127.0.0.1:{port}"):
            listen(ServeOptions(port=port))


def test_a_client_that_hangs_up_is_no_error_of_the_server() -> None:
    def record(error: BaseException | None) -> logging.LogRecord:
        told = None if error is None else (type(error), error, None)
        return logging.LogRecord("asyncio", logging.ERROR, "events.py", 1, "Exception in callback", (), told)

    assert not any(is_no_hang_up(record(error)) for error in (ConnectionResetError(), ConnectionAbortedError(), BrokenPipeError()))
    assert is_no_hang_up(record(None)) and is_no_hang_up(record(ValueError()))


def test_an_idle_engine_ends_and_runs_the_hook(tmp_path: Path) -> None:
    hook = program(tmp_path, "hook", f"from pathlib import Path\nPath({str(tmp_path / 'gone')!r}).touch()")
    done = serve("--folder", str(tmp_path / "s"), "--port", "0", "--stop-when-idle", "0.02", "--on-idle", f'"{hook}"')
    assert done.returncode == 0 and (tmp_path / "gone").exists()
    assert "ssh -N -L" in done.stdout and (os.name == "nt" or (tmp_path / "s" / "token").stat().st_mode & 0o77 == 0)


@pytest.mark.parametrize("far", [True, False])
def test_a_killed_command_finds_its_training(server: Server, tmp_path: Path, dataset: Path, far: bool) -> None:
    output = tmp_path / "scene.ply"
    command = [sys.executable, "-m", "engine", "train", str(dataset), "-o", str(output), "--max-steps", "2000", "--max-gaussians", "600",
               "--resolution", "64", "--threads", "1"]
    environment = {**os.environ, "SPLATWRIGHT_TOKEN": TOKEN, "SPLATWRIGHT_ENGINE": server.url if far else ""}
    events = tmp_path / "scene.job" / "events.jsonl"
    first = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: events.exists() and "Progress" in events.read_text())
    first.kill()
    first.wait()
    again = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert again.returncode == 0 and len(read_ply(output).gaussians), again.stderr
    begun = sum('"Started"' in line for line in events.read_text().splitlines())
    assert begun == (1 if far else 2)  # at home its worker has ended with it, with a checkpoint
    output.unlink()  # as if the command had been killed before it wrote the file
    last = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert last.returncode == 0 and output.exists(), last.stderr


@pytest.mark.parametrize("far", [True, False])
def test_jobs_are_listed_and_deleted(server: Server, tmp_path: Path, dataset: Path, far: bool) -> None:
    environment = {**os.environ, "SPLATWRIGHT_TOKEN": TOKEN, "SPLATWRIGHT_ENGINE": server.url if far else "", "COLUMNS": "200"}

    def command(*words: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "engine", *words]
        return subprocess.run(line, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)

    scene = f"list-{far}"
    done = command("train", str(dataset), "-o", str(tmp_path / f"{scene}.ply"), "--max-steps", "20", "--resolution", "32", "--threads", "1")
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in command("jobs", str(tmp_path)).stdout.splitlines() if line.startswith(scene)]
    assert "finished" in row and "MB" in row
    wrong = command("jobs", str(tmp_path), "--delete", "nothing")
    assert wrong.returncode == 1 and "no job nothing" in wrong.stderr and "Traceback" not in wrong.stderr
    gone = command("jobs", str(tmp_path), "--delete", row.split()[0])
    assert gone.returncode == 0 and "deleted" in gone.stdout, gone.stderr
    assert scene not in command("jobs", str(tmp_path)).stdout
    assert (tmp_path / f"{scene}.ply").exists() and (tmp_path / f"{scene}.job").exists() is far


def test_the_command_line_trains_on_another_computer(server: Server, tmp_path: Path, dataset: Path) -> None:
    output = tmp_path / "scene.ply"
    flags = ["--engine", server.url, "--max-gaussians", "600", "--resolution", "64", "--threads", "1"]
    environment = {**os.environ, "SPLATWRIGHT_TOKEN": TOKEN}
    for more, reached in (("100", 100), ("150", 150)):
        command = [sys.executable, "-m", "engine", "train", str(dataset), "-o", str(output), "--max-steps", more, *flags]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0 and f'"steps": {reached}' in done.stdout, done.stderr + server.log
    assert len(read_ply(output).gaussians)


def test_nobody_answers(dataset: Path, tmp_path: Path) -> None:
    """An address with a typo is told at once, and leaves nothing behind."""
    environment = {**os.environ, "SPLATWRIGHT_TOKEN": TOKEN}
    command = [sys.executable, "-m", "engine", "train", str(dataset), "-o", str(tmp_path / "a.ply"), "--engine", "http://127.0.0.1:9"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "127.0.0.1:9 does not answer: Connection refused." in done.stderr and "SSH tunnel" in done.stderr
    assert not list(tmp_path.iterdir())


def test_a_training_is_estimated_there(server: Server, dataset: Path) -> None:
    """On that machine, with its price: 3600 EUR an hour."""
    environment = {**os.environ, "SPLATWRIGHT_TOKEN": TOKEN, "COLUMNS": "300"}
    command = [sys.executable, "-m", "engine", "estimate", str(dataset), "--engine", server.url, "--max-gaussians", "600"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "On the processor the training takes about" in done.stdout, done.stderr + server.log
    assert re.search(r"It costs about \d+\.\d\d EUR", done.stdout)
    short = subprocess.run([*command, "--max-minutes", "0.01"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)
    assert short.returncode == 1 and "warning: The training takes about" in short.stderr and "Traceback" not in short.stderr


def test_whoever_hangs_up_ends_the_estimate(server: Server, dataset: Path) -> None:
    long = TrainConfig(resolution=64, max_gaussians=300_000, strategy="mcmc", grow_rate=1.0)
    making = RemoteEstimation(server.address(), JobSpec(dataset, long))
    wait(lambda: any(isinstance(event, Stage) and event.name == "trying steps" for event in making.events()), lambda: str(making.events()))
    assert len(folders(server)) == 1
    making.stop()
    assert not making.running
    wait(lambda: not folders(server), lambda: str(folders(server)))


def test_two_estimates_take_turns(server: Server, dataset: Path) -> None:
    makings = [RemoteEstimation(server.address(), JobSpec(dataset, TrainConfig(resolution=64, max_gaussians=600))) for _ in range(2)]
    wait(lambda: bool(folders(server)))
    while any(making.running for making in makings):
        assert len(folders(server)) <= 1, "one is made at a time"
        time.sleep(0.05)
    assert all(isinstance(making.events()[-1], Estimated) for making in makings)


def folders(server: Server) -> list[Path]:
    """What estimates that are being made have on the disk there."""
    return [*server.folder.glob("clients/*/checks/*"), *server.folder.glob("clients/*/jobs/.estimates/*")]


def test_what_cannot_be_estimated_is_a_sentence(server: Server, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for address, said in ((server.address(), "holds no dataset"), (Address("http://127.0.0.1:1", TOKEN), "holds no dataset")):
        (last,) = RemoteEstimation(address, JobSpec(tmp_path / "empty", TrainConfig())).wait()
        assert isinstance(last, Failed) and said in last.message and last.hint
    sound = write_ball_dataset(tmp_path / "sound", views=3, size=16).folder
    last = RemoteEstimation(Address("http://127.0.0.1:1", TOKEN), JobSpec(sound, TrainConfig())).wait()[-1]
    assert isinstance(last, Failed) and "does not answer" in last.message
