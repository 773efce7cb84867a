"""Starting the processes of a group, one a graphics card.

`torchrun --nproc-per-node 4 -m engine.worker FOLDER` starts them; the worker of a job with `gpus` > 1 does so itself.
"""

from __future__ import annotations

import os
import sys
from datetime import timedelta

from ...core.errors import UserError
from ..group import SOLO, Group
from .availability import unavailable

PATIENCE = timedelta(days=30)
"""How long a process waits for the others: they may pause over night."""


def launched() -> bool:
    """Whether torchrun started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def launch_command(processes: int, module: list[str]) -> list[str]:
    """Command line of torchrun for a module and its arguments; UserError where that many processes cannot train."""
    if os.name == "nt":
        raise UserError(f"gpus is {processes}, but on Windows one graphics card trains.", "Set gpus to 1.", "gpus.windows",
                        processes=processes)
    problem = unavailable()
    if problem is not None:
        raise UserError(f"gpus is {processes}, but no training can run on a graphics card here: {problem.message}", "Set gpus to 1.")
    import torch

    found = torch.cuda.device_count()
    if found < processes:
        raise UserError(f"gpus is {processes}, but graphics cards here: {found}.", f"Set gpus to {found} or less.", "gpus.too_many",
                        processes=processes, found=found)
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
            raise UserError(f"More processes were started than there are graphics cards ({found}).", "Start one process for each card.",
                            "gpus.processes", found=found)
        torch.cuda.set_device(mine)
    dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo", timeout=PATIENCE)
    return Group(dist.get_rank(), dist.get_world_size())


def leave() -> None:
    """Leave the process group, if there is one."""
    if launched():
        import torch.distributed as dist

        if dist.is_initialized():
            dist.destroy_process_group()
