"""Runs COLMAP in a process of its own and passes its progress on."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO

from ..core.errors import UserError
from ..core.files import remove_file, write_text
from ..core.parsing import parse_object
from ..core.processes import PIPE, Process, ended_after, spawn
from ..core.protocol.progress import OnProgress, Step
from .exchange import OUTCOME, Outcome, SearchRequest, read_outcome, write_request

LOG = "colmap.log"
LITTLE = 32 << 20
"""With fewer bytes left on the disk, a failure is put down to the disk."""
TICK_SECONDS = 0.5


def reconstruct(request: SearchRequest, work: Path, on_progress: OnProgress) -> Outcome:
    """Run COLMAP in a child process and return its outcome. UserError when the process fails; its log lies in the work folder.

    `on_progress` gets the child's last step again every half second, so that it can cancel while COLMAP is silent.
    """
    write_request(request, work)
    remove_file(work / OUTCOME)
    with ended_after(_child(work)) as child:
        assert child.stdout
        for step in _steps(child.stdout):
            on_progress(step)
        code = child.wait()
    if code:
        raise _failure(code, work)
    return read_outcome(work)


def _steps(output: IO[str]) -> Iterator[Step]:
    lines: Queue[str | None] = Queue()
    Thread(target=_listen, args=(output, lines), daemon=True).start()
    step = Step("starting COLMAP")
    while True:
        try:
            line = lines.get(timeout=TICK_SECONDS)
        except Empty:
            yield replace(step, note="")
            continue
        if line is None:
            return
        step = Step(**parse_object(line))
        yield step


def _listen(output: IO[str], lines: Queue[str | None]) -> None:
    for line in output:
        lines.put(line)
    lines.put(None)


def _child(work: Path) -> Process:
    """The process; its log begins anew."""
    package = Path(__file__).resolve().parents[1]
    command = [sys.executable, "-m", f"{package.name}.sfm.child", str(work)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(package.parent), os.environ.get("PYTHONPATH", "")])}
    write_text(work / LOG, "")
    return spawn(command, environment=environment, output=PIPE, errors=work / LOG, what="The search for cameras", tied=True)


def _failure(code: int, work: Path) -> UserError:
    """Why the child ended, in one sentence."""
    if shutil.disk_usage(work).free < LITTLE:
        return UserError(f"The disk is full: the features of the photos did not fit into {work}.",
                         "Free some space and run the same command again; what was found so far is kept.", "poses.disk_full", work=work)
    if code == -getattr(signal, "SIGKILL", 9):
        return UserError("The search for cameras was ended from outside, most likely because the computer ran out of memory.",
                         "Close other programs, or lower --feature-size, and run the same command again.", "poses.ended")
    how = f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
    return UserError(f"COLMAP failed while it searched for the cameras (it {how}).",
                     f"Run the same command again; if that does not help, the reason is in {work / LOG}.", "poses.colmap", how=how,
                     work=work / LOG)
