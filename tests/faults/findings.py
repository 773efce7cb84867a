"""What faults must not leave behind: lost training, half files, processes, ports."""

from __future__ import annotations

import hashlib
import json
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from engine.core.formats.ply import read_ply
from engine.core.protocol.events import Finished, Progress, Started
from engine.core.protocol.folder import JobFolder
from engine.remote.local_copy import read_remote_state
from engine.server.auth import client_name
from engine.training.checkpoint import load_checkpoint
from tests.faults.desk import Desk, processes_of
from tests.server.serving import TOKEN

LOST_SECONDS = 10.0
TWO_WORKERS_SECONDS = 5.0
"""A second worker needs a moment to see that another has the lock."""


@dataclass
class Doubles:
    """Two workers on one folder for longer than it takes the second to go."""

    since: dict[tuple[int, int], float] = field(default_factory=dict)
    found: set[str] = field(default_factory=set)

    def look(self, desk: Desk) -> None:
        pairs = {(one, other): folder for one, folder in desk.workers().items() for other, theirs in desk.workers().items()
                 if one < other and folder == theirs}
        self.since = {pair: self.since.get(pair, time.monotonic()) for pair in pairs}
        self.found |= {f"two workers at once on {pairs[pair].name}" for pair, begin in self.since.items()
                       if time.monotonic() - begin > TWO_WORKERS_SECONDS}


@dataclass
class Ends:
    """How each fault ended, by what happened until the next one."""

    table: dict[str, Counter[str]] = field(default_factory=dict)

    def note(self, fault: str, before: tuple[int, int, int], after: tuple[int, int, int]) -> None:
        """Take in how many starts, goings-on, and commands begun again there were before and after a fault."""
        starts, resumed, again = (new - old for new, old in zip(after, before, strict=True))
        ends = (("went on from the checkpoint", resumed > 0), ("command begun again", again > 0), ("began", starts > resumed))
        end = next((word for word, true in ends if true), "went on")
        self.table.setdefault(fault, Counter())[end] += 1

    def lines(self) -> list[str]:
        """A table, one fault a line."""
        columns = ("went on", "went on from the checkpoint", "command begun again", "began")
        heads = [f"{'fault':45}{'times':>6}{'went on':>9}{'from checkpoint':>17}{'command again':>15}{'next began':>12}"]
        return heads + [f"{fault:45}{counts.total():6}" + "".join(f"{counts[column]:{width}}" for column, width in
                        zip(columns, (9, 17, 15, 12), strict=True)) for fault, counts in sorted(self.table.items())]


def losses(desk: Desk, dataset: Path) -> list[str]:
    """What was lost, in sentences."""
    found = [f"a command ended with: {said}" for command in desk.commands for said in command.complaints]
    asked = {remote_state.job for copy in desk.copies() if (remote_state := read_remote_state(copy))}
    for job in desk.jobs():
        if job.path.is_relative_to(desk.near) or job.name in asked:  # else a client that lost its memory has sent it anew
            found += lost_training(job) + half_files(job)
    return found + spoiled_uploads(desk, dataset)


def lost_training(job: JobFolder) -> list[str]:
    """A training that has no end, or went back by more than it may."""
    events = job.read_events()[0]
    found = []
    if job.result.exists() and not len(read_ply(job.result).gaussians):
        found.append(f"{job.name} has an empty result")
    if not job.result.exists():
        found.append(f"{job.name} has no result and ended with {events[-1:]}")
    best, rate = 0, 0.0
    for event in events:
        if isinstance(event, Started) and event.step < best - LOST_SECONDS * max(rate, 1):
            found.append(f"{job.name} went back from step {best} to {event.step} at {rate:.0f} steps a second")
        if isinstance(event, Progress):
            best, rate = max(best, event.step), max(rate, event.steps_per_second)
        if isinstance(event, Finished):
            best = 0
    return found


def half_files(job: JobFolder) -> list[str]:
    """Files that end in their middle, or were never put in their place."""
    found = [f"half-written {path}" for path in job.path.rglob(".*") if path.suffix in (".tmp", ".part")]
    try:
        json.loads(job.report.read_text())
        checkpoint = load_checkpoint(job.checkpoint)
        if checkpoint is None:
            found.append(f"{job.name} has no checkpoint")
    except Exception as error:
        found.append(f"{job.name}: {type(error).__name__}: {error}")
    return found


def spoiled_uploads(desk: Desk, dataset: Path) -> list[str]:
    """Files of the dataset that are not as they were sent."""
    found = []
    originals = contents(dataset)
    for job in desk.server.jobs().glob("*/job.json"):
        if contents(job.parent / "input") != originals:
            found.append(f"{job.parent.name} has not the files that were sent")
    for blob in (desk.server.folder / "clients" / client_name(TOKEN) / "blobs").iterdir():
        if blob.suffix != ".part" and digest(blob) != blob.name:
            found.append(f"{blob.name} has another content")
    return found


def contents(folder: Path) -> dict[str, str]:
    """The hash of each file below a folder."""
    return {path.relative_to(folder).as_posix(): digest(path) for path in folder.rglob("*") if path.is_file()}


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def left_workers(desk: Desk) -> list[str]:
    """Workers that go on although every training has its end."""
    end = time.monotonic() + 15
    while desk.workers() and time.monotonic() < end:
        time.sleep(0.2)
    return [f"worker {pid} is left at {folder.name}" for pid, folder in desk.workers().items()]


def remains(desk: Desk) -> list[str]:
    """Processes and ports that should be gone."""
    end = time.monotonic() + 10
    while (left := processes_of(desk.folder)) and time.monotonic() < end:
        time.sleep(0.2)
    found = [f"process {pid} is left: {' '.join(words)[:200]}" for pid, words in left.items()]
    try:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", desk.server.port))
    except OSError as error:
        found.append(f"port {desk.server.port} is not free: {error}")
    return found
