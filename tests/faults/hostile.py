"""What a hostile or careless neighbour does to a server, while others train on it."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack, suppress

from engine.core.protocol.config import TrainConfig, config_to_json
from tests.faults.desk import Desk
from tests.server.serving import OTHER

STRANGERS, CHECKS = 100, 12


def strangers_crowd_the_server(desk: Desk) -> bool:
    """Connections without a token, some with half a request."""
    with ExitStack() as stack, suppress(OSError):
        for _ in range(STRANGERS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", desk.server.port), 2))
            connection.sendall(desk.random.choice((b"", b"GET /v1/engine HTTP/1.1\r\nHost:", b"\x16\x03\x01", desk.random.randbytes(50))))
        time.sleep(desk.random.uniform(0, 0.5))
    return True


def neighbour_floods_checks_and_hangs_up(desk: Desk) -> bool:
    """Checks and estimates of a dataset that is none, whose answers nobody waits for."""
    spec = {"kind": "train", "name": "x", "dataset": ".", "config": config_to_json(TrainConfig(max_steps=10))}
    body = json.dumps({"protocol": 1, "spec": spec, "files": [], "priority": 0}).encode()
    with ExitStack() as stack, suppress(OSError):
        for _ in range(CHECKS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", desk.server.port), 2))
            path = desk.random.choice(("/v1/check", "/v1/estimate"))
            connection.sendall(head("POST", path, len(body)) + body)
        time.sleep(desk.random.uniform(0, 1.5))
    return True


def neighbour_promises_a_file_and_leaves(desk: Desk) -> bool:
    """The beginning of a large file, whose rest never comes."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", desk.server.port), 2) as connection:
        connection.sendall(head("PUT", f"/v1/blobs/{desk.random.randbytes(32).hex()}", 10**8) + desk.random.randbytes(5000))
        time.sleep(desk.random.uniform(0, 0.5))
    return True


def head(method: str, path: str, length: int) -> bytes:
    """The head of a request of the second client."""
    return (f"{method} {path} HTTP/1.1\r\nHost: e\r\nSplatwright-Protocol: 1\r\nAuthorization: Bearer {OTHER}\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()
