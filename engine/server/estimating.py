"""Trying the training of a dataset that a client has sent, on this machine, before a job is made of it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from pathlib import Path

from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from ..core.errors import values
from ..core.files import discard_folder, make_folder
from ..core.protocol.events import Estimated, Event, Failed, Finding, event_to_json
from ..core.protocol.http_messages import Submission
from ..core.protocol.spec import JobSpec, kept_below
from ..jobs.estimation import Estimation
from .event_stream import POLL_SECONDS, STATUS_SECONDS, data_lines
from .executors import CPU
from .http_errors import Refused
from .idle_shutdown import CostMeter
from .queue import Queue
from .quota import INPUT
from .store import CHECKS, Client, link_files
from .turns import LONGEST_SECONDS, TurnResponse, Turns, never_gone

ALIVE = "event: status\ndata: {}\n\n"
"""Keeps the connection alive while there is nothing to tell."""


class Estimates:
    """Makes one estimate at a time, because two would slow each other down."""

    def __init__(self, queue: Queue, meter: CostMeter, turns: Turns):
        self._queue = queue
        self._meter = meter
        self._turns = turns
        self._turn = asyncio.Lock()

    async def answer(self, client: Client, submission: Submission) -> Response:
        """The events of an estimate as server-sent events; closing the connection ends it. 409 with the files that are missing, 429
        when too many of the client's requests wait."""
        if not isinstance(submission.spec, JobSpec):
            raise Refused(422, "Only a training can be estimated.", "Find the cameras of the photos first.")
        missing = await run_in_threadpool(client.uploads.missing, submission.files)
        if missing:
            return JSONResponse({"missing": [asdict(found) for found in missing]}, 409)
        self._turns.enter(client)
        return TurnResponse(self._stream(client, submission), self._turns, client)

    async def _stream(self, client: Client, submission: Submission) -> AsyncIterator[str]:
        while self._turn.locked() or self._turns.busy(client):
            yield ALIVE
            await asyncio.sleep(STATUS_SECONDS)
        async with self._turn, self._turns.turn(client, never_gone):
            folder = Path(tempfile.mkdtemp(dir=make_folder(client.folder / CHECKS)))
            making: Estimation | None = None
            try:
                making = await run_in_threadpool(self._begin, client, submission, folder)
                async for text in self._told(making):
                    yield text
            finally:  # also when the client has hung up, and nothing may be awaited
                if making is not None:
                    making.stop()
                discard_folder(folder)

    def _begin(self, client: Client, submission: Submission, folder: Path) -> Estimation:
        with client.changing:
            root = link_files(client.uploads, folder / INPUT, submission)
        spec = kept_below(submission.spec, root)
        assert isinstance(spec, JobSpec)
        cards = [device for device in self._queue.executor.devices if device != CPU][: spec.config.gpus]
        return client.engine.estimate(spec, {"CUDA_VISIBLE_DEVICES": ",".join(cards)} if cards else {}, folder)

    async def _told(self, making: Estimation) -> AsyncIterator[str]:
        told, quiet, ended, until = 0, 0.0, False, time.monotonic() + LONGEST_SECONDS
        if self._queue.running:
            yield message(Finding("info", f"The engine is at work on other jobs ({len(self._queue.running)}): without them it is faster.",
                                  "Estimate again when they have ended.", "busy",
                                  code="estimate.engine_busy", values=values(jobs=len(self._queue.running))))
        while not ended:
            ended = not making.running
            events = making.events()
            for event in events[told:]:
                yield message(self._priced(event))
            quiet = quiet + POLL_SECONDS if told == len(events) else 0.0
            told = len(events)
            if quiet >= STATUS_SECONDS:
                yield ALIVE
                quiet = 0.0
            if not ended and time.monotonic() > until:
                yield message(Failed(f"The estimate was ended after {LONGEST_SECONDS:g} seconds.", "Estimate with fewer or smaller images.",
                                     code="estimate.too_long", values=values(seconds=LONGEST_SECONDS)))
                return
            await asyncio.sleep(0 if ended else POLL_SECONDS)

    def _priced(self, event: Event) -> Event:
        if not isinstance(event, Estimated):
            return event
        return replace(event, price_per_hour=self._meter.price.per_hour, currency=self._meter.price.currency)


def message(event: Event) -> str:
    """One server-sent event."""
    return f"event: events\n{data_lines(event_to_json(event).splitlines())}\n"
