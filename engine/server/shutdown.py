"""Switching the machine off by a command, with what it answered as proof, or an alarm that nobody misses."""

from __future__ import annotations

import json
import logging
import subprocess
import time
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from ..core.errors import UserError
from ..core.files import write_text
from ..core.processes import end_tree
from ..core.text import phrase

log = logging.getLogger("splatwright.server")

COMMAND_SECONDS = 120.0
"""A command that takes longer has failed."""

MOST_OUTPUT = 2000
"""Letters of what the command printed that are kept, the last ones."""

HANGS = -1
"""Exit status of a command that was ended because it took too long."""


@dataclass(frozen=True)
class Answer:
    """What a command said when it was asked to switch the machine off."""

    time: str
    why: str
    command: str
    status: int
    output: str


@dataclass
class Shutdown:
    """Switches the machine off; `record` is the file that keeps the last answer. `alarm`: that the machine still runs, for all to see."""

    command: str
    record: Path
    alarm: str = ""

    def switch_off(self, why: str) -> bool:
        """Run the command; whether it says that the machine is switched off. Else there is an alarm."""
        if not self.command:
            return self.raise_alarm(phrase("The machine was NOT switched off and goes on costing money: no command for that was given. "
                                           "Switch it off by hand."))
        answer = self._run(why)
        with suppress(UserError):
            write_text(self.record, json.dumps(asdict(answer), indent=2, ensure_ascii=False))
        log.info("%s: exit status %d%s", self.command, answer.status, f", {answer.output}" if answer.output else "")
        if answer.status:
            return self.raise_alarm(phrase("The machine was NOT switched off and goes on costing money: its command failed. "
                                           "Switch it off by hand."))
        self.alarm = ""
        return True

    def still_runs(self) -> None:
        """The command said that the machine is off, and here we are."""
        self.raise_alarm(phrase("The machine was NOT switched off and goes on costing money, although its command reported no error. "
                                "Switch it off by hand."))

    def raise_alarm(self, text: str) -> bool:
        """Say it where nobody misses it; False."""
        self.alarm = text
        for line in ("!" * 100, text.upper(), "!" * 100):
            log.critical("%s", line)
        return False

    def _run(self, why: str) -> Answer:
        """Its output goes into a file, for what it leaves at work in the background would hold a pipe open; on a full disk nowhere."""
        now, output = time.strftime("%Y-%m-%d %H:%M:%S"), self.record.with_suffix(".log")
        with ExitStack() as files:
            told: int | BinaryIO = subprocess.DEVNULL
            with suppress(OSError):
                told = files.enter_context(open(output, "wb"))
            process = subprocess.Popen(self.command, shell=True, stdin=subprocess.DEVNULL, stdout=told, stderr=subprocess.STDOUT,
                                       start_new_session=True)
        try:
            status = process.wait(COMMAND_SECONDS)
        except subprocess.TimeoutExpired:
            end_tree(process.pid)
            return Answer(now, why, self.command, HANGS, f"it did not end within {COMMAND_SECONDS:g} seconds")
        try:
            said = output.read_text(encoding="utf-8", errors="replace").strip()
        except OSError:
            said = ""
        return Answer(now, why, self.command, status, said[-MOST_OUTPUT:])
