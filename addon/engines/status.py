"""Whether the engine can run here: asked of a worker process when a panel first wants to know, and remembered."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ...engine.core.errors import UserError
from ...engine.core.parsing import parse_object
from ...engine.core.processes import run
from ..typed import operators
from ..ui.background import BackgroundTask, ThreadWork

CHECK_SECONDS = 60


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

_task: BackgroundTask[ThreadWork[EngineStatus]] = BackgroundTask(begin=lambda: operators().splatwright.check_engine())
poll, close = _task.poll, _task.close


def status() -> EngineStatus:
    """What is known about the engine."""
    work = _task.work
    if work is None:
        return UNKNOWN
    return work.answer or CHECKING


def forget_status() -> None:
    """Forget the status after a change of the engine; the next want_status() asks again."""
    _task.forget()


def want_status() -> EngineStatus:
    """What is known about the engine; when nothing is, it is asked as soon as Blender has time. Panels call this."""
    _task.want()
    return status()


def check_engine(command: list[str], environment: dict[str, str]) -> None:
    """Ask a worker to check itself; status() tells the answer."""
    _task.start(ThreadWork(lambda: ask_worker(command, environment)))


def ask_worker(command: list[str], environment: dict[str, str]) -> EngineStatus:
    """Run the self-check; whatever is not its one line of JSON means that the engine does not start."""
    try:
        answer = parse_object(run(command, environment=environment, seconds=CHECK_SECONDS).stdout.strip().splitlines()[-1])
        state = EngineState.READY if answer["ok"] is True else EngineState.BROKEN
        return EngineStatus(state, str(answer["message"]), str(answer["hint"]))
    except (UserError, ValueError, KeyError, TypeError, IndexError):
        return DOES_NOT_START
