"""One training from start to end as a service expects it: it goes on from the kept checkpoint, minds SIGTERM, and says how it ended."""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

from ..core.datasets.read import read_dataset
from ..core.errors import UserError
from ..core.files import discard_folder, make_folder, remove_file, write_text
from ..core.formats.registry import format_of, read_splats, write_splats
from ..core.processes import end_tree
from ..core.protocol.config import gone_on
from ..core.protocol.events import Event, Failed, Finding, Finished, Paused, Started, error_of
from ..core.protocol.folder import JobFolder
from ..core.protocol.job_progress import JobProgress
from ..core.protocol.spec import JobSpec
from ..core.protocol.spending import Price, write_price
from ..core.text import duration, rough
from ..jobs.local_engine import LocalEngine
from ..jobs.processes import worker_of
from .kept import Kept
from .parameters import Parameters
from .places import RequiredPlaces, dataset_in

NAME = "scene"
POLL_SECONDS = 0.2
TELL_SECONDS = 15.0
"""Between two lines about how far the training is."""

PAUSE_SECONDS = 15.0
"""After SIGTERM for the worker to write a checkpoint between two steps. Services kill after 30 seconds or more; the rest is for the
copy."""

END_SECONDS = 5.0
"""For a worker that has not come so far, as one that reads images, to end by itself."""

MOST_LETTERS = 1024
"""Of the failure file: SageMaker shows no more."""

ENGINES_OWN = ("engine.", "disk.", "cuda.", "gpu.", "program.")
"""How the codes of failures begin that another machine may not have."""

Tell = Callable[[str], None]


class Exit(IntEnum):
    """Exit status of a managed training."""

    DONE = 0
    """the result is written; also of a training that its budget has stopped"""
    FAILED = 1
    """something broke; another try may do, and goes on from the checkpoint"""
    BAD_INPUT = 2
    """the input or the settings cannot be trained: another try fails too"""
    INTERRUPTED = 75
    """it was asked to end; started again with the same checkpoints it goes on"""


@dataclass(frozen=True)
class JobEnding:
    """How a managed training ended, and why where it is not done."""

    status: Exit
    problem: UserError | None = None


def run_managed(places: RequiredPlaces, parameters: Parameters, price: Price, work: Path | None, tell: Tell) -> JobEnding:
    """Train what the places hold, with the settings, in the folder `work` or a temporary one. Listens to SIGTERM and SIGINT meanwhile.

    UserError for input and settings that cannot be trained.
    """
    interrupted = listen()
    dataset = dataset_in(places.input, parameters.channel)
    tell(f"dataset: {dataset}, {len(read_dataset(dataset, parameters.exclude).views)} views")
    for folder in (places.model, places.checkpoints):
        make_folder(folder)
    with folder_for(work) as root:
        engine = LocalEngine(root, tied=True)
        folder = engine.folder(NAME)
        kept = Kept(places.checkpoints)
        prepare(folder, kept, JobSpec(dataset.absolute(), parameters.config, NAME, parameters.exclude), price, tell)
        cursor = folder.read_events()[1]
        engine.resume(NAME)
        follower = ManagedFollower(engine, kept, interrupted, tell, cursor)
        outcome = follower.follow()
        if outcome.status is Exit.DONE:
            hand_over(folder, places.model, parameters, tell)
        return outcome


def listen() -> threading.Event:
    """An event that is set by SIGTERM and SIGINT."""
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: asked.set())
    return asked


@contextmanager
def folder_for(path: Path | None) -> Iterator[Path]:
    """A folder to work in: a given one, which stays, or a temporary one, which goes."""
    if path is not None:
        discard_folder(path / NAME)
        yield make_folder(path).absolute()
        return
    with tempfile.TemporaryDirectory(prefix="splatwright-", ignore_cleanup_errors=True) as made:
        yield Path(made)


def prepare(folder: JobFolder, kept: Kept, spec: JobSpec, price: Price, tell: Tell) -> None:
    """Make the job's folder, with what an earlier machine has kept of it."""
    make_folder(folder.path)
    if kept.restore(folder):
        before = kept.earlier(folder)
        if before is not None:
            spec = replace(spec, config=gone_on(before.config, spec.config))
        tell("going on from the checkpoint that is kept")
    folder.write_spec(spec)
    write_price(folder.price, price)


class ManagedFollower:
    """Tells how a training gets on, keeps its checkpoints, and ends it when the service asks."""

    def __init__(self, engine: LocalEngine, kept: Kept, interrupted: threading.Event, tell: Tell, cursor: int):
        self._engine, self._kept, self._interrupted, self._tell, self._cursor = engine, kept, interrupted, tell, cursor
        self._folder = engine.folder(NAME)
        self._progress = JobProgress()
        self._told = -TELL_SECONDS
        self._trouble = ""

    def follow(self) -> JobEnding:
        """Until the worker is gone; what came of it."""
        while True:
            alive = self._engine.state(NAME).alive
            self._read()
            if self._progress.end or not alive:
                break
            if self._interrupted.wait(POLL_SECONDS):
                return self._end_early()
            if self._kept.due(self._folder):
                self._keep()
        self._wait_for_worker()
        self._keep()
        return self._outcome()

    def _outcome(self) -> JobEnding:
        match self._progress.end:
            case Finished():
                return JobEnding(Exit.DONE)
            case Failed() as failure:
                bad = self._progress.started is None and not failure.code.startswith(ENGINES_OWN)
                return JobEnding(Exit.BAD_INPUT if bad else Exit.FAILED, error_of(failure))
            case Paused() as pause:
                return JobEnding(Exit.FAILED, UserError(f"The training paused itself at step {pause.step}. {pause.reason}",
                                                      "Mend the cause, or set pause_on_failure=false to go on anyway."))
        if self._interrupted.is_set():
            return self._interruption()
        return JobEnding(Exit.FAILED, UserError("The engine's worker ended without a word.",
                                              "Start the job again: it goes on from its checkpoint. The log above may say why.\n"
                                              + last_lines(self._folder.log)))

    def _end_early(self) -> JobEnding:
        """Let the worker write a checkpoint, end it, and keep the checkpoint."""
        self._tell("asked to end: writing a checkpoint")
        end = time.monotonic() + PAUSE_SECONDS
        if self._progress.started:
            self._engine.control(NAME, "pause")
        while self._progress.started and self._engine.state(NAME).alive and time.monotonic() < end:
            self._read()
            if self._progress.end or isinstance(self._progress.word, Paused):
                break
            time.sleep(POLL_SECONDS)
        self._wait_for_worker()
        self._read()
        self._keep()
        return JobEnding(Exit.DONE) if isinstance(self._progress.end, Finished) else self._interruption()

    def _interruption(self) -> JobEnding:
        return JobEnding(Exit.INTERRUPTED, UserError(f"The training was interrupted at step {self._progress.trained}.",
                                                   "Start the job again with the same folder of checkpoints: it goes on from there."))

    def _wait_for_worker(self) -> None:
        """The worker is at its end, or is to be: ask it, then end it."""
        pid = worker_of(self._folder)
        if pid:
            end_tree(pid, END_SECONDS)
        with suppress(UserError):
            self._engine.kill(NAME)

    def _keep(self) -> None:
        if not self._kept.save(self._folder) and self._kept.problem != self._trouble:
            self._tell(f"warning: the checkpoint could not be kept: {self._kept.problem}")
        self._trouble = self._kept.problem

    def _read(self) -> None:
        events, self._cursor = self._folder.read_events(self._cursor)
        for event in events:
            self._progress.apply(event)
            self._say(event)

    def _say(self, event: Event) -> None:
        now, job = time.monotonic(), self._progress
        if isinstance(event, Finding):
            self._tell(f"{event.severity}: {event.message} {event.hint}")
        elif isinstance(event, Started):
            self._tell(f"{event.backend}, {event.train_views} views to train on, {event.gaussians} Gaussians, step {event.step}")
        elif job.started and now - self._told >= TELL_SECONDS and job.loss is not None:
            self._told = now
            psnr = f", PSNR {job.psnr:.2f} dB" if job.psnr is not None else ""
            self._tell(f"step {job.step} of {job.max_steps}, loss {job.loss:.4f}{psnr}, {job.gaussians} Gaussians, {job.rate:.1f} steps/s, "
                       f"{rough(job.eta)} left")


def hand_over(folder: JobFolder, model: Path, parameters: Parameters, tell: Tell) -> None:
    """Write the splats in the format that was asked for, with report and picture, where the service fetches the result."""
    output = model / f"{NAME}.{parameters.format}"
    found = read_splats(folder.result)
    write_splats(output, found.gaussians, parameters.axes, found.antialiased, format_of(output), offset=found.offset)
    for path in (folder.report, folder.page, folder.thumbnail):
        if path.exists():
            shutil.copyfile(path, model / path.name)
    ended = folder.last_events()
    finished = next((event for event in reversed(ended) if isinstance(event, Finished)), None)
    if finished:
        quality = f", PSNR {finished.psnr:.2f} dB" if finished.psnr is not None else ""
        tell(f"done: {output}, {finished.gaussians} Gaussians, step {finished.step}{quality}, {duration(finished.seconds)}")


def write_failure(path: Path | None, problem: UserError | None) -> None:
    """Leave the sentence with its fix where the service looks for it; without a problem that of an earlier run goes."""
    if path is None:
        return
    with suppress(UserError, OSError):
        if problem is None:
            remove_file(path)
        else:
            make_folder(path.parent)
            write_text(path, f"{problem.message} {problem.hint}".strip()[:MOST_LETTERS])


def last_lines(log: Path) -> str:
    """The end of a worker's log."""
    try:
        return "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
    except OSError:
        return ""
