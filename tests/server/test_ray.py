"""The executor ray: a real Ray cluster of local nodes, real servers and workers."""

from __future__ import annotations

import dataclasses
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.errors import UserError
from engine.core.formats.ply import read_ply
from engine.core.protocol.events import Started
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.jobs.local_engine import JobState
from engine.jobs.processes import process_exists
from engine.remote.engine import RemoteEngine
from tests.processes import children, kill, running
from tests.server.serving import ROOT, TOKEN, Server, ask, wait, wait_for
from tests.server.test_serve import ENDLESS, end_all, far_folder, steps

pytest.importorskip("ray", reason="there is no Ray for this Python or system")
if not sys.platform.startswith("linux"):
    pytest.skip("Ray joins several machines under Linux alone", allow_module_level=True)

SMALL = {"object_store_memory": 100 * 2**20, "include_dashboard": False}
QUICK = {"health_check_initial_delay_ms": 1000, "health_check_period_ms": 500, "health_check_failure_threshold": 2}
"""A dead node is noticed within seconds."""

OFTEN = dataclasses.replace(ENDLESS, checkpoint_seconds=0.5)


class Machines:
    """A cluster whose first node has no room for jobs."""

    def __init__(self, folder: str):
        from ray.cluster_utils import Cluster

        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        Path("/tmp/ray").mkdir(exist_ok=True)  # where the cluster notes its address, whatever its own folder is
        self.cluster = Cluster(initialize_head=True, head_node_args={**SMALL, "num_cpus": 0, "_system_config": QUICK, "temp_dir": folder})
        self.nodes: dict[str, Any] = {}
        for _ in range(2):
            self.add()

    @property
    def address(self) -> str:
        return self.cluster.address

    def add(self) -> str:
        """One more machine, for one job; its id."""
        node = self.cluster.add_node(num_cpus=1, **SMALL)
        self.nodes[node.node_id] = node
        return node.node_id

    def kill(self, part: str) -> None:
        """The machine whose id begins so is gone from one moment to the next."""
        [found] = [key for key in self.nodes if key.startswith(part)]
        self.cluster.remove_node(self.nodes.pop(found), allow_graceful=False)


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")  # sockets lie there, whose paths must be short
    made = Machines(folder)
    yield made
    made.cluster.shutdown()
    wait(lambda: not running(folder), lambda: str(running(folder)), 15)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def server(machines: Machines, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("serve – 仕事"), "--executor", "ray", "--ray-address", machines.address)
    yield made
    made.close()
    wait(lambda: not running(str(made.folder)), lambda: str(running(str(made.folder))), 15)


@pytest.fixture
def engine(server: Server, tmp_path: Path) -> Iterator[RemoteEngine]:
    made = RemoteEngine(tmp_path / "copies", server.address())
    yield made
    end_all(made)


def device(server: Server, engine: RemoteEngine, job: str) -> str:
    """What the server gave the job."""
    from engine.server.store import Store
    from engine.server.uploads import Limits

    client = Store(server.folder, Limits(0, 0, 0)).clients()[0]
    ticket = client.ticket(far_folder(server, engine, job).name)
    return ticket.devices[0] if ticket and ticket.devices else ""


def starts(engine: RemoteEngine, job: str) -> list[int]:
    return [event.step for event in engine.events(job)[0] if isinstance(event, Started)]


def stopped(engine: RemoteEngine, job: str) -> None:
    engine.control(job, "stop")
    wait_for(engine, job, JobState.FINISHED)
    assert len(read_ply(engine.folder(job).result).gaussians)


def test_trainings_side_by_side_outlive_their_server(server: Server, engine: RemoteEngine, dataset: Path) -> None:
    first, second = (engine.submit(JobSpec(dataset, OFTEN, name)) for name in ("first", "second"))
    wait(lambda: steps(engine, first) > 100 and steps(engine, second) > 100, lambda: server.log)
    third = engine.submit(JobSpec(dataset, OFTEN, "third"))
    wait_for(engine, third, JobState.QUEUED)
    given = {device(server, engine, job) for job in (first, second)}
    assert given == set(ask(server, "GET", "/v1/engine")["devices"]) and len(given) == 2

    workers = [far_folder(server, engine, job).worker_pid() for job in (first, second)]
    server.kill()
    server.start()
    before = steps(engine, first), steps(engine, second)
    wait(lambda: steps(engine, first) > before[0] + 50 and steps(engine, second) > before[1] + 50, lambda: server.log)
    assert workers == [far_folder(server, engine, job).worker_pid() for job in (first, second)]
    assert engine.state(third) is JobState.QUEUED

    name = far_folder(server, engine, second).name
    assert len(running(f"jobs/{name}")) == 2  # the worker and its supervisor
    ask(server, "POST", f"/v1/jobs/{name}/control", {"control": "kill"})
    wait(lambda: not running(f"jobs/{name}"), lambda: str(running(f"jobs/{name}")), 5)
    wait(lambda: steps(engine, third) > 0)  # in the room that became free
    stopped(engine, first)
    engine.resume(second)
    wait(lambda: len(starts(engine, second)) == 2)
    assert starts(engine, second)[1] > 50 and len(starts(engine, first)) == 1

    engine.control(third, "pause")
    wait_for(engine, third, JobState.PAUSED)
    resting = steps(engine, third)
    engine.resume(third)
    wait(lambda: steps(engine, third) > resting)


def test_a_machine_that_dies_and_one_that_joins(server: Server, engine: RemoteEngine, machines: Machines, dataset: Path) -> None:
    first, second = (engine.submit(JobSpec(dataset, OFTEN, name)) for name in ("first", "second"))
    wait(lambda: steps(engine, first) > 200 and steps(engine, second) > 200, lambda: server.log)
    [driver] = (pid for pid in children(server.process.pid) if pid in running("spawn_main"))
    kill(driver)
    wait(lambda: "the Ray cluster is back" in server.log, lambda: server.log)
    assert len(starts(engine, first)) == len(starts(engine, second)) == 1 and engine.state(first) is JobState.RUNNING

    lost = device(server, engine, first)
    pid = far_folder(server, engine, first).worker_pid() or 0
    machines.kill(lost.split("-")[-1][:6])
    wait(lambda: not process_exists(pid), seconds=10)
    wait_for(engine, first, JobState.QUEUED)
    assert lost not in ask(server, "GET", "/v1/engine")["devices"]
    stopped(engine, second)  # gives its machine to the one that was lost
    wait(lambda: len(starts(engine, first)) == 2, lambda: server.log)
    again = starts(engine, first)[1]
    assert again > 50 and device(server, engine, first) not in ("", lost)
    wait(lambda: steps(engine, first) > again)

    fresh = machines.add()
    engine.resume(second)
    wait(lambda: len(starts(engine, second)) == 2, lambda: server.log)
    assert fresh[:6] in device(server, engine, second) and starts(engine, second)[1] > 50
    stopped(engine, first)


@pytest.mark.skipif(subprocess.run(["unshare", "-rmpf", "true"], capture_output=True).returncode != 0 if shutil.which("unshare") else True,
                    reason="this user may not make namespaces")
def test_a_machine_without_the_folder_gets_no_job(server: Server, machines: Machines) -> None:
    before = ask(server, "GET", "/v1/engine")["devices"]
    hide = 'hostname elsewhere; mount -t tmpfs none "$1"; exec "$2" -m ray.scripts.scripts start --address "$3" --num-cpus 9 --block ' \
           '--object-store-memory 100000000 --disable-usage-stats'
    command = ["unshare", "-rmupf", "--mount-proc", "--kill-child", "sh", "-c", hide, "sh", str(server.folder), sys.executable,
               machines.address]
    with open(server.folder.parent / "elsewhere.log", "wb") as log:
        elsewhere = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait(lambda: "machine elsewhere gets no jobs: elsewhere does not see the server's folder" in server.log, lambda: server.log)
        assert ask(server, "GET", "/v1/engine")["devices"] == before
    finally:
        elsewhere.kill()
        elsewhere.wait()


def serve(folder: Path, *flags: str, code: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(["-c", code] if code else ["-m", "engine"]), "serve", "--executor", "ray", "--folder", str(folder),
               "--port", "0", *flags]
    return subprocess.run(command, cwd=ROOT, env={**os.environ, "SPLATWRIGHT_TOKEN": TOKEN, **variables}, capture_output=True, text=True,
                          timeout=60)


def test_what_serve_refuses(machines: Machines, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"127.0.0.1:{free.getsockname()[1]}"
    for address, word in ((closed, "No Ray cluster answers"), ("nonsense", "no address"), ("ray://10.0.0.1:1", "no address"),
                          ("no-such-host.invalid:6379", "No Ray cluster answers"), ("127.0.0.1:99999", "No Ray cluster answers")):
        done = serve(tmp_path, "--ray-address", address)
        assert done.returncode == 1 and word in done.stderr and "ray start" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_without_ray_the_server_says_how_to_get_it(tmp_path: Path) -> None:
    code = "import sys; sys.modules['ray'] = None; from engine.cli.main import run; sys.exit(run(sys.argv[1:]))"
    done = serve(tmp_path, code=code)
    assert done.returncode == 1 and "pip install 'splatwright[ray]'" in done.stderr and "Traceback" not in done.stderr, done.stderr


def test_another_version_of_ray_is_named(machines: Machines, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import ray\nray.__version__ = '1.2.3'\n")
    done = serve(tmp_path / "s", "--ray-address", machines.address, PYTHONPATH=str(tmp_path))
    assert done.returncode == 1 and "this engine Ray 1.2.3" in done.stderr and "same versions" in done.stderr, done.stderr


def test_a_cluster_that_keeps_silent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from engine.server.cluster import executor

    monkeypatch.setattr(executor, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(UserError, match="does not answer this computer"):
        executor.RayExecutor(f"127.0.0.1:{silent.getsockname()[1]}", tmp_path)


def test_a_supervisor_that_is_let_go_ends_all(dataset: Path, tmp_path: Path) -> None:
    job = JobFolder(tmp_path / "job – 仕事")
    job.write_spec(JobSpec(dataset, ENDLESS))
    supervisor = subprocess.Popen([sys.executable, "-m", "engine.server.cluster.supervised_worker", str(job.path)], cwd=ROOT,
                             stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait(lambda: any(isinstance(event, Started) for event in job.read_events()[0]))
    pid = job.worker_pid() or 0
    assert supervisor.stdin and supervisor.stdout and process_exists(pid)
    supervisor.stdin.close()
    assert supervisor.stdout.read() == b"-9"
    supervisor.wait()
    assert not process_exists(pid) and job.worker_pid() is None and not running(str(job.path))


def test_descendants_in_sessions_of_their_own_end_too() -> None:
    code = ("import subprocess, time; from engine.server.cluster.supervised_worker import *; "
            "ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);"
            "subprocess.Popen(['sh', '-c', 'setsid sleep 98765 & exit']).wait(); time.sleep(0.3);"
            "found = descendants(os.getpid()); end_descendants(); print(len(found), len(descendants(os.getpid())))")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["1", "0"] and not running("sleep 98765"), done.stderr
