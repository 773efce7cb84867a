"""The job folder: the one interface between whoever asks for a training, or for the cameras of photos, and the worker.

job.json (what to do), events.jsonl (what happened), control (run, pause, stop), lock (held by the worker), heartbeat (it gets on),
preview.ply, thumbnail.png, checkpoint/, plan.json (what the result depends on), result.ply, report.json, report.html, engine.log,
labels.json, price.json and spent.json for a budget; for photos dataset/ in place of splats. A worker needs nothing else. title is what
people call the job, where they have given it a name of its own.
"""

from __future__ import annotations

import errno
import json
import os
import re
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..computer import is_this_computer, this_computer
from ..errors import UserError
from ..files import disk_error, make_folder, open_shared, read_shared, remove_file, write_text
from ..parsing import parse_json, parse_object, process_number
from .events import CODED, Event, event_to_json, events_from_lines
from .spec import JobSpec, Spec, kind_of, source_of, spec_from_json, spec_to_json

PROTOCOL = 1
"""Raised whenever a job folder of the other version could be misread."""

HEARTBEAT_SECONDS = 1.0
HEARTBEAT_LOST_SECONDS = 30.0

TAIL_BYTES = 16_384
"""Enough of events.jsonl to hold the last events whole."""

STAMP = re.compile(r"-\d{8}-\d{6}(-\d+)?$")
"""The time at the end of a folder's name."""

Control = Literal["run", "pause", "stop"]


@dataclass(frozen=True)
class JobFolder:
    """Paths and small files of one job."""

    path: Path

    @property
    def preview(self) -> Path:
        return self.path / "preview.ply"

    @property
    def result(self) -> Path:
        return self.path / "result.ply"

    @property
    def labels(self) -> Path:
        """What the labels of the result's splats are, where the dataset has labels."""
        return self.path / "labels.json"

    @property
    def thumbnail(self) -> Path:
        """A small picture of what a training has come to."""
        return self.path / "thumbnail.png"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    @property
    def sheet(self) -> Path:
        """The contact sheet of the dataset, where a check was asked for."""
        return self.path / "contact_sheet.png"

    @property
    def plan(self) -> Path:
        """What the result of a training depends on, to repeat it."""
        return self.path / "plan.json"

    @property
    def page(self) -> Path:
        return self.path / "report.html"

    @property
    def log(self) -> Path:
        return self.path / "engine.log"

    @property
    def events_file(self) -> Path:
        return self.path / "events.jsonl"

    @property
    def spent(self) -> Path:
        """How much time of its budget a training has taken."""
        return self.path / "spent.json"

    @property
    def price(self) -> Path:
        """What an hour of the job costs, where whoever runs it has said so."""
        return self.path / "price.json"

    @property
    def name(self) -> str:
        return self.path.name

    def write_spec(self, spec: Spec) -> None:
        """Create the folder, if need be, and its job.json."""
        make_folder(self.path)
        write_text(self.path / "job.json", json.dumps({"protocol": PROTOCOL, **spec_to_json(spec)}, indent=2, ensure_ascii=False))

    def read_spec(self) -> JobSpec:
        """The training that job.json asks for; UserError as read_any(), and when it asks for something else."""
        spec = self.read_any()
        if not isinstance(spec, JobSpec):
            kind = kind_of(spec)
            raise UserError(f"{self.path} holds {kind.words}, no training.", "Choose the job folder of a training.", "job.no_training",
                            path=self.path, kind=kind.name, words=kind.words)
        return spec

    def read_any(self) -> Spec:
        """What job.json asks for; UserError when it is missing, damaged, or of another protocol."""
        path = self.path / "job.json"
        try:
            values = parse_object(read_shared(path))
            check_protocol(values["protocol"])
            return spec_from_json(values)
        except FileNotFoundError:
            raise UserError(f"{self.path} is not a job folder: it has no job.json.",
                            "Choose a job folder, or start a new training.", "job.no_folder", path=self.path) from None
        except OSError as error:
            raise disk_error(path, error) from error
        except (ValueError, KeyError, TypeError, AttributeError):
            raise UserError(f"{path} is damaged and cannot be read.", "Start a new training from the dataset.",
                            "job.damaged", path=path) from None

    def title(self) -> str:
        """What people call the job: the name that they gave it, else the folder's without the time in it."""
        first = STAMP.sub("", self.name)
        try:
            return read_shared(self.path / "title").strip() or first
        except (OSError, ValueError):
            return first

    def set_title(self, title: str) -> None:
        """Give the job a name of its own; an empty one takes it away."""
        write_text(self.path / "title", title.strip())
    def was_sent(self, spec: Spec) -> bool:
        """Whether a client sent what the job reads: a server keeps it in the job's own folder, and nobody else puts it there."""
        return source_of(spec).resolve().is_relative_to(self.path.resolve())

    def append_event(self, *events: Event) -> None:
        """Add events to events.jsonl, all of them or none."""
        self.append_lines([event_to_json(event) for event in events])

    def append_lines(self, texts: Sequence[str]) -> None:
        """Add events that are lines of JSON already to events.jsonl, all of them or none.

        A line that was torn, by a full disk or a power cut, is ended first: it is lost, and nothing after it.
        """
        lines = "".join(text + "\n" for text in texts).encode()
        try:
            with open(self.events_file, "a+b", buffering=0) as file:
                start = file.seek(0, os.SEEK_END)
                if start:
                    file.seek(start - 1)
                    lines = lines if file.read(1) == b"\n" else b"\n" + lines
                if file.write(lines) != len(lines):
                    file.truncate(start)
                    raise OSError(errno.ENOSPC, "No space left on device")
        except OSError as error:
            raise disk_error(self.events_file, error) from error

    def read_events(self, offset: int = 0, limit: int = -1) -> tuple[list[Event], int]:
        """Events after byte `offset` and the offset to ask from next time, as read_lines() gives their lines; others are passed over."""
        lines, after = self.read_lines(offset, limit)
        return events_from_lines(lines), after

    def read_lines(self, offset: int = 0, limit: int = -1) -> tuple[list[str], int]:
        """Lines after byte `offset` and the offset to ask from next time. A line still being written waits.

        With a `limit` no more than so many bytes are read at once; a line that is longer comes in pieces, none of which is an event.
        A file that is shorter than `offset` was cut, and is read from its beginning.
        """
        try:
            with open_shared(self.events_file) as file:
                offset = offset if offset <= os.fstat(file.fileno()).st_size else 0
                file.seek(offset)
                data = file.read(limit)
        except FileNotFoundError:
            return [], 0
        whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == limit else b"")
        start = whole.rfind(b"\n", 0, -1) + 1
        if whole.startswith(CODED.encode(), start) and (start or len(data) != limit):  # belongs to the line that comes after it
            whole = whole[:start]
        return [line.rstrip("\r") for line in whole.decode("utf-8", "replace").split("\n") if line], offset + len(whole)

    def last_events(self) -> list[Event]:
        """The last few events, however long the file is."""
        try:
            size = self.events_file.stat().st_size
        except OSError:
            return []
        tail = TAIL_BYTES
        while not (found := self.read_events(max(0, size - tail))[0]) and tail < size:  # one event, or what is none, is longer
            tail *= 4
        return found

    def set_control(self, control: Control) -> None:
        """Ask the worker to run, pause or stop."""
        write_text(self.path / "control", control)

    def control(self, known: Control = "run") -> Control:
        """What the worker is asked to do; what is `known` already while that cannot be read."""
        try:
            text = read_shared(self.path / "control").strip()
        except (OSError, ValueError):
            return known
        return text if text in ("run", "pause", "stop") else known

    def identity(self) -> tuple[int, int]:
        """What tells the folder from another one at its path. FolderGone when there is none; zeros when the disk does not tell."""
        try:
            found = self.path.stat()
        except (FileNotFoundError, NotADirectoryError):
            raise FolderGone(self.path) from None
        except OSError:
            return 0, 0
        return found.st_dev, found.st_ino

    def heartbeat(self, pid: int | None = None) -> None:
        """Say that a process (this one, or the worker just started) gets on with the job. A full disk does not hinder it."""
        pid = pid or os.getpid()
        path = self.path / "heartbeat"
        with suppress(OSError, UserError):
            if self.worker_pid() == pid and self.is_local():
                os.utime(path)
            else:
                write_text(path, json.dumps({"pid": pid, "host": this_computer()}))

    def clear_heartbeat(self) -> None:
        """Remove the heartbeat: no process works on the job any more."""
        remove_file(self.path / "heartbeat")

    def clear_away(self) -> None:
        """Remove what a worker that was cut off left half-written. Only the job's worker writes these files."""
        written = (self.preview, self.thumbnail, self.result, self.labels, self.report, self.page, self.checkpoint / "*",
                   self.path / "speed")
        for path in (left for name in written for left in name.parent.glob(f".{name.name}.*.tmp")):
            with suppress(OSError):
                remove_file(path)

    def worker_pid(self) -> int | None:
        """Process id of the worker that beat last; None without a heartbeat, or with one that was never readable."""
        beat = self._heartbeat()
        return beat.pid if beat else None

    def is_local(self) -> bool:
        """Whether the worker that beat last works on this computer; its number means nothing on another one."""
        beat = self._heartbeat()
        return beat is None or is_this_computer(beat.host)

    def heartbeat_age(self) -> float | None:
        """Seconds since the worker's last beat, by the file's own clock; None without a heartbeat."""
        try:
            return max(0.0, time.time() - (self.path / "heartbeat").stat().st_mtime)
        except OSError:
            return None

    def _heartbeat(self) -> Beat | None:
        """What the heartbeat says; while it cannot be read, what it said when this process read it last. None without one."""
        try:
            values = parse_json(read_shared(self.path / "heartbeat"))
            beat = Beat(process_number(values["pid"]), str(values.get("host", this_computer())))
        except (FileNotFoundError, NotADirectoryError):
            _beats.pop(self.path, None)
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return _beats.get(self.path)
        _beats[self.path] = beat
        return beat


@dataclass(frozen=True)
class Beat:
    """Which process works on a job, and on which computer."""

    pid: int
    host: str


_beats: dict[Path, Beat] = {}
"""The last readable heartbeat of each job that this process has looked at."""


class FolderGone(UserError):
    """A job's folder is not where it was: whoever works on it has nothing left to do."""

    def __init__(self, path: Path):
        super().__init__(f"The job folder {path} was moved or deleted while the job was at work.",
                         "Resume the job from where its folder lies now, or start a new one.", "job.gone", path=path)


def check_protocol(protocol: object) -> None:
    """UserError when the other side speaks another protocol."""
    if protocol != PROTOCOL:
        raise UserError(f"This job was made with protocol {protocol}, this engine speaks {PROTOCOL}.",
                        "Use the same version of Splatwright on both sides, or start a new training.",
                        "job.protocol", theirs=protocol, ours=PROTOCOL)


def find_jobs(root: Path) -> list[JobFolder]:
    """Every job folder directly below `root`, oldest first."""
    found: list[tuple[float, Path]] = []
    for path in root.glob("*/job.json") if root.is_dir() else ():
        with suppress(OSError):  # it was deleted meanwhile
            found.append((path.stat().st_mtime, path.parent))
    return [JobFolder(path) for _, path in sorted(found)]
