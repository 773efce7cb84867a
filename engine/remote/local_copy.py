"""The copy of a remote job on this computer: a job folder like any other, and what is known of the job there."""

from __future__ import annotations

import json
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ..core.file_names import plain_stem
from ..core.files import read_shared, write_text
from ..core.parsing import parse_object
from ..core.protocol.folder import JobFolder
from ..core.protocol.spec import Spec, spec_to_json
from ..jobs.local_engine import JobState

FILE = "remote.json"

DELETE = "delete"
"""What a job is asked for beside control's words when the engine shall forget it."""


@dataclass(frozen=True)
class RemoteJobState:
    """What ties a job folder to a job of a remote engine: its name there, what of its events was read, and what it was told."""

    job: str
    state: JobState = JobState.STARTING
    cursor: int = 0
    sent: str = ""
    """the job as the engine has it; empty while it has none"""
    told: str = "run"


def new_remote_state(folder: JobFolder) -> RemoteJobState:
    """The state of a job that is not sent yet, with a name that no other job of any client has."""
    return RemoteJobState(f"{plain_stem(folder.name)}-{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(4)}")


def read_remote_state(folder: JobFolder) -> RemoteJobState | None:
    """What ties a job folder to a remote job; None when it is no copy, or its file cannot be read."""
    try:
        values = parse_object(read_shared(folder.path / FILE))
        state = JobState(values["state"])
        return RemoteJobState(str(values["job"]), state, int(values["cursor"]), str(values["sent"]), str(values["told"]))
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None


def write_remote_state(folder: JobFolder, remote_state: RemoteJobState) -> None:
    """Write what ties a job folder to a remote job."""
    write_text(folder.path / FILE, json.dumps({**asdict(remote_state), "state": remote_state.state.value}))


def fingerprint(spec: Spec) -> str:
    """The job in words, to see whether it was changed since it was sent."""
    return json.dumps(spec_to_json(spec), sort_keys=True)


def asked_control(folder: JobFolder) -> str:
    """What the job was last asked to do."""
    try:
        return read_shared(folder.path / "control").strip() or "run"
    except OSError:
        return "run"


def ask_control(folder: JobFolder, control: str) -> None:
    """Ask for run, pause, stop or kill; the job's follower sends it."""
    write_text(folder.path / "control", control)


def part_of(target: Path) -> tuple[Path, str] | None:
    """A file that was fetched in part, and the tag of what it is a part of."""
    found = sorted(target.parent.glob(f".{target.name}.*.part"))
    return (found[0], found[0].name[len(target.name) + 2 : -len(".part")]) if found else None
