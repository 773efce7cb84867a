"""The budget of the machine: counts the hours in which the engine runs, warns, and at the end stops all jobs and switches off."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from ..core.errors import UserError, values
from ..core.protocol.events import Finding
from ..core.protocol.spending import NEAR, Budget, Price, SpentTime
from .executors import Job
from .http_errors import Refused
from .idle_shutdown import RETRY_SECONDS
from .queue import Queue
from .shutdown import Shutdown

log = logging.getLogger("splatwright.server")

LOOK_SECONDS = 0.5
STOP_SECONDS = 300.0
"""For jobs to write checkpoint and result; those that take longer are ended, and their last checkpoint holds."""

QUIET_SECONDS = 10.0
"""Without a request, before the machine is switched off: clients fetch their results first."""

FETCH_SECONDS = 600.0
"""Most time for that; and as long an engine that is started with a spent budget hands out results."""

GONE_SECONDS = 300.0
"""A machine that still runs so long after its command reported no error was not switched off."""


@dataclass
class EngineBudget:
    """What may be spent on the machine, and what happens when it is. `time` is None where there is no budget."""

    budget: Budget
    price: Price
    time: SpentTime | None
    queue: Queue
    shutdown: Shutdown
    quiet: Callable[[], float]
    """seconds since a client last asked for something"""
    ended: bool = False
    """it is spent: no job is taken any more"""
    _warned: set[Job] = field(default_factory=set)

    def run(self) -> None:
        """Count, in a thread of its own, once the queue knows what runs."""
        if self.time:
            self.ended = self.share >= 1
            self.queue.halted = self.ended
            threading.Thread(target=self._loop, args=(self.ended,), name="budget", daemon=True).start()

    def close(self) -> None:
        """Write down the time that counts."""
        if self.time:
            self.time.keep(now=True)

    @property
    def share(self) -> float:
        """How much of it is spent, from 0."""
        return self.budget.share(self.time.seconds, self.price) if self.time else 0.0

    def spent(self) -> str:
        """In figures; empty without a budget."""
        return self.budget.spent(self.time.seconds, self.price) if self.time else ""

    def sentence(self) -> str:
        """How much of it is spent; empty without one."""
        return f"budget {self.spent()}" if self.time else ""

    def answer(self) -> dict[str, Any] | None:
        """What clients are told of it; None without one."""
        if self.time is None:
            return None
        return {"hours": self.budget.hours, "cost": self.budget.cost, "spent_hours": round(self.time.seconds / 3600, 4),
                "spent_cost": round(self.price.cost(self.time.seconds), 4), "share": round(self.share, 4), "ended": self.ended}

    def check(self) -> None:
        """Refused when it is spent."""
        if self.ended:
            raise Refused(403, f"The engine's budget is spent ({self.spent()}), so it takes no jobs.",
                          "Start it with a larger --budget-hours or --budget-cost, then resume.")

    def _loop(self, spent_before: bool) -> None:
        while self.time and self.share < NEAR:
            self.time.keep()
            time.sleep(LOOK_SECONDS)
        if self.share < 1:
            log.warning("%.0f %% of the budget is spent: %s", 100 * self.share, self.spent())
        while self.time and self.share < 1:
            self.time.keep()
            self._warn(set(self.queue.running) - self._warned)
            time.sleep(LOOK_SECONDS)
        self.ended = self.queue.halted = True
        self.close()
        log.warning("the budget is spent (%s): jobs stop with a checkpoint, and none is taken any more", self.spent())
        self._stop_jobs()
        self._let_fetch(FETCH_SECONDS if spent_before else QUIET_SECONDS)
        while True:
            if self.shutdown.switch_off(f"budget spent: {self.spent()}"):
                time.sleep(GONE_SECONDS)  # whoever switches the machine off ends this process
                self.shutdown.still_runs()
            time.sleep(RETRY_SECONDS)

    def _warn(self, jobs: set[Job]) -> None:
        """Tell each job once."""
        self._warned |= jobs
        percent, spent = 100 * self.share, self.spent()
        tell(jobs, Finding(
            "warning", f"{percent:.0f} % of the engine's budget is spent: {spent}.",
            "At its end all jobs stop with a checkpoint, and the machine is switched off. Start the engine with a larger budget to go on.",
            code="budget.engine_near", values=values(percent=percent, spent=spent)))

    def _stop_jobs(self) -> None:
        """Let all workers write checkpoint and result; end those that take too long."""
        spent, end = self.spent(), time.monotonic() + STOP_SECONDS
        stopped: set[Job] = set()
        while self.queue.running and time.monotonic() < end:
            found = set(self.queue.running) - stopped
            tell(found, Finding("warning", f"The job was stopped because its engine's budget is spent: {spent}.",
                                "Its checkpoint is kept. To go on, start the engine with a larger budget, then resume.",
                                code="budget.engine_ended", values=values(spent=spent)))
            for job in found:
                with suppress(UserError, OSError):
                    job.client.job(job.name).set_control("stop")
            stopped |= found
            time.sleep(LOOK_SECONDS)
        for job in list(self.queue.running):
            log.warning("job %s did not stop in time and is ended", job.name)
            self.queue.executor.kill(job)

    def _let_fetch(self, least: float) -> None:
        """Wait until no client has asked for anything for a while, at least and at most so long."""
        begin = time.monotonic()
        while (spent := time.monotonic() - begin) < FETCH_SECONDS and (spent < least or self.quiet() < QUIET_SECONDS):
            self.close()
            time.sleep(LOOK_SECONDS)


def tell(jobs: Iterable[Job], finding: Finding) -> None:
    """Write a finding into the events of jobs; one whose folder cannot be written does without."""
    for job in list(jobs):
        with suppress(UserError, OSError):
            job.client.job(job.name).append_event(finding)
