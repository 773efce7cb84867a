"""Room on the disk that was promised to files which are still being sent."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Promised:
    """Bytes that are still to come, by the file that they go into; shared by all clients, whose files lie on one disk."""

    _left: dict[Path, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def below(self, folder: Path | None = None, without: Path | None = None) -> int:
        """Bytes that are to come below a folder, or anywhere; not those of one file."""
        with self._lock:
            return sum(left for path, left in self._left.items() if path != without and (folder is None or path.is_relative_to(folder)))

    def note(self, path: Path, left: int) -> None:
        """So many bytes are still to come into a file; 0: it is there, or given up."""
        with self._lock:
            if left > 0:
                self._left[path] = left
            else:
                self._left.pop(path, None)
