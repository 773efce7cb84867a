"""Files that are sent twice, or were cut at their very end."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.core.protocol.config import TrainConfig
from engine.core.protocol.folder import JobSpec
from engine.jobs.local_engine import JobState
from engine.remote.engine import RemoteEngine
from engine.server.http_errors import Refused
from engine.server.quota import Quota
from engine.server.uploads import BLOCK, Limits, UploadPart, Uploads
from tests.server.serving import Server, wait_for


@pytest.mark.parametrize("tail", [b"", b"end"])
def test_the_newest_request_wins(tmp_path: Path, tail: bytes) -> None:
    """The first has sent all, or all but the end, when the second begins: it must not give its name to what the second one writes."""
    data = b"x" * BLOCK + tail
    name = hashlib.sha256(data).hexdigest()
    uploads = Uploads(tmp_path, Limits(10 * BLOCK, 10 * BLOCK, 0), Quota(tmp_path / "jobs"))

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

        one = asyncio.create_task(uploads.receive(name, UploadPart(0, len(data)), first()))
        await begun.wait()
        other = asyncio.create_task(uploads.receive(name, UploadPart(0, len(data)), second()))
        with pytest.raises(Refused, match="being sent again"):
            await one
        assert uploads.size(name) is None
        second_ends.set()
        assert await other == len(data)

    asyncio.run(asyncio.wait_for(both(), 20))
    assert uploads.path(name).read_bytes() == data


def test_a_file_that_was_cut_before_it_got_its_name(server: Server, tmp_path: Path, dataset: Path) -> None:
    """As a server leaves it that is killed after the last byte: all of it there, or as much of something else."""
    blobs = server.jobs().parent / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(sorted(dataset.rglob("*.png"))[:2]):
        data = image.read_bytes()
        (blobs / hashlib.sha256(data).hexdigest()).unlink(missing_ok=True)
        (blobs / f"{hashlib.sha256(data).hexdigest()}.part").write_bytes(data if number else bytes(len(data)))
    engine = RemoteEngine(tmp_path / "copies", server.address())
    job = engine.submit(JobSpec(dataset, TrainConfig(max_steps=20, max_gaussians=600, resolution=64, threads=1)))
    wait_for(engine, job, JobState.FINISHED)
    engine.close()
