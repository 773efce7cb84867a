"""The check of a dataset as Blender runs it: in a process of its own, followed by a timer, remembered until the next one."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field, replace
from pathlib import Path

import bpy

from ...engine.core.processes import Process, end_tree, spawn
from ...engine.core.protocol.events import NEEDS, Failed, Finding
from ...engine.core.protocol.folder import JobFolder
from ..engines import choice
from .latest import Latest, existing_dataset
from .training_spec import spec_of


@dataclass
class DatasetCheck:
    """One check: of which dataset, and what came of it."""

    dataset: Path
    job: JobFolder
    process: Process
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
            self.failure = Failed("The check ended before it was done.", "Check the engine in the extension's preferences.",
                                  code="check.ended")
        self.running = not ended

    def stop(self) -> None:
        """End it, if it still runs."""
        if self.process.poll() is None:
            end_tree(self.process)


_latest: Latest[DatasetCheck] = Latest()
current, forget, poll, close = _latest.current, _latest.forget, _latest.poll, _latest.close


def start(scene: bpy.types.Scene) -> DatasetCheck:
    """Begin to check the scene's dataset; a check that still runs is ended. UserError when there is nothing to check."""
    folder = existing_dataset(scene)
    forget()
    job = JobFolder(Path(tempfile.mkdtemp(prefix="check-", dir=bpy.app.tempdir)))
    job.write_spec(replace(spec_of(scene), name="", dataset=folder))
    command, environment = choice.local_engine().worker_command("--check", str(job.path))
    return _latest.start(DatasetCheck(folder, job, spawn(command, environment=environment, output=job.log, what="The engine", tied=True)))


def wait(checked: DatasetCheck) -> None:
    """Let the check come to its end, for scripts."""
    checked.process.wait()
    checked.follow()
