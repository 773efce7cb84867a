"""The budget of an engine's machine, with a real server, its workers, and clients over real sockets."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.core.formats.ply import read_ply
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import ENGINE_BUDGET_ENDED, Finding
from engine.core.protocol.folder import JobSpec
from engine.core.protocol.spending import Budget, Price, SpentTime, read_spent
from engine.jobs.local_engine import JobState
from engine.remote.engine import RemoteEngine
from engine.server import engine_budget
from engine.server.engine_budget import EngineBudget
from engine.server.executors import LocalExecutor
from engine.server.queue import Queue
from engine.server.shutdown import Shutdown
from engine.server.store import Store
from engine.server.uploads import Limits
from engine.training.checkpoint import load_checkpoint
from tests.fakes.programs import program
from tests.server.serving import Server, ask, job, refused, wait
from tests.server.test_serve import end_all, far_folder, steps
from tests.server.test_serve_command import serve

ENDLESS = TrainConfig(max_steps=1_000_000, max_gaussians=600, resolution=64, sh_degree=1, checkpoint_seconds=0.2, preview_seconds=0.2,
                      threads=1)


def spend(server: Server, seconds: float) -> None:
    """As if the engine had run for so long already: for the next start."""
    (server.folder / "spent.json").write_text(json.dumps({"seconds": seconds}))


def hook(folder: Path, status: int) -> str:
    """A command that says that it was run, prints something, and ends with a status."""
    text = f"from pathlib import Path\nPath({str(folder / 'hook')!r}).touch()\nprint('the provider answers')\nraise SystemExit({status})"
    return f'"{program(folder, f"hook{status}", text)}"'


def one_after_the_other(engine: RemoteEngine, dataset: Path) -> tuple[str, str]:
    """A job that is at work and one that waits for it."""
    first = engine.submit(JobSpec(dataset, ENDLESS, "first"))
    wait(lambda: steps(engine, first) > 0, lambda: engine.note(first))
    second = engine.submit(JobSpec(dataset, ENDLESS, "second"))
    wait(lambda: engine.state(second) is JobState.QUEUED, lambda: engine.note(second))
    return first, second


def test_all_jobs_stop_with_checkpoint_and_result_and_the_machine_is_switched_off(tmp_path: Path, dataset: Path) -> None:
    server = Server(tmp_path / "serve", "--gpus", "cpu", "--budget-hours", "1", "--shutdown-command", hook(tmp_path, 0))
    engine = RemoteEngine(tmp_path / "copies", server.address())
    try:
        first, second = one_after_the_other(engine, dataset)
        spent = read_spent(server.folder / "spent.json")
        assert spent is not None and spent < 60
        server.kill()
        spend(server, 3600 - 12)
        server.lines.clear()
        server.start()
        wait(lambda: engine.state(first) is JobState.FINISHED, lambda: server.log)
        near = [event for event in engine.events(first)[0] if isinstance(event, Finding) and event.code == "budget.engine_near"]
        assert near and "% of the engine's budget is spent: " in near[0].message
        ended = engine.told(first).over_budget
        assert ended is not None and ended.code == ENGINE_BUDGET_ENDED and "larger budget, then resume" in ended.hint
        state = load_checkpoint(far_folder(server, engine, first).checkpoint)
        assert state is not None and state.step == engine.told(first).step
        result = engine.file(first, "result.ply")
        assert result and len(read_ply(result).gaussians) and engine.file(first, "preview.ply")
        assert "budget is spent" in refused(server, 403, "PUT", "/v1/jobs/new", job([])).message
        wait(lambda: "is spent" in engine.note(second), lambda: engine.note(second))
        answer = ask(server, "GET", "/v1/engine")
        assert answer["budget"]["ended"] and answer["budget"]["share"] >= 1 and answer["alarm"] == "" and "budget 1 / 1 h" in answer["note"]
        wait((tmp_path / "hook").exists, lambda: server.log)
        wait((server.folder / "shutdown.json").exists)
        proof = json.loads((server.folder / "shutdown.json").read_text())
        assert proof["status"] == 0 and proof["output"] == "the provider answers" and proof["why"].startswith("budget spent: 1 / 1 h")
        assert "NOT" not in server.log.replace("NOTE", "")
    finally:
        end_all(engine)
        server.close()


def test_a_machine_that_was_not_switched_off_is_an_alarm(tmp_path: Path, dataset: Path) -> None:
    """For whoever looks: the log, the answer of the engine, the client whose job was stopped, and one whose job waits."""
    server = Server(tmp_path / "serve", "--gpus", "cpu", "--price-per-hour", "3600", "--budget-cost", "25", "--shutdown-command",
                    hook(tmp_path, 3))
    engine = RemoteEngine(tmp_path / "copies", server.address())
    try:
        running, waiting = one_after_the_other(engine, dataset)
        wait(lambda: engine.state(running) is JobState.FINISHED, lambda: server.log)
        assert engine.alarm(running) == ""
        said = "its command failed"
        wait(lambda: said in (engine.alarm(running) or ""), lambda: server.log)
        wait(lambda: said in (engine.alarm(waiting) or ""), lambda: server.log)
        assert said in ask(server, "GET", "/v1/engine")["alarm"] and "THE MACHINE WAS NOT SWITCHED OFF" in server.log
        engine.delete(running)
        wait(lambda: not engine.kept_there(running), lambda: server.log)
    finally:
        end_all(engine)
        server.close()


def test_a_spent_budget_takes_no_job_until_it_is_raised_and_nothing_switches_off_at_once(tmp_path: Path, dataset: Path) -> None:
    server = Server(tmp_path / "serve", "--gpus", "cpu", "--budget-hours", "1", "--shutdown-command", hook(tmp_path, 0))
    try:
        server.kill()
        spend(server, 3600)
        server.start()
        assert "It is spent: no job is taken" in server.log
        refused(server, 403, "PUT", "/v1/jobs/new", job([]))
        refused(server, 403, "POST", "/v1/estimate", job([]))
        assert ask(server, "GET", "/v1/jobs") == {"jobs": []}
        time.sleep(12)
        assert not (tmp_path / "hook").exists(), "results can be fetched first"
        server.kill()
        server.flags = ("--gpus", "cpu", "--budget-hours", "2")
        server.start()
        assert ask(server, "GET", "/v1/engine")["budget"]["share"] == pytest.approx(0.5, abs=0.05)
        assert "NOT switched off by itself" in server.log
        ask(server, "PUT", "/v1/jobs/new", job([]))
    finally:
        server.close()


def test_what_serve_refuses_of_a_budget(tmp_path: Path) -> None:
    folder = tmp_path / "s"
    for flags, word in ((("--budget-cost", "3"), "needs the price of an hour"), (("--budget-hours", "-1"), "--budget-hours is -1"),
                        (("--budget-hours", "nan"), "--budget-hours is nan")):
        done = serve("--folder", str(folder), "--port", "0", *flags)
        assert done.returncode == 1 and word in done.stderr and "Traceback" not in done.stderr, done.stderr
    (folder / "spent.json").write_text("[")
    done = serve("--folder", str(folder), "--port", "0", "--budget-hours", "1")
    assert done.returncode == 1 and "spent.json is damaged" in done.stderr and "Traceback" not in done.stderr


def test_a_command_that_lies_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with 0, as curl does when the provider refuses, and the machine still runs."""
    for name in ("QUIET_SECONDS", "GONE_SECONDS"):
        monkeypatch.setattr(engine_budget, name, 0.2)
    queue = Queue(Store(tmp_path, Limits(1, 1, 0)), LocalExecutor(("cpu",)))
    shutdown = Shutdown(hook(tmp_path, 0), tmp_path / "shutdown.json")
    begin = time.monotonic()
    spent = SpentTime(tmp_path / "spent.json")
    EngineBudget(Budget(hours=1 / 3600), Price(), spent, queue, shutdown, lambda: time.monotonic() - begin).run()
    wait(lambda: "although its command reported no error" in shutdown.alarm)
    assert (tmp_path / "hook").exists() and any(thread.name == "budget" for thread in threading.enumerate())


def test_a_command_that_is_missing_hangs_or_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = Shutdown("", tmp_path / "shutdown.json")
    assert not missing.switch_off("a test") and "no command for that was given" in missing.alarm
    monkeypatch.setattr("engine.server.shutdown.COMMAND_SECONDS", 0.5)
    for command in (f'"{sys.executable}" -c "import time; time.sleep(60)"', "no-such-command-here"):
        shutdown = Shutdown(command, tmp_path / "shutdown.json")
        assert not shutdown.switch_off("a test") and "its command failed" in shutdown.alarm
        assert json.loads((tmp_path / "shutdown.json").read_text())["status"] != 0


def test_a_disk_that_takes_nothing_keeps_no_machine_on(tmp_path: Path) -> None:
    """Neither answer nor output can be kept."""
    shutdown = Shutdown(hook(tmp_path, 0), tmp_path / "gone" / "shutdown.json")
    assert shutdown.switch_off("a test") and (tmp_path / "hook").exists() and not shutdown.alarm


@pytest.mark.skipif(os.name == "nt", reason="sleep and & are a shell's of other systems")
def test_a_command_may_leave_something_at_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As one that switches the machine off a moment later."""
    monkeypatch.setattr("engine.server.shutdown.COMMAND_SECONDS", 5.0)
    shutdown = Shutdown(f"echo soon; (sleep 20; touch '{tmp_path / 'late'}') &", tmp_path / "shutdown.json")
    assert shutdown.switch_off("a test") and not shutdown.alarm
    assert json.loads((tmp_path / "shutdown.json").read_text())["output"] == "soon"


def test_an_idle_machine_that_was_not_switched_off_stays_and_says_so(tmp_path: Path) -> None:
    server = Server(tmp_path / "serve", "--gpus", "cpu", "--stop-when-idle", "0.02", "--on-idle", hook(tmp_path, 1))
    try:
        wait(lambda: "THE MACHINE WAS NOT SWITCHED OFF" in server.log, lambda: server.log)
        assert "its command failed" in ask(server, "GET", "/v1/engine")["alarm"] and server.process.poll() is None
    finally:
        server.close()


def test_a_job_of_a_client_has_a_budget_in_the_engines_money(server: Server, tmp_path: Path, dataset: Path) -> None:
    """The engine of these tests costs 3600 EUR an hour: one a second. Its budget raised, the job goes on there."""
    engine = RemoteEngine(tmp_path / "copies", server.address())
    try:
        name = engine.submit(JobSpec(dataset, dataclasses.replace(ENDLESS, budget_cost=5), "money"))
        wait(lambda: engine.state(name) is JobState.FINISHED, lambda: engine.note(name))
        told = engine.told(name)
        assert told.over_budget is not None and "/ 5 EUR" in told.over_budget.message and told.step < 1_000_000
        assert engine.file(name, "result.ply") and engine.alarm(name) is None
        engine.set_budget(name, 0, 12)
        engine.resume(name)
        wait(lambda: engine.state(name) is JobState.FINISHED and engine.told(name).step > told.step, lambda: engine.note(name))
    finally:
        end_all(engine)
