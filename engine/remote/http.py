"""Requests to a remote engine; whatever goes wrong is one sentence."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlsplit

from ..core.errors import UserError
from ..core.protocol.folder import PROTOCOL
from ..core.protocol.http_messages import PROTOCOL_HEADER

TIMEOUT_SECONDS = 15.0
BLOCK = 1024**2
BUSY = (408, 502, 503, 504)
"""Answers that say: try again."""


class Unreachable(UserError):
    """The engine does not answer, or not any more: worth another try."""


class Rejected(UserError):
    """The engine answers with a refusal; `answer` is what else it says."""

    def __init__(self, status: int, message: str, hint: str, answer: dict[str, Any]):
        super().__init__(message, hint)
        self.status, self.answer = status, answer


@dataclass(frozen=True)
class Address:
    """Where an engine listens, the token that it asks for, and a certificate to trust that no authority has signed."""

    url: str
    token: str
    certificate: Path | None = None

    def check(self) -> Address:
        """Return self; UserError when this is no address, or no token."""
        parts = urlsplit(self.url)
        try:
            sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
        except ValueError:
            sound = False
        if not sound or parts.path not in ("", "/") or parts.query:
            raise UserError(f"{self.url!r} is no address of an engine.",
                            "Write it like http://127.0.0.1:8787 or https://gpu.example.org:8787.", "remote.address", url=self.url)
        if not self.token.isascii() or not self.token.isprintable() or not self.token.strip():
            raise UserError("The engine's token is missing, or holds characters that no token has.",
                            "Give the token that the engine was started with.", "remote.token")
        return self

    def connect(self, timeout: float) -> http.client.HTTPConnection:
        """A connection, opened by its first request, that waits so many seconds for an answer."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        if parts.scheme == "https":
            try:
                context = ssl.create_default_context(cafile=self.certificate)
            except (OSError, ssl.SSLError):
                raise UserError(f"The certificate {self.certificate} cannot be read.", "Give a PEM file.", "remote.certificate",
                                certificate=self.certificate) from None
            return http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=context, blocksize=BLOCK)
        return http.client.HTTPConnection(host, parts.port, timeout=timeout, blocksize=BLOCK)


class Connection:
    """One connection to an engine; opened again when it was cut."""

    def __init__(self, address: Address, timeout: float = TIMEOUT_SECONDS):
        self.address = address.check()
        self.connection = address.connect(timeout)

    def close(self) -> None:
        self.connection.close()

    @contextmanager
    def open(self, method: str, path: str, body: bytes | BinaryIO | None = None,
             headers: Mapping[str, str] | None = None) -> Iterator[http.client.HTTPResponse]:
        """The answer to one request, to be read inside. Raises Unreachable, or Rejected for a status of 400 and more."""
        head = {"Authorization": f"Bearer {self.address.token.strip()}", PROTOCOL_HEADER: str(PROTOCOL), **(headers or {})}
        try:
            try:
                self.connection.request(method, quote(path, safe="/?=&"), body, head)
            except (BrokenPipeError, ConnectionResetError, ConnectionAbortedError):
                if self.connection.sock is None:
                    raise
            # an engine that refuses a long body answers before it has read it
            response = self.connection.getresponse()
            if response.status in BUSY:
                raise http.client.HTTPException(f"HTTP status {response.status}")
            if response.status >= 400:
                raise rejected(response)
            yield response
            if not response.isclosed():
                self.close()
        except ssl.SSLCertVerificationError as error:
            self.close()
            raise UserError(f"The certificate of {self.address.url} is not trusted: {error.verify_message}.",
                            "Give the engine's own certificate file beside its address.", "remote.not_trusted",
                            url=self.address.url, problem=error.verify_message) from None
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"The engine at {self.address.url} does not answer: {_words(error)}.",
                              "Check that it runs, and that the SSH tunnel is open.") from error
        except BaseException:
            self.close()
            raise

    def ask(self, method: str, path: str, body: bytes | BinaryIO | None = None, headers: Mapping[str, str] | None = None) -> Any:
        """The JSON of an answer; None where it has no body."""
        with self.open(method, path, body, headers) as response:
            text = response.read()
        try:
            return json.loads(text) if text else None
        except (ValueError, RecursionError):
            raise no_engine(self.address) from None


def no_engine(address: Address) -> UserError:
    """What is said of an answer that no engine gives."""
    return UserError(f"What answers at {address.url} is no engine.", "Check the address and its port.", "remote.no_engine", url=address.url)


def _words(error: OSError | http.client.HTTPException) -> str:
    """What went wrong with a connection, without its number."""
    return str(getattr(error, "strerror", None) or error or type(error).__name__)


def rejected(response: http.client.HTTPResponse) -> Rejected:
    """The sentence of a refusal."""
    values: Any = None
    with suppress(ValueError, RecursionError, OSError, http.client.HTTPException):
        values = json.loads(response.read(64 * BLOCK))
    answer = values if isinstance(values, dict) else {}
    message = str(answer.get("message") or f"The engine refuses the request (HTTP {response.status}).")
    return Rejected(response.status, message, str(answer.get("hint") or "Check the address of the engine."), answer)
