"""What a training, or the machine of an engine, may cost: a budget, the price of an hour, and the time that counts, kept in a file."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import UserError
from ..files import disk_error, remove_file, write_text
from ..parsing import finite, parse_object

NEAR = 0.8
"""Share of a budget from which on it is nearly spent."""

KEEP_SECONDS = 5.0
"""Between two writes of the time that counts: so much of it is lost at most when the process is killed."""


@dataclass(frozen=True)
class Price:
    """What an hour costs; 0: not known."""

    per_hour: float = 0.0
    currency: str = "$"

    def cost(self, seconds: float) -> float:
        """Of so much time."""
        return self.per_hour * seconds / 3600


@dataclass(frozen=True)
class Budget:
    """The most that may be spent, in hours and in money; 0: no limit. The one that is reached first counts."""

    hours: float = 0.0
    cost: float = 0.0

    def __bool__(self) -> bool:
        """Whether there is a limit."""
        return self.hours > 0 or self.cost > 0

    def share(self, seconds: float, price: Price) -> float:
        """How much of it so much time has taken, from 0; 1 and more: it is spent."""
        return max(seconds / 3600 / self.hours if self.hours > 0 else 0.0, price.cost(seconds) / self.cost if self.cost > 0 else 0.0)

    def spent(self, seconds: float, price: Price) -> str:
        """In figures, as 1.5 / 3 h, 1.19 / 10 €."""
        parts = [f"{seconds / 3600:.3g} / {self.hours:g} h"] if self.hours > 0 else []
        parts += [f"{price.cost(seconds):.2f} / {self.cost:g} {price.currency}"] if self.cost > 0 else []
        return ", ".join(parts)


class SpentTime:
    """Seconds that count, from its making on, with those that a file keeps of earlier processes. UserError when that cannot be read."""

    def __init__(self, path: Path):
        self._path = path
        kept = read_spent(path)
        self.found = kept is not None
        """whether there was such a file"""
        self._before = kept or 0.0
        self._since: float | None = time.monotonic()
        self._kept = -KEEP_SECONDS

    @property
    def seconds(self) -> float:
        """All that count so far."""
        return self._before + (time.monotonic() - self._since if self._since is not None else 0.0)

    def add(self, seconds: float) -> None:
        """Let so many more count."""
        self._before += seconds

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Time inside does not count."""
        self._before, self._since = self.seconds, None
        try:
            yield
        finally:
            self._since = time.monotonic()

    def keep(self, now: bool = False) -> None:
        """Write them into the file, at once or every KEEP_SECONDS. A disk that refuses does not end the counting."""
        if now or time.monotonic() - self._kept >= KEEP_SECONDS:
            self._kept = time.monotonic()
            with suppress(UserError, OSError):
                write_text(self._path, json.dumps({"seconds": round(self.seconds, 2)}))


def read_spent(path: Path) -> float | None:
    """The seconds that a file keeps; None where there is none. UserError when it is damaged: a budget must not begin anew unasked."""
    try:
        seconds = finite(parse_object(path.read_text(encoding="utf-8"))["seconds"])
        if seconds < 0:
            raise ValueError
    except FileNotFoundError:
        return None
    except OSError as error:
        raise disk_error(path, error) from error
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged, so it is not known how much of the budget is spent.",
                        "Delete the file to let the budget begin anew.", "budget.damaged", path=path) from None
    return seconds


def write_price(path: Path, price: Price) -> None:
    """Let a file say what an hour costs; without a price there is none."""
    if price.per_hour > 0:
        write_text(path, json.dumps(asdict(price), ensure_ascii=False))
    else:
        remove_file(path)


def read_price(path: Path) -> Price:
    """What a file says that an hour costs; no price where it does not."""
    try:
        values = parse_object(path.read_text(encoding="utf-8"))
        return Price(max(0.0, finite(values["per_hour"])), str(values["currency"])[:10])
    except (OSError, ValueError, KeyError, TypeError):
        return Price()
