"""Whose check or estimate is at work: one for each client, while a few more of its own wait. None takes longer than it may."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fastapi.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from .http_errors import Refused
from .store import Client

MOST_WAITING = 4
LONGEST_SECONDS = 120.0
POLL_SECONDS = 0.1
HUNG_UP = 499

Gone = Callable[[], Awaitable[bool]]
"""Whether the client has hung up."""


@dataclass
class Turns:
    """Who is at work and who waits. Used in the event loop alone."""

    _asked: Counter[Path] = field(default_factory=Counter)
    _locks: dict[Path, asyncio.Lock] = field(default_factory=dict)

    def enter(self, client: Client) -> None:
        """Take in a request; Refused when as many of the client wait as may."""
        if self._asked[client.folder] > MOST_WAITING:
            raise Refused(429, f"A check or an estimate of yours is at work, and {MOST_WAITING} more wait.",
                          "Ask again when they have ended.")
        self._asked[client.folder] += 1

    def leave(self, client: Client) -> None:
        """The request has its answer, or nobody waits for it any more."""
        self._asked[client.folder] -= 1
        if not self._asked[client.folder]:
            del self._asked[client.folder]
            self._locks.pop(client.folder, None)

    def busy(self, client: Client) -> bool:
        """Whether one of the client's requests is at work."""
        lock = self._locks.get(client.folder)
        return lock is not None and lock.locked()

    @asynccontextmanager
    async def turn(self, client: Client, gone: Gone) -> AsyncIterator[None]:
        """Waits until none of the client's other requests is at work. Refused, which nobody hears, when the client has hung up."""
        lock = self._locks.setdefault(client.folder, asyncio.Lock())
        while lock.locked():
            await stop_when_gone(gone)
            await asyncio.sleep(POLL_SECONDS)
        async with lock:
            yield


async def stop_when_gone(gone: Gone) -> None:
    """Refused when the client has hung up: nothing more is done for it."""
    if await gone():
        raise Refused(HUNG_UP, "The client has hung up.")


async def never_gone() -> bool:
    """For a streamed answer, which ends by itself with its connection."""
    return False


class TurnResponse(StreamingResponse):
    """Server-sent events for a request that entered; it leaves however the answer ends, also when nobody takes it."""

    def __init__(self, stream: AsyncIterator[str], turns: Turns, client: Client):
        super().__init__(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        self._turns, self._client = turns, client

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._turns.leave(self._client)
