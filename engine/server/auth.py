"""Who may use the engine. Each token is a client of its own, with its own jobs and files."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import UserError
from ..core.files import disk_error, make_folder

SHORTEST = 16
TOKEN_FILE = "token"


@dataclass(frozen=True)
class Tokens:
    """The tokens that open the engine."""

    tokens: tuple[str, ...]

    def client_of(self, authorization: str | None) -> str | None:
        """The client that an Authorization header stands for; None when its token is not known. Takes as long for every wrong token."""
        scheme, _, given = (authorization or "").partition(" ")
        found = None
        for token in self.tokens:
            if hmac.compare_digest(token.encode(), given.strip().encode()):
                found = token
        return client_name(found) if found and scheme.lower() == "bearer" else None


def client_name(token: str) -> str:
    """The name of a client's folder, from which its token cannot be computed."""
    return hashlib.sha256(b"splatwright " + token.encode()).hexdigest()[:16]


def checked_tokens(tokens: tuple[str, ...]) -> Tokens:
    """Tokens that are long enough and fit into a header; UserError else."""
    for token in tokens:
        if len(token) < SHORTEST or not token.isascii() or not token.isprintable() or " " in token:
            raise UserError(f"A token needs at least {SHORTEST} letters, digits or signs.", f"Take this one: {secrets.token_urlsafe(24)}")
    return Tokens(tokens)


def kept_token(root: Path) -> str:
    """The token of an engine that listens to its own computer alone: made once, readable by its owner alone."""
    path = make_folder(root) / TOKEN_FILE
    try:
        if not path.exists():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(24))
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise disk_error(path, error) from error


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this computer alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
