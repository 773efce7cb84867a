"""Uploads that meet each other."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.server.quota import Quota
from engine.server.refusal import Refused
from engine.server.uploads import BLOCK, Limits, Part, Uploads


def test_a_file_that_two_send_at_once_gets_its_name_when_it_is_whole(tmp_path: Path) -> None:
    """The first has sent all and has only to end when the second begins anew in the same place."""
    data = os.urandom(2 * BLOCK)
    name = hashlib.sha256(data).hexdigest()
    uploads = Uploads(tmp_path / "blobs", Limits(10**9, 10**9, 0), Quota(tmp_path / "jobs"))

    async def meet() -> None:
        written, overtaken, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

        async def first() -> AsyncIterator[bytes]:
            yield data[:BLOCK]
            yield data[BLOCK:]
            written.set()
            await overtaken.wait()

        async def second() -> AsyncIterator[bytes]:
            yield data[:BLOCK]
            overtaken.set()
            await ended.wait()
            yield data[BLOCK:]

        one = asyncio.create_task(uploads.receive(name, Part(0, len(data)), first()))
        await written.wait()
        other = asyncio.create_task(uploads.receive(name, Part(0, len(data)), second()))
        with pytest.raises(Refused, match="being sent again"):
            await one
        assert uploads.size(name) is None
        ended.set()
        assert await other == len(data)

    asyncio.run(meet())
    assert uploads.path(name).read_bytes() == data
