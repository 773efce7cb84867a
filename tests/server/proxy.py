"""A wire between client and server that is cut again and again."""

from __future__ import annotations

import random
import socket
import threading
from contextlib import suppress


class CuttingProxy:
    """Passes bytes on to a port of this computer; cuts every connection after about so many bytes, and all at a word."""

    def __init__(self, port: int, cut_after: int, seed: int = 0):
        self.target, self.cut_after, self.random = port, cut_after, random.Random(seed)
        self.cuts = 0
        self.away = False  # nobody is reached
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut_all(self) -> None:
        for connection in self.open:
            _end(connection)
        self.open.clear()

    def close(self) -> None:
        _end(self.listener)
        self.cut_all()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            if self.away:
                _end(near)
                continue
            try:
                far = socket.create_connection(("127.0.0.1", self.target))
            except OSError:  # the server is away
                _end(near)
                continue
            self.open += [near, far]
            budget = [int(self.random.uniform(0.3, 1.7) * self.cut_after)]
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pass_on, args=(one, other, budget), daemon=True).start()

    def _pass_on(self, one: socket.socket, other: socket.socket, budget: list[int]) -> None:
        with suppress(OSError):
            while data := one.recv(16384):
                other.sendall(data[: max(0, budget[0])])
                budget[0] -= len(data)
                if budget[0] <= 0:
                    self.cuts += 1
                    break
        _end(one)
        _end(other)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
