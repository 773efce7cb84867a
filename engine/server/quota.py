"""What the jobs of a client take on the disk, beside the files that it sent."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

INPUT = "input"
"""The files that a job was sent with, inside its folder: links to what the client keeps."""

KNOWN_SECONDS = 5.0
"""So long sizes count as known: jobs grow slowly."""

NAMED = 3


@dataclass
class Quota:
    """Sizes of the job folders below `jobs`."""

    jobs: Path
    _known: dict[str, int] = field(default_factory=dict)
    _known_at: float = float("-inf")

    def sizes(self) -> dict[str, int]:
        """Bytes that each job has made."""
        if time.monotonic() - self._known_at > KNOWN_SECONDS:
            self._known = {folder.name: size_of(folder) for folder in folders(self.jobs)}
            self._known_at = time.monotonic()
        return self._known

    def used(self) -> int:
        """Bytes that all jobs have made."""
        return sum(self.sizes().values())

    def forget(self) -> None:
        """Count anew: a job was deleted."""
        self._known_at = float("-inf")

    def advice(self) -> str:
        """How to make room, with the names of the largest jobs."""
        sizes = {name: size + size_of(self.jobs / name / INPUT) for name, size in self.sizes().items()}
        largest = sorted(sizes, key=lambda name: -sizes[name])[:NAMED]
        named = ", ".join(f"{name} ({sizes[name] / 1e9:.2f} GB with its files)" for name in largest)
        return "Delete a job with: splatwright jobs --delete NAME" + (f". The largest: {named}." if named else ".")


def size_of(folder: Path) -> int:
    """Bytes below a folder, without what a job was sent with."""
    return sum(_sizes(folder))


def _sizes(folder: Path) -> Iterator[int]:
    for where, folders_here, names in os.walk(folder):
        if Path(where) == folder:
            folders_here[:] = [name for name in folders_here if name != INPUT]
        for name in names:
            with suppress(OSError):
                yield os.lstat(Path(where, name)).st_size


def folders(root: Path) -> list[Path]:
    """The folders directly below another; links are none."""
    found = os.scandir(root) if root.is_dir() else ()
    return [Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False)]
