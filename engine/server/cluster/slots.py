"""Room for jobs on the machines of a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from .messages import Node

CORES = 4
"""Processor cores of a job where no machine of the cluster has a graphics card."""


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


def slots(nodes: Iterable[Node]) -> dict[str, Slot]:
    """Room on all usable machines, by name: their graphics cards, or CORES cores a job where there is no card at all."""
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


def best(free: Iterable[Slot], count: int) -> list[Slot]:
    """So many slots for one job, all of the machine with the most room; several must be graphics cards. None when there is no room."""
    room = [slot for slot in free if count == 1 or not slot.cores]
    machines = [list(group) for _, group in groupby(sorted(room, key=lambda slot: slot.node.id), lambda slot: slot.node.id)]
    most = max(machines, key=len, default=[])
    return most[:count] if len(most) >= count else []
