"""Work in steps, so that Blender answers meanwhile: generators that yield the share that is done, or None while a thread is at work."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

WAIT_SECONDS = 0.001
"""Between two looks at a thread, for those who have nothing else to do."""

Result = TypeVar("Result")
Steps = Generator[float | None, None, Result]


def in_thread(work: Callable[[], Result]) -> Steps[Result]:
    """The result of work in a thread, which may touch no Blender data; its errors are raised here. Closed early it is forgotten."""
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="splatwright-work")
    answer = executor.submit(work)
    executor.shutdown(wait=False)
    while not answer.done():
        yield None
    return answer.result()


def advance(steps: Steps[Result], seconds: float) -> float | None:
    """Take steps for about so many seconds, or until they wait for a thread; what the last one yielded. StopIteration at the end."""
    end = time.perf_counter() + seconds
    while (share := next(steps)) is not None and time.perf_counter() < end:
        pass
    return share


def run_to_end(steps: Steps[Result]) -> Result:
    """Take all steps at once, and wait where they do."""
    while True:
        try:
            if next(steps) is None:
                time.sleep(WAIT_SECONDS)
        except StopIteration as end:
            return end.value
