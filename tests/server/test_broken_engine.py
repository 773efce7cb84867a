"""What answers is no engine, or a broken one: the client ends with a sentence, or tries again, and loses nothing."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core import files, windows
from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Failed, Finished, Stage, event_to_json
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.spec import JobSpec
from engine.jobs.local_engine import JobState
from engine.remote.download import fetch
from engine.remote.engine import RemoteEngine
from engine.remote.examine import examine
from engine.remote.follower import Follower
from engine.remote.http import Address, Connection, Unreachable
from engine.remote.local_copy import RemoteJobState, new_remote_state, read_remote_state, write_remote_state
from engine.remote.upload import check_remotely, pack
from tests.scenes import write_ball_dataset
from tests.server.serving import TOKEN, wait

Answer = Callable[[str], bytes]
"""From the first line of a request to what is sent back."""


class FakeEngine:
    """Answers every request on a real socket with whatever it is told to, and hangs up."""

    def __init__(self, answer: Answer):
        self.answer, self.asked = answer, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> Address:
        return Address(f"http://127.0.0.1:{self.listener.getsockname()[1]}", TOKEN)

    def close(self) -> None:
        self.listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(5)
            try:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += connection.recv(65536)
                self.asked += 1
                connection.sendall(self.answer(head.split(b"\r\n")[0].decode()))
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                return


@pytest.fixture
def fake() -> Iterator[Callable[[Answer], FakeEngine]]:
    made: list[FakeEngine] = []

    def make(answer: Answer) -> FakeEngine:
        made.append(FakeEngine(answer))
        return made[-1]

    yield make
    for engine in made:
        engine.close()


@pytest.fixture(scope="module")
def ball(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("ball"), views=4, size=16).folder


def http(body: bytes, status: int = 200, length: bool = True, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *headers, *([f"Content-Length: {len(body)}"] if length else []), "", ""]
    return "\r\n".join(lines).encode() + body


SHA = "0" * 64
BODIES = (b"", b"null", b"[]", b"3", b"{}", b'"x"', b"{", b"\xff\xfe", b"[" * 5000, b'{"missing": 3}', b'{"missing": []}',
          b'{"missing": [{}]}', b'{"missing": [{"sha256": "x", "offset": 1}]}', b'{"missing": [{"sha256": null, "offset": 1e999}]}',
          f'{{"missing": [{{"sha256": "{SHA}", "offset": -1}}]}}'.encode(), b'{"files": 3}', b'{"files": [{"path": "../../x"}]}',
          b'{"message": 3, "hint": []}', b'{"id": 1, "state": "flying"}', b'{"findings": [3]}',
          b'{"findings": [{"severity": 1}], "codes": 1}')
STREAMS = (b"id: x\nevent: events\ndata: {}\n\n", b"event: status\ndata: {}\n\n", b"event: status\ndata: [1]\n\n", b"event: status\n\n",
           b'event: status\ndata: {"id": "a", "state": "flying", "position": 0, "silence": 0, "note": ""}\n\n',
           b'event: status\ndata: {"id": "a", "state": "running", "position": 1e999, "silence": 0, "note": ""}\n\n',
           b"id: " + b"9" * 5000 + b"\nevent: events\ndata: {}\n\n", b"event: events\ndata: \xff\xfe\n\n", b"data" * 99,
           b'id: 5\nevent: events\ndata: {"event": "Finished"}\n\n', b'id: 5\nevent: events\ndata: {"event": "Preview", "step": []}\n\n',
           b'event: status\ndata: {"id": "a", "state": "finished", "position": 0, "silence": 0, "note": ""}\n\n')


def by_chance(seed: int) -> Answer:
    """Answers as no engine gives them, the same for the same seed."""
    chance = random.Random(seed)

    def answer(line: str) -> bytes:
        if chance.random() < 0.5 and line.startswith("PUT /v1/jobs"):
            return http(b"{}", 201)
        if "/events" in line and chance.random() < 0.8:
            return http(chance.choice(STREAMS), 200, False)
        status = chance.choice((200, 200, 200, 201, 204, 206, 301, 400, 401, 404, 409, 409, 416, 418, 500))
        kind = chance.random()
        if kind < 0.1:
            return chance.randbytes(200)
        if kind < 0.2:
            return b""
        return http(chance.choice(BODIES), status, kind < 0.8, *(("Content-Length: -5",) if kind > 0.9 else ()))

    return answer


@pytest.mark.parametrize("seed", range(24))
def test_the_follower_survives_any_answer(fake: Callable[[Answer], FakeEngine], ball: Path, tmp_path: Path, seed: int) -> None:
    """It ends with a sentence in the job's events, or goes on trying and says why; no thread dies."""
    dead: list[object] = []
    before, threading.excepthook = threading.excepthook, dead.append
    engine = RemoteEngine(tmp_path / "copies", fake(by_chance(seed)).address)
    try:
        job = engine.submit(JobSpec(ball, TrainConfig(max_steps=10)))
        end = time.monotonic() + 3
        while engine.state(job).alive and time.monotonic() < end:
            time.sleep(0.02)
        state, events = engine.state(job), engine.events(job)[0]
        if state is JobState.FAILED:
            last = [event for event in events if isinstance(event, Failed)][-1]
            assert last.message.endswith(".") and last.hint
        else:
            assert state in (JobState.FINISHED, JobState.INTERRUPTED) or engine.note(job) or state.alive
        if state.alive:
            assert engine._followers[job].thread.is_alive()
    finally:
        engine.close()
        threading.excepthook = before
    assert not dead, dead
    assert not [path for path in tmp_path.rglob("x") if path.is_file()]


@pytest.mark.parametrize("seed", range(24))
def test_checks_estimates_and_the_self_check_survive_any_answer(fake: Callable[[Answer], FakeEngine], ball: Path, tmp_path: Path,
                                                                seed: int) -> None:
    address = fake(by_chance(seed)).address
    spec = JobSpec(ball, TrainConfig(max_steps=10))
    try:
        check_remotely(address, pack(spec, 0, lambda *_: None))
    except UserError as error:
        assert error.message
    estimation = RemoteEngine(tmp_path, address).estimate(spec)
    wait(lambda: not estimation.running, seconds=20)
    assert estimation.events()
    assert all(row.sentence for row in examine(address, "0.0.0"))


def test_a_file_without_a_length_replaces_nothing(fake: Callable[[Answer], FakeEngine], tmp_path: Path) -> None:
    target = tmp_path / "result.ply"
    target.write_bytes(b"what was there")
    line = Connection(fake(lambda _: http(b"", 200, False)).address)
    with pytest.raises(Unreachable, match="how long"):
        fetch(line, "a", "result.ply", target)
    line.close()
    line = Connection(fake(lambda _: http(b"5\r\nhe", 200, False, "Transfer-Encoding: chunked")).address)
    with pytest.raises(UserError):
        fetch(line, "a", "result.ply", target)
    line.close()
    assert target.read_bytes() == b"what was there"
    line = Connection(fake(lambda _: http(b"5\r\nhello\r\n0\r\n\r\n", 200, False, "Transfer-Encoding: chunked")).address)
    assert fetch(line, "a", "result.ply", target) and target.read_bytes() == b"hello"
    line.close()


def test_a_file_that_another_program_keeps_is_waited_for(fake: Callable[[Answer], FakeEngine], ball: Path, tmp_path: Path,
                                                         monkeypatch: pytest.MonkeyPatch) -> None:
    """The follower goes on where Windows refuses to replace the file with its state, and writes it as soon as it can."""
    monkeypatch.setattr(files, "PATIENCE_SECONDS", 0.0)
    status = {"id": "job", "state": "finished", "position": 0, "silence": 0.0, "note": ""}
    listened = f"event: status\ndata: {json.dumps(status)}\n\n".encode()
    address = fake(lambda line: http(listened if "/events" in line else b"said")).address
    folder = JobFolder(tmp_path / "job")
    folder.write_spec(JobSpec(ball, TrainConfig()))
    write_remote_state(folder, replace(new_remote_state(folder), sent="{}", state=JobState.RUNNING))
    refused, real = list[int](), files.rename

    def rename(source: Path, target: Path) -> Path:
        if target.name == "remote.json" and len(refused) < 3:
            refused.append(1)
            raise in_use(target)
        return real(source, target)

    monkeypatch.setattr(files, "rename", rename)
    follower = Follower(folder, address).start()
    wait(lambda: not follower.thread.is_alive())
    written = read_remote_state(folder)
    assert len(refused) == 3 and written is not None and written.state is JobState.FINISHED
    assert not any(isinstance(event, Failed) for event in folder.read_events()[0])


def in_use(path: Path) -> OSError:
    """What Windows says."""
    error = PermissionError(13, "The process cannot access the file", str(path))
    error.winerror = windows.SHARING_VIOLATION  # type: ignore[attr-defined]
    return error


def test_a_tag_is_no_path(fake: Callable[[Answer], FakeEngine], tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    line = Connection(fake(lambda _: http(b"hello", 200, True, 'ETag: "/../../evil"')).address)
    assert fetch(line, "a", "result.ply", tmp_path / "here" / "result.ply")
    line.close()
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["result.ply"]


def test_a_broken_engine_that_claims_an_end(fake: Callable[[Answer], FakeEngine], ball: Path, tmp_path: Path) -> None:
    """It says that the training has ended and has no result to give."""
    finished = event_to_json(Finished(10, 5, None, None, 1.0, False))
    status = json.dumps({"id": "a", "state": "finished", "position": 0, "silence": 0, "note": ""})

    def answer(line: str) -> bytes:
        if "/events" in line:
            return http(f"id: 5\nevent: events\ndata: {finished}\n\nevent: status\ndata: {status}\n\n".encode(), 200, False)
        return http(b"{}", 201) if line.startswith("PUT") else http(b"", 200, False)

    engine = RemoteEngine(tmp_path / "copies", fake(answer).address)
    job = engine.submit(JobSpec(ball, TrainConfig(max_steps=10)))
    wait(lambda: "how long" in engine.note(job) or not engine.state(job).alive, seconds=10)
    assert not (engine.folder(job).path / "result.ply").exists()
    engine.close()


def test_a_closed_follower_writes_nothing_more(tmp_path: Path) -> None:
    """Another one may have begun: what the closed one still hears is heard by that one too."""
    folder = JobFolder(tmp_path / "job")
    folder.path.mkdir()
    write_remote_state(folder, RemoteJobState("job", cursor=7, sent="as it is"))
    follower = Follower(folder, Address("http://127.0.0.1:9", TOKEN))
    follower.close()
    follower._take_in(Connection(follower.address), [event_to_json(Stage("reading", 1, 2, None))], 9)
    follower._fail(UserError("It broke."))
    follower._tell("sending", 1, 2)
    assert read_remote_state(folder) == RemoteJobState("job", cursor=7, sent="as it is") and folder.read_events()[0] == []
