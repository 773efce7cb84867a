"""The processes that train one scene together, each on other views: the same Gaussians everywhere, averaged gradients.

Every process refines with the same random numbers on the same Gaussians, so replicas stay equal without being sent about.
cuda/launch.py starts them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from ..core.protocol.folder import Control

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")

AGREE_EVERY = 16
"""Iterations between questions to the first process whether to pause or stop: each makes the processes wait for one another."""

INTERRUPT = "interrupt"
ANSWERS: tuple[str, ...] = ("run", "pause", "stop", INTERRUPT)


@dataclass(frozen=True)
class Group:
    """The processes that train together; on its own a group of one."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that writes files and events."""
        return self.rank == 0

    def average(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its mean over the processes."""
        self.add(tensors)
        if self.size > 1:
            for tensor in tensors:
                tensor.div_(self.size)

    def add(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by its sum over the processes."""
        self._reduce(tensors, "SUM")

    def maximum(self, tensors: list[Tensor]) -> None:
        """Replace each tensor by the largest of the processes."""
        self._reduce(tensors, "MAX")

    def agreed(self, value: int) -> int:
        """The first process's value; waits for it."""
        if self.size == 1:
            return value
        import torch
        import torch.distributed as dist

        message = torch.tensor([value])
        dist.broadcast(message, 0)
        return int(message)

    def shared(self, value: T) -> T:
        """The first process's value, of any kind that can be pickled; waits for it."""
        if self.size == 1:
            return value
        import torch.distributed as dist

        box: list[T] = [value]
        dist.broadcast_object_list(box, 0)
        return box[0]

    def _reduce(self, tensors: list[Tensor], operation: str) -> None:
        if self.size == 1:
            return
        import torch.distributed as dist

        kind = getattr(dist.ReduceOp, operation)
        for work in [dist.all_reduce(tensor, kind, async_op=True) for tensor in tensors]:
            if work is not None:
                work.wait()  # on a GPU this orders the streams and holds up nothing


SOLO = Group()


class SharedControl:
    """What the first process is asked to do, known to all at the same iteration."""

    def __init__(self, ask: Callable[[], Control], group: Group):
        self._ask = ask
        self._group = group
        self._calls = 0
        self._last = "run"

    def __call__(self) -> Control:
        """Raises KeyboardInterrupt in all processes when the first one is interrupted."""
        if self._group.size == 1:
            return self._ask()
        self._calls += 1
        if self._last == "pause" or self._calls % AGREE_EVERY == 0:
            self._last = ANSWERS[self._group.agreed(ANSWERS.index(self._own()))]
        if self._last == INTERRUPT:
            raise KeyboardInterrupt
        return self._last  # type: ignore[return-value]

    def _own(self) -> str:
        if not self._group.leads:
            return "run"
        try:
            return self._ask()
        except KeyboardInterrupt:
            return INTERRUPT
