"""What goes on beside Blender, in a thread or in a process of its own: a timer looks at it and draws the panels anew."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import bpy

from .redraw import redraw_sidebars

TICK_SECONDS = 0.2

Tick = Callable[[], float | None]
"""What a timer calls; the seconds to the next call, None when none is needed."""


class Work(Protocol):
    """Something that was begun and comes to its end by itself."""

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        ...

    def follow(self) -> None:
        """Take in what is new; called in the main thread."""

    def stop(self) -> None:
        """End it, if it still runs; nobody wants to know any more."""


Answer = TypeVar("Answer")
Kind = TypeVar("Kind", bound=Work)


class ThreadWork(Generic[Answer]):
    """A function that runs in a thread, and so may touch no Blender data. `answer` is what it returned, None before it has."""

    def __init__(self, ask: Callable[[], Answer]):
        self.answer: Answer | None = None
        self._ask = ask
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def follow(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def join(self) -> None:
        """Wait for the answer, in scripts."""
        self._thread.join()

    def _run(self) -> None:
        self.answer = self._ask()


class BackgroundTask(Generic[Kind]):
    """Follows one piece of work at a time and keeps what came of it until the next one; it ends with the extension.

    `poll` is what the timer calls. `begin` begins the work when a panel wants to know of it, `ended` is called when it has ended by itself.
    """

    def __init__(self, begin: Callable[[], object] | None = None, ended: Callable[[], object] | None = None):
        self.work: Kind | None = None
        self.poll: Tick = self._poll  # a timer is known by its function, and each look at a method makes another one
        self._begin, self._ended = begin, ended
        _tasks.append(self)

    @property
    def running(self) -> bool:
        """Whether the work is under way."""
        return self.work is not None and self.work.running

    def start(self, work: Kind) -> Kind:
        """Follow this work from here on; what was followed before is stopped."""
        if self.work is not None:
            self.work.stop()
        self.work = work
        start_timer(self.poll, TICK_SECONDS)
        return work

    def want(self) -> None:
        """Let the work begin as soon as Blender has time, unless there was some. Panels call this: they must not begin anything."""
        if self.work is None:
            start_timer(self.poll, TICK_SECONDS)

    def forget(self) -> None:
        """End what still runs, and know nothing."""
        if self.work is not None:
            self.work.stop()
        self.work = None
        redraw_sidebars()

    def close(self) -> None:
        """As forget(), and nothing ticks any more."""
        stop_timers(self.poll)
        self.forget()

    def _poll(self) -> float | None:
        if self.work is None and self._begin is not None:
            self._begin()
        if self.work is None:
            return None
        self.work.follow()
        running = self.work.running
        if not running and self._ended is not None:
            self._ended()
        redraw_sidebars()
        return TICK_SECONDS if running else None


_tasks: list[BackgroundTask[Any]] = []


def start_timer(tick: Tick, seconds: float) -> None:
    """Let Blender call a function from so many seconds on, unless it does already; opening another file changes nothing about it."""
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=seconds, persistent=True)


def stop_timers(*ticks: Tick) -> None:
    """Let Blender call these functions no more."""
    for tick in ticks:
        if bpy.app.timers.is_registered(tick):
            bpy.app.timers.unregister(tick)


def register() -> None:
    pass


def unregister() -> None:
    """Nothing goes on when the extension is gone."""
    for task in _tasks:
        task.close()
