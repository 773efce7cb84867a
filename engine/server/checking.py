"""Looking for trouble in a dataset that a client has sent, before a job is made of it."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path

from fastapi.responses import JSONResponse, Response

from ..core.events import NEEDS, Finding
from ..core.files import make_folder
from ..core.job_spec import JobSpec
from ..core.sources import read_dataset
from ..core.wire import Submission, source_of
from ..preflight import check_dataset
from ..preflight.budget import budget_here
from .refusal import Refused
from .store import Client, link_files


def check(client: Client, submission: Submission) -> Response:
    """The findings on the dataset of a training; 409 with the files that are missing."""
    if not isinstance(submission.spec, JobSpec):
        raise Refused(422, "Only the dataset of a training can be checked.", "Find the cameras of the photos first.")
    missing = client.uploads.missing(submission.files)
    if missing:
        return JSONResponse({"missing": [asdict(found) for found in missing]}, 409)
    with tempfile.TemporaryDirectory(dir=make_folder(client.folder / "checks")) as folder:
        root = link_files(client.uploads, Path(folder) / "input", submission)
        dataset = read_dataset(root / source_of(submission.spec))
        needed, costs = budget_here(dataset, submission.spec.config)
        findings = [*check_dataset(dataset), *costs, Finding("info", needed.sentence, kind=NEEDS)]
    return JSONResponse({"findings": [asdict(finding) for finding in findings]})
