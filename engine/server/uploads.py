"""Files of one client by the hash of their content. A cut upload goes on where it ended; only what fits its name is kept."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import re
import shutil
import threading
import time
from collections.abc import AsyncIterator, Set
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from starlette.requests import ClientDisconnect

from ..core.files import disk_error, make_folder, remove_file, rename
from ..core.protocol.http_messages import FileEntry, Missing
from .http_errors import Refused
from .quota import Quota
from .room import Promised

BLOCK = 1024**2
"""Bytes that are gathered before a thread hashes and writes them."""

PART_SECONDS = 24 * 3600.0
"""A file that did not grow for so long is given up."""

_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


@dataclass(frozen=True)
class Limits:
    """What clients may take, in bytes: one file, all that a client keeps, and what stays free on the disk."""

    file: int
    client: int
    keep_free: int


@dataclass(frozen=True)
class UploadPart:
    """Where a request's body belongs: from `offset` on in a file of `total` bytes; None where the request does not say."""

    offset: int = 0
    total: int | None = None


@dataclass
class Uploads:
    """The files of one client below `folder`."""

    folder: Path
    limits: Limits
    quota: Quota
    promised: Promised = field(default_factory=Promised)
    _writers: dict[str, object] = field(default_factory=dict)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)
    _used: int | None = None
    _promising: threading.Lock = field(default_factory=threading.Lock)

    def path(self, sha256: str) -> Path:
        """Where a whole file lies."""
        return self.folder / sha256

    def partial(self, sha256: str) -> Path:
        """Where a file grows."""
        return self.folder / f"{sha256}.part"

    def size(self, sha256: str) -> int | None:
        """Bytes of a whole file; None while it is not whole."""
        return _size(self.path(sha256))

    def offset(self, sha256: str) -> int:
        """Bytes that are there."""
        return self.size(sha256) or _size(self.partial(sha256)) or 0

    def missing(self, files: tuple[FileEntry, ...]) -> list[Missing]:
        """The files that are not there, each once. Refused when one is there in another length than it is said to have."""
        wanted = {entry.sha256: entry for entry in files}
        sizes = _sizes(self.folder)
        for entry in wanted.values():
            if sizes.get(entry.sha256, entry.size) != entry.size:
                raise Refused(422, f"{entry.path} is said to have {entry.size} bytes, which its hash contradicts.", "Send the job again.")
        return [Missing(name, sizes.get(f"{name}.part", 0)) for name in wanted if name not in sizes]

    def used(self) -> int:
        """Bytes of all files; counted once, then kept up to date."""
        if self._used is None:
            self._used = sum(_sizes(self.folder).values())
        return self._used

    def sweep(self, held: Set[int] = frozenset()) -> None:
        """Delete the files that no job holds any more: a job's files are links to them.

        Those that the inodes `held` are go at once; others may have been sent for a job that comes next, and have PART_SECONDS for that.
        """
        for found in os.scandir(self.folder) if self.folder.is_dir() else ():
            with suppress(FileNotFoundError):
                status = os.stat(found.path)  # on Windows what found.stat() tells lacks links and number
                given_up = time.time() - status.st_ctime > PART_SECONDS or status.st_ino in held
                if given_up and (found.name.endswith(".part") or status.st_nlink == 1):
                    remove_file(Path(found.path))
        self._used = None

    def make_room(self, more: int, path: Path | None = None) -> None:
        """Refused when so many more bytes, of the file at `path`, are more than the client or the disk has room for beside what was
        promised to other files."""
        used = self.used() + self.quota.used() + self.promised.below(self.folder, path)
        if used + more > self.limits.client:
            taken = f"{used / 1e9:.2f} of {self.limits.client / 1e9:.2f} GB are taken"
            raise Refused(507, f"Your share of the engine's disk is full: {taken}, and {more / 1e9:.2f} GB more are asked for.",
                          self.quota.advice())
        make_folder(self.folder)
        if shutil.disk_usage(self.folder).free - self.promised.below(None, path) - more < self.limits.keep_free:
            raise Refused(507, "The engine's disk is full.", "Delete old jobs, or give the engine a larger disk.")

    def room(self) -> int:
        """Bytes that the client may still store."""
        share = self.limits.client - self.used() - self.quota.used() - self.promised.below(self.folder)
        disk = shutil.disk_usage(make_folder(self.folder)).free - self.promised.below() - self.limits.keep_free
        return min(share, disk)

    async def receive(self, sha256: str, part: UploadPart, body: AsyncIterator[bytes]) -> int:
        """Take in what a request brings; bytes that are there afterwards. The newest request for a file wins.

        Refused: a part that does not begin where the file ends, content that does not fit the hash, too much of it.
        """
        if self.size(sha256) is not None:
            return await self._compare(sha256, part, body)
        if part.total is not None:
            if part.total > self.limits.file:
                raise Refused(413, "The file is larger than this engine takes.", f"Send files of at most {self.limits.file:,} bytes.")
            await asyncio.to_thread(self._promise, sha256, part.total)
        me = self._writers[sha256] = object()
        lock = self._locks.setdefault(sha256, asyncio.Lock())
        try:
            async with lock:
                growing = await asyncio.to_thread(self._open, sha256, part)
            with growing.file:
                async for block in blocks(body):
                    async with lock:
                        self._check_newest(sha256, me)
                        await asyncio.to_thread(self._write, growing, block, part)
            async with lock:
                self._check_newest(sha256, me)  # else it would be the newer one's half file that gets its name
                return await asyncio.to_thread(self._close, sha256, growing, part)
        except Refused as refused:
            if refused.status == 413:
                self._discard(sha256)
            raise
        finally:
            if self._writers.get(sha256) is me:
                self.promised.note(self.partial(sha256), 0)
                del self._writers[sha256]
                self._locks.pop(sha256, None)

    def _promise(self, sha256: str, total: int) -> None:
        """Keep room for the rest of a file before it is sent; Refused when there is none."""
        with self._promising:
            left = total - self.offset(sha256)
            self.make_room(left, self.partial(sha256))
            self.promised.note(self.partial(sha256), left)

    def _check_newest(self, sha256: str, writer: object) -> None:
        """Refused when another request has begun to write the file since."""
        if self._writers.get(sha256) is not writer:
            raise Refused(409, "The same file is being sent again.", "Ask for its offset and go on from there.")

    async def _compare(self, sha256: str, part: UploadPart, body: AsyncIterator[bytes]) -> int:
        """A file that is whole is never written again; what is sent must be the same."""
        digest = hashlib.sha256()
        whole = part.offset == 0 and part.total in (None, self.size(sha256))
        async for block in blocks(body):
            digest.update(block)
        if not whole or digest.hexdigest() != sha256:
            raise Refused(409, "Another content is kept under this hash.", "Name each file by the SHA-256 of its content.")
        return self.size(sha256) or 0

    def _open(self, sha256: str, part: UploadPart) -> Growing:
        make_folder(self.folder)
        path = self.partial(sha256)
        there = _size(path) or 0
        if part.offset > there:
            raise Refused(409, f"The part begins at byte {part.offset}, but {there} are there.", "Ask for the offset and go on from there.")
        try:
            digest = _digest(path, part.offset)
            file = open(path, "r+b" if path.exists() else "w+b", buffering=0)  # noqa: SIM115 (closed by receive)
            file.truncate(part.offset)
            file.seek(part.offset)
        except OSError as error:
            raise disk_error(path, error) from error
        return Growing(sha256, file, digest, part.offset)

    def _write(self, growing: Growing, block: bytes, part: UploadPart) -> None:
        if growing.size + len(block) > (self.limits.file if part.total is None else part.total):
            raise Refused(413, "The file is longer than it was said to be.", "Send it from the beginning.")
        if part.total is None:
            self.make_room(len(block))
        try:
            growing.digest.update(block)
            if growing.file.write(block) != len(block):
                raise OSError(errno.ENOSPC, "No space left on device")
            growing.size += len(block)
            if part.total is not None:
                self.promised.note(self.partial(growing.sha256), part.total - growing.size)
            self._used = self.used() + len(block)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise Refused(507, "The engine's disk is full.", "Delete old jobs, or give the engine a larger disk.") from error
            raise disk_error(Path(str(growing.file.name)), error) from error

    def _discard(self, sha256: str) -> None:
        """Nothing is kept of a file that cannot be right."""
        remove_file(self.partial(sha256))
        self._used = None

    def _close(self, sha256: str, growing: Growing, part: UploadPart) -> int:
        """Give a whole file its name, once its content fits it."""
        path = self.partial(sha256)
        fits = growing.digest.hexdigest() == sha256
        if not fits and part.total is not None and growing.size < part.total:
            return growing.size
        if not fits:
            self._discard(sha256)
            raise Refused(422, "The content does not have the hash that names it.", "The file changed while it was sent: send it again.")
        os.chmod(path, 0o444)
        rename(path, self.path(sha256))
        return growing.size


@dataclass
class Growing:
    """A file that is being received."""

    sha256: str
    file: BinaryIO
    digest: hashlib._Hash
    size: int


async def blocks(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The body in pieces of about BLOCK bytes; what came before a cut is handed on as well."""
    gathered = bytearray()
    try:
        async for chunk in body:
            gathered += chunk
            if len(gathered) >= BLOCK:
                yield bytes(gathered)
                gathered.clear()
    except ClientDisconnect:
        if gathered:
            yield bytes(gathered)
        raise
    if gathered:
        yield bytes(gathered)


def part_of(content_range: str | None, length: int | None) -> UploadPart:
    """Where a body belongs, by its Content-Range and Content-Length. Refused when they contradict each other."""
    if content_range is None:
        return UploadPart(0, length)
    found = _RANGE.fullmatch(content_range.strip())
    first, last, total = (int(text) for text in found.groups()) if found else (1, 0, 0)
    if not first <= last < total or (length is not None and length != last - first + 1):
        raise Refused(400, "The Content-Range is invalid.", "Write it as bytes FIRST-LAST/TOTAL, as long as the body.")
    return UploadPart(first, total)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file in a folder, without those that get another name meanwhile."""
    found = {}
    for entry in os.scandir(folder) if folder.is_dir() else ():
        with suppress(FileNotFoundError):
            found[entry.name] = entry.stat().st_size
    return found


def _digest(path: Path, length: int) -> hashlib._Hash:
    """The hash of the first `length` bytes of a file."""
    digest = hashlib.sha256()
    if length:
        with open(path, "rb") as file:
            while length > 0:
                block = file.read(min(BLOCK, length))
                digest.update(block)
                length -= len(block)
    return digest
