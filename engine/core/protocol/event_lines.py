"""Events as the lines of JSON that they are written in, passed on as they came: whoever carries them need not know them all."""

from __future__ import annotations

from collections.abc import Iterable

from ..parsing import parse_json

REPLACED = frozenset({"Progress", "Stage", "Preview"})
"""Kinds of events that a later one of the same kind replaces."""


def event_kind(line: str) -> str:
    """The name of a line's event, whether it is known here or not; empty for a line that tells none."""
    try:
        values = parse_json(line)
    except ValueError:
        return ""
    kind = values.get("event") if isinstance(values, dict) else None
    return kind if isinstance(kind, str) else ""


def newest_lines(lines: Iterable[str]) -> list[str]:
    """The lines that hold events, each Progress, Stage and Preview left out that a later one replaces; order is kept."""
    kinds = [(kind, line) for line in lines if (kind := event_kind(line))]
    last = {kind: number for number, (kind, _) in enumerate(kinds)}
    return [line for number, (kind, line) in enumerate(kinds) if kind not in REPLACED or number == last[kind]]
