"""Reading what others wrote: JSON and numbers. Whatever it holds, a ValueError says that it cannot be used, and nothing else is raised.

Files, messages and lines of events all come through here, so that a number of 400 digits or a thousand brackets are refused in one
place. Arrays: formats/npy.py.
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

DEEPEST = 64
"""Brackets within brackets that JSON may have: what we write has six."""

LONGEST_WHOLE = 18
"""Digits of a whole number that every array and database holds; longer ones become floats."""

LARGEST_PROCESS = 2**31 - 1
"""Systems give processes no larger numbers; 0 and less would mean groups of them."""

LONGEST_PATH = 4096


def parse_json(text: str | bytes) -> Any:
    """The value of a text of JSON; ValueError for anything else, and for more than DEEPEST brackets within each other.

    Whole numbers that do not fit 64 bits become floats, if need be infinite: code that wants numbers asks whether they are finite anyway.
    """
    try:
        value = json.loads(text, parse_int=_whole)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not _flat_enough(value):
        raise ValueError("it is nested too deeply")
    return value


def parse_object(text: str | bytes) -> dict[str, Any]:
    """As parse_json, for an object; ValueError for any other value."""
    value = parse_json(text)
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return value


def finite(value: object, largest: float = math.inf) -> float:
    """A number of JSON as a finite float of no more than that size; ValueError for what is none, True and False among it."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or abs(value) > largest:
        raise ValueError("it is no usable number")
    return float(value)


def process_number(value: object) -> int:
    """A number that a process may have; ValueError for anything else, as 0, which stands for a group of processes."""
    if type(value) is not int or not 0 < value <= LARGEST_PROCESS:
        raise ValueError("it is no number of a process")
    return value


def plain_path(value: object) -> Path:
    """A path that a system can look for; ValueError for what is no text, is longer than any path, or holds letters that no path has."""
    if not isinstance(value, str) or len(value) > LONGEST_PATH or "\0" in value:
        raise ValueError("it is no path")
    os.fsencode(value)  # UnicodeEncodeError, a ValueError, for half of a pair of surrogates
    return Path(value)


def _whole(digits: str) -> int | float:
    return int(digits) if len(digits) <= LONGEST_WHOLE else float(digits)


def _flat_enough(value: Any) -> bool:
    """Whether there are no more than DEEPEST brackets within each other."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for each in level if isinstance(each, (dict, list))
                 for inner in (each.values() if isinstance(each, dict) else each) if isinstance(inner, (dict, list))]
        if not level:
            return True
    return False
