"""Everything that goes wrong on somebody's computer, done on purpose. Each fault says whether there was anything to break."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from engine.core.protocol.folder import JobFolder
from tests.faults.desk import Desk, end
from tests.faults.hostile import neighbour_floods_checks_and_hangs_up, neighbour_promises_a_file_and_leaves, strangers_crowd_the_server
from tests.processes import suspended
from tests.training.mutations import MUTATIONS

Fault = Callable[[Desk], bool]
HOUR = 3600.0


def kill_worker(desk: Desk) -> bool:
    return desk.signal(list(desk.workers()), signal.SIGKILL)


def kill_server(desk: Desk) -> bool:
    desk.server.kill()
    time.sleep(desk.random.uniform(0, 0.5))
    desk.server.start()
    return True


def kill_client(desk: Desk) -> bool:
    return desk.signal(running(desk), signal.SIGKILL)


def reboot(desk: Desk) -> bool:
    """Everything is gone at once; afterwards the numbers of the workers belong to other processes."""
    for pid in (desk.server.process.pid, *running(desk), *desk.workers()):
        end(pid)
    desk.server.process.wait()
    for job in desk.jobs():
        if (job.path / "heartbeat").exists():
            job.heartbeat(os.getpid())
    desk.server.start()
    return True


def server_dies_beside_an_unreadable_heartbeat(desk: Desk) -> bool:
    """A server that begins anew must not start a second worker."""
    found = spoil_heartbeat(desk)
    return kill_server(desk) and found


def freeze_worker(desk: Desk) -> bool:
    return freeze(desk, list(desk.workers()))


def freeze_server(desk: Desk) -> bool:
    return freeze(desk, [desk.server.process.pid])


def freeze_client(desk: Desk) -> bool:
    return freeze(desk, running(desk))


def cut_network(desk: Desk) -> bool:
    """Every connection breaks, and for a while none can be made."""
    desk.proxy.away = True
    desk.proxy.cut_all()
    time.sleep(desk.random.uniform(0, 1.5))
    desk.proxy.away = False
    return True


def jump_clock(desk: Desk) -> bool:
    """Every time that was written lies hours ahead or behind, as when the clock is set."""
    jump = time.time() + desk.random.choice([-5, 5]) * HOUR
    for job in desk.jobs():
        for path in (job.path / "heartbeat", job.path / "job.json", job.events_file, job.checkpoint / "state.npz"):
            with suppress(OSError):
                os.utime(path, (jump, jump))
    return bool(desk.jobs())


def fill_disk(desk: Desk) -> bool:
    """Not one byte is left for a while."""
    if not desk.fillable:
        return False
    filler = desk.folder / "filler"
    with suppress(OSError), open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    time.sleep(desk.random.uniform(0.3, 1.5))
    filler.unlink()
    return True


def end_workers(desk: Desk, job: JobFolder) -> None:
    """Cut off whatever works at a job."""
    for pid, folder in desk.workers().items():
        if folder == job.path:
            end(pid)


def tear_checkpoint(desk: Desk) -> bool:
    """As a power cut leaves a file that was not on the disk yet: the one before it must do."""
    found = [job for job in desk.at_work() if (job.checkpoint / "previous.npz").exists()]
    if not found:
        return False
    job = desk.random.choice(found)
    end_workers(desk, job)
    with suppress(OSError):
        os.truncate(job.checkpoint / "state.npz", desk.random.choice([0, 100, 5000]))
    return True


def spoil_checkpoint(desk: Desk) -> bool:
    """Bytes, a block, the archive's directory or an array of the newest one are others: the one before it must do."""
    found = [job for job in desk.at_work() if all((job.checkpoint / name).exists() for name in ("state.npz", "previous.npz"))]
    if not found:
        return False
    job = desk.random.choice(found)
    end_workers(desk, job)
    with suppress(OSError):
        path = job.checkpoint / "state.npz"
        path.write_bytes(desk.random.choice(MUTATIONS)(path.read_bytes(), desk.random))
    return True


def move_job_away(desk: Desk) -> bool:
    """A worker's folder is somewhere else for a while: the worker ends, and the next one goes on."""
    found = [job for job in desk.at_work() if job.path.parent == desk.near]
    if not found:
        return False
    path = found[0].path
    away = path.with_name("away")
    path.rename(away)
    time.sleep(desk.random.uniform(0, 2))
    while away.exists():
        shutil.rmtree(path, ignore_errors=True)  # what a command made anew meanwhile, whose worker may still write
        with suppress(OSError):
            away.rename(path)
    return True


def tear_events(desk: Desk) -> bool:
    """Half a line, as of a worker that died while it wrote, or a file that lost its end."""
    found = [job.events_file for job in desk.jobs() if job.events_file.exists()]
    if not found:
        return False
    path = desk.random.choice(found)
    if desk.random.random() < 0.5:
        with open(path, "ab") as file:
            file.write(desk.random.choice([b'{"event": "Progress", "st\n', b'{"event": "Progress", "st', bytes(512)]))
    else:
        os.truncate(path, int(path.stat().st_size * desk.random.uniform(0.3, 1)))
    return True


def spoil_heartbeat(desk: Desk) -> bool:
    return write(desk, [job.path / "heartbeat" for job in desk.at_work()])


def spoil_control(desk: Desk) -> bool:
    return write(desk, [job.path / "control" for job in desk.jobs()])


def spoil_place_in_queue(desk: Desk) -> bool:
    """A job without a readable place is one that nobody wants any more: the client asks for it again."""
    return write(desk, [job.path / "queue.json" for job in desk.at_work()])


def spoil_clients_memory(desk: Desk) -> bool:
    """The client forgets what it has sent: what is there must be found again."""
    return write(desk, [job.path / "remote.json" for job in desk.copies()])


def edit_job_by_hand(desk: Desk) -> bool:
    """Somebody breaks job.json, sees it, and puts it back."""
    found = [job.path / "job.json" for job in desk.at_work()]
    if not found:
        return False
    path = desk.random.choice(found)
    text = path.read_text()
    path.write_text(desk.random.choice(["{", text.replace('"train"', '"paint"'), json.dumps([text])]))
    time.sleep(desk.random.uniform(0, 1))
    path.write_text(text)
    return True


HOSTILE: tuple[Fault, ...] = (strangers_crowd_the_server, neighbour_floods_checks_and_hangs_up, neighbour_promises_a_file_and_leaves)

FAULTS: tuple[Fault, ...] = (
    kill_worker, kill_server, kill_client, reboot, server_dies_beside_an_unreadable_heartbeat, freeze_worker, freeze_server, freeze_client,
    cut_network, jump_clock, fill_disk, tear_checkpoint, spoil_checkpoint, move_job_away, tear_events, spoil_heartbeat, spoil_control,
    spoil_place_in_queue, spoil_clients_memory, edit_job_by_hand, *HOSTILE)


def break_something(desk: Desk) -> str:
    """One fault, chosen by chance among those that find something to break; its name in words."""
    for fault in desk.random.sample(FAULTS, len(FAULTS)):
        if fault(desk):
            return words(fault)
    raise AssertionError("nothing is there to break")


def words(fault: Fault) -> str:
    return fault.__name__.replace("_", " ")


def running(desk: Desk) -> list[int]:
    """The commands' processes."""
    return [pid for command in desk.commands if (pid := command.running)]


def freeze(desk: Desk, pids: list[int]) -> bool:
    """Stop one of them for a while."""
    if not pids:
        return False
    pid = desk.random.choice(pids)
    with suppress(psutil.NoSuchProcess), suspended(pid):
        time.sleep(desk.random.uniform(0.1, 1.5))
        return True
    return False


def write(desk: Desk, paths: list[Path]) -> bool:
    """Garbage into one of the files that are there."""
    found = [path for path in paths if path.exists()]
    if found:
        huge = b'{"pid": ' + b"9" * 400 + b"}"
        desk.random.choice(found).write_bytes(desk.random.choice([b"{", b"", b"[]", b"\xff\xfe", b'{"pid": "x"}', b"[" * 9999, huge]))
    return bool(found)
