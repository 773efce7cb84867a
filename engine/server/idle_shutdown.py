"""What a rented machine costs, and letting it go when it is idle."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..core.protocol.spending import Price
from .shutdown import Shutdown

log = logging.getLogger("splatwright.server")

LOOK_SECONDS = 1.0
TELL_SECONDS = 600.0
RETRY_SECONDS = 600.0
"""Before a machine that could not be switched off is tried again, and its alarm is said again."""


@dataclass
class CostMeter:
    """Hours since the engine was started, and their price."""

    price: Price = field(default_factory=Price)
    begin: float = field(default_factory=time.monotonic)

    @property
    def cost(self) -> float:
        """What the machine has cost since the engine was started."""
        return self.price.cost(time.monotonic() - self.begin)

    def sentence(self) -> str:
        """The cost in words; empty without a price."""
        price = self.price
        return f"{self.cost:.2f} {price.currency} so far, {price.per_hour:g} {price.currency} an hour" if price.per_hour else ""


@dataclass
class IdleShutdown:
    """Ends the engine after so many minutes in which no job ran and no client asked for anything; 0: never.

    Where the machine could not be switched off it stays, so that somebody hears of it, and tries again.
    """

    minutes: float
    shutdown: Shutdown
    busy: Callable[[], bool]
    end: Callable[[], None]
    meter: CostMeter
    last: float = field(default_factory=time.monotonic)
    """when there was something to do, by the monotonic clock"""
    asked: float = field(default_factory=time.monotonic)
    """when a client last asked for something"""
    _told: float = field(default_factory=time.monotonic)

    def seen(self) -> None:
        """A client asked for something, or takes in what it has asked for."""
        self.last = self.asked = time.monotonic()

    def quiet(self) -> float:
        """Seconds since then."""
        return time.monotonic() - self.asked

    def run(self) -> None:
        """Look now and then, in a thread of its own."""
        threading.Thread(target=self._loop, name="watchman", daemon=True).start()

    def look(self) -> bool:
        """Whether it is time to go."""
        now = time.monotonic()
        if self.busy():
            self.last = now
        if self.meter.price.per_hour and now - self._told > TELL_SECONDS:
            self._told = now
            log.info("%s", self.meter.sentence())
        return self.minutes > 0 and now - self.last > self.minutes * 60

    def _loop(self) -> None:
        tried = -RETRY_SECONDS
        while True:
            if not self.look():
                time.sleep(min(LOOK_SECONDS, self.minutes * 60 or LOOK_SECONDS))
            elif time.monotonic() - tried < RETRY_SECONDS:
                time.sleep(LOOK_SECONDS)
            else:
                tried = time.monotonic()
                log.info("nothing to do for %g minutes: the engine ends", self.minutes)
                if not self.shutdown.command or self.shutdown.switch_off(f"idle for {self.minutes:g} minutes"):
                    self.end()
                    return
