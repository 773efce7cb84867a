"""Jobs on the machines of a Ray cluster that share the server's folder."""

from __future__ import annotations

import importlib.util
import logging
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path

from ...core.errors import UserError
from ...jobs.local_engine import JobState
from ...jobs.processes import at_work
from ..app import version
from ..executors import Executor, Job
from .messages import ClusterSnapshot, Code, Kill, Node, Problem, Start
from .slots import Slot, best, slots

log = logging.getLogger("splatwright.server")

CONNECT_SECONDS = 30.0
KILL_SECONDS = 10.0
OTHERS_SECONDS = 10.0
RECONNECT_SECONDS = 2.0


class RayExecutor(Executor):
    """Workers on a Ray cluster. What is known of it is the last snapshot that the process beside this one, its driver, told."""

    def __init__(self, address: str, folder: Path):
        """Join the cluster; UserError when that cannot be, or when no machine of it can run jobs."""
        check_system()
        self.address, self.folder = address, folder
        self._changed = threading.Condition()
        self._snapshot = ClusterSnapshot()
        self._asked: dict[Path, int] = {}
        self._condemned: set[Path] = set()
        self._requests = 0
        self._connect()
        self._wait_for_nodes()
        threading.Thread(target=self._follow, name="cluster", daemon=True).start()

    @property
    def devices(self) -> tuple[str, ...]:
        return tuple(slots(self._snapshot.nodes))

    def choose(self, count: int, free: tuple[str, ...]) -> tuple[str, ...]:
        """On the machine with the most room; several cards must be those of one machine."""
        return tuple(slot.name for slot in best(self._slots(free), count))

    def start(self, job: Job, devices: tuple[str, ...]) -> None:
        given = self._slots(devices)
        if not given:
            return  # the machine left a moment ago: the queue sees a job without a worker and chooses again
        path = path_of(job)
        cards = 0 if given[0].cores else len(given)
        with self._changed:
            self._condemned.discard(path)
            self._asked[path] = self._ask(Start(path, given[0].node.id, cards, given[0].cores))

    def state(self, job: Job) -> JobState:
        return job.client.state(job.name, self._has_worker(path_of(job)))

    def kill(self, job: Job) -> None:
        if self._has_worker(path_of(job)):
            self._kill(path_of(job))
            wait_until(lambda: not at_work(job.client.engine.folder(job.name)), KILL_SECONDS)
        else:
            job.client.engine.kill(job.name)  # a worker from before there was a cluster

    def _kill(self, path: Path) -> None:
        """Have a worker killed, and killed again for as long as it is seen; wait a while for its end."""
        with self._changed:
            self._condemned.add(path)
            self._ask(Kill(path))
            self._changed.wait_for(lambda: not self._has_worker(path), KILL_SECONDS)

    def _slots(self, devices: tuple[str, ...]) -> list[Slot]:
        """Those of the devices that are still there."""
        known = slots(self._snapshot.nodes)
        return [known[device] for device in devices if device in known]

    def _has_worker(self, path: Path) -> bool:
        """Whether a worker is there, or was asked for and may come."""
        return path in self._snapshot.workers or self._asked.get(path, 0) > self._snapshot.received

    def _ask(self, request: Start | Kill) -> int:
        """Send a request to the driver and return its number. Requests are lost with the driver; callers repeat those without effect."""
        self._requests += 1
        with suppress(OSError):
            self._pipe.send(request)
        return self._requests

    def _connect(self) -> None:
        """Start a driver and wait for its first words; it knows of no requests, and of all workers."""
        context = multiprocessing.get_context("spawn")
        here, there = context.Pipe()
        driver = context.Process(target=_drive, args=(there, self.address, self.folder, code()), name="ray driver", daemon=True)
        driver.start()
        there.close()
        if not here.poll(CONNECT_SECONDS):
            driver.kill()
            raise UserError(f"The Ray cluster at {self.address} does not answer this computer.",
                            f"Make this computer one of its machines: ray start --address {self.address} --num-cpus 0 --num-gpus 0")
        snapshot = self._hear(here)
        with self._changed:
            self._pipe, self._requests = here, 0
            self._asked.clear()
            self._take_in(snapshot)

    def _hear(self, pipe: Connection) -> ClusterSnapshot:
        """The next message of the driver; UserError when it has ended."""
        try:
            said = pipe.recv()
        except (EOFError, OSError):
            raise UserError("Ray ended unexpectedly.", f"The file {self.folder / 'ray.log'} may tell why.") from None
        if isinstance(said, Problem):
            raise UserError(said.message, said.hint)
        return said

    def _take_in(self, snapshot: ClusterSnapshot) -> None:
        with self._changed:
            tell_changes(self._snapshot.nodes, snapshot.nodes)
            self._snapshot = snapshot
            for path in self._condemned & snapshot.workers:
                self._ask(Kill(path))
            self._changed.notify_all()

    def _wait_for_nodes(self) -> None:
        """Until all machines were looked at, or there is room and the others take long; UserError when none of them will do."""
        end = time.monotonic() + OTHERS_SECONDS
        while any(node.problem is None for node in self._snapshot.nodes) and not (self.devices and time.monotonic() > end):
            self._take_in(self._hear(self._pipe))
        problems = [node for node in self._snapshot.nodes if node.problem]
        if problems and not self.devices:
            raise UserError(str(problems[0].problem), problems[0].hint)

    def _follow(self) -> None:
        """Receive the driver's messages and restart it when it ends. Until its first message all workers count as alive."""
        while True:
            try:
                self._take_in(self._hear(self._pipe))
            except UserError as error:
                log.warning("the Ray cluster is lost: %s", error)
                self._reconnect()

    def _reconnect(self) -> None:
        with self._changed:
            self._snapshot = replace(self._snapshot, nodes=())  # no job starts meanwhile
        said = ""
        while True:
            time.sleep(RECONNECT_SECONDS)
            try:
                self._connect()
            except UserError as error:
                if str(error) != said:
                    log.warning("%s", error)
                said = str(error)
            else:
                return log.info("the Ray cluster is back")


def _drive(pipe: Connection, address: str, folder: Path, code: Code) -> None:
    from .driver import drive

    drive(pipe, address, folder, code)


def check_system() -> None:
    """UserError where Ray cannot be used."""
    if not sys.platform.startswith("linux"):
        raise UserError("Ray joins several machines under Linux alone.", "Run the server on a machine with Linux.")
    if importlib.util.find_spec("ray") is None:
        raise UserError("The executor ray needs the package ray.", "Install it with: pip install 'splatwright[ray]'")


def code() -> Code:
    """The engine's code on this computer."""
    package = Path(__file__).resolve().parents[2]
    return Code(str(package.parent), package.name, version())


def path_of(job: Job) -> Path:
    """The job's folder, which all machines know by the same name."""
    return job.client.engine.folder(job.name).path


def tell_changes(before: tuple[Node, ...], after: tuple[Node, ...]) -> None:
    """Log which machines came, went, or cannot be used."""
    known = {node.id: node for node in before}
    for node in after:
        if node.usable and not (node.id in known and known[node.id].usable):
            log.info("machine %s: %d graphics cards, %d cores", node.name, node.cards, node.cores)
        elif node.problem and (node.id not in known or known[node.id].problem != node.problem):
            log.warning("machine %s gets no jobs: %s %s", node.name, node.problem, node.hint)
    for gone in {node.id for node in before} - {node.id for node in after}:
        log.warning("machine %s has left the cluster", known[gone].name)


def wait_until(reached: Callable[[], bool], seconds: float) -> None:
    """Wait, but not longer than so many seconds."""
    end = time.monotonic() + seconds
    while not reached() and time.monotonic() < end:
        time.sleep(0.02)
