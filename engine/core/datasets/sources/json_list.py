"""JSON files that hold a list, which read_json refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ...confinement import admitted
from ...errors import UserError
from ...files import disk_error, read_text
from ...parsing import parse_json

HEAD = 4096


def begins_a_list(path: Path, *words: str) -> bool:
    """Whether a file begins as a list of objects and names one of these keys in its first lines."""
    try:
        with open(admitted(path), encoding="utf-8-sig", errors="replace") as file:
            head = file.read(HEAD).lstrip()
    except OSError:
        return False
    return head.startswith("[") and any(f'"{word}"' in head for word in words)


def read_list(path: Path, wanted: str, hint: str) -> list[dict[str, Any]]:
    """The objects of the list that a file holds; UserError, with that hint, when it holds none and so no `wanted`."""
    try:
        values = parse_json(read_text(path))
    except OSError as error:
        raise disk_error(path, error) from error
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON: {error}.", hint, "file.json", path=path, problem=error) from None
    if not isinstance(values, list) or not values or not all(isinstance(value, dict) for value in values):
        raise UserError(f"{path} holds no {wanted}.", hint, "file.no_list", path=path, wanted=wanted)
    return values
