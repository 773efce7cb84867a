"""Running uv and other commands: their output goes to the log, a failure becomes a UserError."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.errors import UserError
from ..core.processes import PIPE, Process, clean_environment, spawn

TAIL = 60
"""Last lines in which a failure is looked for."""

WATCH_SECONDS = 0.5
OTHERS = ("VIRTUAL_ENV", "CONDA_PREFIX")
"""Variables that would let uv or pip install into another environment."""

FAILURES = (
    ("no space left|os error 28|not enough space|os error 112",
     "The disk is full.", "Free some space and install again: it goes on where it stopped."),
    ("ensurepip",
     "Blender's Python lacks ensurepip, and uv is not on the PATH.",
     "Install uv, or the package python3-venv of your Linux distribution, then install again."),
    ("hash mismatch|do not match the hashes|zip file|failed to extract|bad crc",
     "A file is damaged, or not what its checksum says: {line}",
     "Fetch it again; if that does not help, the network or a proxy changes files."),
    ("dns error|failed to fetch|connect error|tunnel error|connection (refused|broken)|connectionerror|timed? ?out|unreachable|certificate",
     "The package index cannot be reached.", "Check the network, the proxy and the firewall, or install from a folder of wheels."),
    ("no matching distribution|was not found in the|there is no version of|no wheels? with a matching|no solution found",
     "A package was not found: {line}", "Fetch every file that the lock names into the folder, or install from the index."),
    ("permission denied|os error 13|read-only",
     "A file may not be written: {line}", "Choose a folder that you may write to."),
)
"""Patterns in the output of failed commands, the most specific first."""


def run_logged(command: list[str], log: Path, what: str, extra: Mapping[str, str] | None = None, watch: Callable[[], None] = lambda: None,
               keep_open: tuple[int, ...] = ()) -> str:
    """Run a command to its end and return what it said; `watch` is called meanwhile, in this thread.

    `extra` goes into its environment, the descriptors `keep_open` stay open in it. It belongs to our group: whoever ends the installation
    ends it, too. UserError when it fails.
    """
    said: list[str] = []
    process = spawn(command, environment=clean_environment(extra or {}, OTHERS), output=PIPE, what=what, own_group=False,
                    keep_open=keep_open)
    reader = threading.Thread(target=_copy, args=(process, log, said), daemon=True)
    reader.start()
    while reader.is_alive():
        reader.join(WATCH_SECONDS)
        watch()
    if process.wait():
        raise explained(what, said, log)
    return "".join(said)


def explained(what: str, said: list[str], log: Path) -> UserError:
    """UserError for the output of a failed command."""
    lines = [line.strip() for line in said[-TAIL:] if line.strip()]
    for pattern, message, hint in FAILURES:
        found = [line for line in lines if re.search(pattern, line, re.IGNORECASE)]
        if found:
            return UserError(message.format(line=_bare(found[-1])), hint)
    last = f": {_bare(lines[-1])}" if lines else "."
    return UserError(f"{what} failed{last}", f"Everything it said is in {log}.", "install.failed", what=what, last=last, log=log)


def _bare(line: str) -> str:
    """What a line says, as the end of a sentence."""
    return re.sub(r"^(error|cause|warning): ", "", line[:200], flags=re.IGNORECASE).rstrip(".") + "."


def _copy(process: Process, log: Path, said: list[str]) -> None:
    """Copy output to the log and to `said`; a full disk ends the log alone."""
    assert process.stdout is not None
    for line in process.stdout:
        said.append(line)
        try:
            with open(log, "a", encoding="utf-8") as file:
                file.write(line)
        except OSError:
            continue
