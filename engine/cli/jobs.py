"""The command that lists jobs and deletes them, here or at an engine on another computer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from ..core.errors import UserError
from ..core.protocol.folder import JobFolder, find_jobs
from ..core.protocol.http_messages import checked_job, status_from_json
from ..jobs.local_engine import LocalEngine
from ..remote.http import Address, Connection
from ..remote.local_copy import read_remote_state
from ..server.quota import size_of
from .chosen_engine import chosen_address
from .terminal import print_table


@dataclass(frozen=True)
class JobRow:
    """A job in the list; `size` in bytes."""

    name: str
    state: str
    size: int
    note: str = ""


def jobs(
    folder: tyro.conf.Positional[Path] = Path(),
    delete: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME [NAME ...]")] = (),
    engine: str = "",
) -> int:
    """List the jobs in a folder, or your jobs at an engine on another computer, with their state and size; or delete some.

    Args:
        folder: where the job folders lie, when no engine is named
        delete: jobs to end and remove, with their checkpoints, results and files; no question is asked
        engine: address of an engine on another computer, also read from SPLATWRIGHT_ENGINE, its token from SPLATWRIGHT_TOKEN
    """
    address = chosen_address(engine)
    if address:
        delete_there(address, delete) if delete else show(listed_there(address))
    else:
        delete_here(folder, delete) if delete else show([row_of(job) for job in find_jobs(folder)])
    return 0


def show(rows: list[JobRow]) -> None:
    """A table, or a sentence."""
    if rows:
        print_table(("job", "state", "size", ""), [(row.name, row.state, megabytes(row.size), row.note) for row in rows])
    else:
        print("no jobs")


def megabytes(size: int) -> str:
    """Bytes as people read them."""
    return f"{size / 1e6:,.1f} MB"


def row_of(job: JobFolder) -> JobRow:
    """A row for a job folder of this computer; copies of remote jobs are marked."""
    remote_state = read_remote_state(job)
    made = time.strftime("%Y-%m-%d %H:%M", time.localtime((job.path / "job.json").stat().st_mtime))
    if remote_state:
        return JobRow(job.name, remote_state.state.value, size_of(job.path), f"{made}, at a remote engine: {remote_state.job}")
    return JobRow(job.name, LocalEngine(job.path.parent).state(job.name).value, size_of(job.path), made)


def delete_here(folder: Path, names: tuple[str, ...]) -> None:
    """End and remove jobs of this computer; UserError before the first one goes when one is not there."""
    engine = LocalEngine(folder.resolve())
    known = engine.jobs()
    check_names(names, known, str(folder.resolve()))
    for name in names:
        size = size_of(engine.folder(name).path)
        engine.delete(name)
        print(f"{name} deleted, {megabytes(size)}")


def listed_there(address: Address) -> list[JobRow]:
    """The client's jobs at a remote engine."""
    line = Connection(address)
    try:
        found = [status_from_json(values) for values in line.ask("GET", "/v1/jobs?sizes=true")["jobs"]]
    except (KeyError, TypeError, ValueError):
        raise UserError(f"What answers at {address.url} is no engine.", "Check the address and its port.") from None
    finally:
        line.close()
    return [JobRow(status.id, status.state, status.size, status.note) for status in found]


def delete_there(address: Address, names: tuple[str, ...]) -> None:
    """End and remove jobs of a remote engine, which frees their part of the client's share of its disk."""
    rows = {row.name: row for row in listed_there(address)}
    check_names(names, list(rows), address.url)
    line = Connection(address)
    try:
        for name in names:
            line.ask("DELETE", f"/v1/jobs/{checked_job(name)}")
            print(f"{name} deleted, {megabytes(rows[name].size)}")
    finally:
        line.close()


def check_names(names: tuple[str, ...], known: list[str], where: str) -> None:
    """UserError for the first name that no job has."""
    for name in names:
        if name not in known:
            raise UserError(f"There is no job {name} in {where}.", "Leave out --delete to see their names.")
