"""What the server and the process that speaks with Ray tell each other."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

CORES = 4
"""Processor cores of a job where no machine of the cluster has a graphics card."""


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
class Sight:
    """The cluster at a moment: its machines, the job folders with a worker, and how many requests had been heard."""

    nodes: tuple[Node, ...] = ()
    workers: frozenset[Path] = field(default_factory=frozenset)
    heard: int = 0


@dataclass(frozen=True)
class Problem:
    """Why there is no connection."""

    message: str
    hint: str


@dataclass(frozen=True)
class Slot:
    """Room for a job: a graphics card of a machine, or some of its cores."""

    node: Node
    number: int
    cores: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """As the server and its clients call it; the same as long as the machine belongs to the cluster."""
        return f"{self.node.name}-{self.node.id[:6]}/{'cpu' if self.cores else 'gpu'}{self.number}"


def slots(nodes: tuple[Node, ...]) -> dict[str, Slot]:
    """Room on all usable machines, by name: their graphics cards, or CORES a job where there is none."""
    usable = [node for node in nodes if node.usable]
    of = card_slots if any(node.cards for node in usable) else core_slots
    return {slot.name: slot for node in usable for slot in of(node)}


def card_slots(node: Node) -> list[Slot]:
    """One for each graphics card."""
    return [Slot(node, number) for number in range(node.cards)]


def core_slots(node: Node) -> list[Slot]:
    """One for each CORES cores; one for all where there are fewer."""
    each = min(CORES, node.cores)
    return [Slot(node, number, tuple(range(number * each, (number + 1) * each))) for number in range(node.cores // each if each else 0)]
