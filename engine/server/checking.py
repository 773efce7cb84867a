"""Looking for trouble in a dataset that a client has sent, before a job is made of it."""

from __future__ import annotations

import asyncio
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from fastapi.responses import JSONResponse, Response
from starlette.concurrency import run_in_threadpool

from ..core.errors import UserError
from ..core.files import discard_folder, make_folder
from ..core.processes import Process, end_tree, spawn
from ..core.protocol.events import Failed, Finding, error_of
from ..core.protocol.folder import JobFolder
from ..core.protocol.http_messages import Submission, findings_to_json
from ..core.protocol.spec import JobSpec, kept_below
from .http_errors import Refused
from .quota import INPUT
from .store import CHECKS, Client, link_files
from .turns import LONGEST_SECONDS, POLL_SECONDS, Gone, Turns, stop_when_gone


async def check(client: Client, submission: Submission, turns: Turns, gone: Gone) -> Response:
    """The findings on the dataset of a training; 409 with the files that are missing, 429 when too many of the client's checks wait."""
    if not isinstance(submission.spec, JobSpec):
        raise Refused(422, "Only the dataset of a training can be checked.", "Find the cameras of the photos first.")
    missing = await run_in_threadpool(client.uploads.missing, submission.files)
    if missing:
        return JSONResponse({"missing": [asdict(found) for found in missing]}, 409)
    turns.enter(client)
    try:
        async with turns.turn(client, gone):
            folder = await run_in_threadpool(prepared, client, submission)
            try:
                return JSONResponse(findings_to_json(await findings_of(client, folder, gone)))
            finally:
                await run_in_threadpool(discard_folder, folder.path)
    finally:
        turns.leave(client)


def prepared(client: Client, submission: Submission) -> JobFolder:
    """A job folder for the check, with the files in it."""
    path = Path(tempfile.mkdtemp(dir=make_folder(client.folder / CHECKS))).resolve()
    try:
        with client.changing:
            root = link_files(client.uploads, path / INPUT, submission)
        folder = JobFolder(path)
        folder.write_spec(kept_below(submission.spec, root))
    except BaseException:
        discard_folder(path)
        raise
    return folder


async def findings_of(client: Client, folder: JobFolder, gone: Gone) -> list[Finding]:
    """What a process of its own finds: images that take all its memory do not harm the server, and it ends with the server, with the client
    and after LONGEST_SECONDS. UserError for what is no dataset."""
    command, environment = client.engine.worker_command("--check", str(folder.path))
    process = await run_in_threadpool(lambda: spawn(command, environment=environment, folder=folder.path.parent, output=folder.log,
                                                    what="The engine", tied=True))
    try:
        code = await _ended(process, gone)
    finally:
        if process.poll() is None:
            await asyncio.shield(run_in_threadpool(end_tree, process))
    events = folder.read_events()[0]
    failed = next((event for event in events if isinstance(event, Failed)), None)
    if failed or code:
        raise error_of(failed) if failed else UserError("The dataset could not be checked: the check was ended.",
                                                        "Make the images smaller.", "server.check_ended")
    return [event for event in events if isinstance(event, Finding)]


async def _ended(process: Process, gone: Gone) -> int:
    """The exit status of a check; Refused when it takes too long, or nobody waits for it."""
    until = time.monotonic() + LONGEST_SECONDS
    while (code := process.poll()) is None:
        await stop_when_gone(gone)
        if time.monotonic() > until:
            raise Refused(422, f"The check was ended after {LONGEST_SECONDS:g} seconds.",
                          "Check the dataset on your own computer, or make its images smaller.")
        await asyncio.sleep(POLL_SECONDS)
    return code
