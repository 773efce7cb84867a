"""A file as an answer: whole, or the part that a Range asks for, always of one and the same file."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastapi.responses import Response, StreamingResponse

from ..core.files import disk_error, open_shared
from .http_errors import Refused

BLOCK = 256 * 1024
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


def file_response(path: Path, wanted: str | None, only_if: str | None) -> Response:
    """The file, or the part `wanted` (the header Range) of it while its tag is `only_if` (the header If-Range).

    The file is opened once: a preview that is replaced meanwhile does not mix with this one.
    """
    try:
        file = open_shared(path, follow_links=False)
    except OSError as error:
        raise disk_error(path, error) from error
    status = os.fstat(file.fileno())
    tag = f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"'
    headers = {"ETag": tag, "Accept-Ranges": "bytes", "Cache-Control": "no-store"}
    part = None if only_if not in (None, tag) else parse_range(wanted, status.st_size)
    if part is None:
        headers["Content-Length"] = str(status.st_size)
        return StreamingResponse(_read(file, 0, status.st_size), 200, headers, "application/octet-stream")
    first, last = part
    if first > last:
        file.close()
        return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{status.st_size}"})
    headers |= {"Content-Length": str(last - first + 1), "Content-Range": f"bytes {first}-{last}/{status.st_size}"}
    return StreamingResponse(_read(file, first, last - first + 1), 206, headers, "application/octet-stream")


def parse_range(text: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte; None for the whole file. First beyond last: there is no such part. Refused for what is no single range."""
    if text is None:
        return None
    found = _RANGE.fullmatch(text.strip())
    if not found or found.groups() == ("", ""):
        raise Refused(400, "The Range is invalid.", "Write it as bytes=FIRST-LAST.")
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if int(last) else (1, 0)
    return (int(first), min(int(last), size - 1) if last else size - 1)


def _read(file: BinaryIO, offset: int, length: int) -> Iterator[bytes]:
    with file:
        file.seek(offset)
        while length > 0:
            block = file.read(min(BLOCK, length))
            if not block:
                return
            length -= len(block)
            yield block
