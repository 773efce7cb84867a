"""Names of files as other systems spell them: slashes, cases, Unicode's forms, code pages."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from itertools import permutations
from urllib.parse import unquote

from ..errors import printable

PAGES = ("cp1252", "gb18030", "cp932", "cp949", "big5", "cp1251", "cp1250", "cp437", "cp850", "cp866", "latin-1", "mac_roman")
"""Code pages that programs on Windows and old archives write names in."""

OF_ARCHIVES = ("cp437", "cp850", "cp1252", "gb18030", "cp932")
"""Those that one program wrote and another took for each other."""


def plain_name(name: str) -> str:
    """A name as other systems write it: forward slashes, no leading ./"""
    plain = name.strip().replace("\\", "/")
    while plain.startswith("./"):
        plain = plain[2:].lstrip("/")
    return plain.replace("/./", "/")


def folded(name: str) -> str:
    """What is equal for names that differ in case or in the form of Unicode alone."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def readable(name: str) -> str:
    """A name without the marks of bytes that were no UTF-8, for people and files."""
    if _is_text(name):
        return name
    try:
        return name.encode("utf-8", "surrogateescape").decode("cp1252", "replace")
    except UnicodeEncodeError:  # halves of letters, which no file's name has
        return printable(name)


def _is_text(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def respellings() -> Iterator[tuple[str, str]]:
    """Pairs of what names were written in and read as instead, the likely ones first; see respelled()."""
    yield from (("utf-8", page) for page in PAGES)
    yield from ((page, "utf-8") for page in PAGES)
    yield from permutations(OF_ARCHIVES, 2)
    yield "percent", "utf-8"


def respelled(name: str, written: str, read: str) -> str:
    """The same bytes read as another code page; the name itself where that is not possible. Bytes that are no UTF-8 stay marked."""
    if written == "percent":
        return unquote(name)
    try:
        return name.encode(written, _marked(written)).decode(read, _marked(read))
    except UnicodeError:
        return name


def _marked(page: str) -> str:
    return "surrogateescape" if page == "utf-8" else "strict"
