"""What goes on beside Blender: started, followed, replaced, forgotten; timers do not ring in tests, which call poll() themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from types import ModuleType

import bpy
import pytest

from ..conftest import module


@pytest.fixture
def background() -> Iterator[ModuleType]:
    made = module("addon.ui.background")
    before = list(made._tasks)
    yield made
    for task in made._tasks[len(before):]:
        task.close()
    made._tasks[:] = before


class Work:
    """Goes on for so many looks."""

    def __init__(self, looks: int = 1000):
        self.looks = looks
        self.stopped = False

    @property
    def running(self) -> bool:
        return self.looks > 0 and not self.stopped

    def follow(self) -> None:
        self.looks -= 1

    def stop(self) -> None:
        self.stopped = True


def test_work_is_followed_to_its_end(background: ModuleType) -> None:
    ends: list[str] = []
    task = background.BackgroundTask(ended=lambda: ends.append("ended"))
    work = task.start(Work(2))
    assert task.running and bpy.app.timers.is_registered(task.poll)
    assert task.poll() == background.TICK_SECONDS and not ends
    assert task.poll() is None and ends == ["ended"]
    assert task.work is work and not task.running  # what came of it is known until the next one


def test_other_work_takes_its_place(background: ModuleType) -> None:
    task = background.BackgroundTask()
    first, second = task.start(Work()), task.start(Work())
    assert first.stopped and not second.stopped and task.work is second
    task.forget()
    assert second.stopped and task.work is None and task.poll() is None


def test_a_panel_wants_to_know(background: ModuleType) -> None:
    begun: list[int] = []
    task = background.BackgroundTask(begin=lambda: (begun.append(1), task.start(Work(2))))
    task.want()
    assert not begun and bpy.app.timers.is_registered(task.poll)  # a panel begins nothing
    assert task.poll() == background.TICK_SECONDS and len(begun) == 1
    assert task.poll() is None
    task.want()
    assert task.poll() is None and len(begun) == 1  # it is known


def test_a_function_runs_in_a_thread(background: ModuleType) -> None:
    go_on = threading.Event()
    task = background.BackgroundTask()
    work = task.start(background.ThreadWork(lambda: go_on.wait(60) and threading.current_thread() is not threading.main_thread()))
    assert task.running and work.answer is None and task.poll() == background.TICK_SECONDS
    go_on.set()
    work.join()
    assert work.answer is True and task.poll() is None


def test_everything_ends_with_the_extension(background: ModuleType) -> None:
    tasks = [background.BackgroundTask() for _ in range(2)]
    works = [task.start(Work()) for task in tasks]
    background.unregister()
    assert all(work.stopped for work in works)
    assert not any(bpy.app.timers.is_registered(task.poll) for task in tasks)


def test_a_timer_is_started_once(background: ModuleType) -> None:
    def tick() -> None:
        pass

    background.start_timer(tick, 100)
    background.start_timer(tick, 100)
    background.stop_timers(tick)
    assert not bpy.app.timers.is_registered(tick)
    background.stop_timers(tick)
