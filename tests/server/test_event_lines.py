"""Events travel as the lines that the worker wrote, those of a newer version too; what is no event is left out."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.protocol.config import TrainConfig
from engine.core.protocol.event_lines import event_kind, newest_lines
from engine.core.protocol.events import Finished, Progress, event_to_json
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.http_messages import JobStatus
from engine.core.protocol.spec import JobSpec
from engine.jobs.local_engine import JobState
from engine.remote import follower as following
from engine.remote.follower import Follower, messages
from engine.remote.http import Address
from engine.remote.local_copy import RemoteJobState, read_remote_state, write_remote_state
from engine.server.event_stream import event_stream

FUTURE = '{"event": "Blessed",  "by": ["a", {"deep": null}], "note": "é – 写"}'
RICHER = '{"event": "Stage", "name": "x", "done": 1, "total": 2, "eta_seconds": null, "colour": "green"}'
BAD = ["", "no event", "[1, 2]", "null", '{"event": 7}', '{"other": "x"}', '{"event": "Progress", "step": 1', "[" * 100_000]


def progress(step: int) -> str:
    return event_to_json(Progress(step, 9, 0.5, 10, 1.0, 2.0))


@pytest.mark.parametrize("line", BAD)
def test_what_is_no_event(line: str) -> None:
    assert event_kind(line) == ""


def test_newer_lines_replace_older_ones_of_their_kind() -> None:
    lines = [progress(1), FUTURE, RICHER, progress(2), FUTURE, *BAD, RICHER]
    assert newest_lines(lines) == [FUTURE, progress(2), FUTURE, RICHER]


def sent(job: JobFolder) -> list[tuple[str, int, list[str]]]:
    """What a client takes from the stream of a job that has ended."""
    async def whole() -> str:
        return "".join([part async for part in event_stream(job, 0, lambda: JobStatus(job.name, "finished"))])

    return list(messages(io.BytesIO(asyncio.run(whole()).encode())))  # type: ignore[arg-type]


def test_the_server_passes_on_what_it_does_not_know(tmp_path: Path) -> None:
    job = JobFolder(tmp_path)
    text = "\n".join([FUTURE, progress(1), *BAD[:-1], RICHER, progress(2)]) + "\n"
    job.events_file.write_text(text, encoding="utf-8", newline="\n")
    (kind, cursor, lines), status = sent(job)
    assert (kind, cursor, lines) == ("events", len(text.encode()), [FUTURE, RICHER, progress(2)])
    assert status[0] == "status"


@given(st.lists(st.text(max_size=40)))
def test_no_text_breaks_a_message(texts: list[str]) -> None:
    """Line ends of every alphabet stay inside their event."""
    lines = [json.dumps({"event": "New", "text": text}, ensure_ascii=False) for text in texts]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(JobFolder, "read_lines", lambda self, offset, limit: ([], 1) if offset else (lines, 1))
        received = [line for kind, _, found in sent(JobFolder(Path("job"))) if kind == "events" for line in found]
    assert [json.loads(line)["text"] for line in received] == [text.encode("utf-8", "replace").decode() for text in texts]


@pytest.fixture
def follower(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Follower:
    folder = JobFolder(tmp_path / "job")
    folder.write_spec(JobSpec(tmp_path, TrainConfig()))
    write_remote_state(folder, RemoteJobState("far", JobState.RUNNING, 0, "sent"))
    monkeypatch.setattr(following, "fetch", lambda line, job, name, target: target.write_bytes(b"fetched"))
    return Follower(folder, Address("http://127.0.0.1:9", "token"))


def test_the_copy_here_holds_what_came(follower: Follower) -> None:
    line: Any = None
    follower._take_in(line, [FUTURE, "no event", progress(3)], 40)
    assert follower.folder.events_file.read_text(encoding="utf-8") == f"{FUTURE}\n{progress(3)}\n"
    assert [type(event) for event in follower.folder.read_events()[0]] == [Progress]
    follower._take_in(line, [event_to_json(Finished(9, 5, 30.0, 0.9, 1.0, False)), FUTURE], 90)
    state = read_remote_state(follower.folder)
    assert state is not None and (state.cursor, state.state) == (90, JobState.FINISHED)
    assert follower.folder.result.read_bytes() == b"fetched"
