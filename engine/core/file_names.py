"""Names that every system takes for a file."""

from __future__ import annotations

import re

RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE)
"""Names of devices on Windows, with or without an ending."""

FORBIDDEN = re.compile(r'[\x00-\x1f\\/:*?"<>|]')
"""Letters that Windows takes in no name."""


def plain_stem(text: str, longest: int = 60) -> str:
    """A name made of letters, digits, - and _ for a file or folder, after what people call it; "job" when nothing is left."""
    return re.sub(r"[^\w-]+", "-", text)[:longest].strip("-") or "job"


def windows_takes(name: str) -> bool:
    """Whether Windows keeps a file under this name, and under no other."""
    return not (RESERVED.fullmatch(name) or FORBIDDEN.search(name) or name != name.rstrip(" ."))
