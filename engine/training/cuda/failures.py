"""Errors of the graphics card as UserError and OutOfMemory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ...core.errors import UserError
from ..backend import OutOfMemory

LOST = ("CUDA error", "CUDA driver error", "NCCL error", "cuDNN error")
RESUME = "Resume the job: its checkpoint is kept. If it happens again, update the driver, or set backend to cpu."
CPU_ALLOCATION = "DefaultCPUAllocator"


@contextmanager
def plain_errors() -> Iterator[None]:
    """Raise OutOfMemory when memory is short, and UserError when the device is lost."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise out_of_memory() from error
    except RuntimeError as error:
        text = str(error)
        if CPU_ALLOCATION in text:
            raise out_of_memory() from error
        if any(sign in text for sign in LOST):
            raise UserError(f"The graphics card stopped working: {text.splitlines()[0]}.", RESUME, "cuda.lost",
                            problem=text.splitlines()[0]) from error
        raise


def out_of_memory() -> OutOfMemory:
    """OutOfMemory with a message and a hint."""
    return OutOfMemory("The graphics card ran out of memory.",
                       "Lower max_gaussians or resolution, close other programs that use the card, or set backend to cpu; "
                       "then resume: the checkpoint is kept.", "cuda.out_of_memory")
