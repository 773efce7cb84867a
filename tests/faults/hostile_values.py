"""What hostile and broken files hold where a value belongs."""

from __future__ import annotations

import json
import random
from typing import Any

BIG = int("9" * 400)
VALUES: tuple[Any, ...] = (
    BIG, -BIG, 10**30, -1, 0, 1e300, -1e300, 1e-320, 3e38, float("nan"), float("inf"), True, None, "", "\0", "\ud800", "\udcff", "x" * 5000,
    "../" * 2000,
    "/proc/self/mem", "/dev/zero", "file:///etc/passwd", "con", "nan", "1e999", [], [[]], {}, [1], {"": 1}, [None] * 20, "\u202e",
    [[1e300] * 4] * 4, [[0] * 4] * 4, [[float("nan")] * 4] * 4, [["1"] * 4] * 4, [BIG] * 17)
"""Of JSON, as Python writes and reads it."""

DEEP = tuple(opening * depth + closing * depth for opening, closing in (("[", "]"), ('{"a":', "}")) for depth in (100, 3000, 200_000))
"""Texts of JSON, brackets within brackets: with 200,000 of them Python's own reader gives up."""


def places(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value within a value of JSON."""
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def changed(values: Any, chance: random.Random) -> str:
    """The text of a JSON file in which one value, or a few, are something else, or are missing, or which is torn."""
    copy = json.loads(json.dumps(values))
    found = places(copy)[1:]
    for _ in range(chance.choice([1, 1, 1, 3])):
        *way, last = chance.choice(found)
        place = copy
        try:
            for key in way:
                place = place[key]
            if chance.random() < 0.15:
                del place[last]
            else:
                place[last] = json.loads(json.dumps(chance.choice(VALUES)))  # no value within itself
        except (LookupError, TypeError):  # it went with another value
            continue
    text = json.dumps(copy)
    match chance.randrange(12):
        case 0:
            return text[: chance.randrange(len(text))]
        case 1:
            at = chance.randrange(len(text))
            return text[:at] + chance.choice(DEEP) + text[at:]
        case 2:
            return chance.choice(DEEP)
        case _:
            return text
