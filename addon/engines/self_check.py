"""The self-check's list, asked of the engine's Python in a thread and kept for the preferences to draw."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import dataclass

import bpy

from ...engine.core.console import NO_CONSOLE
from ...engine.core.errors import UserError
from ..ui.redraw import redraw_sidebars

TICK_SECONDS = 0.3
SECONDS = 1800
"""The first check compiles the kernels of the graphics card."""


@dataclass(frozen=True)
class SelfCheckRow:
    """One row: how it is, the sentence, and what to do about it."""

    subject: str
    state: str
    sentence: str
    fix: str


@dataclass(frozen=True)
class SelfCheck:
    """The whole list, and the text to copy."""

    rows: tuple[SelfCheckRow, ...] = ()
    report: str = ""
    problem: UserError | None = None


NO_ANSWER = UserError("The engine's Python gave no answer.", "Check Engine Python above, or install the full engine anew.")

_result: SelfCheck | None = None
_thread: threading.Thread | None = None


def result() -> SelfCheck | None:
    """What was found; None before anything was asked."""
    return _result


def running() -> bool:
    """Whether the list is being made."""
    return _thread is not None and _thread.is_alive()


def start(command: list[str], environment: dict[str, str]) -> threading.Thread:
    """Ask in a thread; the rows come all at once."""
    global _thread
    _thread = threading.Thread(target=_ask, args=(command, environment), daemon=True)
    _thread.start()
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=TICK_SECONDS)
    return _thread


def tick() -> float | None:
    """Draw the answer when it is there."""
    redraw_sidebars()
    return TICK_SECONDS if running() else None


def understood(text: str) -> SelfCheck:
    """The list in the last line that a self-check printed."""
    try:
        answer = json.loads(text.strip().splitlines()[-1])
        return SelfCheck(tuple(SelfCheckRow(**row) for row in answer["rows"]), answer["report"])
    except (ValueError, KeyError, TypeError, IndexError):
        return SelfCheck(problem=NO_ANSWER)


def _ask(command: list[str], environment: dict[str, str]) -> None:
    """Runs outside the main thread: touches no Blender data."""
    global _result
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", errors="replace", timeout=SECONDS,
                              env=environment, stdin=subprocess.DEVNULL, check=False, **NO_CONSOLE)
        _result = understood(done.stdout)
    except (OSError, subprocess.SubprocessError):
        _result = SelfCheck(problem=NO_ANSWER)


def unregister() -> None:
    """Nothing ticks and nothing is known any more."""
    global _result
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    _result = None
