"""Starting the server: address, authentication, and the text that it prints at the start."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..core.errors import UserError
from ..core.files import disk_error, make_folder
from ..core.protocol.spending import SpentTime
from .app import Service, create_app
from .auth import checked_tokens, is_loopback, kept_token
from .engine_budget import EngineBudget
from .executors import Executor, LocalExecutor, find_devices
from .idle_shutdown import CostMeter, IdleShutdown
from .middleware import Guard
from .options import GIGABYTE, TOKEN_VARIABLE, ServeOptions, tunnel
from .queue import Queue
from .shutdown import Shutdown
from .store import Store
from .uploads import Limits

MOST_CONNECTIONS = 512
MOST_STRANGERS = 64
IDLE_SECONDS = 15
SPENT_FILE, SHUTDOWN_FILE = "spent.json", "shutdown.json"
"""In the engine's folder: the hours that count, and what the command answered that switches the machine off."""

PRIVATE = 0o077
"""What others may not do with files and folders of the engine, those of its workers included."""


class PatientProtocol(H11Protocol):
    """HTTP that closes connections on which no whole request comes: slow heads hold nothing for long.

    Of the connections on which no token has come yet there are at most MOST_STRANGERS: one more closes the oldest.
    """

    strangers: ClassVar[dict[tuple[str, int] | None, PatientProtocol]] = {}
    """By the address of the other side, oldest first."""

    def connection_made(self, transport: object) -> None:  # type: ignore[override]
        super().connection_made(transport)  # type: ignore[arg-type]
        self.loop.call_later(IDLE_SECONDS, self._look, None)
        while len(self.strangers) >= MOST_STRANGERS:
            self.strangers.pop(next(iter(self.strangers))).transport.close()
        self.strangers[self.client] = self

    def data_received(self, data: bytes) -> None:
        if not self.transport.is_closing():  # on Windows what was read already comes after the answer that closes the connection
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.strangers.get(self.client) is self:
            del self.strangers[self.client]
        super().connection_lost(exc)

    def _look(self, last: object) -> None:
        """Close when the same request, or none, has been there since the last look and is answered."""
        if self.transport.is_closing():
            return
        if self.cycle is last and (self.cycle is None or self.cycle.response_complete):
            self.transport.close()
        else:
            self.loop.call_later(IDLE_SECONDS, self._look, self.cycle)


def known(client: tuple[str, int] | None) -> None:
    """A token came on the connection from this address."""
    PatientProtocol.strangers.pop(client, None)


def run_server(options: ServeOptions, tell: Callable[[str], None]) -> int:
    """Serve until Ctrl+C, SIGTERM, or idleness ends it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    logging.getLogger("asyncio").addFilter(is_no_hang_up)
    tokens = checked_tokens(tokens_of(options))
    os.environ.pop(TOKEN_VARIABLE, None)  # nothing that is started from here gets it
    os.umask(PRIVATE)
    check_certificate(options)
    limits = Limits(*(int(amount * GIGABYTE) for amount in
                      (options.file_gigabytes, options.client_gigabytes, options.keep_free_gigabytes)))
    store = Store(private_folder(options.folder.resolve()), limits)
    listener = listen(options)
    queue = Queue(store, executor_of(options), options.price)
    meter = CostMeter(options.price)
    shutdown = Shutdown(options.shutdown_command, store.root / SHUTDOWN_FILE)
    watchman = IdleShutdown(options.stop_when_idle, shutdown, lambda: not queue.idle, lambda: stop(server), meter)
    budget = budget_of(options, queue, shutdown, watchman)
    guarded = Guard(create_app(Service(store, queue, meter, budget)), tokens, limits.file, watchman.seen, known)
    server = uvicorn.Server(configured(guarded, options))
    for line in (*greeting(options, listener.getsockname()[1], queue), *budget_lines(options, budget)):
        tell(line)
    watchman.run()
    server.run(sockets=[listener])
    return 0


def budget_of(options: ServeOptions, queue: Queue, shutdown: Shutdown, watchman: IdleShutdown) -> EngineBudget:
    """The budget of the machine, with what earlier starts with the same folder have spent; UserError when that is not known."""
    budget = options.budget
    spent = SpentTime(options.folder.resolve() / SPENT_FILE) if budget else None
    return EngineBudget(budget, options.price, spent, queue, shutdown, watchman.quiet)


def budget_lines(options: ServeOptions, budget: EngineBudget) -> list[str]:
    """What there is to know of the budget; nothing without one."""
    if not options.budget:
        return []
    lines = [f"Budget: {budget.spent()}."]
    if budget.share >= 1:
        lines += ["It is spent: no job is taken, and the machine is switched off in ten minutes. To go on, give a larger --budget-hours or",
                  f"--budget-cost, or delete {options.folder / SPENT_FILE} to count from the beginning."]
    if not options.shutdown_command:
        lines.append("At its end the machine is NOT switched off by itself: give --shutdown-command, for instance 'sudo poweroff'.")
    return lines


def is_no_hang_up(record: logging.LogRecord) -> bool:
    """Whether a message is worth writing: on Windows asyncio takes a client that hangs up for an error, with a traceback."""
    return not (record.exc_info and isinstance(record.exc_info[1], ConnectionError))


def executor_of(options: ServeOptions) -> Executor:
    """What runs the jobs; UserError when a cluster was asked for and cannot be used."""
    if options.executor == "local":
        return LocalExecutor(options.gpus or find_devices())
    from .cluster.executor import RayExecutor

    return RayExecutor(options.ray_address, options.folder.resolve())


def configured(app: Guard, options: ServeOptions) -> uvicorn.Config:
    """How the server speaks HTTP."""
    return uvicorn.Config(
        app, http=PatientProtocol, ws="none", log_config=None, access_log=False, server_header=False,
        limit_concurrency=MOST_CONNECTIONS, timeout_graceful_shutdown=3, h11_max_incomplete_event_size=64 * 1024,
        ssl_certfile=options.certificate, ssl_keyfile=options.key)


def private_folder(path: Path) -> Path:
    """The folder, with all folders in it that earlier versions left open to others, for its owner alone."""
    make_folder(path)
    try:
        for folder in (path, *path.glob("clients"), *path.glob("clients/*")):
            folder.chmod(0o700)
    except OSError as error:
        raise disk_error(path, error) from error
    return path


def stop(server: uvicorn.Server) -> None:
    """End a server from another thread."""
    server.should_exit = True


def tokens_of(options: ServeOptions) -> tuple[str, ...]:
    """The tokens that were given; on this computer alone one that is made and kept will do. UserError beyond it."""
    if options.token:
        return options.token
    if not is_loopback(options.host):
        raise UserError(f"{options.host} can be reached from other computers, and no token protects the engine.",
                        "Give --token, or the variable SPLATWRIGHT_TOKEN; or leave --host out and come through an SSH tunnel.")
    return (kept_token(options.folder.resolve()),)


def check_certificate(options: ServeOptions) -> None:
    """UserError when a certificate or its key cannot be used."""
    import ssl

    if (options.certificate is None) != (options.key is None):
        raise UserError("https needs a certificate and its key.", "Give both --certificate and --key.")
    if options.certificate and options.key:
        try:
            ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(options.certificate, options.key)
        except (OSError, ssl.SSLError) as error:
            raise UserError(f"The certificate cannot be used: {error}.", "Give PEM files that belong together.") from None


def listen(options: ServeOptions) -> socket.socket:
    """The socket to listen at; UserError when it is taken."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # What lets a server come back at once elsewhere lets two programs share the port on Windows, which has an option of its own against it.
    option = socket.SO_EXCLUSIVEADDRUSE if sys.platform == "win32" else socket.SO_REUSEADDR
    listener.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        listener.bind((options.host, options.port))
    except (OSError, OverflowError) as error:
        listener.close()
        where = f"{options.host}:{options.port}"
        raise UserError(f"The engine cannot listen at {where}: {error}.", "Choose another --port or --host.") from None
    listener.set_inheritable(False)
    return listener


def greeting(options: ServeOptions, port: int, queue: Queue) -> list[str]:
    """What to do to use this engine."""
    scheme = "https" if options.certificate else "http"
    lines = [f"Listening at {scheme}://{options.host}:{port}, jobs on: {', '.join(queue.executor.devices) or 'no machine yet'}.",
             f"Jobs are kept in {options.folder}."]
    if not options.token:
        lines.append(f"The token is in {options.folder / 'token'}.")
    if is_loopback(options.host):
        lines += ["To use this engine from another computer, run there:", f"    {tunnel(port)}",
                  f"and give Blender, or splatwright train --engine, the address http://127.0.0.1:{port}."]
    elif not options.certificate:
        lines += ["Without https anyone on the way can read the token and the images. Safer: --certificate and --key, or leave --host out",
                  "and run on the other computer:", f"    {tunnel(port)}"]
    return lines
