"""What outlives the machine: the newest checkpoint, settings and events of a training, in a folder that the service keeps.

The training itself works in a folder of its own: the kept one may be a network's, slow, and without locks.
"""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import UserError
from ..core.files import disk_error, make_folder, rename, replacing
from ..core.protocol.folder import JobFolder
from ..core.protocol.spec import JobSpec
from ..training.checkpoint import NEWEST, PREVIOUS

SECONDS = 60.0
"""Between two copies, where the folder is on another disk; where a second name does, there is one for every checkpoint."""

SHARE = 0.1
"""Of the time that copying may take."""


@dataclass
class Kept:
    """The folder of checkpoints. save() never raises while the training runs: what it could not do is `problem`."""

    folder: Path
    problem: str = ""
    _known: tuple[int, int] = (0, 0)
    _next: float = field(default=0.0)
    _linked: bool = True

    def restore(self, job: JobFolder) -> bool:
        """Bring back what was kept, without what tells which machine was at work; whether there was a checkpoint. UserError when it
        cannot be read."""
        make_folder(self.folder)
        make_folder(job.checkpoint)
        try:
            for name in (NEWEST, PREVIOUS):
                if (self.folder / name).exists():
                    shutil.copyfile(self.folder / name, job.checkpoint / name)
            for path in (job.events_file, job.spent, job.path / "job.json"):
                if (self.folder / path.name).exists():
                    shutil.copyfile(self.folder / path.name, path)
        except OSError as error:
            raise disk_error(self.folder, error) from error
        self._known = stamp(job.checkpoint / NEWEST)
        return any(job.checkpoint.iterdir())

    def earlier(self, job: JobFolder) -> JobSpec | None:
        """What the restored training was asked to do; None where that is not known any more."""
        try:
            return job.read_spec()
        except UserError:
            return None

    def due(self, job: JobFolder) -> bool:
        """Whether there is another checkpoint than the one that is kept, and it is time to keep it."""
        return time.monotonic() >= self._next and stamp(job.checkpoint / NEWEST) not in ((0, 0), self._known)

    def save(self, job: JobFolder) -> bool:
        """Keep what there is now; whether that was possible."""
        begin, found = time.monotonic(), stamp(job.checkpoint / NEWEST)
        try:
            if found not in ((0, 0), self._known):
                self._keep_checkpoint(job.checkpoint / NEWEST)
                self._known = found
            for path in (job.path / "job.json", job.spent, job.events_file):
                if path.exists():
                    with replacing(self.folder / path.name) as temporary:
                        shutil.copyfile(path, temporary)
            self.problem = ""
        except (OSError, UserError) as error:
            self.problem = str(error)
        took = time.monotonic() - begin
        self._next = time.monotonic() + (0.0 if self._linked and not self.problem else max(SECONDS, took / SHARE))
        return not self.problem

    def _keep_checkpoint(self, newest: Path) -> None:
        """The one before it stays until this one is there whole."""
        with replacing(self.folder / NEWEST) as temporary:
            self._linked = same_file(newest, temporary)
            if (self.folder / NEWEST).exists():
                rename(self.folder / NEWEST, self.folder / PREVIOUS)


def same_file(source: Path, target: Path) -> bool:
    """Give a file that nobody changes a second name, or copy it; whether a name did."""
    try:
        os.link(source, target)
        return True
    except OSError:
        shutil.copyfile(source, target)
        with suppress(OSError), open(target, "rb") as file:
            os.fsync(file.fileno())
        return False


def stamp(path: Path) -> tuple[int, int]:
    """What tells a file from the one that replaces it; zeros where there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size
