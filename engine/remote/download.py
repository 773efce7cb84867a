"""Files of a remote job: whole, or from where a cut connection ended."""

from __future__ import annotations

import http.client
import os
from contextlib import suppress
from pathlib import Path

from ..core.files import disk_error, make_folder
from .http import BLOCK, Connection, Rejected, Unreachable
from .local_copy import part_of


def fetch(line: Connection, job: str, name: str, target: Path) -> bool:
    """Bring a file of a job here; False when there is none. Raises Unreachable when it was cut: the next call goes on there."""
    make_folder(target.parent)
    begun = part_of(target)
    head = {}
    if begun:
        head = {"Range": f"bytes={begun[0].stat().st_size}-", "If-Range": f'"{begun[1]}"'}
    try:
        with line.open("GET", f"/v1/jobs/{job}/files/{name}", headers=head) as response:
            _take_in(response, target, begun[0] if begun and response.status == 206 else None)
    except Rejected as refusal:
        if refusal.status == 416 and begun:
            begun[0].unlink(missing_ok=True)
            return fetch(line, job, name, target)
        if refusal.status == 404:
            return False
        raise
    return True


def _take_in(response: http.client.HTTPResponse, target: Path, begun: Path | None) -> None:
    tag = (response.getheader("ETag") or "new").strip('"')
    part = begun or target.with_name(f".{target.name}.{tag}.part")
    left = int(response.getheader("Content-Length") or 0)
    try:
        with open(part, "ab" if begun else "wb") as file:
            while left > 0 and (block := _read(response, min(BLOCK, left))):
                file.write(block)
                left -= len(block)
    except (Unreachable, http.client.HTTPException):
        raise
    except OSError as error:
        raise disk_error(part, error) from error
    if left:
        raise Unreachable("The connection to the engine was cut.", "It is tried again.")
    os.replace(part, target)
    for other in target.parent.glob(f".{target.name}.*.part"):
        with suppress(OSError):
            other.unlink()


def _read(response: http.client.HTTPResponse, length: int) -> bytes:
    """A cut connection is not a trouble of our disk."""
    try:
        return response.read(length)
    except OSError as error:
        raise Unreachable("The connection to the engine was cut.", "It is tried again.") from error
