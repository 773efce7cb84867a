"""The folder of the full engine on the disk: which environments are in it, which one is in use, and what state they are in.

An environment begins with the file `incomplete` and ends with the file `version`; an interruption in between is seen by `incomplete`.
The file `current` names the one in use.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from ..core.errors import UserError
from ..core.files import discard_folder, disk_error, make_folder, read_shared, remove_file, write_text
from .backends import BACKENDS, Backend
from .own_wheel import engine_files, engine_version


class InstallState(Enum):
    """Every state of the full engine that the interface draws."""

    ABSENT = "absent"
    INCOMPLETE = "incomplete"  # an installation was interrupted; installing goes on with it
    READY = "ready"
    OUTDATED = "outdated"  # it works, and the extension has a newer one
    BROKEN = "broken"  # the Python that it was built on is gone
    INSTALLING = "installing"  # known by the process that installs, not by the folder


@dataclass(frozen=True)
class Environment:
    """One environment of the folder, finished or not."""

    path: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / ("Scripts/python.exe" if os.name == "nt" else "bin/python")

    @property
    def complete(self) -> bool:
        """Whether it passed its self-check."""
        return (self.path / "version").is_file()

    @property
    def backend(self) -> str:
        """Name of its set of packages."""
        return self.path.name.partition("-")[0]

    def begin(self) -> None:
        """Mark it as incomplete."""
        make_folder(self.path)
        write_text(self.path / "incomplete", "An installation began here and has not ended.\n")

    def mark_ready(self) -> None:
        """Mark it as complete; the version comes last."""
        remove_file(self.path / "incomplete")
        write_text(self.path / "version", json.dumps({"version": engine_version(), "backend": self.backend}) + "\n")


@dataclass(frozen=True)
class EngineFolder:
    """The folder that holds the full engine."""

    root: Path

    @property
    def log(self) -> Path:
        """Everything that uv and the self-check said."""
        return self.root / "install.log"

    @property
    def cache(self) -> Path:
        """uv's; its files are shared with the environments where the disk can do that."""
        return self.root / "cache"

    def wanted(self, backend: Backend) -> Environment:
        """The environment that these files of the engine and this lock make, there or not."""
        return Environment(self.root / "environments" / f"{backend.name}-{fingerprint(backend)}")

    def environments(self) -> list[Environment]:
        """All environments of the folder, unfinished ones included."""
        folder = self.root / "environments"
        return [Environment(path) for path in sorted(folder.iterdir())] if folder.is_dir() else []

    def current(self) -> Environment | None:
        """The one in use."""
        try:
            name = read_shared(self.root / "current").strip()
        except OSError:
            return None
        found = Environment(self.root / "environments" / name)
        return found if name and found.complete else None

    def use(self, environment: Environment) -> None:
        """Make a complete environment the current one, and delete the others."""
        write_text(self.root / "current", environment.path.name + "\n")
        for other in self.environments():
            if other != environment:
                remove_file(other.path / "version")
                discard_folder(other.path)

    def state(self) -> InstallState:
        """What is there."""
        current = self.current()
        if current is None:
            return InstallState.INCOMPLETE if self.environments() else InstallState.ABSENT
        if not current.python.exists():
            return InstallState.BROKEN
        backend = BACKENDS.get(current.backend)
        return InstallState.READY if backend and self.wanted(backend) == current else InstallState.OUTDATED

    def remove(self) -> None:
        """Delete the folder, first the file `current`. UserError when files are in use."""
        if not self.root.exists():
            return
        with self.locked():
            remove_file(self.root / "current")
            for name in ("environments", "cache", "uv", "python"):
                discard_folder(self.root / name)
        for name in ("install.log", "lock"):
            remove_file(self.root / name)
        if self.environments():
            raise UserError(f"Some files in {self.root} are in use.", "Stop the trainings that run, then uninstall again.",
                            "install.in_use", root=self.root)
        with suppress(OSError):
            self.root.rmdir()

    @contextmanager
    def locked(self) -> Iterator[int]:
        """Let one process at a time work on the folder; yields the descriptor that holds the lock. UserError while another does."""
        make_folder(self.root)
        try:
            descriptor = os.open(self.root / "lock", os.O_RDWR | os.O_CREAT)
        except OSError as error:
            raise disk_error(self.root / "lock", error) from error
        try:
            _lock(descriptor)
            yield descriptor
        except BlockingIOError:
            raise UserError("The full engine is being installed or removed already.", "Wait until it ends.", "install.busy") from None
        finally:
            os.close(descriptor)


@functools.cache
def fingerprint(backend: Backend) -> str:
    """Ten letters that change when the lock or a file of the engine does."""
    digest = hashlib.sha256(backend.lock.read_bytes())
    for file in engine_files():
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:10]


def _lock(descriptor: int) -> None:
    """BlockingIOError when another process holds the lock. The system gives it back when its last holder ends."""
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError as error:
            raise BlockingIOError from error
    else:
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
