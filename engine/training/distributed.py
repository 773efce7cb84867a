"""Several processes that train one scene together, each on other views: the same Gaussians everywhere, averaged gradients.

`torchrun --nproc-per-node 4 -m engine.worker FOLDER` starts them; the worker of a job with `gpus` > 1 does so itself.
Every process refines with the same random numbers on the same Gaussians, so replicas stay equal without being sent about.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from ..core.errors import UserError
from ..core.job import Control

if TYPE_CHECKING:
    from torch import Tensor

AGREE_EVERY = 16
"""Iterations between questions to the first process whether to pause or stop: each makes the processes wait for one another."""

PATIENCE = timedelta(days=30)
"""How long a process waits for the others: they may pause over night."""

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

        told = torch.tensor([value])
        dist.broadcast(told, 0)
        return int(told)

    def _reduce(self, tensors: list[Tensor], operation: str) -> None:
        if self.size == 1:
            return
        import torch.distributed as dist

        kind = getattr(dist.ReduceOp, operation)
        for work in [dist.all_reduce(tensor, kind, async_op=True) for tensor in tensors]:
            if work is not None:
                work.wait()  # on a GPU this orders the streams and holds up nothing


SOLO = Group()


def launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def launch_command(processes: int, module: list[str]) -> list[str]:
    """Command line of torchrun for a module and its arguments; UserError where that many processes cannot train."""
    from .cuda.availability import unavailable

    if os.name == "nt":
        raise UserError(f"gpus is {processes}, but on Windows one graphics card trains.", "Set gpus to 1.")
    problem = unavailable()
    if problem is not None:
        raise UserError(f"gpus is {processes}, but no training can run on a graphics card here: {problem.message}", "Set gpus to 1.")
    import torch

    found = torch.cuda.device_count()
    if found < processes:
        raise UserError(f"gpus is {processes}, but graphics cards here: {found}.", f"Set gpus to {found} or less.")
    return [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", *module]


def join() -> Group:
    """Meet the other processes that torchrun started; a group of one without it. Each takes the GPU of its local rank."""
    if not launched():
        return SOLO
    import torch
    import torch.distributed as dist

    if torch.cuda.is_available():
        mine, found = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if mine >= found:
            raise UserError(f"More processes were started than there are graphics cards ({found}).", "Start one process for each card.")
        torch.cuda.set_device(mine)
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    return Group(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Part from the others, if there are any."""
    if launched():
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()


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
