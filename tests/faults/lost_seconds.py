"""How much of a training a cut would cost at every moment of it, on a machine that is busy with other things.

`python -m tests.faults.lost_seconds --gaussians 200000 --seconds 60`: the age of the newest whole checkpoint, by when its step was done.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Evaluated, Progress, Started
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.job_progress import told
from engine.core.protocol.spec import JobSpec
from engine.jobs.local_engine import LocalEngine
from engine.training.checkpoint import NEWEST, PREVIOUS
from tests.scenes import colored_ball, write_ball_dataset

POLL_SECONDS = 0.1
LATE_SECONDS = 1.0
"""Progress is told so late, about."""


def main() -> int:
    """Train, watch, print the worst moment. Exit status 1 where it costs more than the training's start named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gaussians", type=int, default=200_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 1, help="processes that want the processor too")
    asked = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="splatwright-lost-")))
        for _ in range(asked.busy):
            stack.callback(subprocess.Popen([sys.executable, "-c", "while True: pass"]).kill)
        worst, named = watch(folder, asked.gaussians, asked.seconds)
    print(f"{asked.gaussians:,} Gaussians beside {asked.busy} busy processes: a cut costs {worst:.1f} s at most; {named:.1f} s were named")
    return 1 if worst > named + LATE_SECONDS else 0


def watch(folder: Path, gaussians: int, seconds: float) -> tuple[float, float]:
    """Seconds of training that a cut would have cost at the worst moment, and what the training said."""
    ball = colored_ball(gaussians)
    dataset = write_ball_dataset(folder / "data", views=12, size=200, truth=replace(ball, scales=ball.scales - 3)).folder
    engine = LocalEngine(folder)
    config = TrainConfig(max_steps=10**6, max_gaussians=gaussians, resolution=200, sh_degree=3, eval_every=100, smoke_test=False,
                         pause_on_failure=False, quarter_until=0.0, half_until=0.0)
    name = engine.submit(JobSpec(dataset, config))
    try:
        return worst_age(engine.folder(name), seconds)
    finally:
        engine.kill(name)


def worst_age(job: JobFolder, seconds: float) -> tuple[float, float]:
    """As watch(), from the first step on."""
    done: list[tuple[int, float]] = []  # steps and when they were heard of
    cursor, worst, end, named = 0, 0.0, float("inf"), 0.0
    while (now := time.monotonic()) < end:
        events, cursor = job.read_events(cursor)
        done += [(event.step, now) for event in events if isinstance(event, (Progress, Evaluated))]
        if any(isinstance(event, Started) for event in events):
            named, end = told(events).checkpoint_interval, now + seconds
            done.append((0, now))
        if done:
            saved = kept_step(job.checkpoint)
            worst = max(worst, now - max(when for step, when in done if step <= saved))
        time.sleep(POLL_SECONDS)
    return worst, named


def kept_step(folder: Path) -> int:
    """The step that a training cut off now would go on from. While one checkpoint takes the place of another there is only the one before
    it under its new name."""
    return step_of(folder / NEWEST) or step_of(folder / PREVIOUS) or step_of(folder / NEWEST)


def step_of(path: Path) -> int:
    """The step of a checkpoint; 0 without one."""
    try:
        with np.load(path) as arrays:
            return int(json.loads(arrays["head"].tobytes())["step"])
    except OSError:
        return 0


if __name__ == "__main__":
    sys.exit(main())
