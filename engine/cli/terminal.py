"""How a training looks in a terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from ..batch.tasks import Task, TaskState, progress, summary, time_left
from ..core.datasets.read import leave_out_strays
from ..core.errors import UserError
from ..core.protocol.events import Evaluated, Event, Finding, Finished, Paused, Posed, Progress, Started
from ..core.protocol.job_progress import USUAL_INTERVAL, JobProgress
from ..core.protocol.progress import OnProgress, Step
from ..core.text import duration, named
from ..jobs.local_engine import Engine, JobState

console = Console(stderr=True, soft_wrap=True)
out = Console(soft_wrap=True)
POLL_SECONDS = 0.2
STYLES = {"info": "cyan", "warning": "yellow", "error": "bold red"}
ROW_STYLES = {"well": "green", "absent": "dim", "weak": "yellow", "broken": "bold red"}


def print_error(error: UserError) -> None:
    """One sentence and its fix."""
    console.print(error.message, style=STYLES["error"], markup=False, highlight=False)
    if error.hint:
        console.print(error.hint, markup=False, highlight=False)


def print_left_out(dataset: Path) -> None:
    """Leave out the views whose cameras stand far away from all others, and name them."""
    names = leave_out_strays(dataset)
    console.print(f"Left out, for their cameras stand far away from all others: {named(names)}." if names
                  else "No camera stands far away from all others.", style="dim", markup=False, highlight=False)


def print_findings(findings: list[Finding]) -> None:
    """Each finding with its fix."""
    for finding in findings:
        console.print(f"{finding.severity}: {finding.message} {finding.hint}", style=STYLES[finding.severity], markup=False)
    if not findings:
        console.print("nothing suspicious found", style="green")


def print_row(subject: str, state: str, sentence: str, fix: str = "") -> None:
    """One row of a self-check, with its fix below; on the standard output, so that it can be copied or piped."""
    out.print(f"{state:6}", style=ROW_STYLES[state], end="  ")
    out.print(f"{subject}: {sentence}", markup=False, highlight=False)
    if fix:
        out.print(f"        {fix}", markup=False, highlight=False, style="dim")


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows below their heads; on the standard output, so that it can be copied or piped."""
    table = Table(*heads, box=None, pad_edge=False)
    for row in rows:
        table.add_row(*map(escape, row))
    out.print(table)


@contextmanager
def counted(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A progress bar with the time that is left; call what it yields once for each of `total` pieces of work."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def progress_bar() -> Iterator[OnProgress]:
    """Shows the steps that it is told, one bar a stage, and their notes as lines."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    tasks: dict[str, TaskID] = {}
    with Bar(*columns, console=console) as bar:
        def on_progress(step: Step) -> None:
            if step.note:
                console.print(step.note, markup=False, highlight=False)
            if step.note and not step.total:
                return
            if step.name not in tasks:
                tasks[step.name] = bar.add_task(step.name, total=None)
            bar.update(tasks[step.name], completed=step.done, total=step.total or None)

        yield on_progress


@contextmanager
def batch_view() -> Iterator[Callable[[Sequence[Task]], None]]:
    """Shows the entries of a batch that it is told, a bar each, and how long the whole still takes."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[figures]}"))
    bars: dict[str, TaskID] = {}
    states: dict[str, TaskState] = {}
    with Bar(*columns, console=console) as bar:
        whole = bar.add_task("batch", total=1.0, figures="")

        def show(tasks: Sequence[Task]) -> None:
            bar.update(whole, completed=progress(tasks)[0], figures=time_left(tasks))
            for task in tasks:
                if task.name not in bars:
                    bars[task.name] = bar.add_task(task.name, total=1.0, figures="")
                bar.update(bars[task.name], completed=task.share, figures=task.sentence)
                if not console.is_terminal and states.get(task.name) is not task.state:
                    console.print(f"{task.name}: {task.sentence}", markup=False, highlight=False)
                states[task.name] = task.state

        yield show


def print_batch(tasks: Sequence[Task]) -> None:
    """What became of the entries of a batch: a table, why some failed, and a sentence."""
    table = Table("Entry", "Images", "PSNR/dB", "File")
    for task in tasks:
        file = task.output if task.config and task.state is TaskState.DONE else task.dataset if task.images else ""
        table.add_row(task.name, str(task.images or ""), f"{task.psnr:.2f}" if task.psnr is not None else "", str(file))
    out.print(table)
    for task in tasks:
        if task.state is TaskState.FAILED:
            console.print(f"{task.name}: {task.problem}", style=STYLES["error"], markup=False, highlight=False)
    out.print(f"{summary(tasks)}.", markup=False, highlight=False)


def follow(engine: Engine, job: str, cursor: int = 0) -> Event | None:
    """Show a job's events after `cursor` until its worker is gone. Ctrl+C asks it to stop and keep the result.

    Returns Finished or Failed, Paused when the training paused by itself, or None when the worker was cut off.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[figures]}"),
               TimeRemainingColumn())
    with Bar(*columns, console=console) as bar:
        view = _View(bar, bar.add_task("starting", total=None, figures=""))
        while True:
            alive = engine.state(job).alive
            view.note(engine.note(job))
            events, cursor = engine.events(job, cursor)
            for event in events:
                view.show(event)
            if view.progress.end or not alive:
                return view.progress.end
            _wait(engine, job)


def _wait(engine: Engine, job: str) -> None:
    try:
        time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        if engine.state(job) is not JobState.FINISHED:
            console.print("stopping: the result so far is being written …")
            engine.control(job, "stop")


class _View:
    """Draws how a job stands as a progress bar, and what is worth a line as lines."""

    def __init__(self, bar: Bar, task: TaskID):
        self.bar, self.task = bar, task
        self.progress = JobProgress()
        self.beside = ""

    def show(self, event: Event) -> None:
        """Take in one event."""
        self.progress.apply(event)
        print_event(event)
        if isinstance(event, Progress):
            self._update(figures=figures(self.progress, self.beside))
        if self.progress.word is event:
            self._update(description=doing(self.progress), completed=self.progress.step, total=self.progress.max_steps or None)

    def note(self, note: str) -> None:
        """What stands beside the figures, or alone before there are any."""
        if note != self.beside:
            self.beside = note
            self._update(figures=note)

    def _update(self, **fields: Any) -> None:
        self.bar.update(self.task, **fields)


def print_event(event: Event) -> None:
    """A line about an event, where it is worth one."""
    match event:
        case Started():
            console.print(f"{event.train_views} views to train on, {event.eval_views} held out, {event.gaussians} Gaussians, "
                          f"{event.backend}" + (f", going on from step {event.step}" if event.step else ""))
            every = dict(event.values).get("every", 0.0)
            if isinstance(every, float) and every > USUAL_INTERVAL:
                console.print(f"checkpoints take long: up to {duration(every)} of training are repeated if it is cut off")
        case Evaluated():
            console.print(f"step {event.step}: PSNR {event.psnr:.2f} dB, SSIM {event.ssim:.4f} on {event.views} held-out views")
        case Posed():
            console.print(f"{event.placed} of {event.photos} photos have a camera")
        case Finding():
            print_findings([event])


def doing(job: JobProgress) -> str:
    """What a job does, in a word or a few."""
    match job.word:
        case Finished():
            return "stopped" if job.stopped else "finished"
        case Paused():
            return "paused"
        case _:
            return job.stage or ("training" if job.started else "starting")


def figures(job: JobProgress, beside: str) -> str:
    """The figures of a training at work."""
    psnr = f"PSNR {job.psnr:.2f} dB  " if job.psnr is not None else ""
    said = f"loss {job.loss:.4f}  {psnr}{job.gaussians:,} Gaussians  {job.rate:.1f} it/s"
    return f"{said}  {beside}" if beside else said
