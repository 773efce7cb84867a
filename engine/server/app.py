"""The engine's HTTP interface."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from ..core.errors import UserError
from ..core.protocol.folder import PROTOCOL
from ..core.protocol.http_messages import (
    OFFSET_HEADER,
    JobStatus,
    Submission,
    checked_hash,
    checked_job,
    checked_path,
    status_to_json,
    submission_from_json,
)
from ..jobs.local_engine import JobState, said_last_word
from .checking import check
from .engine_budget import EngineBudget
from .estimating import Estimates
from .event_stream import event_stream
from .executors import Job
from .http_errors import Refused
from .idle_shutdown import CostMeter
from .middleware import JOB_BODY, SMALL_BODY, log, refusal, takes
from .queue import Queue
from .ranges import file_response
from .store import Client, Store
from .turns import Turns
from .uploads import part_of

LAST_BYTE = 2**53
MOST_LEVELS = 32
CONTROLS = ("run", "pause", "stop", "kill")


@dataclass
class Service:
    """What the routes work with."""

    store: Store
    queue: Queue
    meter: CostMeter
    budget: EngineBudget
    turns: Turns = field(default_factory=Turns)
    estimates: Estimates = field(init=False)

    def __post_init__(self) -> None:
        self.estimates = Estimates(self.queue, self.meter, self.turns)

    @property
    def note(self) -> str:
        """What the machine costs and how much of its budget is spent."""
        return ", ".join(text for text in (self.meter.sentence(), self.budget.sentence()) if text)

    def sized(self, job: Job, positions: dict[Job, int]) -> JobStatus:
        """How a job stands, and how much of the disk it takes."""
        return replace(self.status(job, positions), size=job.client.size(job.name))

    def status(self, job: Job, positions: dict[Job, int] | None = None) -> JobStatus:
        """How a job stands."""
        position = (self.queue.positions() if positions is None else positions).get(job)
        if position is not None:
            waits = f"{position} jobs wait before this one" if position else "next in the queue"
            if self.budget.ended:
                waits = f"the engine's budget is spent ({self.budget.spent()}): the job waits until it is started with a larger one"
            return JobStatus(job.name, "queued", position, note=waits, alarm=self.budget.shutdown.alarm)
        state = self.queue.state(job)
        silence = job.client.engine.silence(job.name) if self.queue.has(job) else 0.0
        return JobStatus(job.name, state.value, 0, silence, self.note if state.alive else "", alarm=self.budget.shutdown.alarm)

    def submit(self, client: Client, name: str, submission: Submission) -> Response:
        """Take a job in once all its files are there; else say which are missing.

        One that waits or runs is left as it is, unless its worker has said its last word: then it runs once more, with these settings.
        """
        self.budget.check()
        room_for(client, submission)
        with client.changing:
            missing = client.uploads.missing(submission.files)
            if missing:
                return JSONResponse({"missing": [asdict(found) for found in missing]}, 409)
            client.uploads.make_room(0)
            job = Job(client, name)
            if client.has(name) and self.queue.has(job) and not said_last_word(client.job(name)):
                return JSONResponse(status_to_json(self.status(job)))
            client.place(name, submission)
            self.queue.add(job, submission.priority)
            return JSONResponse(status_to_json(self.status(job)), 201)

    def control(self, job: Job, control: str) -> JobStatus:
        """Run, pause, stop, or end at once. A job that rests needs its turn to go on, and to write its result when it is stopped."""
        folder = job.client.job(job.name)
        if control == "kill" or (control == "stop" and job in self.queue.waiting):
            self.queue.drop(job)
            folder.set_control("run")  # when it is resumed
            return self.status(job)
        wakes = control == "run" or (control == "stop" and self.queue.state(job) is JobState.PAUSED)
        if wakes:
            self.budget.check()
        folder.set_control(control)  # type: ignore[arg-type]
        if wakes:
            folder.read_any()
            self.queue.add(job)
        return self.status(job)

    def delete(self, job: Job) -> None:
        """End a job and remove all of it."""
        with job.client.changing:
            job.client.job(job.name)
            self.queue.drop(job)
            job.client.delete(job.name)


def room_for(client: Client, submission: Submission) -> None:
    """Refused when the files, by the lengths that they are said to have, are more than a client may keep."""
    if submission.size > client.limits.client or any(entry.size > client.limits.file for entry in submission.files):
        raise Refused(413, f"The job's files have {submission.size:,} bytes, more than this engine takes.",
                      f"Send at most {client.limits.client:,} bytes, {client.limits.file:,} in one file.")


def client_of(request: Request) -> Client:
    return request.app.state.service.store.client(request.state.client)


def job_of(request: Request, job: str) -> Job:
    """A job of the client that asks; Refused when there is none."""
    client = client_of(request)
    client.job(checked_job(job))
    return Job(client, job)


def service_of(request: Request) -> Service:
    return request.app.state.service


Asking = Annotated[Client, Depends(client_of)]
Asked = Annotated[Job, Depends(job_of)]
Served = Annotated[Service, Depends(service_of)]


def create_app(service: Service) -> FastAPI:
    """The application; its guard and its server are put around it by serve."""
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await run_in_threadpool(service.queue.restore)
        service.budget.run()
        thread = service.queue.run()
        yield
        service.budget.close()
        service.queue.close()
        await run_in_threadpool(thread.join, 5)

    app = FastAPI(lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    app.state.service = service
    add_routes(app)
    add_refusals(app)
    return app


def add_routes(app: FastAPI) -> None:
    """Every address, and what answers there."""
    app.add_api_route("/v1/engine", engine, methods=["GET"])
    app.add_api_route("/v1/check", check_files, methods=["POST"])
    app.add_api_route("/v1/estimate", estimate, methods=["POST"])
    app.add_api_route("/v1/jobs", jobs, methods=["GET"])
    app.add_api_route("/v1/jobs/{job}", submit, methods=["PUT"])
    app.add_api_route("/v1/jobs/{job}", status, methods=["GET"])
    app.add_api_route("/v1/jobs/{job}", delete, methods=["DELETE"])
    app.add_api_route("/v1/jobs/{job}/events", events, methods=["GET"])
    app.add_api_route("/v1/jobs/{job}/control", control, methods=["POST"])
    app.add_api_route("/v1/jobs/{job}/files", files, methods=["GET"])
    app.add_api_route("/v1/jobs/{job}/files/{name:path}", file, methods=["GET"])
    app.add_api_route("/v1/blobs/{sha256}", blob, methods=["HEAD"])
    app.add_api_route("/v1/blobs/{sha256}", upload, methods=["PUT", "PATCH"])


def engine(service: Served, client: Asking) -> Any:
    """What this engine is, what it costs, and how many bytes more the client may store."""
    return {"protocol": PROTOCOL, "version": version(), "devices": service.queue.executor.devices, "waiting": len(service.queue.waiting),
            "running": len(service.queue.running), "cost": round(service.meter.cost, 4), "note": service.note,
            "room": client.uploads.room(), "budget": service.budget.answer(), "alarm": service.budget.shutdown.alarm}


def jobs(client: Asking, service: Served, sizes: bool = False) -> Any:
    """Every job of the client, oldest first; with `sizes` the bytes of each. One that is deleted meanwhile is left out."""
    positions = service.queue.positions()
    status = service.sized if sizes else service.status
    rows = [status_to_json(status(Job(client, name), positions)) for name in client.engine.jobs()]
    return JSONResponse({"jobs": [row for row in rows if client.has(row["id"])]})


def status(job: Asked, service: Served) -> Any:
    """How a job stands."""
    return JSONResponse(status_to_json(service.status(job)))


@takes(JOB_BODY)
async def submit(job: str, request: Request, client: Asking, service: Served) -> Response:
    """A new job, or other settings for one that ended. 409 with the files that are missing."""
    submission = submission_from_json(await json_body(request))
    return await run_in_threadpool(service.submit, client, checked_job(job), submission)


@takes(JOB_BODY)
async def check_files(request: Request, client: Asking, service: Served) -> Response:
    """Look for trouble in a dataset before a job is made of it. 409 with the files that are missing."""
    submission = submission_from_json(await json_body(request))
    room_for(client, submission)
    return await check(client, submission, service.turns, request.is_disconnected)


@takes(JOB_BODY)
async def estimate(request: Request, client: Asking, service: Served) -> Response:
    """What a training would take here, by trying it for some seconds: server-sent events. 409 with the files that are missing."""
    service.budget.check()
    submission = submission_from_json(await json_body(request))
    room_for(client, submission)
    return await service.estimates.answer(client, submission)


def delete(job: Asked, service: Served) -> Response:
    """End a job and remove it with its files."""
    service.delete(job)
    return Response(status_code=204)


def events(job: Asked, request: Request, service: Served, after: Annotated[int, Query(ge=0, le=LAST_BYTE)] = 0) -> Response:
    """What happened after byte `after` of events.jsonl, as server-sent events until the job ends."""
    last = request.headers.get("last-event-id", "")
    cursor = int(last) if last.isdecimal() and len(last) < 16 else after
    stream = event_stream(job.client.engine.folder(job.name), cursor, lambda: service.status(job))
    return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})


@takes(SMALL_BODY)
async def control(job: Asked, request: Request, service: Served) -> Any:
    """Run, pause, stop or kill."""
    values = await json_body(request)
    asked = values.get("control") if isinstance(values, dict) else None
    if asked not in CONTROLS:
        raise Refused(400, "The request asks for nothing that a job can do.", f"Ask for one of: {', '.join(CONTROLS)}.")
    return JSONResponse(status_to_json(await run_in_threadpool(service.control, job, asked)))


def files(job: Asked) -> Any:
    """What the job made."""
    return JSONResponse({"files": [asdict(found) for found in job.client.files(job.name)]})


def file(job: Asked, name: str, request: Request) -> Response:
    """A file that the job made, or a part of it."""
    path = job.client.file(job.name, checked_path(name))
    return file_response(path, request.headers.get("range"), request.headers.get("if-range"))


def blob(sha256: str, client: Asking) -> Response:
    """How much of a file is there: 200 for all, 202 for a part, 404 for nothing."""
    whole, there = client.uploads.size(checked_hash(sha256)), client.uploads.offset(sha256)
    return Response(status_code=200 if whole is not None else 202 if there else 404, headers={OFFSET_HEADER: str(there)})


@takes("file")
async def upload(sha256: str, request: Request, client: Asking) -> Response:
    """A file, or the part that Content-Range names. 201 when the file is whole, 202 when more must come."""
    length = request.headers.get("content-length")
    part = part_of(request.headers.get("content-range"), int(length) if length and length.isdecimal() else None)
    there = await client.uploads.receive(checked_hash(sha256), part, request.stream())
    return Response(status_code=201 if client.uploads.size(sha256) is not None else 202, headers={OFFSET_HEADER: str(there)})


async def json_body(request: Request) -> Any:
    """The request's body, read outside of the event loop; Refused when it is no JSON, or nested deeper than any request is."""
    return await run_in_threadpool(parsed, await request.body())


def parsed(text: bytes) -> Any:
    """JSON that is no deeper than MOST_LEVELS; Refused else."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        raise Refused(400, "The request is no JSON.", "Use the same version of Splatwright on both sides.") from None
    level = [values] if isinstance(values, (dict, list)) else []
    for _ in range(MOST_LEVELS):
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)
                 if isinstance(inner, (dict, list))] if level else level
    if level:
        raise Refused(400, f"The request is nested deeper than {MOST_LEVELS} levels.", "Use the same version of Splatwright on both sides.")
    return values


def version() -> str:
    """The engine's version, where it is installed."""
    try:
        return metadata.version("splatwright")
    except metadata.PackageNotFoundError:
        return "unknown"


SENTENCES = {404: "There is nothing at this address.", 405: "This address does not do that."}


def add_refusals(app: FastAPI) -> None:
    """Every error as a sentence; unexpected ones are logged with their traceback."""
    def refused(request: Request, error: Exception) -> Response:
        return refusal(error if isinstance(error, UserError) else UserError(str(error)), request.scope)

    def unknown(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 400
        sentence = SENTENCES.get(status, "The request is invalid.")
        return refusal(Refused(status, sentence, "Use the same version of Splatwright on both sides."), request.scope)

    def unforeseen(request: Request, error: Exception) -> Response:
        log.error("unforeseen: %s", error, exc_info=error)
        return refusal(Refused(500, "The engine failed on this request.", "Its log tells why; try again."), request.scope)

    def cut(request: Request, error: Exception) -> Response:
        return Response(status_code=499)  # the client has gone

    for kind, answer in ((UserError, refused), (HTTPException, unknown), (RequestValidationError, unknown), (ClientDisconnect, cut),
                         (Exception, unforeseen)):
        app.add_exception_handler(kind, answer)
