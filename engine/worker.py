"""The process that does one job, checks its dataset, or estimates what it takes: `python -m engine.worker [--check | --estimate] FOLDER`.

A training needs the standard library, numpy and the kernels.

Results and failures are events of the job folder; only the log is printed.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .core.confinement import confine
from .core.errors import UserError, values
from .core.processes import at_end_of_parent, end_with_parent, lower_priority
from .core.protocol.config import TrainConfig
from .core.protocol.events import NEEDS, Event, Failed, Finding, Finished, Stage, event_to_json, failed, newest
from .core.protocol.folder import Control, FolderGone, JobFolder
from .core.protocol.lock import holder, holding
from .core.protocol.progress import Step
from .core.protocol.spec import kind_of
from .core.text import phrase

if TYPE_CHECKING:
    from .core.datasets.dataset import Dataset
    from .estimate.timetable import Timetable
    from .training.data.view_files import Seen

Emit = Callable[[Event], None]

TELL_SECONDS = 0.1
"""Between two words about how far an estimate is."""

REPEAT_SECONDS = 600.0
"""Before the same finding is written again: a full disk is met by every write."""

GONE_EXIT = 4
"""Exit status of a worker whose folder was moved or deleted; there is no place for its last event."""


def main(arguments: list[str]) -> int:
    """Entry point. Exit status 0: finished or stopped as asked; 1: failed, the events say why; 2: wrong arguments."""
    match arguments:
        case ["--self-check"]:
            print(json.dumps(self_check()))
            return 0
        case ["--check", folder]:
            end_with_parent()
            return check(confined_to(folder))
        case ["--estimate", folder]:
            end_with_parent()
            return estimate(confined_to(folder))
        case [folder]:
            return work(confined_to(folder))
        case _:
            print("usage: python -m engine.worker JOB_FOLDER | --check JOB_FOLDER | --estimate JOB_FOLDER | --self-check", file=sys.stderr)
            return 2


def confined_to(path: str) -> JobFolder:
    """The job folder; what a client sent is read from now on without reaching for other files of this computer."""
    job = JobFolder(Path(path))
    with suppress(UserError):  # a job that cannot be read is told of by whoever works on it
        if job.was_sent(job.read_any()):
            confine(job.path)
    return job


def self_check() -> dict[str, object]:
    """Whether the built-in engine can run here, in one sentence."""
    try:
        from .training.cpu.library import load

        load()
    except UserError as error:
        return {"ok": False, "backend": "cpu", "message": error.message, "hint": error.hint}
    except ImportError as error:
        return {"ok": False, "backend": "cpu", "message": phrase(f"The engine's Python lacks {error.name}."),
                "hint": phrase("Reinstall the extension.")}
    return {"ok": True, "backend": "cpu", "message": phrase("The built-in engine is ready."), "hint": ""}


def work(job: JobFolder) -> int:
    """Do the job, unless another worker does."""
    if follows():
        return follow(job)
    with holding(job.path) as held:
        if taken(job, held):
            print("another worker is at work on this job", file=sys.stderr)
            return 1
        return work_alone(job)


def work_alone(job: JobFolder) -> int:
    """Do the job; every failure becomes a Failed event. Ends by itself, with a checkpoint, when asked to by a signal or when the process
    that it is tied to is gone; and where it is, when its folder is moved or deleted."""
    lower_priority()
    interrupted = listen_for_signals()
    at_end_of_parent(interrupted.set)
    writer = EventWriter(job)
    desk = Desk(job, interrupted)

    def training() -> None:
        job.clear_away()
        job.heartbeat()
        do(job, writer.emit, desk)

    try:
        status = attempt(training, writer)
    except FolderGone as error:
        log(str(error))
        return GONE_EXIT
    clear_heartbeat(job)
    return status


class Desk:
    """Where a worker looks for what it is asked to do: call it for the control, look() where the work takes long."""

    def __init__(self, job: JobFolder, interrupted: threading.Event):
        self.job, self.interrupted = job, interrupted
        self.identity = job.identity() if job.path.is_dir() else (0, 0)
        self.known: Control = "run"

    def __call__(self) -> Control:
        """What control says, or said when it could be read last. KeyboardInterrupt and FolderGone as look()."""
        self.look()
        self.known = self.job.control(self.known)
        return self.known

    def look(self) -> None:
        """KeyboardInterrupt when this process was asked to end, FolderGone when the job's folder is not where it was."""
        if self.interrupted.is_set():
            raise KeyboardInterrupt
        if self.identity != (0, 0) and self.job.identity() not in (self.identity, (0, 0)):
            raise FolderGone(self.job.path)


def check(job: JobFolder) -> int:
    """Look for trouble in the job's dataset: findings become events, the contact sheet lies in the folder."""
    lower_priority()
    writer = EventWriter(job)

    def checking() -> None:
        from .core.datasets.read import read_dataset_of
        from .core.images.png import write_png
        from .estimate.budget import budget_here
        from .preflight import check as look_for_trouble
        from .training.init.region_start import check_region
        from .training.init.splat_start import read_start, start_findings

        spec = job.read_spec()
        dataset = read_dataset_of(job)
        start = read_start(dataset)
        check_region(dataset)
        checked = look_for_trouble(dataset, config=spec.config)
        needed, findings = budget_here(dataset, spec.config)
        told = Finding("info", needed.sentence, kind=NEEDS, code="estimate.needs",
                       values=values(memory=needed.memory, disk=needed.disk, seconds=needed.seconds or 0.0))
        for finding in (*checked.findings, *start_findings(start, spec.config), *findings, told):
            writer.emit(finding)
        write_png(job.sheet, checked.sheet())

    return attempt(checking, writer)


def estimate(job: JobFolder) -> int:
    """Try the job's training for some seconds: Stage events, findings, and at last Estimated. Nothing else is left in the folder."""
    lower_priority()
    interrupted = listen_for_signals()
    writer = EventWriter(job)

    def go_on() -> None:
        if interrupted.is_set() or job.control() == "stop":
            raise KeyboardInterrupt

    def estimating() -> None:
        from .core.datasets.read import read_dataset_of
        from .estimate.estimate import estimate as try_training
        from .training.clocks import Every

        told = Every(TELL_SECONDS)

        def emit(step: Step) -> None:
            if told.due() or step.done == step.total:
                writer.emit(Stage(step.name, step.done, step.total, None))

        spec = job.read_spec()
        with tempfile.TemporaryDirectory(dir=job.path) as folder:
            found, findings = try_training(read_dataset_of(job), spec.config, Path(folder), emit, go_on)
        for event in (*findings, found):
            writer.emit(event)

    return attempt(estimating, writer)


def attempt(work: Callable[[], None], writer: EventWriter) -> int:
    """Do it; whatever goes wrong becomes a Failed event, but for FolderGone. The exit status."""
    try:
        work()
    except KeyboardInterrupt:
        return 1  # the checkpoint stays; the watcher sees an interrupted job
    except FolderGone:
        writer.pending.clear()  # another job may lie at the path
        raise
    except UserError as error:
        writer.emit(failed(error))
        return 1
    except MemoryError:
        writer.emit(Failed("The computer ran out of memory.", "Lower the resolution or the number of Gaussians, then resume.",
                           code="engine.out_of_memory"))
        return 1
    except Exception as error:
        log(traceback.format_exc())
        writer.emit(Failed(f"The engine stopped on an unforeseen error: {type(error).__name__}: {error}.",
                           "Resume the job; if it happens again, report it with the file engine.log of the job folder.",
                           code="engine.unforeseen", values=values(kind=type(error).__name__, problem=error)))
        return 1
    finally:
        writer.flush()
    return 0


def do(job: JobFolder, emit: Emit, control: Desk) -> None:
    """What the job asks for, by the table of kinds."""
    module, _, function = kind_of(job.read_any()).run.partition(":")
    getattr(import_module(f".{module}", __package__), function)(job, emit, control)


def run_training(job: JobFolder, emit: Emit, control: Desk) -> None:
    """Train, on as many graphics cards as the job asks for."""
    launch_group(job, job.read_spec().config.gpus)
    learn(job, emit, control)


def learn(job: JobFolder, tell: Emit, control: Desk) -> None:
    """Train, together with the other processes if this one was started with others."""
    from .training.cuda.launch import join, leave
    from .training.trainer import train

    def emit(event: Event) -> None:
        if isinstance(event, Finished):
            write_page(job, tell, event)  # whoever hears that the training is over finds its report
        tell(event)

    train(job, emit, control, join(), checks=Preflight(), look=control.look)
    leave()


class Preflight:
    """What is looked at before a training begins."""

    def dataset(self, dataset: Dataset, config: TrainConfig, tick: Callable[[], None], seen: Seen) -> tuple[Dataset, list[Finding]]:
        """What of it can be used, and findings about images, poses and points."""
        from .preflight import check

        checked = check(dataset, tick, seen, config)
        return checked.usable, list(checked.findings)

    def timetable(self, dataset: Dataset, config: TrainConfig, engine: Literal["cuda", "cpu"], folder: Path,
                  tick: Callable[[], None]) -> Timetable:
        """Settings that fit into their minutes; those of a plan that was made already stay."""
        from .estimate.timetable import probed_timetable, usual_timetable

        if config.course:
            return usual_timetable(dataset, config, engine)
        return probed_timetable(dataset, config, engine, folder, tick)

    def settings(self, dataset: Dataset, config: TrainConfig, engine: Literal["cuda", "cpu"], folder: Path) -> list[Finding]:
        """Findings about memory, disk and time."""
        from .estimate.budget import check_budget

        return check_budget(dataset, config, engine, folder)


def write_page(job: JobFolder, emit: Emit, finished: Finished) -> None:
    """Write the job's report.html; a failure becomes a finding."""
    try:
        from .report.writing import write_report

        write_report(job, job.heartbeat, finished)
    except UserError as error:
        emit(Finding("warning", f"The report was not written: {error.message}", error.hint,
                     code="report.not_written", values=values(problem=error.message)))
    except Exception:
        log(traceback.format_exc())
        emit(Finding("warning", "The report was not written.", "The file engine.log of the job folder says why.",
                     code="report.not_written_unforeseen"))


def follow(job: JobFolder) -> int:
    """Train as one of several processes, beside the one that writes the job's files; only a failure is reported."""
    desk = Desk(job, listen_for_signals())
    writer = EventWriter(job)
    try:
        learn(job, writer.emit, desk)
    except KeyboardInterrupt:
        return 1
    except UserError as error:
        writer.emit(failed(error))
        return 1
    return 0


def follows() -> bool:
    """Whether torchrun started this process beside one that writes the job's files."""
    return int(os.environ.get("RANK", "0")) > 0


def launch_group(job: JobFolder, gpus: int) -> None:
    """Become torchrun, with a worker for each graphics card, where the job asks for several; else come back at once."""
    from .training.cuda.launch import launch_command, launched

    if gpus > 1 and not launched():
        command = launch_command(gpus, [f"{__package__}.worker", str(job.path)])
        os.execv(command[0], command)


def taken(job: JobFolder, held: bool | None) -> bool:
    """Whether another worker is at work on this job; `held` is what holding() says. Our own launcher may hold the lock, or beat, for us."""
    from .jobs.processes import worker_of, works_elsewhere

    if held:
        return works_elsewhere(job)
    mine = (os.getpid(), os.getppid()) if job.is_local() else ()
    return holder(job.path).pid not in mine if held is False else worker_of(job) not in (None, *mine)


def clear_heartbeat(job: JobFolder) -> None:
    """Remove the heartbeat, if the disk lets us."""
    try:
        job.clear_heartbeat()
    except OSError as error:
        log(str(error))


def log(text: str) -> None:
    """Write into engine.log, which lies on the same disk as all else: when it is full, that does not end the work."""
    with suppress(OSError):
        print(text, file=sys.stderr)


def listen_for_signals() -> threading.Event:
    """An event that is set by SIGTERM and SIGINT, and on Windows by Ctrl+Break."""
    event = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGBREAK", signal.SIGINT)):
        signal.signal(number, lambda *_: event.set())
    return event


class EventWriter:
    """Writes events; keeps those that a full disk refuses and tries again with the next one. The same finding is not written again and
    again."""

    def __init__(self, job: JobFolder):
        self.job = job
        self.pending: list[Event] = []
        self._written: dict[str, float] = {}
        self._trouble = ""

    def emit(self, event: Event) -> None:
        """Append an event to the job's events."""
        if isinstance(event, Finding) and self._is_repeated(event):
            return
        self.pending = newest([*self.pending, event])
        self.flush()

    def flush(self) -> None:
        """Write what is still unsaid."""
        try:
            while self.pending:
                self.job.append_event(self.pending[0])
                self.pending.pop(0)
        except UserError as error:
            if str(error) != self._trouble:
                log(str(error))
            self._trouble = str(error)

    def _is_repeated(self, finding: Finding) -> bool:
        now, text = time.monotonic(), event_to_json(finding)
        if now - self._written.get(text, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return True
        self._written[text] = now
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
