"""A client of version 0.1.0 at a server of this one, and the reverse: real processes, and the very bodies that travelled."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.core.formats.ply import read_ply
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import NEEDS, Estimated, Failed, Finding, Finished, events_from_lines
from engine.core.protocol.folder import JobSpec
from engine.core.protocol.http_messages import (
    findings_from_json,
    findings_to_json,
    status_from_json,
    status_to_json,
    submission_from_json,
    submission_to_json,
)
from engine.jobs.local_engine import JobState
from engine.remote.engine import RemoteEngine
from engine.remote.http import Connection, Rejected
from engine.remote.upload import check_remotely, pack, quiet
from engine.server.auth import client_name
from tests.compatibility.former_version import FIXTURES, FormerVersion, copied
from tests.server.serving import TOKEN, Server, ask, wait, wait_for

DATASET = FIXTURES / "dataset"
TINY = TrainConfig(max_steps=160, max_gaussians=30, resolution=24, sh_degree=0, refine_every=20, eval_every=80, threads=1)
CLIENT = """
import json, sys, time
from pathlib import Path
from engine.client import JobState
from engine.core.config import TrainConfig
from engine.core.job_spec import JobSpec
from engine.remote.engine import RemoteEngine
from engine.remote.http import Address
from engine.remote.sending import check_remotely, pack, quiet

url, token, dataset, folder = sys.argv[1:]
config = TrainConfig(max_steps=160, max_gaussians=30, resolution=24, sh_degree=0, refine_every=20, eval_every=80, threads=1)
spec = JobSpec(Path(dataset), config, "former")
engine = RemoteEngine(Path(folder), Address(url, token))
checked = [finding.kind for finding in check_remotely(engine.address, pack(spec, 0, quiet))]
estimated = [type(event).__name__ for event in engine.estimate(spec).wait()]
job = engine.submit(spec)
end = time.monotonic() + 90
while engine.state(job).alive and time.monotonic() < end:
    time.sleep(0.05)
events = [type(event).__name__ for event in engine.events(job)[0]]
state = engine.state(job).value
failing = engine.submit(JobSpec(Path(dataset), TrainConfig(backend="cuda", max_steps=5), "failing"))
while engine.state(failing).alive and time.monotonic() < end:
    time.sleep(0.05)
print(json.dumps({"checked": checked, "estimated": estimated, "events": events, "state": state, "failing": engine.state(failing).value,
                  "said": [event.message for event in engine.events(failing)[0] if type(event).__name__ == "Failed"],
                  "files": [engine.file(job, name) is not None for name in ("result.ply", "report.json", "report.html")]}))
engine.close()
"""


def wire(name: str) -> Any:
    return json.loads((FIXTURES / "wire" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "store", "--gpus", "cpu")
    yield made
    made.close()


@pytest.fixture(scope="module")
def former(tmp_path_factory: pytest.TempPathFactory) -> FormerVersion:
    return FormerVersion(tmp_path_factory.mktemp("version") / "former")


def test_bodies_are_understood() -> None:
    submission = submission_from_json(wire("submission"))
    assert submission_to_json(submission) == wire("submission"), "and this version sends just the same"
    assert status_to_json(status_from_json(wire("status"))) == wire("status")
    assert all(status_from_json(values).size for values in wire("jobs")["jobs"])


def test_findings_come_from_either_version() -> None:
    former = {"severity": "warning", "message": "Black.", "hint": "", "kind": "dark", "measure": None, "images": ["a"],
              "fixes": ["exclude"], "settings": []}
    assert findings_from_json({"findings": [former]}) == [Finding("warning", "Black.", "", "dark", None, ("a",), ("exclude",))]
    coded = Finding("warning", "Black.", "", "dark", code="preflight.dark", values=(("count", 1), ("names", "a")))
    assert findings_from_json(json.loads(json.dumps(findings_to_json([coded])))) == [coded]
    assert set(findings_to_json([coded])["findings"][0]) == set(former), "version 0.1.0 takes just these"


def test_requests_of_version_0_1_are_answered_as_before(server: Server) -> None:
    with pytest.raises(Rejected) as caught:
        ask(server, "PUT", "/v1/jobs/far", wire("submission"))
    assert caught.value.status == 409 and {"missing": caught.value.answer["missing"]} == wire("missing")
    line = Connection(server.address())
    for path, _, name in wire("submission")["files"]:
        line.ask("PUT", f"/v1/blobs/{name}", (DATASET / path).read_bytes())
    answer = line.ask("PUT", "/v1/jobs/far", json.dumps(wire("submission")).encode())
    assert set(answer) == set(wire("status"))
    wait(lambda: ask(server, "GET", "/v1/jobs/far")["state"] == "finished")
    assert ask(server, "GET", "/v1/jobs/far") == {**wire("status"), "id": "far"}
    assert set(ask(server, "GET", "/v1/jobs?sizes=true")["jobs"][0]) == set(wire("jobs")["jobs"][0])
    made = {found["path"] for found in ask(server, "GET", "/v1/jobs/far/files")["files"]}
    assert {found["path"] for found in wire("files")["files"]} - {"control"} <= made | {"control"}
    assert set(wire("engine")) <= set(ask(server, "GET", "/v1/engine"))
    assert set(ask(server, "POST", "/v1/jobs/far/control", wire("control"))) == set(wire("status"))
    with pytest.raises(Rejected) as refused:
        ask(server, "GET", "/v1/jobs/nowhere")
    assert {"message": refused.value.message, "hint": refused.value.hint} == wire("refusal")
    with line.open("GET", "/v1/jobs/far/events?after=0") as response:
        stream = response.read().decode()
    line.close()
    former = (FIXTURES / "wire" / "events.txt").read_text(encoding="utf-8")
    for text in (stream, former):
        assert {row.partition(":")[0] for row in text.splitlines() if row} == {"id", "event", "data"}
    events = events_from_lines(row.removeprefix("data: ") for row in stream.splitlines())
    assert isinstance(events[-1], Finished) and all(event.code for event in events if isinstance(event, Finding))


def test_a_client_of_version_0_1_at_this_server(server: Server, former: FormerVersion, tmp_path: Path) -> None:
    found = json.loads(former.run(CLIENT, server.url, TOKEN, str(DATASET), str(tmp_path / "copies")))
    assert NEEDS in found["checked"] and "few_points" in found["checked"]
    assert found["estimated"][-1] == "Estimated" and "Finding" in found["events"]
    assert found["state"] == "finished" and found["events"][-1] == "Finished" and found["files"] == [True, True, True]
    assert found["failing"] == "failed" and found["said"] and found["said"][0].endswith(".")


def test_this_client_at_a_server_of_version_0_1(former: FormerVersion, tmp_path: Path) -> None:
    server = Server(tmp_path / "store", "--gpus", "cpu", root=former.folder)
    engine = RemoteEngine(tmp_path / "copies", server.address())
    try:
        assert ask(server, "GET", "/v1/engine")["version"] == wire("engine")["version"]
        spec = JobSpec(DATASET, TINY, "new")
        checked = check_remotely(server.address(), pack(spec, 0, quiet))
        assert "few_points" in {finding.kind for finding in checked} and not any(finding.code for finding in checked)
        assert isinstance(engine.estimate(spec).wait()[-1], Estimated)
        job = engine.submit(spec)
        wait_for(engine, job, JobState.FINISHED)
        events = engine.events(job)[0]
        result = engine.file(job, "result.ply")
        assert isinstance(events[-1], Finished) and result and len(read_ply(result).gaussians) == events[-1].gaussians
        failing = engine.submit(JobSpec(DATASET, TrainConfig(backend="cuda", max_steps=5), "failing"))
        wait_for(engine, failing, JobState.FAILED)
        assert isinstance(engine.events(failing)[0][-1], Failed)
    finally:
        engine.close()
        server.close()


def test_a_server_goes_on_with_what_version_0_1_left(tmp_path: Path) -> None:
    left = copied(tmp_path, client_name(TOKEN))
    for job in (left / "remote" / "store" / "clients" / client_name(TOKEN) / "jobs").iterdir():
        shutil.copytree(left / "dataset", job / "input")
        values = json.loads((job / "job.json").read_text(encoding="utf-8"))
        (job / "job.json").write_text(json.dumps({**values, "dataset": str((job / "input").resolve())}), encoding="utf-8")
    server = Server(left / "remote" / "store", "--gpus", "cpu")
    engine = RemoteEngine(left / "remote" / "copies", server.address())
    try:
        names = {name.partition("-")[0]: name for name in engine.jobs()}
        assert engine.state(names["far"]) is JobState.FINISHED
        wait_for(engine, names["resting"], JobState.PAUSED)
        engine.resume(names["resting"])
        wait_for(engine, names["resting"], JobState.FINISHED)
        events = engine.events(names["resting"])[0]
        assert isinstance(events[-1], Finished) and events[-1].step == 20_000 and engine.file(names["resting"], "result.ply")
        wait(lambda: {row["state"] for row in ask(server, "GET", "/v1/jobs")["jobs"]} == {"finished"})  # its last word comes first
    finally:
        engine.close()
        server.close()
