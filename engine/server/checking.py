"""Looking for trouble in a dataset that a client has sent, before a job is made of it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

from fastapi.responses import JSONResponse, Response

from ..core.errors import UserError
from ..core.files import make_folder
from ..core.processes import run
from ..core.protocol.events import Failed, Finding, error_of
from ..core.protocol.folder import JobFolder
from ..core.protocol.http_messages import Submission, findings_to_json
from ..core.protocol.spec import JobSpec, source_of
from .http_errors import Refused
from .quota import INPUT
from .store import Client, link_files


def check(client: Client, submission: Submission) -> Response:
    """The findings on the dataset of a training; 409 with the files that are missing."""
    if not isinstance(submission.spec, JobSpec):
        raise Refused(422, "Only the dataset of a training can be checked.", "Find the cameras of the photos first.")
    missing = client.uploads.missing(submission.files)
    if missing:
        return JSONResponse({"missing": [asdict(found) for found in missing]}, 409)
    with tempfile.TemporaryDirectory(dir=make_folder(client.folder / "checks")) as name:
        folder = JobFolder(Path(name).resolve())
        root = link_files(client.uploads, folder.path / INPUT, submission)
        folder.write_spec(replace(submission.spec, dataset=root / source_of(submission.spec)))
        findings = findings_of(client, folder)
    return JSONResponse(findings_to_json(findings))


def findings_of(client: Client, folder: JobFolder) -> list[Finding]:
    """What a process of its own finds: images that take all its memory do not harm the server,
    and Ctrl+C ends it with the server. UserError for what is no dataset."""
    command, environment = client.engine.worker_command("--check", str(folder.path))
    done = run(command, environment=environment, folder=folder.path, what="The engine", own_group=False)
    events = folder.read_events()[0]
    failed = next((event for event in events if isinstance(event, Failed)), None)
    if failed or done.returncode:
        raise error_of(failed) if failed else UserError("The dataset could not be checked: the check was ended.",
                                                        "Make the images smaller.", "server.check_ended")
    return [event for event in events if isinstance(event, Finding)]
