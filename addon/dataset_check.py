"""The check of a dataset as Blender runs it: in a process of its own, followed by a timer, remembered until the next one."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import bpy

from ..engine.core.errors import UserError
from ..engine.core.events import NEEDS, Failed, Finding
from ..engine.core.job import JobFolder, JobSpec
from . import jobs
from .properties import dataset_folder
from .redraw import redraw_sidebars

TICK_SECONDS = 0.2


@dataclass
class DatasetCheck:
    """One check: of which dataset, and what came of it."""

    dataset: Path
    job: JobFolder
    process: subprocess.Popen[Any]
    running: bool = True
    findings: list[Finding] = field(default_factory=list)
    failure: Failed | None = None
    needs: str = ""
    """what a training will take, in a sentence"""

    @property
    def sheet(self) -> Path | None:
        """The contact sheet, once it is there."""
        return self.job.sheet if self.job.sheet.is_file() else None

    def follow(self) -> None:
        """Take in what the process has found."""
        ended = self.process.poll() is not None
        events = self.job.read_events()[0]
        findings = [event for event in events if isinstance(event, Finding)]
        self.findings = [finding for finding in findings if finding.kind != NEEDS]
        self.needs = next((finding.message for finding in findings if finding.kind == NEEDS), "")
        self.failure = next((event for event in events if isinstance(event, Failed)), None)
        if ended and self.process.returncode and self.failure is None:
            self.failure = Failed("The check ended before it was done.", "Check the engine in the extension's preferences.")
        self.running = not ended


_check: DatasetCheck | None = None


def current(scene: bpy.types.Scene) -> DatasetCheck | None:
    """The last check, if it was of the scene's dataset."""
    try:
        return _check if _check is not None and _check.dataset == dataset_folder(scene) else None
    except UserError:
        return None


def start(scene: bpy.types.Scene) -> DatasetCheck:
    """Begin to check the scene's dataset; a check that still runs is ended. UserError when there is nothing to check."""
    global _check
    folder = dataset_folder(scene)
    if not folder.exists():
        raise UserError("There is no dataset yet.", "Capture one, or choose its folder.")
    forget()
    job = JobFolder(Path(tempfile.mkdtemp(prefix="check-", dir=bpy.app.tempdir)))
    job.write_spec(JobSpec(folder, scene.splatwright.train.to_config()))
    command, environment = jobs.local_engine().worker_command("--check", str(job.path))
    _check = DatasetCheck(folder, job, _begun(command, environment, job))
    if not bpy.app.timers.is_registered(poll):
        bpy.app.timers.register(poll, first_interval=TICK_SECONDS)
    return _check


def _begun(command: list[str], environment: dict[str, str], job: JobFolder) -> subprocess.Popen[Any]:
    quiet = {"creationflags": subprocess.CREATE_NO_WINDOW} if hasattr(subprocess, "CREATE_NO_WINDOW") else {}  # type: ignore[attr-defined]
    try:
        with open(job.log, "ab") as log:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, **quiet)
    except OSError as error:
        raise UserError("The engine does not start.", "Check Engine Python in the extension's preferences.") from error


def poll() -> float | None:
    """One tick: read what is new. Returns the seconds to the next tick, None when the check is over."""
    if _check is None:
        return None
    _check.follow()
    redraw_sidebars()
    return TICK_SECONDS if _check.running else None


def wait(checked: DatasetCheck) -> None:
    """Let the check come to its end, for scripts."""
    checked.process.wait()
    checked.follow()


def forget() -> None:
    """End a running check and know nothing."""
    global _check
    if _check is not None and _check.process.poll() is None:
        _check.process.terminate()
        _check.process.wait()
    _check = None


def register() -> None:
    pass


def unregister() -> None:
    if bpy.app.timers.is_registered(poll):
        bpy.app.timers.unregister(poll)
    forget()
