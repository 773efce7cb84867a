"""LocalEngine with real worker processes on real job folders."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from engine.core.errors import UserError
from engine.core.file_names import windows_takes
from engine.core.formats.ply import read_ply
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Failed, Finished, Progress, Started
from engine.core.protocol.folder import JobSpec
from engine.jobs.local_engine import JobState, LocalEngine, new_job_folder
from engine.jobs.processes import process_exists, process_start
from engine.training.checkpoint import load_checkpoint
from engine.worker import GONE_EXIT
from tests.processes import ended, suspended
from tests.scenes import write_ball_dataset

SHORT = TrainConfig(max_steps=300, max_gaussians=600, resolution=64, sh_degree=1, refine_every=20, checkpoint_seconds=0.1, threads=1)
ENDLESS = dataclasses.replace(SHORT, max_steps=1_000_000)

STARTER = """
import sys, time
from pathlib import Path
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.spec import JobSpec
from engine.jobs.local_engine import LocalEngine
root, dataset = map(Path, sys.argv[1:])
"""
"""The beginning of a program that starts something and is ended, as a Blender."""
SUBMIT = STARTER + """
config = TrainConfig(max_steps=1000000, resolution=64)
print(LocalEngine(root, tied={tied}).submit(JobSpec(dataset, config)), flush=True)
"""
ESTIMATE = STARTER + "making = LocalEngine(root).estimate(JobSpec(dataset, TrainConfig()))\nprint(making._process.pid, flush=True)\n"
STAY = "time.sleep(600)\n"


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("data")).folder


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    made = LocalEngine(tmp_path / "jobs – 仕事")
    yield made
    for job in made.jobs():
        made.kill(job)


def wait(engine: LocalEngine, job: str, reached: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, engine.folder(job).log.read_text(errors="replace")
        time.sleep(0.02)


def wait_for(engine: LocalEngine, job: str, state: JobState) -> None:
    wait(engine, job, lambda: engine.state(job) is state)


def finished(engine: LocalEngine, job: str) -> Finished:
    wait(engine, job, lambda: not engine.state(job).alive)
    last = engine.events(job)[0][-1]
    assert isinstance(last, Finished), last
    return last


def steps(engine: LocalEngine, job: str) -> int:
    return max((event.step for event in engine.events(job)[0] if isinstance(event, Progress)), default=0)


def test_a_job_runs_to_its_end(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, SHORT, "ball"))
    assert engine.state(job).alive
    last = finished(engine, job)
    assert engine.state(job) is JobState.FINISHED
    result = engine.file(job, "result.ply")
    assert result is not None and len(read_ply(result).gaussians) == last.gaussians
    assert engine.folder(job).worker_pid() is None


def test_another_engine_object_finds_the_running_job_and_stops_it(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    other = LocalEngine(engine.root)
    wait(other, job, lambda: steps(other, job) > 0)
    assert other.jobs() == [job] and other.state(job) is JobState.RUNNING
    other.control(job, "stop")
    assert finished(other, job).stopped


def test_pause_and_resume(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(engine, job, lambda: steps(engine, job) > 0)
    engine.control(job, "pause")
    wait_for(engine, job, JobState.PAUSED)
    resting = steps(engine, job)
    time.sleep(0.5)
    assert steps(engine, job) == resting
    engine.resume(job)
    wait(engine, job, lambda: steps(engine, job) > resting)


def test_a_killed_worker_is_noticed_and_resumed_without_loss(engine: LocalEngine, dataset: Path) -> None:
    whole = engine.submit(JobSpec(dataset, SHORT))
    undisturbed = finished(engine, whole)
    job = engine.submit(JobSpec(dataset, SHORT))
    wait(engine, job, lambda: (engine.folder(job).checkpoint / "state.npz").exists())
    time.sleep(0.1)
    engine.kill(job)
    if engine.state(job) is not JobState.FINISHED:
        assert engine.state(job) is JobState.INTERRUPTED
        engine.resume(job)
    resumed = finished(engine, job)
    assert resumed.gaussians == undisturbed.gaussians
    assert resumed.psnr == pytest.approx(undisturbed.psnr, abs=0.1)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM to catch")
def test_a_worker_asked_to_end_saves_its_state_first(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, dataclasses.replace(ENDLESS, checkpoint_seconds=3600)))
    wait(engine, job, lambda: steps(engine, job) > 0)
    os.kill(engine.folder(job).worker_pid() or 0, signal.SIGTERM)
    wait_for(engine, job, JobState.INTERRUPTED)
    assert (engine.folder(job).checkpoint / "state.npz").exists()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no groups that get a signal")
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "SIGHUP", "SIGKILL"])
def test_a_job_that_blender_began_outlives_its_end_by_a_signal(engine: LocalEngine, dataset: Path, how: str) -> None:
    """As Ctrl+C, a closed terminal or a log-out end Blender with all of its group."""
    command = [sys.executable, "-c", SUBMIT.format(tied=False) + STAY, str(engine.root), str(dataset)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True) as starter:
        assert starter.stdout is not None
        job = starter.stdout.readline().strip()
        wait(engine, job, lambda: steps(engine, job) > 0)
        os.killpg(starter.pid, getattr(signal, how))
    before = steps(engine, job)
    wait(engine, job, lambda: steps(engine, job) > before)
    assert engine.state(job) is JobState.RUNNING


def test_the_job_outlives_whoever_started_it(engine: LocalEngine, dataset: Path) -> None:
    command = [sys.executable, "-c", SUBMIT.format(tied=False), str(engine.root), str(dataset)]
    job = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    wait(engine, job, lambda: steps(engine, job) > 0)
    engine.control(job, "stop")
    assert finished(engine, job).stopped


def test_an_estimate_does_not_outlive_whoever_asked_for_it(engine: LocalEngine, dataset: Path) -> None:
    command = [sys.executable, "-c", ESTIMATE + STAY, str(engine.root), str(dataset)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        try:
            assert starter.stdout is not None
            pid = int(starter.stdout.readline())
            assert not ended(pid)
        finally:
            starter.kill()
    end = time.monotonic() + 30
    while not ended(pid):
        assert time.monotonic() < end, "it goes on alone"
        time.sleep(0.02)


def test_a_worker_finds_no_packages_of_others(engine: LocalEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    monkeypatch.setenv("PYTHONPATH", "/packages/of/others")
    command, variables = engine.worker_command("--self-check")
    assert "PYTHONHOME" not in variables and "others" not in variables["PYTHONPATH"]
    assert json.loads(subprocess.run(command, env=variables, capture_output=True, text=True, check=True).stdout)["ok"]


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_jumps_does_no_harm(engine: LocalEngine, dataset: Path, hours: int) -> None:
    job = engine.submit(JobSpec(dataset, dataclasses.replace(ENDLESS, checkpoint_seconds=3600)))
    wait(engine, job, lambda: steps(engine, job) > 0)
    moment = time.time() + hours * 3600
    with suspended(engine.folder(job).worker_pid()):  # it cannot beat
        os.utime(engine.folder(job).path / "heartbeat", (moment, moment))
        assert LocalEngine(engine.root).state(job) is JobState.RUNNING
        second = subprocess.run([sys.executable, "-m", "engine.worker", str(engine.folder(job).path)], capture_output=True, text=True)
    assert second.returncode == 1 and "another worker" in second.stderr


def test_a_worker_on_another_computer_is_known_by_its_heartbeat(engine: LocalEngine, dataset: Path) -> None:
    folder = engine.folder("far")
    folder.write_spec(JobSpec(dataset, ENDLESS))
    heartbeat = folder.path / "heartbeat"
    for pid in (os.getpid(), 2**22 + 1):  # whether a process of this computer has the same number says nothing
        heartbeat.write_text(json.dumps({"pid": pid, "host": "another computer"}))
        assert engine.state("far").alive and not folder.is_local()
        second = subprocess.run([sys.executable, "-m", "engine.worker", str(folder.path)], capture_output=True, text=True)
        assert second.returncode == 1 and "another worker" in second.stderr
        with pytest.raises(UserError, match="another computer"):
            engine.kill("far")
        os.utime(heartbeat, (time.time() - 60,) * 2)
        assert engine.state("far") is JobState.INTERRUPTED


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="this system does not tell what a process does")
def test_a_number_that_another_process_got_is_no_worker(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(engine, job, lambda: steps(engine, job) > 0)
    engine.kill(job)
    engine.folder(job).heartbeat(os.getppid())
    assert LocalEngine(engine.root).state(job) is JobState.INTERRUPTED


@pytest.mark.skipif(sys.platform.startswith("linux"), reason="here the system tells what a process does")
def test_a_process_that_began_after_the_heartbeat_is_no_worker(engine: LocalEngine, dataset: Path) -> None:
    folder = engine.folder("old")
    folder.write_spec(JobSpec(dataset, ENDLESS))
    folder.heartbeat(os.getpid())
    assert engine.state("old").alive
    os.utime(folder.path / "heartbeat", (process_start(os.getpid()) - 10,) * 2)
    assert not engine.state("old").alive


@pytest.mark.parametrize("name", ["n" * 300, "con", "aux.txt", "nul", "a. ", "../../a", "仕事 ü"])
def test_every_name_makes_a_folder(tmp_path: Path, name: str) -> None:
    folder = new_job_folder(tmp_path / "jobs", name)
    folder.write_spec(JobSpec(tmp_path, SHORT, name))
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == [folder.name] and len(folder.name) < 90
    assert LocalEngine(tmp_path / "jobs").jobs() == [folder.name] and windows_takes(folder.name)


def test_a_worker_does_not_stand_in_its_jobs_folder(engine: LocalEngine, dataset: Path) -> None:
    """Windows would keep the folder as long as the worker, or what it has started, runs."""
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(engine, job, lambda: steps(engine, job) > 0)
    assert Path(psutil.Process(engine.folder(job).worker_pid()).cwd()).resolve() == engine.root.resolve()


@pytest.mark.skipif(os.name != "nt", reason="elsewhere a file that is open may be removed")
def test_a_job_with_a_file_that_is_open_is_told_and_kept_whole(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, SHORT))
    finished(engine, job)
    before = sorted(engine.folder(job).path.rglob("*"))
    with open(engine.folder(job).log), pytest.raises(UserError, match=r"engine.log is in use by another program"):
        engine.delete(job)
    assert sorted(engine.folder(job).path.rglob("*")) == before and engine.jobs() == [job]
    engine.delete(job)
    assert engine.jobs() == []


def test_a_second_worker_leaves_the_job_alone(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(engine, job, lambda: steps(engine, job) > 0)
    second = subprocess.run([sys.executable, "-m", "engine.worker", str(engine.folder(job).path)], capture_output=True, text=True)
    assert second.returncode == 1 and "another worker" in second.stderr


@pytest.mark.parametrize("heartbeat", [b"{", None, b'{"pid": 1}'])
def test_a_spoiled_heartbeat_hides_no_worker(engine: LocalEngine, dataset: Path, heartbeat: bytes | None) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(engine, job, lambda: steps(engine, job) > 0)
    path, other = engine.folder(job).path / "heartbeat", LocalEngine(engine.root)
    with suspended(engine.folder(job).worker_pid()):  # it cannot put it right
        path.unlink() if heartbeat is None else path.write_bytes(heartbeat)
        assert other.state(job) is JobState.RUNNING
        second = subprocess.run([sys.executable, "-m", "engine.worker", str(engine.folder(job).path)], capture_output=True, text=True)
        assert second.returncode == 1 and "another worker" in second.stderr
        other.kill(job)
        wait(other, job, lambda: other.state(job) is JobState.INTERRUPTED)


def test_a_worker_killed_at_any_moment_goes_on_from_a_young_checkpoint(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, dataclasses.replace(ENDLESS, checkpoint_seconds=0.5)))
    for moment in (0.1, 0.5, 0.9):
        wait(engine, job, lambda: (engine.folder(job).checkpoint / "state.npz").exists())
        time.sleep(moment)
        engine.kill(job)
        killed, saved = time.time(), (engine.folder(job).checkpoint / "state.npz").stat().st_mtime
        before = max(event.step for event in engine.events(job)[0] if isinstance(event, (Progress, Started)))
        rate = max((event.steps_per_second for event in engine.events(job)[0] if isinstance(event, Progress)), default=0)
        cursor = engine.events(job)[1]
        engine.resume(job)
        wait(engine, job, lambda cursor=cursor: any(isinstance(event, Started) for event in engine.events(job, cursor)[0]))
        again = next(event for event in engine.events(job, cursor)[0] if isinstance(event, Started))
        assert again.step > 0 and again.step >= before - (killed - saved + 0.5) * rate


def test_what_a_cut_off_worker_left_half_written_goes(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, SHORT))
    finished(engine, job)
    left = [engine.folder(job).checkpoint / ".state.npz.1.tmp", engine.folder(job).path / ".result.ply.1.tmp"]
    for path in left:
        path.write_bytes(b"half")
    engine.folder(job).write_spec(JobSpec(dataset, dataclasses.replace(SHORT, max_steps=320)))
    engine.resume(job)
    finished(engine, job)
    assert not any(path.exists() for path in left)


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps the folder of a process that is at work")
@pytest.mark.parametrize("fate", ["moved", "deleted", "replaced"])
def test_a_folder_that_is_gone_ends_its_worker(engine: LocalEngine, dataset: Path, fate: str) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(engine, job, lambda: steps(engine, job) > 0)
    folder, moved = engine.folder(job), engine.root.parent / "moved"
    pid, before = folder.worker_pid() or 0, steps(engine, job)
    folder.path.rename(moved)
    if fate == "deleted":
        shutil.rmtree(moved)
    if fate == "replaced":
        folder.path.mkdir()
        (folder.path / "heartbeat").write_text(json.dumps({"pid": os.getpid()}))
    end = time.monotonic() + 30
    while not ended(pid):
        assert time.monotonic() < end, "it goes on"
        time.sleep(0.02)
    assert engine._processes[job].wait() == GONE_EXIT
    if fate == "replaced":
        assert [path.name for path in folder.path.iterdir()] == ["heartbeat"] and folder.worker_pid() == os.getpid()
    else:
        assert not folder.path.exists()
    if fate != "deleted":
        assert "was moved or deleted while the job was at work" in (moved / "engine.log").read_text()
        again = LocalEngine(moved.parent)
        again.resume("moved")
        wait(again, "moved", lambda: steps(again, "moved") > before)
        again.kill("moved")


def test_a_control_that_cannot_be_read_leaves_a_pause_a_pause(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(engine, job, lambda: steps(engine, job) > 0)
    engine.control(job, "pause")
    wait_for(engine, job, JobState.PAUSED)
    (engine.folder(job).path / "control").write_bytes(b"\0\xff")
    resting = steps(engine, job)
    time.sleep(1)
    assert engine.state(job) is JobState.PAUSED and steps(engine, job) == resting
    engine.control(job, "stop")
    assert finished(engine, job).stopped


def test_a_tied_worker_ends_with_whoever_started_it_and_keeps_its_state(engine: LocalEngine, dataset: Path) -> None:
    command = [sys.executable, "-c", SUBMIT.format(tied=True) + STAY, str(engine.root), str(dataset)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        job = starter.stdout.readline().strip()
        wait(engine, job, lambda: steps(engine, job) > 0)
        starter.kill()
    wait_for(engine, job, JobState.INTERRUPTED)
    checkpoint = load_checkpoint(engine.folder(job).checkpoint)
    assert checkpoint is not None and checkpoint.step >= steps(engine, job)


def test_a_deleted_job_is_gone_with_its_worker(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(engine, job, lambda: steps(engine, job) > 0)
    pid = engine.folder(job).worker_pid()
    engine.delete(job)
    assert engine.jobs() == [] and not engine.folder(job).path.exists() and not process_exists(pid or 0)


def test_bad_data_fails_with_the_sentence(engine: LocalEngine, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    job = engine.submit(JobSpec(tmp_path / "empty", SHORT))
    wait_for(engine, job, JobState.FAILED)
    last = engine.events(job)[0][-1]
    assert isinstance(last, Failed) and last.message and last.hint


def test_a_wrong_protocol_fails_with_the_sentence(engine: LocalEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, SHORT))
    finished(engine, job)
    text = (engine.folder(job).path / "job.json").read_text()
    (engine.folder(job).path / "job.json").write_text(text.replace('"protocol": 1', '"protocol": 99'))
    with pytest.raises(UserError, match="protocol"):
        engine.resume(job)


def test_a_missing_interpreter_is_one_sentence(tmp_path: Path, dataset: Path) -> None:
    engine = LocalEngine(tmp_path, python=tmp_path / "no python")
    with pytest.raises(UserError, match="could not be started"):
        engine.submit(JobSpec(dataset, SHORT))


def test_a_root_that_cannot_be_made_is_one_sentence(tmp_path: Path, dataset: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        LocalEngine(tmp_path / "file" / "jobs").submit(JobSpec(dataset, SHORT))
    assert caught.value.hint


def test_the_command_line_of_the_worker(tmp_path: Path) -> None:
    def worker(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-m", "engine.worker", *arguments], capture_output=True, text=True)

    assert '"ok": true' in worker("--self-check").stdout
    assert worker().returncode == 2
