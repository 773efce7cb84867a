"""An estimate that is being made: a process tries the training for some seconds, and tells events until it has its figures."""

from __future__ import annotations

import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import suppress
from pathlib import Path

from ..core.errors import UserError
from ..core.files import discard_folder, make_folder
from ..core.processes import end_tree, spawn
from ..core.protocol.events import Estimated, Event, Failed
from ..core.protocol.folder import JobFolder
from ..core.protocol.spec import JobSpec

FOLDER = ".estimates"
PATIENCE_SECONDS = 0.5
"""For a process that was asked to end. Whoever asks waits for it, and all that it holds is in its folder."""

OLD_SECONDS = 86_400.0
"""Age of folders whose owner is gone for certain."""

POLL_SECONDS = 0.1


class Estimation(ABC):
    """Runs beside whoever asked for it, who looks at it now and then."""

    @property
    @abstractmethod
    def running(self) -> bool:
        """Whether more events will come."""

    @abstractmethod
    def events(self) -> list[Event]:
        """All events so far: stages, findings, and at the end Estimated or Failed."""

    @abstractmethod
    def stop(self) -> None:
        """End it, if it still runs, and forget what it left."""

    def wait(self) -> list[Event]:
        """All events, once it is through."""
        while self.running:
            time.sleep(POLL_SECONDS)
        return self.events()


class LocalEstimation(Estimation):
    """A worker process on this computer, in a folder of its own, which goes when the process has ended."""

    def __init__(self, command: list[str], environment: dict[str, str], spec: JobSpec, folder: Path):
        self._job = JobFolder(folder)
        self._job.write_spec(spec)
        self._heard: list[Event] | None = None
        try:
            self._process = spawn([*command, self._job.path], environment=environment, output=self._job.log, what="The engine", tied=True)
        except UserError:
            self._clear()
            raise

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def events(self) -> list[Event]:
        if self._heard is not None:
            return self._heard
        ended = not self.running
        found = self._job.read_events()[0]
        if ended:
            self._heard = found if concluded(found) else [*found, Failed("The estimate ended before it was done.", "Check the engine.",
                                                                         code="estimate.ended")]
            self._clear()
        return found if self._heard is None else self._heard

    def stop(self) -> None:
        if self.running:
            end_tree(self._process, PATIENCE_SECONDS)
        self._heard = self._heard or []
        self._clear()

    def _clear(self) -> None:
        discard_folder(self._job.path)
        if self._job.path.parent.name == FOLDER:
            with suppress(OSError):  # another estimate is being made
                self._job.path.parent.rmdir()


def estimate_folder(root: Path) -> Path:
    """An empty folder below `root` for an estimate."""
    parent = make_folder(root / FOLDER)
    sweep(parent)
    return Path(tempfile.mkdtemp(dir=parent))


def sweep(parent: Path) -> None:
    """Remove what was left by programs that were killed."""
    for folder in parent.iterdir():
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > OLD_SECONDS:
                discard_folder(folder)


def concluded(events: list[Event]) -> bool:
    """Whether the last word was said."""
    return any(isinstance(event, (Estimated, Failed)) for event in events)
