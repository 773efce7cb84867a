"""What watching a training costs: `make bench-health`. One training, its watching as a share of its time; ARGS=FOLDER for a dataset."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from engine.core.protocol.config import Backend, TrainConfig
from engine.core.protocol.events import Event, Finding
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.training import trainer
from engine.training.health.monitor import Health
from tests.scenes import speckled_ball, write_ball_dataset

LIMIT = 0.01
"""Share of the time that goes into watching at most."""


def main() -> int:
    """Print two lines. Exit status 1 when watching costs too much, or finds an error where there is none."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path, nargs="?")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        dataset = options.dataset or write_ball_dataset(Path(folder) / "ball", 32, 400, truth=speckled_ball()).folder
        return measured(Path(folder), dataset, options.steps, options.backend)


def measured(folder: Path, dataset: Path, steps: int, backend: Backend) -> int:
    """Train, and say what the watch took."""
    job = JobFolder(folder / "job")
    job.write_spec(JobSpec(dataset.resolve(), TrainConfig(max_steps=steps, backend=backend)))
    events: list[Event] = []
    looks = counting(Health, "look")
    trainer.train(job, events.append, job.control)
    report = json.loads(job.report.read_text())
    share = report["watching_seconds"] / report["seconds"]
    errors = [event.message for event in events if isinstance(event, Finding) and event.severity == "error"]
    print(f"{report['engine']}: {steps} steps, {report['gaussians']:,} Gaussians, {report['seconds']:.1f} s, {len(looks)} looks")
    print(f"trial and watch: {report['watching_seconds']:.2f} s, {share:.2%} of the training ({LIMIT:.0%} allowed); "
          f"findings of severity error: {len(errors)}")
    return int(share > LIMIT or bool(errors))


def counting(owner: type, name: str) -> list[int]:
    """Calls of a method, from now on."""
    calls: list[int] = []
    method: Callable[..., object] = getattr(owner, name)

    def counted(*arguments: object) -> object:
        calls.append(1)
        return method(*arguments)

    setattr(owner, name, counted)
    return calls


if __name__ == "__main__":
    sys.exit(main())
