"""A real server process on a free port, and clients of it."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.core.protocol.config import TrainConfig, config_to_json
from engine.jobs.local_engine import JobState
from engine.remote.engine import RemoteEngine
from engine.remote.http import Address, Connection, Rejected
from tests.processes import kill_group

ROOT = Path(__file__).resolve().parents[2]
TOKEN, OTHER = "a-token-of-the-first-client", "a-token-of-the-second-client"


class Server:
    """`splatwright serve` on a folder, of the version that lies below `root`; ended and started again as a test likes."""

    def __init__(self, folder: Path, *flags: str, root: Path = ROOT):
        self.folder, self.flags, self.root = folder, flags, root
        self.port = 0
        self.lines: list[str] = []
        try:
            self.start()
        except BaseException:
            self.process.kill()
            raise

    def start(self) -> None:
        command = [sys.executable, "-m", "engine", "serve", "--folder", str(self.folder), "--port", str(self.port), *self.flags]
        environment = {**os.environ, "SPLATWRIGHT_TOKEN": f"{TOKEN} {OTHER}", "PYTHONUNBUFFERED": "1"}
        self.process = subprocess.Popen(command, cwd=self.root, env=environment, text=True, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT)
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()
        wait(lambda: any("Listening at" in line for line in self.lines) or self.process.poll() is not None, lambda: self.log)
        listening = next(line for line in reversed(self.lines) if "Listening at" in line)
        self.port = int(listening.split(", jobs")[0].rpartition(":")[2])
        self.scheme = listening.split()[2].partition(":")[0]
        wait(lambda: self._answers(), lambda: self.log)

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    def address(self, token: str = TOKEN) -> Address:
        return Address(self.url, token)

    def kill(self) -> None:
        """As if the power failed; workers go on."""
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """End the server and every worker."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
        for heartbeat in self.folder.glob("clients/*/jobs/*/heartbeat"):
            try:
                kill_group(json.loads(heartbeat.read_text())["pid"])
            except (OSError, ValueError):
                continue

    def memory(self) -> int:
        """Resident bytes of the server, at their highest; 0 where the system does not tell."""
        if not sys.platform.startswith("linux"):
            return 0
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
        return 0

    def jobs(self) -> Path:
        """The job folders of the first client."""
        from engine.server.auth import client_name

        return self.folder / "clients" / client_name(TOKEN) / "jobs"

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            self.lines.append(line.rstrip())

    def _answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True


def ask(server: Server, method: str, path: str, values: Any = None, token: str = TOKEN) -> Any:
    """One request with a JSON answer."""
    line = Connection(server.address(token))
    try:
        return line.ask(method, path, None if values is None else json.dumps(values).encode())
    finally:
        line.close()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def job(files: list[list[Any]], **changes: Any) -> dict[str, Any]:
    spec = {"kind": "train", "name": "x", "dataset": ".", "config": config_to_json(TrainConfig(max_steps=10))}
    return {"protocol": 1, "spec": spec, "files": files, "priority": 0, **changes}


def refused(server: Server, status: int, method: str, path: str, values: Any = None, token: str = TOKEN) -> Rejected:
    with pytest.raises(Rejected) as caught:
        ask(server, method, path, values, token)
    assert caught.value.status == status and caught.value.message.endswith(".") and caught.value.hint
    return caught.value


def put(server: Server, name: str, data: bytes, headers: dict[str, str] | None = None, token: str = TOKEN) -> None:
    line = Connection(server.address(token))
    try:
        line.ask("PUT", f"/v1/blobs/{name}", data, headers)
    finally:
        line.close()


def raw(server: Server, head: str, body: bytes = b"", token: str | None = TOKEN) -> tuple[int, str]:
    """Send these very bytes; status and text of the answer."""
    status, text, _ = flood(server, head, body, token, 0)
    return status, text


def flood(server: Server, head: str, body: bytes, token: str | None, size: int) -> tuple[int, str, int]:
    """Send these very bytes, and `size` zeros as far as the server takes them; status and text of the answer, zeros that were taken."""
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    method, _, rest = head.partition("\r\n")
    text = f"{method}\r\nHost: engine\r\nSplatwright-Protocol: 1\r\n{authorization}{rest}\r\n" if rest else \
        f"{method}\r\nHost: engine\r\nSplatwright-Protocol: 1\r\n{authorization}\r\n"
    with socket.create_connection(("127.0.0.1", server.port), 20) as connection:
        connection.sendall(text.encode() + body)
        taken = [0]
        sender = threading.Thread(target=_pour, args=(connection, size, taken), daemon=True)
        sender.start()
        answer = _read_answer(connection)
    status = int(answer.split(b" ", 2)[1]) if answer else 0
    return status, answer.decode("utf-8", "replace"), taken[0]


def _pour(connection: socket.socket, size: int, taken: list[int]) -> None:
    block = b"\0" * 65536
    try:
        while taken[0] < size:
            taken[0] += connection.send(block[: min(size - taken[0], len(block))])
    except OSError:
        return


def _read_answer(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while b"\r\n\r\n" not in answer or not answer.rstrip().endswith((b"}", b"0")):
            found = connection.recv(65536)
            if not found:
                break
            answer += found
            if b"content-length: 0" in answer.lower():
                break
    except OSError:
        pass
    return answer


def wait(reached: Callable[[], bool], told: Callable[[], str] = lambda: "", seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, told()
        time.sleep(0.02)


def wait_for(engine: RemoteEngine, job: str, *states: JobState) -> None:
    wait(lambda: engine.state(job) in states, lambda: f"{engine.state(job)} {engine.note(job)} {engine.events(job)[0][-3:]}")
