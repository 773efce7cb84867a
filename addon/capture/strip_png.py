"""Removes metadata from rendered PNG files, so that the same scene gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...engine.core.files import disk_error, replacing

SIGNATURE = b"\x89PNG\r\n\x1a\n"
METADATA = {b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"tIME", b"pHYs", b"oFFs"}


def strip_metadata(path: Path) -> bool:
    """Rewrite a PNG without its metadata. False for a file that is cut off or no PNG: Blender does not notice a full disk."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise disk_error(path, error) from error
    chunks = list(_chunks(data))
    if not data.startswith(SIGNATURE) or not chunks or chunks[-1][0] != b"IEND":
        return False
    with replacing(path) as temporary:
        temporary.write_bytes(SIGNATURE + b"".join(chunk for kind, chunk in chunks if kind not in METADATA))
    return True


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of every whole chunk."""
    position = len(SIGNATURE)
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position:position + 4], "big")
        if end > len(data):
            return
        yield data[position + 4:position + 8], data[position:end]
        position = end
