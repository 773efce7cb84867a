"""Cores for measurements: threads stay where they are put, so that a scheduler's mood does not enter the figures."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TASKS = Path("/proc/self/task")


AVAILABLE = tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else tuple(range(os.cpu_count() or 1))
"""The cores that this process may use."""


@contextmanager
def one_each() -> Iterator[None]:
    """Threads that are started within stay on the second core and those after it, in turn. Linux alone; nothing elsewhere."""
    before = _tasks()
    yield
    for number, task in enumerate(sorted(_tasks() - before)):
        with suppress(OSError):  # it has ended already
            os.sched_setaffinity(task, {AVAILABLE[(number + 1) % len(AVAILABLE)]})


def _tasks() -> set[int]:
    return {int(name) for name in os.listdir(TASKS)} if TASKS.exists() else set()


@contextmanager
def first() -> Iterator[None]:
    """The calling thread stays on the first core; afterwards it may use all again."""
    pin = getattr(os, "sched_setaffinity", lambda process, cores: None)
    pin(0, {AVAILABLE[0]})
    yield
    pin(0, set(AVAILABLE))
