"""The self-check of a remote engine: whether it is reached, takes the token, speaks this version, and what it can train on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from ..core.errors import UserError
from .http import Address, Connection, Rejected, Unreachable, no_engine

LITTLE = 5e9
"""Bytes of room with which a training may run into trouble."""

Words = Literal["well", "absent", "weak", "broken"]


@dataclass(frozen=True)
class EngineRow:
    """One thing that was looked at: how it is, a sentence, and what to do about it."""

    subject: str
    state: Words
    sentence: str
    fix: str = ""


def examine(address: Address, version: str) -> Iterator[EngineRow]:
    """Every row about the engine at an address, for a client of this version. Whatever answers there, rows come of it."""
    answer: Any = None
    try:
        line = Connection(address)
        try:
            answer = line.ask("GET", "/v1/engine")
        finally:
            line.close()
    except Rejected as refusal:
        yield EngineRow("Reachable", "well", f"Something answers at {address.url}.")
        yield EngineRow("Token" if refusal.status == 401 else "Engine", "broken", refusal.message, refusal.hint)
        return
    except Unreachable as error:
        yield EngineRow("Reachable", "broken", error.message, error.hint)
        return
    except UserError as error:
        yield EngineRow("Address", "broken", error.message, error.hint)
        return
    if not isinstance(answer, dict) or "devices" not in answer:
        error = no_engine(address)
        yield EngineRow("Engine", "broken", error.message, error.hint)
        return
    yield EngineRow("Reachable", "well", f"The engine answers at {address.url}.")
    yield EngineRow("Token", "well", "The engine takes the token.")
    yield _version(str(answer.get("version", "unknown"))[:40], version)
    yield _card(answer["devices"])
    yield _disk(answer.get("room"))


def _version(theirs: str, ours: str) -> EngineRow:
    if theirs == ours:
        return EngineRow("Version", "well", f"The engine has this version, {ours}.")
    return EngineRow("Version", "weak", f"The engine has version {theirs}, this is {ours}.", "Use the same version on both sides.")


def _card(devices: Any) -> EngineRow:
    names = [str(name)[:20] for name in devices] if isinstance(devices, list) else []
    if not names:
        return EngineRow("Graphics card", "broken", "No machine of the engine can train at the moment.", "Look at the engine's log.")
    if names == ["cpu"]:
        return EngineRow("Graphics card", "absent", "The engine has no graphics card: it trains on the processor.",
                         "On a computer with a card: splatwright doctor --graphics says what is missing.")
    return EngineRow("Graphics card", "well", f"The engine trains on {len(names)} graphics {'card' if len(names) == 1 else 'cards'}: "
                     f"{', '.join(names)}.")


def _disk(room: Any) -> EngineRow:
    if not isinstance(room, (int, float)):
        return EngineRow("Disk", "absent", "The engine does not tell how much room it has.", "Install the newest version there.")
    sentence = f"The engine has room for {max(room, 0) / 1e9:.1f} GB more of yours."
    if room < LITTLE:
        return EngineRow("Disk", "weak" if room > 0 else "broken", sentence, "Delete old jobs there: splatwright jobs --delete NAME.")
    return EngineRow("Disk", "well", sentence)
