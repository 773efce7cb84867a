"""The process that speaks with Ray for the server. Ray ends a process that has lost its cluster, or lets it wait for minutes; a server
must do neither.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import time
from dataclasses import astuple, dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from uuid import uuid4

from ...core.errors import UserError
from ...core.files import make_folder, remove_file, write_text
from . import node_agent
from .messages import ClusterSnapshot, Code, Kill, Node, Problem, Start

NAMESPACE = "splatwright"
LOOK_SECONDS = 0.3
REACH_SECONDS = 5.0
LOOK_AROUND_SECONDS = 90.0
LOOK_AGAIN_SECONDS = 30.0
MOST_CLOCK_SECONDS = 10.0
"""Clocks further apart than this make heartbeats look older than they are."""


def drive(pipe: Connection, address: str, folder: Path, code: Code) -> None:
    """Tell the other end of the pipe what the cluster looks like, again and again, and do what it asks, until it is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C ends the server, and that this process
    with open(folder / "ray.log", "ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        cluster = connect(address, folder, code)
        while True:
            if pipe.poll(LOOK_SECONDS):
                cluster.obey(pipe.recv())
            pipe.send(cluster.snapshot())
    except UserError as error:
        pipe.send(Problem(error.message, error.hint))
    except (EOFError, OSError):
        os._exit(0)  # the server is gone; to say goodbye to Ray would take seconds


def connect(address: str, folder: Path, code: Code) -> Cluster:
    """Join the cluster; UserError when there is none, or when it is of another kind."""
    check_address(address)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    import ray
    from ray import cloudpickle

    cloudpickle.register_pickle_by_value(node_agent)
    try:
        ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise no_connection(address, str(error)) from None
    return Cluster(ray, make_folder(folder / "nodes"), code)


def check_address(address: str) -> None:
    """UserError when nothing listens at an address: Ray would wait two minutes for it."""
    if address == "auto":
        return
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:
        raise UserError(f"{address} is no address of a Ray cluster.", "Give the one that ray start --head printed, as 10.0.0.1:6379.")
    try:
        socket.create_connection((host.strip("[]"), int(port)), REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"No Ray cluster answers at {address}: {error}.",
                        "Start one with: ray start --head --port 6379 --disable-usage-stats") from None


def no_connection(address: str, said: str) -> UserError:
    """The sentence for what Ray says when it cannot join a cluster."""
    versions = re.findall(r"Ray: (\S+)\s+Python: (\S+)", said)
    if "ersion mismatch" in said and len(versions) == 2:
        (theirs, their_python), (ours, our_python) = versions
        return UserError(f"The cluster runs Ray {theirs} with Python {their_python}, this engine Ray {ours} with Python {our_python}.",
                         "Use the same versions of both on all machines.")
    if address == "auto":
        return UserError("No Ray cluster runs on this computer.",
                         "Start one with: ray start --head --disable-usage-stats; or make this computer a machine of another one.")
    return UserError(f"The Ray cluster at {address} cannot be joined: {said.splitlines()[0] if said else 'it says nothing'}",
                     f"Make this computer one of its machines: ray start --address {address} --num-cpus 0 --num-gpus 0")


@dataclass
class ClusterJob:
    """A worker on a machine: the actor that holds it, and its exit status to come."""

    actor: Any
    node: str
    status: Any


@dataclass
class NodeProbe:
    """A machine being looked at."""

    token: str
    answer: Any
    began: float
    """by this computer's clock"""


@dataclass
class Cluster:
    """What is known of the cluster's machines and workers."""

    ray: Any
    place: Path
    """where the server and the machines write to find out whether they see the same folder"""
    code: Code
    received: int = 0
    nodes: dict[str, Node] = field(default_factory=dict)
    _runs: dict[Path, ClusterJob] = field(default_factory=dict)
    _looks: dict[str, NodeProbe] = field(default_factory=dict)
    _looked: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Take up the workers that an earlier server started."""
        for name in self.ray.util.list_named_actors():
            if Path(name).is_relative_to(self.place.parent):
                self._hold(Path(name), self.ray.get_actor(name), "")

    def obey(self, request: Start | Kill) -> None:
        """Do what the server asks for; it sees later what came of it."""
        self.received += 1
        match request:
            case Start():
                self._start(request)
            case Kill(path) if path in self._runs:
                self.ray.kill(self._runs[path].actor)

    def snapshot(self) -> ClusterSnapshot:
        """What the cluster looks like."""
        for path in list(self._runs):
            self._look_after(path)
        living = {found["NodeID"]: found for found in self.ray.nodes() if found["Alive"]}
        self.nodes = {key: self.nodes.get(key) or node_of(found) for key, found in living.items()}
        for node in list(self.nodes.values()):
            self._look_at(node)
        nodes = sorted(self.nodes.values(), key=lambda node: (node.name, node.id))
        return ClusterSnapshot(tuple(nodes), frozenset(self._runs), self.received)

    def _start(self, request: Start) -> None:
        """An actor that outlives this process. One that holds a worker on the folder already is taken instead."""
        made = self.ray.remote(node_agent.SupervisedWorker).options(
            name=str(request.path), lifetime="detached", get_if_exists=True, max_restarts=0,
            num_cpus=len(request.cores), num_gpus=request.cards, scheduling_strategy=self._only(request.node))
        self._hold(request.path, made.remote(str(request.path), request.cards, request.cores, astuple(self.code)), request.node)

    def _hold(self, path: Path, actor: Any, node: str) -> None:
        self._runs[path] = ClusterJob(actor, node, actor.wait.remote())

    def _only(self, node: str) -> Any:
        return self.ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)

    def _look_after(self, path: Path) -> None:
        """Forget a worker that has ended; its machine is looked at again if that was not its own will."""
        run = self._runs[path]
        if not self.ray.wait([run.status], timeout=0)[0]:
            return
        try:
            failed = self.ray.get(run.status) != 0
        except self.ray.exceptions.ActorUnavailableError:  # the connection broke; whether the worker lives is to be seen
            run.status = run.actor.wait.remote()
            return
        except self.ray.exceptions.RayError as error:
            print(f"{path}: {error}", flush=True)
            failed = True
        del self._runs[path]
        self.ray.kill(run.actor)
        if failed:
            self._looked.pop(run.node, None)

    def _look_at(self, node: Node) -> None:
        """Begin to look at a machine that was not looked at or is in trouble, or see what came of it."""
        if node.id in self._looks:
            self._see(node, self._looks[node.id])
        elif node.id not in self._looked or (not node.usable and time.monotonic() - self._looked[node.id] > LOOK_AGAIN_SECONDS):
            token = uuid4().hex
            write_text(self.place / f"{token}.ask", token)
            look = self.ray.remote(node_agent.look).options(num_cpus=0, max_retries=0, scheduling_strategy=self._only(node.id))
            self._looks[node.id] = NodeProbe(token, look.remote(str(self.place), token, astuple(self.code)), time.time())

    def _see(self, node: Node, look: NodeProbe) -> None:
        late = time.time() - look.began > LOOK_AROUND_SECONDS
        if not late and not self.ray.wait([look.answer], timeout=0)[0]:
            return
        problem, hint = self._verdict(node, look)
        self.nodes[node.id] = replace(node, problem=problem, hint=hint)
        self._looked[node.id] = time.monotonic()
        del self._looks[node.id]
        for ending in ("ask", "answer"):
            remove_file(self.place / f"{look.token}.{ending}")

    def _verdict(self, node: Node, look: NodeProbe) -> tuple[str, str]:
        """What a machine says of itself, and what this computer sees of it."""
        try:
            problem, hint = self.ray.get(look.answer, timeout=0)
        except (self.ray.exceptions.RayError, TimeoutError) as error:
            return f"{node.name} does not answer: {str(error).partition(chr(10))[0]}", "Look whether it is up, or run there: ray stop"
        if problem:
            return problem, hint
        answer = self.place / f"{look.token}.answer"
        if not answer.exists():
            return (f"{node.name} has another folder at {self.place.parent} than this computer.",
                    "Mount the same one there, or give --folder a folder that all machines share.")
        written = answer.stat().st_mtime
        if not look.began - MOST_CLOCK_SECONDS < written < time.time() + MOST_CLOCK_SECONDS:
            return (f"The clock of {node.name} is {abs(time.time() - written):.0f} seconds away from this computer's.",
                    "Let all machines set their clocks over the network, for instance with chrony.")
        return "", ""


def node_of(found: dict[str, Any]) -> Node:
    """A machine as Ray describes it."""
    room = found["Resources"]
    return Node(found["NodeID"], found["NodeManagerHostname"], int(room.get("GPU", 0)), int(room.get("CPU", 0)))
