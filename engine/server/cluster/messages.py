"""What the server and the process that speaks with Ray tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Code:
    """The engine's code: where it lies on this computer, which other machines may see under the same path, and its version."""

    folder: str
    package: str
    version: str


@dataclass(frozen=True)
class Node:
    """A machine of the cluster. `problem` is None until it was looked at, and empty where jobs can run."""

    id: str
    name: str
    cards: int
    cores: int
    problem: str | None = None
    hint: str = ""

    @property
    def usable(self) -> bool:
        return self.problem == ""


@dataclass(frozen=True)
class Start:
    """Start a worker on the job folder `path`: on one machine, with so many graphics cards, or on these of its cores."""

    path: Path
    node: str
    cards: int
    cores: tuple[int, ...]


@dataclass(frozen=True)
class Kill:
    """End the worker on the job folder `path`."""

    path: Path


@dataclass(frozen=True)
class ClusterSnapshot:
    """The cluster at a moment: its machines, the job folders with a worker, and how many requests had been heard."""

    nodes: tuple[Node, ...] = ()
    workers: frozenset[Path] = field(default_factory=frozenset)
    received: int = 0


@dataclass(frozen=True)
class Problem:
    """Why there is no connection."""

    message: str
    hint: str
