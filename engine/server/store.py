"""Where the server keeps things: a folder for each client, with its files and its job folders."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..core.errors import UserError
from ..core.files import discard_folder, disk_error, make_folder, read_shared, rename, write_text
from ..core.parsing import parse_object
from ..core.protocol.folder import JobFolder
from ..core.protocol.http_messages import JobFile, Submission
from ..core.protocol.spec import kept_below, kind_of, source_of
from ..jobs.local_engine import JobState, LocalEngine, rests, state_of
from .http_errors import Refused
from .quota import INPUT, Quota, folders, size_of
from .room import Promised
from .uploads import Limits, Uploads

QUEUE_FILE = "queue.json"
CHECKS = "checks"
"""Folder for the files of checks and estimates, which go when these end."""


@dataclass(frozen=True)
class Ticket:
    """State of a job beside its folder: its place in the queue, and whether it shall run."""

    priority: int
    number: int
    wanted: bool = True
    devices: tuple[str, ...] = ()


@dataclass
class Client:
    """The jobs and files of one client."""

    folder: Path
    limits: Limits
    quota: Quota = field(init=False)
    uploads: Uploads = field(init=False)
    engine: LocalEngine = field(init=False)
    promised: Promised = field(default_factory=Promised)
    changing: threading.RLock = field(default_factory=threading.RLock)
    """Held while jobs are made or deleted, and while files get a second name, so that none is swept in between."""

    def __post_init__(self) -> None:
        self.quota = Quota(self.folder / "jobs")
        self.uploads = Uploads(self.folder / "blobs", self.limits, self.quota, self.promised)
        self.engine = LocalEngine(self.folder / "jobs", Path(sys.executable))

    def has(self, job: str) -> bool:
        """Whether there is a folder of a job; a link is none."""
        path = self.engine.folder(job).path
        return path.is_dir() and not path.is_symlink()

    def job(self, job: str) -> JobFolder:
        """The folder of a job that is there; Refused else."""
        if not self.has(job):
            raise Refused(404, "There is no such job.", "Ask for the list of your jobs.")
        return self.engine.folder(job)

    def place(self, job: str, submission: Submission) -> None:
        """Make the folder of a new job, or give one that is there other settings. All its files must be there."""
        folder = self.engine.folder(job)
        spec = kept_below(submission.spec, (folder.path / INPUT).resolve())
        if (folder.path / "job.json").exists() and source_of(folder.read_any()) != source_of(spec):
            raise Refused(409, "There is another job of this name.", "Choose another name.")
        make_folder(folder.path)
        link_files(self.uploads, folder.path / INPUT, submission)
        folder.write_spec(replace(spec, name=spec.name[:200]))
        folder.set_control("run")

    def delete(self, job: str) -> None:
        """Remove a job whose worker is gone, and those of its files that no other job holds."""
        path = self.job(job).path
        held = inodes(path / INPUT)
        discard_folder(path)
        self.uploads.sweep(held)
        self.quota.forget()

    def clear_away(self) -> None:
        """Remove what a server that was killed left half-done: checks, estimates, and jobs that were never told."""
        discard_folder(self.folder / CHECKS)
        for job in folders(self.engine.root):
            discard_folder(job / f".{INPUT}.part")
            if not (job / "job.json").exists():
                discard_folder(job)
        self.uploads.sweep()

    def size(self, job: str) -> int:
        """Bytes of a job's folder with its files."""
        return self.quota.sizes().get(job, 0) + size_of(self.engine.folder(job).path / INPUT)

    def files(self, job: str) -> list[JobFile]:
        """What the job made, without what it was given; links are left out."""
        root = self.job(job).path
        found: list[JobFile] = []
        for folder, below, names in os.walk(root):
            below[:] = [name for name in below if not name.startswith(".") and Path(folder, name) != root / INPUT]
            paths = [Path(folder, name) for name in names if not name.startswith(".")]
            for path in paths:
                with suppress(FileNotFoundError):  # what the worker writes anew gets its name at the end
                    if not path.is_symlink():
                        found.append(JobFile(path.relative_to(root).as_posix(), path.stat().st_size))
        return found

    def file(self, job: str, name: str) -> Path:
        """A file of the job; Refused when there is none, or when it leads out of the job's folder."""
        root = self.job(job).path.resolve()
        path = root / name
        if path.is_symlink() or path.resolve() != path or not path.is_file():
            raise Refused(404, f"The job has no file {name[:200]}.", "Ask for the list of its files.")
        return path

    def ticket(self, job: str) -> Ticket | None:
        """The job's place in the queue; None when it has none, or when its file is damaged."""
        try:
            values = parse_object(read_shared(self.engine.folder(job).path / QUEUE_FILE))
            return Ticket(int(values["priority"]), int(values["number"]), values["wanted"] is True, tuple(map(str, values["devices"])))
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return None

    def write_ticket(self, job: str, ticket: Ticket) -> None:
        """Remember the job's place in the queue."""
        write_text(self.engine.folder(job).path / QUEUE_FILE, json.dumps(asdict(ticket)))

    def devices_needed(self, job: str) -> int:
        """How many graphics cards the job asks for; 1 for what is no training, or cannot be read."""
        try:
            spec = self.engine.spec(job)
            return kind_of(spec).cards(spec)
        except UserError:
            return 1

    def state(self, job: str, alive: bool = False) -> JobState:
        """What the job is doing, by its folder; `alive` when a worker is known to be at work on another computer. A paused job is that
        without its worker too.
        """
        try:
            folder = self.engine.folder(job)
            state = state_of(folder, True) if alive else self.engine.state(job)
            return JobState.PAUSED if state is JobState.INTERRUPTED and rests(folder) else state
        except (OSError, UserError, ValueError):
            return JobState.FAILED


@dataclass
class Store:
    """All clients below `root`."""

    root: Path
    limits: Limits
    promised: Promised = field(default_factory=Promised)
    _clients: dict[str, Client] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, name: str) -> Client:
        """The client of a token."""
        with self._lock:
            return self._client(name)

    def _client(self, name: str) -> Client:
        if name not in self._clients:
            self._clients[name] = Client(self.root / "clients" / name, self.limits, promised=self.promised)
        return self._clients[name]

    def clients(self) -> list[Client]:
        """Every client that has ever left something here."""
        folders = (self.root / "clients").iterdir() if (self.root / "clients").is_dir() else ()
        return [self.client(folder.name) for folder in sorted(folders) if folder.is_dir()]


def inodes(folder: Path) -> set[int]:
    """The files below a folder, by what they share with other names of theirs."""
    return {os.lstat(Path(where, name)).st_ino for where, _, names in os.walk(folder) for name in names}


def link_files(uploads: Uploads, folder: Path, submission: Submission) -> Path:
    """The files of a job under their names; `folder` appears when it is whole, in place of an earlier one."""
    growing = folder.with_name(f".{folder.name}.part")
    discard_folder(growing)
    make_folder(growing)
    try:
        for entry in submission.files:
            path = growing / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            _link(uploads.path(entry.sha256), path)
        discard_folder(folder)
        return rename(growing, folder)
    except OSError as error:
        raise disk_error(folder, error) from error


def _link(source: Path, target: Path) -> None:
    """A hard link to a file, or a copy where the file system has no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
