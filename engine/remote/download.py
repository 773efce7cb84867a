"""Files of a remote job: whole, or from where a cut connection ended."""

from __future__ import annotations

import http.client
import re
from contextlib import suppress
from pathlib import Path

from ..core.files import disk_error, make_folder, remove_file, rename
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
            remove_file(begun[0])
            return fetch(line, job, name, target)
        if refusal.status == 404:
            return False
        raise
    return True


def _take_in(response: http.client.HTTPResponse, target: Path, begun: Path | None) -> None:
    tag = re.sub(r"[^\w-]", "", response.getheader("ETag") or "")[:64] or "new"
    part = begun or target.with_name(f".{target.name}.{tag}.part")
    left = _length(response)
    try:
        with open(part, "ab" if begun else "wb") as file:
            while (left is None or left > 0) and (block := _read(response, BLOCK if left is None else min(BLOCK, left))):
                file.write(block)
                left = None if left is None else left - len(block)
    except (Unreachable, http.client.HTTPException):
        raise
    except OSError as error:
        raise disk_error(part, error) from error
    if left:
        raise Unreachable("The connection to the engine was cut.", "It is tried again.")
    try:
        rename(part, target)
    except OSError as error:
        raise disk_error(target, error) from error
    for other in target.parent.glob(f".{target.name}.*.part"):
        with suppress(OSError):
            remove_file(other)


def _length(response: http.client.HTTPResponse) -> int | None:
    """Bytes that will come; None where their end is marked (chunks). Unreachable where no one can tell whether all of it came."""
    text = response.getheader("Content-Length")
    if text is not None and text.isdecimal() and len(text) < 19:
        return int(text)
    if response.chunked:
        return None
    raise Unreachable("The engine, or what is on the way to it, does not say how long the file is.", "It is tried again.")


def _read(response: http.client.HTTPResponse, length: int) -> bytes:
    """A cut connection is not a trouble of our disk."""
    try:
        return response.read(length)
    except OSError as error:
        raise Unreachable("The connection to the engine was cut.", "It is tried again.") from error
