"""Which machine of a cluster gets a job."""

from __future__ import annotations

from engine.server.cluster.messages import Node
from engine.server.cluster.slots import CORES, best, slots


def node(name: str, cards: int, cores: int, problem: str | None = "") -> Node:
    return Node(f"{name}0123456789", name, cards, cores, problem)


def test_cards_alone_count_where_there_are_any() -> None:
    room = slots([node("a", 2, 64), node("b", 0, 64)])
    assert list(room) == ["a-a01234/gpu0", "a-a01234/gpu1"]


def test_cores_are_shared_out() -> None:
    room = slots([node("a", 0, 2 * CORES + 1), node("b", 0, 2), node("c", 0, 0)])
    assert [(slot.node.name, slot.cores) for slot in room.values()] == [("a", (0, 1, 2, 3)), ("a", (4, 5, 6, 7)), ("b", (0, 1))]


def test_machines_in_trouble_have_no_room() -> None:
    assert list(slots([node("a", 1, 1, None), node("b", 1, 1, "b does not see the folder"), node("c", 0, 1)])) == ["c-c01234/cpu0"]


def test_a_job_stays_on_one_machine() -> None:
    room = list(slots([node("a", 1, 1), node("b", 3, 1), node("c", 2, 1)]).values())
    assert [slot.node.name for slot in best(room, 1)] == ["b"]
    assert [slot.name for slot in best(room, 3)] == ["b-b01234/gpu0", "b-b01234/gpu1", "b-b01234/gpu2"]
    assert best(room, 4) == [] and best([], 1) == []


def test_several_slots_of_cores_are_no_cards() -> None:
    room = list(slots([node("a", 0, 64)]).values())
    assert len(best(room, 1)) == 1 and best(room, 2) == []
