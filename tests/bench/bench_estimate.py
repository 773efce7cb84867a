"""Estimates beside whole trainings: `make bench-estimate`; ARGS='FOLDER --presets preview' for a dataset of one's own.

Each training runs as a job does, in a worker of its own; an estimate is made before it and another after it, because what else the
computer does changes meanwhile. The mean of the two is compared.
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import tyro

from engine.core.protocol.config import PRESETS, PresetName, TrainConfig
from engine.core.protocol.events import Estimated, Failed, Finished
from engine.core.protocol.spec import JobSpec
from engine.jobs.local_engine import LocalEngine
from tests.data import DATA

ROOT = Path(__file__).resolve().parents[2]
USUAL = (ROOT / "out" / "sample", DATA / "banana", DATA / "snowmiku")
ALLOWED = 0.25
"""Relative error of minutes and memory beyond which the benchmark fails."""

HEAD = "| Scene | Preset | Seconds: estimate | training | Memory: estimate | training | Disk: estimate | training | Probe |"


@dataclass(frozen=True)
class Taken:
    """What a training really took."""

    seconds: float
    memory: float
    disk: float


def main(datasets: tyro.conf.Positional[tuple[Path, ...]] = (), presets: tuple[PresetName, ...] = ("quick-look", "preview"),
         backend: Annotated[str, tyro.conf.arg(help="cpu or cuda")] = "cpu") -> int:
    """Print a table in Markdown. Exit status 1 when an estimate of minutes or memory is off by more than a quarter."""
    print(f"{HEAD}\n{'|---' * HEAD.count(' | ')}|---|")
    errors = []
    for dataset in datasets or [folder for folder in USUAL if folder.is_dir()]:
        for preset in presets:
            config = replace(TrainConfig(backend=backend, **PRESETS[preset].settings), smoke_test=False)  # type: ignore[arg-type]
            errors += compared(JobSpec(dataset.resolve(), config, dataset.name), preset)
    print(f"\nlargest error of minutes and memory: {max(errors):.0%}")
    return int(max(errors) > ALLOWED)


def compared(spec: JobSpec, preset: str) -> list[float]:
    """Estimate, train and estimate again; the relative errors of seconds and memory."""
    with tempfile.TemporaryDirectory() as folder:
        engine = LocalEngine(Path(folder))
        before, probe = estimated(engine, spec)
        took = trained(engine, spec)
        after, _ = estimated(engine, spec)
    seconds, memory = (before.seconds + after.seconds) / 2, (before.memory + after.memory) / 2
    print(f"| {spec.dataset.name} | {preset} | {before.seconds:.0f}, {after.seconds:.0f} | {took.seconds:.0f} | {memory / 1e6:.0f} MB "
          f"| {took.memory / 1e6:.0f} MB | {before.disk / 1e6:.0f} MB | {took.disk / 1e6:.0f} MB | {probe:.1f} s |", flush=True)
    return [abs(seconds / took.seconds - 1), abs(memory / took.memory - 1)]


def estimated(engine: LocalEngine, spec: JobSpec) -> tuple[Estimated, float]:
    """An estimate, and the seconds that it took."""
    begin = time.monotonic()
    found = next(event for event in engine.estimate(spec).wait() if isinstance(event, Estimated))
    return found, time.monotonic() - begin


def trained(engine: LocalEngine, spec: JobSpec) -> Taken:
    """A whole training, watched from outside."""
    begin = time.monotonic()
    job = engine.submit(spec)
    folder, memory, disk = engine.folder(job), 0.0, 0.0
    while True:
        memory = max(memory, most_resident(folder.worker_pid()))
        disk = max(disk, size(folder.path))
        last = folder.last_events()[-1:]
        if isinstance(last[:1] and last[0], (Finished, Failed)):
            seconds = time.monotonic() - begin
            engine.kill(job)
            assert isinstance(last[0], Finished), last
            return Taken(seconds, memory, disk)
        time.sleep(0.05)


def most_resident(pid: int | None) -> float:
    """Bytes that a process has held at most, where Linux tells."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        return 0.0


def size(folder: Path) -> float:
    """Bytes of all files below a folder; files come and go meanwhile."""
    found = 0.0
    for path in folder.rglob("*"):
        try:
            found += path.stat().st_size if path.is_file() else 0
        except OSError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(tyro.cli(main))
