"""A long run without faults: what a server and a long training take must stay flat.

`python -m tests.faults.soak --minutes 20`. Two clients train one dataset after the other through the server, a third on this computer, and
ask it for checks, estimates and lists; one training beside them never ends. Memory, open files and threads of the last third are held
against those of the second, after the first has filled what is filled once.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.core.protocol.folder import JobFolder
from tests.faults.desk import Desk
from tests.faults.findings import Doubles, left_workers, losses, remains
from tests.faults.run import desk_of, finish, rest
from tests.server.serving import ROOT, TOKEN, ask, wait

LOOK_SECONDS = 10.0
GROWTH, MOST_MEGABYTES, MOST_COUNT = 1.1, 10.0, 3.0
"""A tenth more, and so many megabytes, or files or threads, count as growth."""


@dataclass(frozen=True)
class Look:
    """What a process holds."""

    memory: float  # MB
    files: int
    threads: int


def main() -> int:
    """Let it run, look at it, compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0)
    problems = soak(60.0 * parser.parse_args().minutes)
    for problem in problems:
        print("PROBLEM:", problem)
    print("everything stayed flat" if not problems else f"{len(problems)} problems")
    return 1 if problems else 0


def soak(seconds: float) -> list[str]:
    """What grew or was lost, in sentences."""
    with desk_of(seed=1) as (desk, dataset), endless(desk.folder / "endless.ply", dataset) as job:
        desk.proxy.cut_after = sys.maxsize
        looks: dict[str, list[Look]] = {"server": [], "long training": []}
        doubles, begin, answered = Doubles(), time.monotonic(), 0
        while (passed := time.monotonic() - begin) < seconds:
            rest(desk, LOOK_SECONDS, doubles)
            answered += ask_for_all(desk, dataset)
            worker = next((pid for pid, folder in desk.workers().items() if folder == job.path), None)
            assert worker is not None, desk.folder.joinpath("endless.log").read_text()[-2000:]
            for name, pid in (("server", desk.server.process.pid), ("long training", worker)):
                looks[name].append(look(pid))
            done = sum(command.done for command in desk.commands)
            print(f"{passed / 60:5.1f} min  {done} trainings, {answered} answers, long training's folder {megabytes(job.path):.1f} MB;",
                  "; ".join(f"{name} {seen[-1].memory:.1f} MB, {seen[-1].files} files, {seen[-1].threads} threads"
                            for name, seen in looks.items()), flush=True)
        finish(desk, doubles)
        found = [*doubles.found, *losses(desk, dataset), *(grown for name, seen in looks.items() for grown in growth(name, seen))]
        if restarts := sum(command.restarts for command in desk.commands):
            found.append(f"commands were begun again {restarts} times")
    desk.server.close()
    return found + left_workers(desk) + remains(desk)


@contextmanager
def endless(output: Path, dataset: Path) -> Iterator[JobFolder]:
    """The folder of a training that does not end by itself."""
    command = [sys.executable, "-m", "engine", "train", str(dataset), "-o", str(output), "--max-steps", "1000000", "--resolution", "128",
               "--max-gaussians", "5000", "--threads", "1", "--preview-seconds", "5", "--no-pause-on-failure"]
    with output.with_suffix(".log").open("w") as said:
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "SPLATWRIGHT_ENGINE": ""}, stdout=subprocess.DEVNULL, stderr=said)
    job = JobFolder(output.with_suffix(".job"))
    try:
        wait(lambda: (job.path / "heartbeat").exists() or process.poll() is not None)
        yield job
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def ask_for_all(desk: Desk, dataset: Path) -> int:
    """Ask the server as panels do; how many answers came."""
    for path in ("/v1/engine", "/v1/jobs"):
        ask(desk.server, "GET", path)
    environment = {**os.environ, "SPLATWRIGHT_TOKEN": TOKEN, "SPLATWRIGHT_ENGINE": desk.server.url}
    for command in ("check", "estimate"):
        subprocess.run([sys.executable, "-m", "engine", command, str(dataset)], cwd=ROOT, env=environment, capture_output=True, check=True)
    return 4


def look(pid: int) -> Look:
    """What a process holds now."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    values = {name: rest.split() for name, _, rest in lines}
    return Look(int(values["VmRSS"][0]) / 1024, len(list(Path(f"/proc/{pid}/fd").iterdir())), int(values["Threads"][0]))


def megabytes(folder: Path) -> float:
    """What the files below a folder take."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


def growth(name: str, looks: list[Look]) -> list[str]:
    """In which way the last third of the looks is above the second."""
    third = len(looks) // 3
    if not third:
        return []
    found = []
    for what, most in (("memory", MOST_MEGABYTES), ("files", MOST_COUNT), ("threads", MOST_COUNT)):
        before, after = (statistics.median(getattr(seen, what) for seen in part) for part in (looks[third : 2 * third], looks[2 * third :]))
        if after > GROWTH * before and after > before + most:
            found.append(f"{name}: {what} grew from {before:.1f} to {after:.1f}")
    return found


if __name__ == "__main__":
    sys.exit(main())
