"""The order in which splats are drawn, and the thread that finds it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests.blender.conftest import module


@pytest.fixture(scope="module")
def order() -> ModuleType:
    return module("addon.viewport.order")


class Waiting(Executor):
    """Does what it is told when it is told."""

    def __init__(self) -> None:
        self.jobs: list[Callable[[], None]] = []

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **options: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.jobs.append(lambda: future.set_result(work(*arguments, **options)))
        return future


def request(order: ModuleType, angle: float = 0.0, layout: str = "all", counts: tuple[int, ...] = (40, 60)) -> Any:
    """Parts at random places seen from a direction."""
    rng = np.random.default_rng(0)
    row = np.array([np.cos(angle), np.sin(angle), 0.2, 5.0])
    first = [0, *np.cumsum(counts)[:-1].tolist()]
    clouds = [rng.normal(size=(count, 3)).astype(np.float32) for count in counts]
    parts = tuple(order.SortedPart(means, start, row) for means, start in zip(clouds, first, strict=True))
    return order.SortRequest(layout, parts, True)


@given(arrays(np.float32, st.integers(0, 200), elements=st.floats(-50, 1000, width=32)), st.booleans())
def test_the_farthest_come_first(depths: np.ndarray, perspective: bool) -> None:
    order = module("addon.viewport.order")
    found = order.depth_order(depths, perspective)
    assert sorted(found.tolist()) == list(range(len(depths)))
    values = np.log(np.maximum(depths, order.nearest_depth(depths))) if perspective else depths
    if len(depths):
        assert np.diff(values[found]).max(initial=0.0) <= (values.max() - values.min()) / 60_000


def test_a_tiny_scene_is_sorted(order: ModuleType) -> None:
    depths = np.linspace(2e-6, 3e-6, 1000).astype(np.float32)
    assert order.depth_order(depths, True).tolist() == list(range(999, -1, -1))


def test_one_floater_far_away_does_not_blur_the_order(order: ModuleType) -> None:
    depths = np.append(np.linspace(2, 3, 1000), 1e5).astype(np.float32)
    assert order.depth_order(depths, True).tolist() == list(range(1000, -1, -1))


def test_entries_name_row_and_part(order: ModuleType) -> None:
    asked = request(order)
    entries = order.sort(asked).entries
    assert entries.shape == (100, 2) and entries.dtype == np.float32 and sorted(entries[:, 0]) == list(range(100))
    assert np.array_equal(entries[:, 1], entries[:, 0] >= 40)
    depths = np.concatenate([part.means @ part.depth_row[:3] + part.depth_row[3] for part in asked.parts])
    assert np.diff(depths[entries[:, 0].astype(int)]).max() < 1e-3


def test_a_view_that_stands_still_is_sorted_once(order: ModuleType) -> None:
    executor = Waiting()
    sorter = order.DepthSorter(executor)
    first = sorter.newest(request(order))
    assert sorter.newest(request(order)) is first and not executor.jobs and not sorter.is_busy


def test_sorts_never_queue_up_and_the_newest_finished_order_is_used(order: ModuleType) -> None:
    executor = Waiting()
    sorter = order.DepthSorter(executor)
    first = sorter.newest(request(order))
    for step in range(1, 10):
        assert sorter.newest(request(order, 0.1 * step)) is first
    assert len(executor.jobs) == 1 and sorter.is_busy and not sorter.take()
    executor.jobs.pop()()
    second = sorter.newest(request(order, 0.9))
    assert second is not first and second.request.has_same_depths(request(order, 0.1))
    assert len(executor.jobs) == 1, "the view has moved on meanwhile"
    executor.jobs.pop()()
    assert sorter.take() and not sorter.is_busy
    assert sorter.newest(request(order, 0.9)).request.has_same_depths(request(order, 0.9)) and not executor.jobs


def test_other_splats_are_sorted_at_once_and_late_orders_are_dropped(order: ModuleType) -> None:
    executor = Waiting()
    sorter = order.DepthSorter(executor)
    sorter.newest(request(order))
    sorter.newest(request(order, 1.0))
    other = sorter.newest(request(order, 1.0, "others", (30,)))
    assert len(other.entries) == 30
    executor.jobs.pop()()
    assert sorter.take() and sorter.newest(request(order, 1.0, "others", (30,))) is other


def test_the_thread_sorts(order: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    sort, threads = order.sort, []
    monkeypatch.setattr(order, "sort", lambda asked: (threads.append(threading.get_ident()), sort(asked))[1])
    with ThreadPoolExecutor(1) as executor:
        sorter = order.DepthSorter(executor)
        sorter.newest(request(order))
        sorter.newest(request(order, 1.0))
    assert threads[0] == threading.get_ident() != threads[1]
    assert sorter.take() and sorter.newest(request(order, 1.0)).request.has_same_depths(request(order, 1.0))
