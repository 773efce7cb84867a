"""The self-check's list, asked of the engine's Python and kept for the preferences to draw."""

from __future__ import annotations

from dataclasses import dataclass

from ...engine.core.errors import UserError
from ...engine.core.parsing import parse_object
from ...engine.core.processes import run
from ...engine.environment.own_wheel import engine_version
from ...engine.remote.examine import examine
from ...engine.remote.http import Address
from ..ui.background import BackgroundTask, ThreadWork

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


NO_ANSWER = UserError("The engine's Python gave no answer.", "Check Engine Python above, or install the full engine anew.",
                      "self_check.no_answer")

_task: BackgroundTask[ThreadWork[SelfCheck]] = BackgroundTask()
close = _task.close


def result() -> SelfCheck | None:
    """What was found; None before there is an answer."""
    return _task.work.answer if _task.work is not None else None


def running() -> bool:
    """Whether the list is being made."""
    return _task.running


def start(command: list[str], environment: dict[str, str]) -> ThreadWork[SelfCheck]:
    """Ask; the rows come all at once."""
    return _task.start(ThreadWork(lambda: ask(command, environment)))


def start_remotely(address: Address) -> ThreadWork[SelfCheck]:
    """Ask about the engine at an address instead."""
    return _task.start(ThreadWork(lambda: ask_engine(address)))


def ask_engine(address: Address) -> SelfCheck:
    """The rows about a remote engine."""
    rows = tuple(SelfCheckRow(row.subject, row.state, row.sentence, row.fix) for row in examine(address, engine_version()))
    return SelfCheck(rows, "\n".join(f"[{row.state}] {row.subject}: {row.sentence} {row.fix}".rstrip() for row in rows))


def understood(text: str) -> SelfCheck:
    """The list in the last line that a self-check printed."""
    try:
        answer = parse_object(text.strip().splitlines()[-1])
        return SelfCheck(tuple(SelfCheckRow(**row) for row in answer["rows"]), answer["report"])
    except (ValueError, KeyError, TypeError, IndexError):
        return SelfCheck(problem=NO_ANSWER)


def ask(command: list[str], environment: dict[str, str]) -> SelfCheck:
    """What the engine's Python answers."""
    try:
        return understood(run(command, environment=environment, seconds=SECONDS).stdout)
    except UserError:
        return SelfCheck(problem=NO_ANSWER)
