"""One client does not stop the others, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import socket
import stat
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.remote.http import Connection, Rejected
from engine.server.auth import client_name
from engine.server.serving import MOST_STRANGERS
from tests.processes import running
from tests.scenes import write_ball_dataset
from tests.server.serving import OTHER, TOKEN, Server, ask, digest, job, put, raw, refused, wait

CHECKS = 45
linux_alone = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks at other processes through /proc")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "serve", "--gpus", "cpu", "--client-gigabytes", "0.02")
    yield made
    assert made.process.poll() is None, made.log
    made.close()


def sent(server: Server, folder: Path, views: int = 8) -> dict[str, Any]:
    """A job whose files are at the server."""
    dataset = write_ball_dataset(folder, views=views, size=32).folder
    files = {path.relative_to(dataset).as_posix(): path.read_bytes() for path in dataset.rglob("*") if path.is_file()}
    for data in files.values():
        put(server, digest(data), data)
    return job([[name, len(data), digest(data)] for name, data in files.items()])


def checks(server: Server) -> int:
    """Processes that check a dataset."""
    return sum("--check" in words for words in running(str(server.folder)).values())


def begin(server: Server, values: Any, path: str = "/v1/check") -> socket.socket:
    """A request whose answer is not waited for."""
    body = json.dumps(values).encode()
    connection = socket.create_connection(("127.0.0.1", server.port), 20)
    connection.sendall((f"POST {path} HTTP/1.1\r\nHost: e\r\nSplatwright-Protocol: 1\r\nAuthorization: Bearer {TOKEN}\r\n"
                        f"Content-Length: {len(body)}\r\n\r\n").encode() + body)
    return connection


def test_many_checks_of_one_client_hold_no_other_up(server: Server, tmp_path: Path) -> None:
    values = sent(server, tmp_path / "ball")
    statuses: list[int] = []

    def one() -> None:
        line = Connection(server.address(), 120.0)
        try:
            line.ask("POST", "/v1/check", json.dumps(values).encode())
            statuses.append(200)
        except Rejected as refusal:
            statuses.append(refusal.status)
            assert "4 more wait" in refusal.message and refusal.hint
        finally:
            line.close()

    threads = [threading.Thread(target=one) for _ in range(CHECKS)]
    for thread in threads:
        thread.start()
    slowest, most = 0.0, 0
    while any(thread.is_alive() for thread in threads):
        begun = time.monotonic()
        ask(server, "GET", "/v1/jobs", token=OTHER)
        slowest = max(slowest, time.monotonic() - begun)
        most = max(most, checks(server))
    assert Counter(statuses)[200] >= 5 and Counter(statuses)[429] == CHECKS - Counter(statuses)[200]
    assert slowest < 1, f"another client waited for {slowest:.2f} s"
    assert most <= 1
    print(f"slowest answer to another client: {slowest:.3f} s; {Counter(statuses)}")


@pytest.mark.parametrize("path", ["/v1/check", "/v1/estimate"])
def test_a_client_that_hangs_up_ends_its_work(server: Server, tmp_path: Path, path: str) -> None:
    values = sent(server, tmp_path / "ball")
    waiting = [begin(server, values, path) for _ in range(3)]
    wait(lambda: len(running(str(server.folder))) > 1)
    for connection in waiting:
        connection.close()
    wait(lambda: len(running(str(server.folder))) == 1, seconds=15)
    folder = server.folder / "clients" / client_name(TOKEN) / "checks"
    wait(lambda: not folder.exists() or not list(folder.iterdir()), seconds=10)
    ask(server, "POST", "/v1/check", values)


def test_json_has_its_limits(server: Server) -> None:
    deep: Any = 0
    for _ in range(33):
        deep = [deep]
    assert "32 levels" in refused(server, 400, "PUT", "/v1/jobs/a", job([], priority=deep)).message
    for path, size in (("PUT /v1/jobs/a", 16 * 2**20), ("POST /v1/check", 16 * 2**20), ("POST /v1/jobs/a/control", 2**20)):
        assert raw(server, f"{path} HTTP/1.1\r\nContent-Length: {size + 1}\r\n")[0] == 413


def test_strangers_do_not_keep_others_out(server: Server) -> None:
    strangers = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(MOST_STRANGERS + 40)]
    for _ in range(5):
        ask(server, "GET", "/v1/engine")
    time.sleep(0.3)
    assert sum(map(is_open, strangers)) < MOST_STRANGERS
    for connection in strangers:
        connection.close()


def is_open(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return True
    except OSError:
        return False


def test_room_is_kept_before_it_is_needed(server: Server) -> None:
    """Of 20 MB a first file of 15 takes its share when it begins, not when it is there."""
    data = os.urandom(15_000_000)
    connection = socket.create_connection(("127.0.0.1", server.port), 20)
    connection.sendall((f"PUT /v1/blobs/{digest(data)} HTTP/1.1\r\nHost: e\r\nSplatwright-Protocol: 1\r\nAuthorization: Bearer {TOKEN}\r\n"
                        f"Content-Length: {len(data)}\r\n\r\n").encode() + data[:1000])
    time.sleep(1)
    more = os.urandom(10_000_000)
    with pytest.raises(Rejected) as caught:
        put(server, digest(more), more)
    assert caught.value.status == 507 and "share" in caught.value.message
    connection.close()
    wait(lambda: sends(server, more), seconds=10)


def sends(server: Server, data: bytes) -> bool:
    try:
        put(server, digest(data), data)
    except Rejected:
        return False
    return True


def test_what_was_just_sent_outlives_the_deletion_of_a_job(server: Server) -> None:
    for text in (b"old", b"new"):
        put(server, digest(text), text)
    ask(server, "PUT", "/v1/jobs/old", job([["a", 3, digest(b"old")]]))
    ask(server, "DELETE", "/v1/jobs/old")
    blobs = {path.name for path in (server.folder / "clients" / client_name(TOKEN) / "blobs").iterdir()}
    assert blobs == {digest(b"new")}, "what the job alone had is gone, what was sent for the next one is there"
    ask(server, "PUT", "/v1/jobs/new", job([["a", 3, digest(b"new")]]))


def test_leftovers_of_a_killed_server_are_swept(server: Server) -> None:
    put(server, digest(b"data"), b"data")
    ask(server, "PUT", "/v1/jobs/kept", job([["a", 4, digest(b"data")]]))
    wait(lambda: ask(server, "GET", "/v1/jobs/kept")["state"] == "failed")
    server.kill()
    folder = server.jobs().parent
    left = [folder / "checks" / "tmpx" / "input" / "a", server.jobs() / "kept" / ".input.part" / "a",
            server.jobs() / "half" / "input" / "a"]
    for path in left:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"data")
    server.start()
    assert not any(path.exists() for path in left) and not (server.jobs() / "half").exists()
    assert [found["id"] for found in ask(server, "GET", "/v1/jobs")["jobs"]] == ["kept"]


def test_races_have_one_right_answer(server: Server) -> None:
    """The same job made and deleted by many at once, while others list: nothing but what each may answer."""
    put(server, digest(b"data"), b"data")
    told: dict[str, Counter[int]] = {"PUT": Counter(), "DELETE": Counter(), "GET": Counter()}

    def often(method: str, path: str, values: Any) -> None:
        for _ in range(12):
            try:
                ask(server, method, path, values)
                told[method][200] += 1
            except Rejected as refusal:
                told[method][refusal.status] += 1

    threads = [threading.Thread(target=often, args=arguments) for arguments in
               [("PUT", "/v1/jobs/race", job([["a", 4, digest(b"data")]]))] * 3 + [("DELETE", "/v1/jobs/race", None)] * 2
               + [("GET", "/v1/jobs?sizes=true", None)] * 3]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(told["PUT"]) <= {200, 409} and set(told["DELETE"]) <= {200, 404} and set(told["GET"]) == {200}, told
    assert "Traceback" not in server.log


@linux_alone
def test_no_token_in_a_workers_environment(server: Server, tmp_path: Path) -> None:
    values = sent(server, tmp_path / "ball")
    values["spec"]["config"]["max_steps"] = 30_000
    ask(server, "PUT", "/v1/jobs/long", values)
    wait(lambda: any("engine.worker" in words for words in running(str(server.folder)).values()))
    for pid, words in running(str(server.folder)).items():
        if "engine.worker" in words:
            assert TOKEN not in Path(f"/proc/{pid}/environ").read_text(errors="replace")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX rights")
def test_folders_are_their_owners_alone(server: Server, tmp_path: Path) -> None:
    ask(server, "PUT", "/v1/jobs/a", sent(server, tmp_path / "ball"))
    wait(lambda: (server.jobs() / "a" / "events.jsonl").exists())
    for path in (server.folder, *server.folder.rglob("*")):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == 0o700 if path.is_dir() else not mode & 0o077 or path.parent.name == "blobs" or "input" in path.parts, path
