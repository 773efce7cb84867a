"""Requests that no client of ours makes: the right status, a sentence, a line in the log, and the server goes on."""

from __future__ import annotations

import json
import os
import posixpath
import random
import socket
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import UserError
from engine.core.protocol.http_messages import checked_path
from engine.remote.http import Connection, Rejected
from engine.server.auth import client_name
from engine.server.quota import KNOWN_SECONDS
from tests.links import needs_links
from tests.server.serving import OTHER, TOKEN, Server, ask, digest, flood, job, put, raw, refused

GIGABYTE = 10**9
MOST_TAKEN = GIGABYTE // 4
"""Refused before it is all read; what the buffers of the connection hold counts too."""

PATHS = ("GET /v1/engine", "GET /v1/jobs", "PUT /v1/jobs/a", "GET /v1/jobs/a", "DELETE /v1/jobs/a", "GET /v1/jobs/a/events",
         "POST /v1/jobs/a/control", "GET /v1/jobs/a/files", "GET /v1/jobs/a/files/b", "HEAD /v1/blobs/" + "0" * 64,
         "PUT /v1/blobs/" + "0" * 64, "PATCH /v1/blobs/" + "0" * 64, "POST /v1/check", "POST /v1/estimate", "GET /nowhere")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("serve"), "--gpus", "cpu", "--file-gigabytes", "0.05", "--client-gigabytes", "0.1")
    yield made
    assert made.process.poll() is None, made.log
    made.close()


def noise(size: int) -> bytes:
    """Bytes that do not compress, the same in every run."""
    return random.Random(size).randbytes(size)


def offset(server: Server, name: str) -> int:
    line = Connection(server.address())
    try:
        with line.open("HEAD", f"/v1/blobs/{name}") as response:
            return int(response.headers["Upload-Offset"])
    except Rejected:
        return 0
    finally:
        line.close()


@pytest.mark.parametrize("request_line", PATHS)
def test_no_token_no_answer(server: Server, request_line: str) -> None:
    for token in (None, "wrong-but-long-enough-token", TOKEN + "x", TOKEN[:-1]):
        status, _ = raw(server, f"{request_line} HTTP/1.1", token=token)
        assert status == 401


@pytest.mark.parametrize("request_line", PATHS)
@pytest.mark.parametrize("token", [TOKEN, None])
def test_a_gigabyte_to_every_address(server: Server, request_line: str, token: str | None) -> None:
    status, text, taken = flood(server, f"{request_line} HTTP/1.1\r\nContent-Length: {GIGABYTE}\r\n", b"", token, GIGABYTE)
    assert status == (413 if token else 401) and taken < MOST_TAKEN, text
    status, text, taken = flood(server, f"{request_line} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n", b"40000000\r\n", token, GIGABYTE)
    assert 400 <= status < 500 and taken < MOST_TAKEN, text
    assert server.memory() < 250e6
    assert ask(server, "GET", "/v1/engine")["protocol"] == 1


def test_other_protocols(server: Server) -> None:
    for protocol in ("0", "2", "x", "", "9" * 5000):
        line = Connection(server.address())
        with pytest.raises(Rejected) as caught:
            line.ask("GET", "/v1/engine", headers={"Splatwright-Protocol": protocol})
        assert caught.value.status in (400, 431)
    assert "protocol" in refused(server, 400, "PUT", "/v1/jobs/a", job([], protocol=99)).message


@pytest.mark.parametrize("path", ["../a", "/etc/passwd", "a/../../b", "", "a//b", "./a", "a\\..\\b", "C:/x", "a\0b", "a/.", "x" * 5000,
                                  "a/ /b"])
def test_names_that_lead_elsewhere(server: Server, path: str) -> None:
    refused(server, 400, "PUT", "/v1/jobs/a", job([[path, 1, "0" * 64]]))
    with pytest.raises(UserError):
        checked_path(path)


@given(st.text(max_size=40))
def test_a_name_that_passes_stays_below(text: str) -> None:
    try:
        found = checked_path(text)
    except UserError:
        return
    assert posixpath.normpath(posixpath.join("/root", found)).startswith("/root/") and "\\" not in found


@pytest.mark.parametrize("name", ["..", "%2e%2e", ".", "a b", "x" * 200, "%00", "a%2Fb"])
def test_job_names(server: Server, name: str) -> None:
    assert raw(server, f"GET /v1/jobs/{name} HTTP/1.1")[0] in (400, 404)


@pytest.mark.parametrize("values", [[], 3, None, "x", {}, {"protocol": 1}, job([["a"]]), job([["a", -1, "0" * 64]]),
                                    job([["a", True, "0" * 64]]), job([["a", 1, "x"]]), job([], priority=10**9),
                                    job([], spec={"kind": "paint"}), job([], spec=[]),
                                    job([["a", 1, "0" * 64], ["A", 1, "0" * 64]]), job([["a", 1, "0" * 64], ["a/b", 1, "0" * 64]])])
def test_what_is_no_job(server: Server, values: Any) -> None:
    refused(server, 400, "PUT", "/v1/jobs/a", values if values is not None else "x")


def test_json_that_bites(server: Server) -> None:
    for body in (b"[" * 100_000, b"\xff\xfe", b"{", b'{"protocol": 1e999}'):
        line = Connection(server.address())
        with pytest.raises(Rejected) as caught:
            line.ask("PUT", "/v1/jobs/a", body)
        assert caught.value.status == 400


def test_lengths_like_a_zip_bomb(server: Server) -> None:
    name = digest(b"bomb")
    refused(server, 413, "PUT", "/v1/jobs/a", job([["a", 10**15, name]]))
    refused(server, 413, "PUT", "/v1/jobs/a", job([[str(number), 40 * 10**6, f"{number:064x}"] for number in range(5)]))
    for text in (f"bytes 0-3/{10**15}", "bytes 0-3/2", "lines 1-2", "bytes 5-1/9", "bytes 0-9/20"):
        with pytest.raises(Rejected) as caught:
            put(server, name, b"bomb", {"Content-Range": text})
        assert caught.value.status in (400, 413)
    assert offset(server, name) == 0


def test_a_chunked_body_beyond_the_limit(server: Server) -> None:
    head = f"PUT /v1/blobs/{'1' * 64} HTTP/1.1\r\nTransfer-Encoding: chunked\r\n"
    status, _, _ = flood(server, head, b"8000000\r\n", TOKEN, 0x8000000)
    assert status == 413


def test_content_that_does_not_fit_its_name(server: Server) -> None:
    name = digest(b"what was meant")
    with pytest.raises(Rejected) as caught:
        put(server, name, b"something else")
    assert caught.value.status == 422 and offset(server, name) == 0
    put(server, name, b"what was meant")
    put(server, name, b"what was meant")
    with pytest.raises(Rejected) as caught:
        put(server, name, b"something else")
    assert caught.value.status == 409
    blob = server.folder / "clients" / client_name(TOKEN) / "blobs" / name
    assert blob.read_bytes() == b"what was meant"


def test_parts_and_their_order(server: Server) -> None:
    data = noise(300_000)
    name = digest(data)
    with pytest.raises(Rejected) as caught:
        put(server, name, data[1000:], {"Content-Range": f"bytes 1000-{len(data) - 1}/{len(data)}"})
    assert caught.value.status == 409
    put(server, name, data[:1000], {"Content-Range": f"bytes 0-999/{len(data)}"})
    assert offset(server, name) == 1000
    with pytest.raises(Rejected):  # another content for the rest: refused, and not kept
        put(server, name, bytes(len(data) - 1000), {"Content-Range": f"bytes 1000-{len(data) - 1}/{len(data)}"})
    assert offset(server, name) == 0
    put(server, name, data)
    assert offset(server, name) == len(data)


def test_a_cut_upload_goes_on_where_it_ended(server: Server) -> None:
    data = noise(8 * 1024**2)
    name = digest(data)
    head = (f"PUT /v1/blobs/{name} HTTP/1.1\r\nHost: e\r\nSplatwright-Protocol: 1\r\n"
            f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(data)}\r\n\r\n")
    with socket.create_connection(("127.0.0.1", server.port)) as connection:
        connection.sendall(head.encode() + data[: 5 * 1024**2])
    end = time.monotonic() + 10
    while offset(server, name) < 5 * 1024**2 and time.monotonic() < end:
        time.sleep(0.05)
    there = offset(server, name)
    assert there == 5 * 1024**2
    put(server, name, data[there:], {"Content-Range": f"bytes {there}-{len(data) - 1}/{len(data)}"})
    assert offset(server, name) == len(data)


def test_a_client_sees_nothing_of_another(server: Server) -> None:
    put(server, digest(b"mine"), b"mine")
    refused(server, 409, "PUT", "/v1/jobs/theirs", job([["a", 4, digest(b"mine")]]), token=OTHER)
    ask(server, "PUT", "/v1/jobs/mine", job([["a", 4, digest(b"mine")]]))
    assert [found["id"] for found in ask(server, "GET", "/v1/jobs")["jobs"]] == ["mine"]
    assert ask(server, "GET", "/v1/jobs", token=OTHER)["jobs"] == []
    for method, path in (("GET", ""), ("GET", "/files"), ("GET", "/events"), ("POST", "/control"), ("DELETE", "")):
        refused(server, 404, method, f"/v1/jobs/mine{path}", token=OTHER)
    ask(server, "DELETE", "/v1/jobs/mine")


@needs_links
def test_links_and_hand_edited_folders(server: Server) -> None:
    put(server, digest(b"data"), b"data")
    ask(server, "PUT", "/v1/jobs/edited", job([["a", 4, digest(b"data")]]))
    folder = server.jobs() / "edited"
    os.symlink("/etc/passwd", folder / "leak.txt")
    os.symlink("/etc", folder / "etc")
    for name in ("leak.txt", "etc/passwd", "../token", "%2e%2e/%2e%2e/token", "nothing"):
        status, text = raw(server, f"GET /v1/jobs/edited/files/{name} HTTP/1.1")
        assert status in (400, 404) and "root:" not in text
    listed = [found["path"] for found in ask(server, "GET", "/v1/jobs/edited/files")["files"]]
    assert not [path for path in listed if "leak" in path or "etc" in path]
    for text in ("{", "[]", "[" * 9999, '{"protocol": 99}',
                 '{"protocol": 1, "kind": "train", "dataset": "/etc", "config": {"max_steps": -1}}'):
        (folder / "job.json").write_text(text)
        (folder / "queue.json").write_text(text)
        (folder / "heartbeat").write_text(text)
        (folder / "events.jsonl").write_bytes(text.encode() + b"\n\xff\n" * 100)
        assert ask(server, "GET", "/v1/jobs")["jobs"]
        assert 200 <= raw(server, "GET /v1/jobs/edited HTTP/1.1")[0] < 500
        status, _ = raw(server, "POST /v1/jobs/edited/control HTTP/1.1\r\nContent-Length: 18\r\n", b'{"control": "run"}')
        assert 200 <= status < 500
    ask(server, "DELETE", "/v1/jobs/edited")
    refused(server, 404, "GET", "/v1/jobs/edited")
    assert Path("/etc/passwd").exists()


@needs_links
def test_a_folder_that_is_a_link_is_no_job(server: Server, tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text("{}")
    server.jobs().mkdir(parents=True, exist_ok=True)
    os.symlink(tmp_path, server.jobs() / "linked")
    refused(server, 404, "GET", "/v1/jobs/linked/files/job.json")
    refused(server, 404, "DELETE", "/v1/jobs/linked")
    (server.jobs() / "linked").unlink()
    assert (tmp_path / "job.json").exists()


@pytest.mark.parametrize("relative", [True, False])
def test_a_dataset_that_reaches_for_other_files(server: Server, tmp_path: Path, relative: bool) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(flat_png(64))
    data = cameras(64, *[os.path.relpath(secret, server.jobs() / "reaching" / "input") if relative else str(secret)] * 2)
    put(server, digest(data), data)
    files = [["transforms.json", len(data), digest(data)]]
    if not relative:
        assert "not there" in refused(server, 400, "POST", "/v1/check", job(files)).message
    ask(server, "PUT", "/v1/jobs/reaching", job(files))
    end = time.monotonic() + 30
    while ask(server, "GET", "/v1/jobs/reaching")["state"] != "failed" and time.monotonic() < end:
        time.sleep(0.1)
    assert "not there" in (server.jobs() / "reaching" / "events.jsonl").read_text()
    ask(server, "DELETE", "/v1/jobs/reaching")


def test_images_like_a_bomb_harm_the_server_no_more_than_others(server: Server, tmp_path: Path) -> None:
    bomb, text = flat_png(7_000), cameras(7_000, "0.png", "1.png")  # 150 MB each
    files = [["transforms.json", len(text), digest(text)], ["0.png", len(bomb), digest(bomb)], ["1.png", len(bomb), digest(bomb)]]
    for data in (bomb, text):
        put(server, digest(data), data)
    line = Connection(server.address(), 200.0)
    try:
        assert line.ask("POST", "/v1/check", json.dumps(job(files)).encode())["findings"]
    except Rejected as refusal:  # the process that looked ended for want of memory
        assert refusal.status == 400 and refusal.hint
    finally:
        line.close()
    assert server.memory() < 250e6 and ask(server, "GET", "/v1/engine")["protocol"] == 1


def cameras(side: int, *images: str) -> bytes:
    """A transforms.json of square images."""
    frames = [{"file_path": name, "transform_matrix": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, place], [0, 0, 0, 1]]}
              for place, name in enumerate(images)]
    return json.dumps({"fl_x": side, "fl_y": side, "w": side, "h": side, "frames": frames}).encode()


def flat_png(side: int) -> bytes:
    """A black image of so many pixels a side in a few kilobytes for each hundred million."""
    def chunk(kind: bytes, data: bytes) -> bytes:
        return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")

    packer, row = zlib.compressobj(1), bytes(1 + side * 3)
    pixels = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    head = side.to_bytes(4, "big") * 2 + bytes([8, 2, 0, 0, 0])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_results_count_and_the_sentence_names_what_to_delete(server: Server) -> None:
    put(server, digest(b"data"), b"data")
    ask(server, "PUT", "/v1/jobs/large", job([["a", 4, digest(b"data")]]))
    (server.jobs() / "large" / "result.ply").write_bytes(bytes(110 * 10**6))  # of 0.1 GB
    time.sleep(KNOWN_SECONDS + 0.1)
    found = {row["id"]: row["size"] for row in ask(server, "GET", "/v1/jobs?sizes=true")["jobs"]}
    assert found["large"] > 110e6
    more = job([["a", 4, digest(b"data")]])
    for attempt in (lambda: ask(server, "PUT", "/v1/jobs/more", more), lambda: put(server, digest(b"new"), b"new")):
        with pytest.raises(Rejected) as caught:
            attempt()
        assert caught.value.status == 507 and "share" in caught.value.message and "--delete" in caught.value.hint
        assert "large (0.11 GB" in caught.value.hint
    ask(server, "PUT", "/v1/jobs/theirs", job([]), token=OTHER)  # another client has its own share
    ask(server, "DELETE", "/v1/jobs/theirs", token=OTHER)
    ask(server, "DELETE", "/v1/jobs/large")
    put(server, digest(b"new"), b"new")


def test_controls_that_are_none(server: Server) -> None:
    put(server, digest(b"data"), b"data")
    ask(server, "PUT", "/v1/jobs/controls", job([["a", 4, digest(b"data")]]))
    for values in ({"control": "fly"}, {}, [], "run", {"control": ["run"]}):
        refused(server, 400, "POST", "/v1/jobs/controls/control", values)
    for header in ("lines=0-1", "bytes=-", "bytes=0-1,3-4"):
        assert raw(server, f"GET /v1/jobs/controls/files/job.json HTTP/1.1\r\nRange: {header}\r\n")[0] == 400
    assert raw(server, "GET /v1/jobs/controls/files/job.json HTTP/1.1\r\nRange: bytes=999999-\r\n")[0] == 416
    for after in ("-1", "x", "9" * 30):
        assert 400 <= raw(server, f"GET /v1/jobs/controls/events?after={after} HTTP/1.1")[0] < 500
    ask(server, "DELETE", "/v1/jobs/controls")


def test_a_dataset_can_be_checked(server: Server) -> None:
    put(server, digest(b"data"), b"data")
    assert "no dataset" in refused(server, 400, "POST", "/v1/check", job([["a", 4, digest(b"data")]])).message
    for path in ("/v1/check", "/v1/estimate"):
        assert "missing" in refused(server, 409, "POST", path, job([["a", 4, digest(b"else")]])).answer


def test_slow_clients_hold_nobody_up(server: Server) -> None:
    slow = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(60)]
    for connection in slow[:30]:
        connection.sendall(b"GET /v1/engine HTTP/1.1\r\nHost:")
    for connection in slow[30:]:
        connection.sendall(f"PUT /v1/blobs/{'2' * 64} HTTP/1.1\r\nHost: e\r\nSplatwright-Protocol: 1\r\n"
                           f"Authorization: Bearer {TOKEN}\r\nContent-Length: 1000\r\n\r\nx".encode())
    for _ in range(20):
        ask(server, "GET", "/v1/engine")
    assert all(map(held_open, slow)), "nobody had to wait until they were sent away"
    for connection in slow:
        connection.close()


def held_open(connection: socket.socket) -> bool:
    """Whether the server has neither answered nor ended a connection."""
    connection.setblocking(False)
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    return False


def test_garbage_instead_of_http(server: Server) -> None:
    for data in (b"\x16\x03\x01\x02\x00" + noise(200), b"GET / HTTP/9.9\r\n\r\n", b"\r\n" * 100,
                 b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), 5) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass
            except OSError:
                pass
    assert ask(server, "GET", "/v1/engine")["protocol"] == 1


def test_refusals_are_logged_without_tokens(server: Server) -> None:
    refused(server, 401, "GET", "/v1/jobs", token="a-wrong-token-of-somebody")
    time.sleep(0.2)
    assert any("401" in line and "/v1/jobs" in line for line in server.lines)
    assert "a-wrong-token-of-somebody" not in server.log and TOKEN not in server.log and "Traceback" not in server.log
