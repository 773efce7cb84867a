"""What travels between a remote engine and whoever uses it: a job with the names and hashes of its files, and how it stands."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import UserError
from ..file_names import FORBIDDEN, RESERVED, windows_takes
from .events import Finding, event_from_json
from .folder import PROTOCOL, check_protocol
from .spec import JobSpec, Spec, source_of, spec_from_json, spec_to_json, with_source

PROTOCOL_HEADER = "Splatwright-Protocol"
OFFSET_HEADER = "Upload-Offset"
"""Bytes of a file that the engine has already."""

PORT = 8787
"""Where an engine listens unless told otherwise."""

MOST_FILES = 100_000
PRIORITIES = (-100, 100)
_HASH = re.compile(r"[0-9a-f]{64}")
_JOB = re.compile(r"[\w-]{1,120}")


@dataclass(frozen=True)
class FileEntry:
    """One file of a dataset: where it lies below the dataset's folder, how long it is (bytes), and the hash of its content."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Submission:
    """A job as it is sent: what it reads is named relative to the folder of its files."""

    spec: Spec
    files: tuple[FileEntry, ...]
    priority: int = 0

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(entry.size for entry in self.files)


@dataclass(frozen=True)
class Missing:
    """A file that the engine lacks, and how many of its bytes it has."""

    sha256: str
    offset: int


@dataclass(frozen=True)
class JobStatus:
    """How a job stands; `position` counts the jobs before it in the queue, `silence` is in seconds, `note` is one for people.

    `alarm`: that the engine's machine should be switched off by now and is not. `size`: bytes of its folder with its files, where it was
    asked for; files that several jobs share count for each.
    """

    id: str
    state: str
    position: int = 0
    silence: float = 0.0
    note: str = ""
    size: int = 0
    alarm: str = ""


@dataclass(frozen=True)
class JobFile:
    """A file that a job made."""

    path: str
    size: int


def submission_to_json(submission: Submission) -> dict[str, Any]:
    """Plain values."""
    return {"protocol": PROTOCOL, "spec": spec_to_json(submission.spec), "priority": submission.priority,
            "files": [[entry.path, entry.size, entry.sha256] for entry in submission.files]}


def submission_from_json(values: Any) -> Submission:
    """The inverse of submission_to_json; UserError for another protocol, paths that lead elsewhere, and all that is no job."""
    try:
        check_protocol(values["protocol"])
        rows = values["files"]
        if len(rows) > MOST_FILES:
            raise UserError(f"The job has {len(rows)} files.", f"Send at most {MOST_FILES}.", "request.files", count=len(rows))
        files = tuple(_entry(row) for row in rows)
        spec = spec_from_json(values["spec"])
        spec = with_source(spec, Path(_relative(str(source_of(spec)))))
        if isinstance(spec, JobSpec) and spec.start_file is not None:
            spec = replace(spec, start_file=Path(checked_path(spec.start_file.as_posix())))
        return Submission(spec, _each_once(files), _priority(values.get("priority", 0)))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise UserError("The request describes no job.", "Use the same version of Splatwright on both sides.", "request.no_job") from None


def findings_to_json(findings: list[Finding]) -> dict[str, Any]:
    """Plain values. Codes and values lie beside the findings, because version 0.1.0 takes no findings with fields it does not know."""
    rows = [asdict(finding) for finding in findings]
    codes = [[row.pop("code"), dict(row.pop("values"))] for row in rows]
    return {"findings": rows, "codes": codes}


def findings_from_json(answer: Any) -> list[Finding]:
    """The findings of an engine's answer, from version 0.1.0's too; what is no finding is passed over."""
    rows = list(answer["findings"])
    codes = [*answer.get("codes", ()), *[["", {}]] * len(rows)]
    found = [event_from_json(json.dumps({**row, "event": "Finding", "code": code, "values": said}))
             for row, (code, said) in zip(rows, codes, strict=False)]
    return [finding for finding in found if isinstance(finding, Finding)]


def status_from_json(values: Any) -> JobStatus:
    """How a job stands, from the engine's answer. ValueError for what is none."""
    try:
        return JobStatus(str(values["id"]), str(values["state"]), int(values["position"]), float(values["silence"]), str(values["note"]),
                         int(values.get("size", 0)), str(values.get("alarm", "")))
    except (KeyError, TypeError) as error:
        raise ValueError("no status") from error


def status_to_json(status: JobStatus) -> dict[str, Any]:
    """Plain values; an alarm only where there is one."""
    return {name: value for name, value in asdict(status).items() if name != "alarm" or value}


def checked_job(name: str) -> str:
    """The name of a job, if it is one; UserError else."""
    if not _JOB.fullmatch(name) or RESERVED.fullmatch(name):
        raise UserError("This is no name of a job.", "Use letters, digits, - and _, at most 120.", "request.job_name")
    return name


def checked_hash(text: str) -> str:
    """A SHA-256 in hexadecimal, if it is one; UserError else."""
    if not _HASH.fullmatch(text):
        raise UserError("This is no SHA-256.", "Name a file by the 64 lower-case hexadecimal digits of its hash.", "request.hash")
    return text


def checked_path(text: str) -> str:
    """A relative path that stays below its folder on every system; UserError else."""
    parts = text.split("/")
    if len(text) > 1000 or any(part in ("", ".", "..") or FORBIDDEN.search(part) or part != part.rstrip(" .") for part in parts):
        raise UserError(f"{text[:200]!r} is no path below the dataset's folder.", "Use relative paths with / between their parts.",
                        "request.path", what=text[:200])
    if sys.platform == "win32" and not all(map(windows_takes, parts)):
        raise UserError(f"{text[:200]!r} is the name of a device on the engine's computer, which runs Windows.", "Rename the file.",
                        "request.device", what=text[:200])
    return str(PurePosixPath(text))


def _relative(text: str) -> str:
    return "." if text in ("", ".") else checked_path(text)


def _entry(row: Any) -> FileEntry:
    path, size, sha256 = row
    if not isinstance(path, str) or type(size) is not int or size < 0:
        raise ValueError
    return FileEntry(checked_path(path), size, checked_hash(str(sha256)))


def _each_once(files: tuple[FileEntry, ...]) -> tuple[FileEntry, ...]:
    """Two names that differ in case alone are one file on some systems; a file cannot be a folder of another."""
    names = {entry.path.casefold() for entry in files}
    folders = {str(parent).casefold() for entry in files for parent in PurePosixPath(entry.path).parents}
    if len(names) != len(files) or names & folders:
        raise UserError("Two files of the dataset have the same name.", "Rename one of them.", "request.same_name")
    return files


def _priority(value: Any) -> int:
    low, high = PRIORITIES
    if type(value) is not int or not low <= value <= high:
        raise UserError(f"The priority is {value!r}.", f"Give a whole number from {low} to {high}.", "request.priority", value=value,
                        low=low, high=high)
    return value
