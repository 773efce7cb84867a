"""Threads for decoding and encoding, which leave Python's lock to others."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from os import cpu_count

MOST = 4
"""Photos decoded at a time: each may need some hundred megabytes."""


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    """A pool of threads; work that has not begun is cancelled at the end of the with block."""
    pool = ThreadPoolExecutor(min(MOST, cpu_count() or 1))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
