"""Where the time of a step goes on the graphics card: `python -m tests.bench.step_profile DATASET`.

Trains for a while, so that the Gaussians are as many and as large as they are for most of a run, then looks at some steps.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from engine.core.errors import UserError
from engine.core.protocol.config import PRESETS, TrainConfig
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.training.engines import choose_backend, create_model
from engine.training.group import SOLO
from engine.training.run import MakeModel, Run, close, prepare
from tests.bench.bench_gpu import one_step

LOOKED_AT = 50
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize", "aten::_local_scalar_dense", "aten::item")


@dataclass(frozen=True)
class Look:
    """One profile of some steps."""

    steps_per_second: float
    gaussians: int
    table: str  # operations by the time that they take on the device
    waits: float  # per step, for the device


def look(config: TrainConfig, dataset: Path, after: int, make_model: MakeModel = create_model) -> Look:
    """Train for `after` steps, time as many as are looked at, then profile them."""
    with tempfile.TemporaryDirectory() as folder:
        job = JobFolder(Path(folder))
        job.write_spec(JobSpec(dataset, config))
        run = prepare(job, lambda event: None, SOLO, make_model)
        try:
            steps(run, after)
            start = time.perf_counter()
            steps(run, LOOKED_AT)
            rate = LOOKED_AT / (time.perf_counter() - start)
            kinds = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * torch.cuda.is_available()
            with profile(activities=kinds) as found:
                steps(run, LOOKED_AT)
            events = found.key_averages()
            order = "cuda_time_total" if torch.cuda.is_available() else "cpu_time_total"
            waits = sum(event.count for event in events if event.key in WAITS) / LOOKED_AT
            return Look(rate, run.model.count, events.table(sort_by=order, row_limit=30), waits)
        finally:
            close(run)


def steps(run: Run, count: int) -> None:
    """So many steps, to their end on the device."""
    for _ in range(count):
        one_step(run)
    run.progress.settle()


def main() -> int:
    """Print a profile of one scene."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--preset", choices=PRESETS, default="gpu-preview")
    parser.add_argument("--after", type=int, default=3000, help="steps before the look")
    options = parser.parse_args()
    config = TrainConfig(**{**PRESETS[options.preset].settings, "backend": "cuda"})
    try:
        choose_backend(config)
    except UserError as error:
        print(f"No profile without a graphics card. {error.message}", file=sys.stderr)
        return 1
    found = look(config, options.dataset, options.after)
    print(found.table)
    print(f"{found.steps_per_second:.1f} steps a second, {found.gaussians:,} Gaussians, {found.waits:.1f} waits a step")
    return 0


if __name__ == "__main__":
    sys.exit(main())
