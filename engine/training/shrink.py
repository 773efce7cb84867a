"""Continuing after OutOfMemory on a graphics card: once in a training, with fewer Gaussians."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import numpy as np

from ..core.errors import UserError, values
from ..core.protocol.events import Finding
from .backend import Model, OutOfMemory
from .run import Run

KEPT_SHARE = 0.8
"""Of the Gaussians: another view may need more memory than the one that failed, so that some must stay free."""


def make_room(run: Run, problem: OutOfMemory) -> None:
    """Free memory, keep the most opaque Gaussians, and cap their number from here on, also after a resume.

    Raises OutOfMemory the second time, and where several processes train together.
    """
    before = run.model.count
    if run.memory_limited:
        raise OutOfMemory(f"{problem.message.rstrip('.')} again, with {before:,} Gaussians.", problem.hint, "training.out_of_memory_again",
                          problem=problem.message, gaussians=before)
    if run.stride > 1:
        raise problem
    run.memory_limited = True
    run.model.release()
    thin(run.model, max(1, int(KEPT_SHARE * before)))
    cap(run, run.model.count)
    run.emit(Finding("warning", f"{problem.message} The training goes on with {run.model.count:,} of its {before:,} Gaussians and adds "
                     "no more.", "For more detail close other programs that use the card, or lower resolution; then raise max_gaussians.",
                     code="training.shrunk", values=values(gaussians=run.model.count, before=before, problem=problem.message)))


def thin(model: Model, most: int) -> None:
    """Keep the `most` most opaque Gaussians with their moments. Goes through the computer's memory: the card has no room for copies."""
    state = model.state()
    rows = np.sort(np.argsort(-state["opacities"], kind="stable")[:most])
    model.load_state({name: array[rows] if belongs_to_gaussians(name) else array for name, array in state.items()})


def belongs_to_gaussians(name: str) -> bool:
    """Whether an array of a model's state has a row for each Gaussian."""
    return name.removeprefix("first_").removeprefix("second_") in ("means", "quats", "scales", "opacities", "sh0", "shN", "sights")


def cap(run: Run, most: int) -> None:
    """No more than so many Gaussians, also after a resume."""
    run.config = replace(run.config, max_gaussians=most)
    run.strategy = replace(run.strategy, max_gaussians=most)  # type: ignore[type-var]
    run.health.scene = replace(run.health.scene, config=run.config)
    with suppress(UserError):  # a full disk: the next resume may have to find out again
        run.job.write_spec(replace(run.job.read_spec(), config=run.config))
