"""A job's events as server-sent events. Each message holds whole events and the place to go on from."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable

from ..core.protocol.event_lines import newest_lines
from ..core.protocol.folder import JobFolder
from ..core.protocol.http_messages import JobStatus, status_to_json

POLL_SECONDS = 0.2
STATUS_SECONDS = 1.0
"""Seconds between status messages when nothing happens; they also keep the connection alive."""

READ_AT_ONCE = 64 * 1024


async def event_stream(job: JobFolder, cursor: int, status: Callable[[], JobStatus]) -> AsyncIterator[str]:
    """Messages `event: events` (JSON lines, `id` is the next cursor) and `event: status`, until the job has ended.

    The state is taken before the events are read: after the last status nothing is left unread.
    """
    sent, quiet = None, STATUS_SECONDS
    while True:
        now = await asyncio.to_thread(status)
        while True:
            text, after = await asyncio.to_thread(_read, job, cursor)
            if after == cursor:
                break
            cursor = after
            if text:
                yield f"id: {cursor}\nevent: events\n{text}\n"
        quiet += POLL_SECONDS
        if quiet >= STATUS_SECONDS or sent is None or now.state != sent.state:
            yield f"event: status\ndata: {json.dumps(status_to_json(now))}\n\n"
            sent, quiet = now, 0.0
        if now.state in ("finished", "failed", "interrupted"):
            return
        await asyncio.sleep(POLL_SECONDS)


def _read(job: JobFolder, cursor: int) -> tuple[str, int]:
    """The next events, as they were written, as the lines of a message, and the place after them."""
    lines, after = job.read_lines(cursor, READ_AT_ONCE)
    return data_lines(newest_lines(lines)), after


def data_lines(lines: list[str]) -> str:
    """The lines of a message that holds these lines."""
    return "".join(f"data: {line}\n" for line in lines)
