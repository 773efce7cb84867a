"""The order of jobs: the highest priority first, then who came first, each on a device of its own.

What a job's folder says is the truth: a server that was killed finds its queue and its running workers there again.
"""

from __future__ import annotations

import logging
import threading
from contextlib import suppress
from dataclasses import dataclass, field, replace

from ..core.errors import UserError
from ..core.protocol.events import Event, Progress, Stage, Started, failed
from ..core.protocol.spending import Price, write_price
from ..jobs.local_engine import JobState, rests, said_last_word
from .executors import Executor, Job
from .http_errors import Refused
from .store import Store, Ticket

log = logging.getLogger("splatwright.server")

TICK_SECONDS = 0.2
MOST_RESTARTS = 3
"""Workers that end without a word, and without having come further than the last, before the job is given up."""


@dataclass
class Attempts:
    """How often a job's worker was lost at the same place."""

    step: int = -1
    count: int = 0


@dataclass
class Queue:
    """Waiting and running jobs. One thread starts workers and notices their end; any thread may ask."""

    store: Store
    executor: Executor
    price: Price = field(default_factory=Price)
    """of the machine with all its devices"""
    halted: bool = False
    """no job is started any more; those that wait stay in their order for the next start of the engine"""
    waiting: dict[Job, Ticket] = field(default_factory=dict)
    running: dict[Job, Ticket] = field(default_factory=dict)
    _again: set[Job] = field(default_factory=set)
    """that were asked to go on while their worker was about to end"""
    _attempts: dict[Job, Attempts] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _closed: bool = False
    _last: int = 0

    def restore(self) -> None:
        """Take up what an earlier server left: its workers may still be at work."""
        for client in self.store.clients():
            client.clear_away()
            for name in client.engine.jobs():
                job = Job(client, name)
                state = self.executor.state(job)
                ticket = client.ticket(name) or Ticket(0, 0, wanted=state.alive or state is JobState.INTERRUPTED)
                self._last = max(self._last, ticket.number)
                if ticket.wanted:
                    (self.running if state.alive else self.waiting)[job] = ticket

    def run(self) -> threading.Thread:
        """Tick in a thread of its own until close()."""
        thread = threading.Thread(target=self._loop, name="queue", daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """End the thread; workers go on."""
        self._closed = True
        self._wake.set()

    def add(self, job: Job, priority: int = 0) -> None:
        """Let a job wait for its turn; one that waits or runs already is left as it is, but one that just ends runs once more."""
        needed, devices = job.client.devices_needed(job.name), self.executor.devices
        if devices and needed > 1 and not self.executor.choose(needed, devices):
            raise Refused(422, f"The job asks for {needed} graphics cards, more than a job can get here: {', '.join(devices)}.",
                          "Ask for fewer with --gpus.")
        with self._lock:
            if job in self.running and said_last_word(job.client.job(job.name)):
                self._again.add(job)
            if not self.has(job):
                self._last += 1
                self._attempts.pop(job, None)
                ticket = Ticket(priority, self._last)
                job.client.write_ticket(job.name, ticket)
                self.waiting[job] = ticket
        self._wake.set()

    def drop(self, job: Job) -> None:
        """Take a job out of the queue, or end its worker at once."""
        with self._lock:
            ticket = self.waiting.pop(job, None) or self.running.pop(job, None)
            if ticket:
                job.client.write_ticket(job.name, replace(ticket, wanted=False))
            self._again.discard(job)
            self.executor.kill(job)
        self._wake.set()

    def order(self) -> list[Job]:
        """The waiting jobs, the next one first."""
        with self._lock:
            return sorted(self.waiting, key=lambda job: (-self.waiting[job].priority, self.waiting[job].number))

    def positions(self) -> dict[Job, int]:
        """How many jobs wait before each waiting one."""
        return {job: place for place, job in enumerate(self.order())}

    def state(self, job: Job) -> JobState:
        """What a job is doing; one whose worker was just lost waits for the next."""
        with self._lock:
            if job in self.waiting or job in self._again:
                return JobState.QUEUED
            running = job in self.running
        state = self.executor.state(job)
        return JobState.STARTING if running and state is JobState.INTERRUPTED else state

    def has(self, job: Job) -> bool:
        """Whether a job waits or runs."""
        with self._lock:
            return job in self.waiting or job in self.running

    @property
    def idle(self) -> bool:
        """Nothing waits and nothing runs."""
        return not self.waiting and not self.running

    def tick(self) -> None:
        """Notice which workers are gone and start the next ones."""
        with self._lock:
            for job in list(self.running):
                self._guarded(job, self._look_after)
            for job in () if self.halted else self.order():
                mine = self.executor.choose(job.client.devices_needed(job.name), self._free())
                if not mine:
                    break  # those behind wait as well, or a job for many cards would never have its turn
                self._guarded(job, lambda job, mine=mine: self._start(job, mine))

    def _loop(self) -> None:
        while not self._closed:
            try:
                self.tick()
            except Exception:
                log.exception("the queue failed and continues")
            self._wake.wait(TICK_SECONDS)
            self._wake.clear()

    def _guarded(self, job: Job, act: object) -> None:
        """One job with a spoiled folder must not hold up the others."""
        try:
            act(job)  # type: ignore[operator]
        except (UserError, OSError) as error:
            log.error("job %s: %s", job.name, error)
            self._give_up(job, error if isinstance(error, UserError) else UserError(str(error)))

    def _free(self) -> tuple[str, ...]:
        taken = [device for ticket in self.running.values() for device in ticket.devices]
        return tuple(device for device in self.executor.devices if device not in taken)

    def _share(self, devices: tuple[str, ...]) -> Price:
        """What an hour of some of the devices costs."""
        return replace(self.price, per_hour=self.price.per_hour * len(devices) / max(len(devices), len(self.executor.devices)))

    def _start(self, job: Job, devices: tuple[str, ...]) -> None:
        ticket = replace(self.waiting[job], devices=devices)
        job.client.engine.spec(job.name)
        self._note(job, ticket)
        write_price(job.client.job(job.name).price, self._share(devices))
        self.executor.start(job, devices)
        self.running[job] = ticket
        del self.waiting[job]
        log.info("job %s starts on %s", job.name, ", ".join(devices))

    def _look_after(self, job: Job) -> None:
        state = self.executor.state(job)
        if state is JobState.PAUSED and rests(job.client.job(job.name)):
            self._let_rest(job)
        if state.alive:
            return
        ticket = self.running.pop(job)
        if state is not JobState.INTERRUPTED or not job.client.has(job.name):
            self._attempts.pop(job, None)
            log.info("job %s: %s", job.name, state.value)
            if job.client.has(job.name):
                self._note(job, replace(ticket, wanted=False, devices=()))
                if job in self._again:
                    self._put(job, replace(ticket, devices=()))
            self._again.discard(job)
        elif self._may_retry(job):
            log.warning("job %s lost its worker and goes on from its checkpoint", job.name)
            self._put(job, replace(ticket, devices=()))
        else:
            raise UserError("The engine's worker ended several times at the same step without a message.", "Its engine.log may say why.",
                            "server.ended_often")

    def _let_rest(self, job: Job) -> None:
        """A paused job needs no card: its checkpoint is written, and it waits for its turn again when it is to go on."""
        self.executor.kill(job)
        self._note(job, replace(self.running.pop(job), wanted=False, devices=()))
        log.info("job %s is paused, and its card is free", job.name)

    def _may_retry(self, job: Job) -> bool:
        attempts = self._attempts.setdefault(job, Attempts())
        step = last_step(job.client.job(job.name).last_events())
        attempts.count = attempts.count + 1 if step <= attempts.step else 1
        attempts.step = max(step, attempts.step)
        return attempts.count <= MOST_RESTARTS

    def _give_up(self, job: Job, error: UserError) -> None:
        ticket = self.waiting.pop(job, None) or self.running.pop(job, None)
        with suppress(UserError, OSError):
            job.client.job(job.name).append_event(failed(error))
            job.client.write_ticket(job.name, replace(ticket or Ticket(0, 0), wanted=False, devices=()))

    def _put(self, job: Job, ticket: Ticket) -> None:
        self._note(job, ticket)
        self.waiting[job] = ticket

    def _note(self, job: Job, ticket: Ticket) -> None:
        """Keep a job's place for a server to come; the job goes its way although the disk is full."""
        try:
            job.client.write_ticket(job.name, ticket)
        except UserError as error:
            log.error("job %s: %s", job.name, error)


def last_step(events: list[Event]) -> int:
    """How far a worker has come, as its last events tell."""
    return max((event.done if isinstance(event, Stage) else event.step for event in events
                if isinstance(event, (Progress, Started, Stage))), default=0)
