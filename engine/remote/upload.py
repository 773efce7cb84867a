"""Sending a job with its files: only what the engine lacks, and from where a cut connection ended."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from ..core.datasets.read import opened, read_dataset
from ..core.errors import UserError
from ..core.files import disk_error
from ..core.formats.registry import format_of
from ..core.protocol.events import Finding, Stage
from ..core.protocol.http_messages import (
    FileEntry,
    Submission,
    checked_path,
    findings_from_json,
    submission_to_json,
)
from ..core.protocol.spec import JobSpec, Spec, kind_of, source_of, with_source
from ..jobs.start_file import start_files, start_of
from .http import Address, Connection, Rejected, Unreachable, no_engine

START_FOLDER = "start-of-training"
"""Beside the dataset's files on the engine: the splats that the training begins with."""

READING, SENDING = "reading the dataset", "sending the dataset"
ANSWER_SECONDS = 600.0
"""The engine may link a hundred thousand files, or look at every image of a dataset, before it answers."""

LINES = 4
"""Files that are sent at the same time."""

MEGABYTE = 10**6

Tell = Callable[[str, int, int], None]
"""Called with a stage, and how many of how many bytes are through."""


def stage_of(name: str, done: int, total: int) -> Stage:
    """A stage as an event; in megabytes where it counts bytes."""
    unit = MEGABYTE if name == SENDING else 1
    return Stage(name, done // unit, -(-total // unit), None)


def quiet(stage: str, done: int, total: int) -> None:
    """Discards what it is told."""


@dataclass(frozen=True)
class UploadManifest:
    """A job to send, and where its files lie on this computer."""

    submission: Submission
    paths: dict[str, Path]  # by hash
    sizes: dict[str, int]


def pack(spec: Spec, priority: int, tell: Tell) -> UploadManifest:
    """Find and hash the files of a job. UserError when some cannot be read, or lie outside of their folder."""
    source = source_of(spec).resolve()
    if not source.exists():
        raise UserError(f"{source} does not exist.", "Choose the folder of a dataset.", "remote.no_source", source=source)
    source = opened(source).resolve() if kind_of(spec).reads_dataset else source
    alone = source.is_file() and not kind_of(spec).reads_dataset  # a video
    root = source.parent if source.is_file() else source
    files = [source] if alone else list(files_below(root))
    if kind_of(spec).reads_dataset:
        read_dataset(source).check_inside(root)
    entries = tuple(hashed(root, files, tell))
    inside = with_source(spec, Path(source.name) if source.is_file() else Path("."))
    paths = {entry.sha256: path for entry, path in zip(entries, files, strict=True)}
    if isinstance(inside, JobSpec) and inside.start_file is not None:
        beside, inside = _start_entries(inside, inside.start_file, tell)
        entries, paths = (*entries, *beside), {**paths, **{entry.sha256: path for entry, path in beside.items()}}
    return UploadManifest(Submission(inside, entries, priority), paths, {entry.sha256: entry.size for entry in entries})


def _start_entries(spec: JobSpec, path: Path, tell: Tell) -> tuple[dict[FileEntry, Path], JobSpec]:
    """The files of the splats that a training begins with, each with where it lies here, and the training that reads them there."""
    start = start_of(path)
    there = Path(START_FOLDER, f"start{format_of(start).suffix}")
    named = {original: name for original, name in zip(start_files(start), start_files(there), strict=True) if original.is_file()}
    found = hashed(start.parent, list(named), tell)
    entries = {replace(entry, path=name.as_posix()): original for entry, (original, name) in zip(found, named.items(), strict=True)}
    return entries, replace(spec, start_file=there)


def files_below(root: Path) -> Iterator[Path]:
    """Every file of a dataset, through links too; without hidden ones, and without the folders of jobs."""
    seen: set[Path] = set()
    for folder, folders, names in os.walk(root, followlinks=True):
        here = Path(folder).resolve()
        if here in seen or ("job.json" in names and here != root):
            folders.clear()
            continue
        seen.add(here)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(folder, name) for name in sorted(names) if not name.startswith(".") and Path(folder, name).is_file())


def hashed(root: Path, files: list[Path], tell: Tell) -> Iterator[FileEntry]:
    """Name, length and hash of each file."""
    with ThreadPoolExecutor(LINES) as pool:
        for number, (path, (size, digest)) in enumerate(zip(files, pool.map(_hash, files), strict=True)):
            tell(READING, number + 1, len(files))
            yield FileEntry(checked_path(path.relative_to(root).as_posix()), size, digest)


def send(address: Address, job: str, manifest: UploadManifest, tell: Tell, cancelled: Callable[[], bool]) -> None:
    """Bring a job to the engine. Raises Unreachable when the connection is cut; sent again it goes on where it ended.

    Returns early when `cancelled`.
    """
    offer(address, manifest, Connection.ask, "PUT", f"/v1/jobs/{job}", tell, cancelled)


def check_remotely(address: Address, manifest: UploadManifest, tell: Tell = quiet) -> list[Finding]:
    """The engine's findings on a dataset, after sending what it lacks of it."""
    answer = offer(address, manifest, Connection.ask, "POST", "/v1/check", tell, lambda: False)
    try:
        return findings_from_json(answer)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise no_engine(address) from None


def offer(address: Address, manifest: UploadManifest, ask: Callable[[Connection, str, str, bytes], Any], method: str, path: str, tell: Tell,
          cancelled: Callable[[], bool]) -> Any:
    """Ask, send the files that the engine says it lacks, and ask again; what `ask` returns, or None when `cancelled`."""
    body = json.dumps(submission_to_json(manifest.submission)).encode()
    line = Connection(address, ANSWER_SECONDS)
    try:
        while not cancelled():
            try:
                return ask(line, method, path, body)
            except Rejected as refusal:
                if "missing" not in refusal.answer:
                    raise
                missing = missing_of(refusal, manifest)
            _send_files(address, manifest, missing, tell, cancelled)
    finally:
        line.close()
    return None


def missing_of(refusal: Rejected, manifest: UploadManifest) -> list[tuple[str, int]]:
    """Hash and offset of the files that the engine lacks; UserError when it names none of the job's."""
    try:
        found = {str(row["sha256"]): int(row["offset"]) for row in refusal.answer["missing"]}
        if found and all(0 <= offset <= manifest.sizes[name] for name, offset in found.items()):
            return list(found.items())
    except (KeyError, TypeError, ValueError, OverflowError):
        pass
    raise UserError("The engine asks for files that the job does not have.", "Use the same version of Splatwright on both sides.")


def _send_files(address: Address, manifest: UploadManifest, missing: list[tuple[str, int]], tell: Tell,
                cancelled: Callable[[], bool]) -> None:
    total = sum(manifest.sizes.values())
    done = total - sum(manifest.sizes[name] - offset for name, offset in missing)
    idle: SimpleQueue[Connection] = SimpleQueue()
    lines = [Connection(address) for _ in range(min(LINES, len(missing)))]
    for line in lines:
        idle.put(line)

    def one(name: str, offset: int) -> int:
        line = idle.get()
        try:
            if cancelled():
                return 0
            send_file(line, manifest.paths[name], name, manifest.sizes[name], offset)
            return manifest.sizes[name] - offset
        finally:
            idle.put(line)

    tell(SENDING, done, total)
    with ThreadPoolExecutor(LINES) as pool:
        sending = [pool.submit(one, name, offset) for name, offset in missing]
        try:
            for sent in as_completed(sending):
                done += sent.result()
                tell(SENDING, done, total)
        finally:
            pool.shutdown(cancel_futures=True)
            for line in lines:
                line.close()


def send_file(line: Connection, path: Path, sha256: str, size: int, offset: int) -> None:
    """One file from a byte on; from its beginning where all of it is there but its hash is not verified yet."""
    offset = offset if offset < size else 0
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size != size:
                raise UserError(f"{path} changed while it was sent.", "Start the job again when nothing writes into the dataset.",
                                "remote.changed", path=path)
            file.seek(offset)
            head = {"Content-Length": str(size - offset)}
            if offset:
                head["Content-Range"] = f"bytes {offset}-{size - 1}/{size}"
            line.ask("PATCH" if offset else "PUT", f"/v1/blobs/{sha256}", file, head)
    except Rejected as refusal:
        if refusal.status == 409:  # a request that was cut here went on there: ask anew what is missing
            raise Unreachable(refusal.message, refusal.hint) from None
        raise
    except (FileNotFoundError, PermissionError) as error:
        raise disk_error(path, error) from error


def _hash(path: Path) -> tuple[int, str]:
    try:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return file.tell(), digest
    except OSError as error:
        raise disk_error(path, error) from error
