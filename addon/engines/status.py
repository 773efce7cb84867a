"""Whether the engine can run here: asked of a worker process when a panel first wants to know, and remembered."""

from __future__ import annotations

import json
import subprocess
import threading
from dataclasses import dataclass
from enum import Enum

import bpy

from ...engine.core.console import NO_CONSOLE
from ..typed import operators
from ..ui.redraw import redraw_sidebars

CHECK_SECONDS = 60
TICK_SECONDS = 0.2


class EngineState(Enum):
    """Every state of the engine that the interface draws."""

    UNKNOWN = "unknown"
    CHECKING = "checking"
    READY = "ready"
    BROKEN = "broken"


@dataclass(frozen=True)
class EngineStatus:
    """The engine's state and the sentence about it."""

    state: EngineState
    message: str
    hint: str = ""


UNKNOWN = EngineStatus(EngineState.UNKNOWN, "The engine has not been checked yet.")
CHECKING = EngineStatus(EngineState.CHECKING, "Checking the engine …")
DOES_NOT_START = EngineStatus(
    EngineState.BROKEN, "The engine does not start.", "Check Engine Python in the extension's preferences, or reinstall the extension.")

_status = UNKNOWN


def status() -> EngineStatus:
    """What is known about the engine."""
    return _status


def forget_status() -> None:
    """The engine was changed: ask again when somebody wants to know."""
    global _status
    _status = UNKNOWN


def want_status() -> EngineStatus:
    """What is known about the engine; when nothing is, it is asked as soon as Blender has time. Panels call this."""
    if _status is UNKNOWN and not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=TICK_SECONDS)
    return _status


def check_engine(command: list[str], environment: dict[str, str]) -> threading.Thread:
    """Ask a worker to check itself, in a thread; status() tells the answer."""
    global _status
    _status = CHECKING
    thread = threading.Thread(target=_check, args=(command, environment), daemon=True)
    thread.start()
    if not bpy.app.timers.is_registered(tick):
        bpy.app.timers.register(tick, first_interval=TICK_SECONDS)
    return thread


def tick() -> float | None:
    """Begin the check that was asked for, and draw its answer."""
    if _status is UNKNOWN:
        operators().splatwright.check_engine()
    redraw_sidebars()
    return TICK_SECONDS if _status is CHECKING else None


def _check(command: list[str], environment: dict[str, str]) -> None:
    """Runs outside the main thread: touches no Blender data."""
    global _status
    answer = ask_worker(command, environment)
    if _status is CHECKING:
        _status = answer


def ask_worker(command: list[str], environment: dict[str, str]) -> EngineStatus:
    """Run the self-check; whatever is not its one line of JSON means that the engine does not start."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS, env=environment,
                              stdin=subprocess.DEVNULL, check=False, **NO_CONSOLE)
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        state = EngineState.READY if answer["ok"] is True else EngineState.BROKEN
        return EngineStatus(state, str(answer["message"]), str(answer["hint"]))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, TypeError, IndexError):
        return DOES_NOT_START


def unregister() -> None:
    """Nothing ticks and nothing is known any more."""
    if bpy.app.timers.is_registered(tick):
        bpy.app.timers.unregister(tick)
    forget_status()
