"""Two requests that bring the same file at the same time."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.server.refusal import Refused
from engine.server.uploads import BLOCK, Limits, Part, Uploads


@pytest.mark.parametrize("tail", [b"", b"end"])
def test_the_newest_request_wins(tmp_path: Path, tail: bytes) -> None:
    """The first has sent all, or all but the end, when the second begins: it must not give its name to what the second one writes."""
    data = b"x" * BLOCK + tail
    name = hashlib.sha256(data).hexdigest()
    uploads = Uploads(tmp_path, Limits(10 * BLOCK, 10 * BLOCK, 0))

    async def both() -> None:
        begun, first_ends, second_ends = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def first() -> AsyncIterator[bytes]:
            yield data[:BLOCK]
            begun.set()
            await first_ends.wait()
            yield tail

        async def second() -> AsyncIterator[bytes]:
            yield data[:BLOCK]
            first_ends.set()
            await second_ends.wait()
            yield tail

        one = asyncio.create_task(uploads.receive(name, Part(0, len(data)), first()))
        await begun.wait()
        other = asyncio.create_task(uploads.receive(name, Part(0, len(data)), second()))
        with pytest.raises(Refused, match="being sent again"):
            await one
        assert uploads.size(name) is None
        second_ends.set()
        assert await other == len(data)

    asyncio.run(asyncio.wait_for(both(), 20))
    assert uploads.path(name).read_bytes() == data
