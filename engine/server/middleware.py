"""What every request passes first: token, protocol, and limits for the length and the pace of its body."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

from fastapi.responses import JSONResponse
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.routing import Match, Route
from starlette.types import Message, Receive, Scope, Send

from ..core.errors import UserError
from ..core.protocol.folder import check_protocol
from ..core.protocol.http_messages import PROTOCOL_HEADER
from .auth import Tokens
from .http_errors import Refused

log = logging.getLogger("splatwright.server")

QUESTION = "/v1/engine"
"""Where clients ask what the engine is: nobody needs the machine for that."""

SMALL_BODY = 4096
JOB_BODY = 16 * 1024**2
"""A job with a hundred thousand files."""

SILENT_SECONDS = 30.0
SLOWEST = 1024.0
"""Bytes a second that a body must bring, after a first SILENT_SECONDS."""


Endpoint = TypeVar("Endpoint", bound=Callable[..., object])


def takes(limit: int | Literal["file"]) -> Callable[[Endpoint], Endpoint]:
    """Says how many bytes a request to a route may bring: a number, or as many as one file may have. Other routes take none."""
    def declared(endpoint: Endpoint) -> Endpoint:
        endpoint.body_limit = limit  # type: ignore[attr-defined]
        return endpoint

    return declared


def body_limit(app: Starlette, scope: Scope, largest_file: int) -> int:
    """Most bytes that a request may bring, as its route declares."""
    for route in app.routes:
        if isinstance(route, Route) and route.matches(scope)[0] is Match.FULL:
            limit = getattr(route.endpoint, "body_limit", 0)
            return largest_file if limit == "file" else limit
    return 0


@dataclass(frozen=True)
class Guard:
    """Wraps the application. Nothing of a body is read before the token is known."""

    app: Starlette
    tokens: Tokens
    largest_file: int
    seen: Callable[[], None]
    known: Callable[[tuple[str, int] | None], None]
    """called with the address of a connection on which a token has come"""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            limit = self._admit(scope)
        except Refused as refused:
            await refusal(refused, scope)(scope, receive, send)
            return
        if scope["path"] != QUESTION:
            self.seen()
        await self.app(scope, Body(receive, limit), self._seen_sending(send) if "/files/" in scope["path"] else send)

    def _seen_sending(self, send: Send) -> Send:
        """A client that takes in a file is there as long as that lasts."""
        async def sending(message: Message) -> None:
            self.seen()
            await send(message)

        return sending

    def _admit(self, scope: Scope) -> int:
        """Most bytes that the request may bring; Refused when it may not come in."""
        headers = Headers(scope=scope)
        client = self.tokens.client_of(headers.get("authorization"))
        if client is None:
            raise Refused(401, "The token is missing or wrong.", "Give the token that the engine was started with.")
        scope.setdefault("state", {})["client"] = client
        self.known(scope.get("client"))
        check_header(headers.get(PROTOCOL_HEADER))
        limit = body_limit(self.app, scope, self.largest_file)
        if declared_length(headers) > limit or (not limit and "transfer-encoding" in headers):
            raise too_large(limit)
        return limit


class Body:
    """Hands on a request's body and ends it when it is too long or too slow."""

    def __init__(self, receive: Receive, limit: int):
        self.receive, self.limit = receive, limit
        self.length, self.whole, self.begin = 0, False, time.monotonic()

    async def __call__(self) -> Message:
        if self.whole:
            return await self.receive()
        try:
            message = await asyncio.wait_for(self.receive(), SILENT_SECONDS)
        except TimeoutError:
            raise too_slow() from None
        if message["type"] == "http.request":
            self._count(message)
        return message

    def _count(self, message: Message) -> None:
        self.length += len(message.get("body", b""))
        self.whole = not message.get("more_body", False)
        if self.length > self.limit:
            raise too_large(self.limit)
        spent = time.monotonic() - self.begin
        if not self.whole and spent > SILENT_SECONDS and self.length < SLOWEST * spent:
            raise too_slow()


def check_header(protocol: str | None) -> None:
    """Refused when a client says that it speaks another protocol."""
    try:
        check_protocol(int(protocol) if protocol is not None and protocol.isdecimal() and len(protocol) < 10 else protocol)
    except UserError:
        raise Refused(400, f"The request speaks protocol {str(protocol)[:20]}, which this engine does not.",
                      "Use the same version of Splatwright on both sides.") from None


def declared_length(headers: Headers) -> int:
    """Bytes that the request says it brings; 0 when it does not say."""
    text = headers.get("content-length", "0")
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def too_large(limit: int) -> Refused:
    return Refused(413, "The request is larger than this engine takes.", f"Send at most {limit:,} bytes at once.")


def too_slow() -> Refused:
    return Refused(408, "The request came too slowly.", "Send it again; a file goes on where it ended.")


def refusal(error: UserError, scope: Scope) -> JSONResponse:
    """The answer to a request that is refused, which is logged."""
    status = error.status if isinstance(error, Refused) else 400
    peer = (scope.get("client") or ("?",))[0]
    log.warning("%d %s %.200r from %s: %s", status, scope["method"], scope["path"], peer, error.message)
    headers = {"Connection": "close"} if status in (401, 408, 413) else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"message": error.message, "hint": error.hint}, status, headers)
