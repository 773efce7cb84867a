"""The budget of a training: how much of it is spent, a word before its end, and the end."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

from ..core.errors import UserError, values
from ..core.protocol.config import TrainConfig
from ..core.protocol.events import Finding
from ..core.protocol.folder import JobFolder
from ..core.protocol.spending import NEAR, Budget, SpentTime, read_price


class JobBudget:
    """Counts the time that workers are at work on a training with a budget: the reading of images too, pauses and other ends not.

    UserError when the budget is in money and nobody has said what an hour costs, and when the file of the time so far is damaged.
    """

    def __init__(self, job: JobFolder, config: TrainConfig):
        self._budget, self._price = Budget(config.budget_hours, config.budget_cost), read_price(job.price)
        if config.budget_cost and not self._price.per_hour:
            raise UserError("The training has a budget in money, and this engine names no price per hour.",
                            "Start the engine with --price-per-hour, or set a budget in hours alone.", "budget.no_price")
        self._told = False
        self._time = SpentTime(job.spent) if self._budget else None

    def count_earlier(self, seconds: float) -> None:
        """Seconds that the training took before it had a budget: they count too."""
        if self._time and not self._time.found:
            self._time.add(seconds)

    @property
    def share(self) -> float:
        """How much of the budget is spent, from 0; 0 without a budget."""
        return self._budget.share(self._time.seconds, self._price) if self._time else 0.0

    def over(self) -> bool:
        """Whether it is spent; keeps the time that counts."""
        if self._time:
            self._time.keep()
        return self.share >= 1

    def keep(self) -> None:
        """Write down the time that counts, when the worker ends."""
        if self._time:
            self._time.keep(now=True)

    def stopped(self) -> AbstractContextManager[None]:
        """Time inside does not count."""
        return self._time.stopped() if self._time else nullcontext()

    def near(self) -> Finding | None:
        """That it is nearly spent, told once."""
        if self._time is None or self._told or not NEAR <= self.share < 1:
            return None
        self._told = True
        percent, spent = 100 * self.share, self._budget.spent(self._time.seconds, self._price)
        return Finding("warning", f"{percent:.0f} % of the training's budget is spent: {spent}.",
                       "At its end a checkpoint and the result are written, and the training stops.",
                       code="budget.job_near", values=values(percent=percent, spent=spent))

    def ended(self) -> Finding:
        """That it is spent, and how to go on."""
        assert self._time is not None
        spent = self._budget.spent(self._time.seconds, self._price)
        return Finding("warning", f"The training was stopped by its budget, which is spent: {spent}.",
                       "Its checkpoint and its result so far are kept. To go on, raise the budget and resume.",
                       code="budget.job_ended", values=values(spent=spent, hours=self._budget.hours, cost=self._budget.cost))
