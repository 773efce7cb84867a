"""The training itself: one loop for every backend."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..core.config import TrainConfig
from ..core.dataset import Dataset
from ..core.errors import UserError
from ..core.events import Evaluated, Event, Finding, Finished, Paused, Preview, Progress, Started
from ..core.files import write_text
from ..core.gaussians import Gaussians
from ..core.job import Control, JobFolder
from ..core.ply import read_ply, write_ply
from ..core.sources import read_dataset
from ..preflight import check_dataset
from .backend import Model, Target, create_model
from .checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from .evaluate import Score, evaluate
from .images import TargetPyramid, load_targets
from .initialise import initial_gaussians, scene_scale
from .schedule import reduction_at, refines_at, settings_at, sh_degree_at, view_at
from .strategy import MCMCStrategy
from .watch import Clock, Every

PREVIEW_GAUSSIANS = 200_000
PROGRESS_SECONDS = 0.5
RETRY_SECONDS = 5.0

Emit = Callable[[Event], None]
AskControl = Callable[[], Control]


@dataclass
class Run:
    """Everything of one training in memory."""

    job: JobFolder
    config: TrainConfig
    model: Model
    train: list[TargetPyramid]
    held_out: list[Target]
    scene_scale: float
    step: int
    clock: Clock
    emit: Emit


def train(job: JobFolder, emit: Emit, control: AskControl) -> None:
    """Train the job to its end, or until control says stop. Goes on from the job's checkpoint when there is one.

    Emits events; leaves result.ply and report.json. Raises UserError for everything that people can mend.
    """
    run = prepare(job, emit)
    strategy = MCMCStrategy(run.config.max_gaussians, run.config.growth)
    previews = Every(run.config.preview_seconds)
    checkpoints = Every(run.config.checkpoint_seconds, first=False)
    progress = Progression(run)
    stopped = False
    try:
        while run.step < run.config.max_steps and not stopped:
            if previews.due():
                save_preview(run)
            loss = learn(run)
            if refines_at(run.step, run.config):
                strategy.refine(run.model, np.random.default_rng([run.config.seed, 3, run.step]))
            run.step += 1
            progress.count(loss)
            if run.step % run.config.eval_every == 0 and run.step < run.config.max_steps:
                measure(run)
            if checkpoints.due():
                save_state(run)
            stopped = pause_or_stop(run, control)
        finish(run, stopped, control)
    except KeyboardInterrupt:
        save_state(run)
        raise
    finally:
        run.model.close()


def prepare(job: JobFolder, emit: Emit) -> Run:
    """Read the job and its dataset, look for trouble, load images, and make the model or restore it."""
    spec = job.read_spec()
    config = spec.config
    dataset = read_dataset(spec.dataset)
    report_findings(dataset, config, job, emit)
    scale = scene_scale(dataset)
    checkpoint = load_checkpoint(job.checkpoint)
    model = create_model(initial_gaussians(dataset, config), config)
    if checkpoint:
        restore(model, checkpoint, config)
    step, seconds = (checkpoint.step, checkpoint.seconds) if checkpoint else (0, 0.0)
    pyramids = load_targets(dataset.train_views, config.resolution, tick=job.beat)
    held_out = [pyramid.full for pyramid in load_targets(dataset.eval_views, config.resolution, tick=job.beat)]
    emit(Started("cpu", step, config.max_steps, len(pyramids), len(held_out), model.count))
    return Run(job, config, model, pyramids, held_out, scale, step, Clock(seconds), emit)


def report_findings(dataset: Dataset, config: TrainConfig, job: JobFolder, emit: Emit) -> None:
    """Emit what the check finds; raise UserError for the first finding that makes training pointless."""
    findings = check_dataset(dataset, job.beat, config, job.path)
    for finding in findings:
        emit(finding)
    for finding in findings:
        if finding.severity == "error":
            raise UserError(finding.message, finding.hint)


def restore(model: Model, checkpoint: Checkpoint, config: TrainConfig) -> None:
    """Put the checkpoint's state into the model; UserError when the job was changed so that it does not fit."""
    coefficients = (config.sh_degree + 1) ** 2 - 1
    if checkpoint.state["shN"].shape[1:] != (coefficients, 3):
        raise UserError("The job's SH degree was changed after its training began.",
                        "Set sh_degree back to its first value, or start a new training.")
    model.load_state(checkpoint.state)


def learn(run: Run) -> float:
    """One step: choose a view at the size of the schedule and let the model learn from it."""
    pyramid = run.train[view_at(run.step, len(run.train), run.config.seed)]
    target = pyramid.at(reduction_at(run.step, run.config))
    loss = run.model.step(target, settings_at(run.step, run.config, run.scene_scale))
    if not np.isfinite(loss):
        raise UserError(f"The loss is not a number at step {run.step}.",
                        "Resume from the checkpoint with lower learning rates, or check the images and poses.")
    return loss


def measure(run: Run) -> Score | None:
    """Evaluate on held-out views and say so."""
    score = evaluate(run.model, run.held_out, sh_degree_at(run.step, run.config), tick=run.job.beat)
    if score:
        run.emit(Evaluated(run.step, score.psnr, score.ssim, score.views))
    return score


def save_preview(run: Run) -> None:
    """Write preview.ply for the viewport: no view-dependent colour, a sample of at most PREVIEW_GAUSSIANS."""
    gaussians = run.model.gaussians().with_sh_degree(0)
    if len(gaussians) > PREVIEW_GAUSSIANS:
        gaussians = gaussians.take(np.linspace(0, len(gaussians) - 1, PREVIEW_GAUSSIANS).astype(int))
    if without_disk_trouble(run, lambda: write_ply(run.job.preview, gaussians)):
        run.emit(Preview(run.step, len(gaussians)))


def save_state(run: Run) -> None:
    """Write a checkpoint; a full disk does not end the training."""
    state = Checkpoint(run.step, run.clock.seconds, run.model.state())
    without_disk_trouble(run, lambda: save_checkpoint(run.job.checkpoint, state))


def without_disk_trouble(run: Run, write: Callable[[], object]) -> bool:
    """Do it; when the disk refuses, say so as a finding and return False."""
    try:
        write()
    except UserError as error:
        run.emit(Finding("warning", error.message, error.hint))
        return False
    return True


def pause_or_stop(run: Run, control: AskControl) -> bool:
    """Wait as long as control says pause. True when it says stop."""
    if control() == "pause":
        save_state(run)
        run.emit(Paused(run.step))
        with run.clock.stopped():
            while control() == "pause":
                run.job.beat()
                time.sleep(0.1)
        run.emit(Started("cpu", run.step, run.config.max_steps, len(run.train), len(run.held_out), run.model.count))
    return control() == "stop"


def finish(run: Run, stopped: bool, control: AskControl) -> None:
    """Checkpoint, write the result, measure the very file that was written, and report."""
    save_state(run)
    result = exportable(run.model.gaussians())
    while not without_disk_trouble(run, lambda: write_ply(run.job.result, result)):
        if control() == "stop" and stopped:
            raise UserError("The result could not be written.", "Free some space and resume the job: its checkpoint is kept.")
        stopped = stopped or control() == "stop"
        run.job.beat()
        time.sleep(RETRY_SECONDS)
    score = score_of_file(run.job.result, run)
    if score:
        run.emit(Evaluated(run.step, score.psnr, score.ssim, score.views))
    finished = Finished(run.step, len(result), score.psnr if score else None, score.ssim if score else None,
                        round(run.clock.seconds, 2), stopped)
    without_disk_trouble(run, lambda: write_text(run.job.report, json.dumps(report(run, finished), indent=2)))
    run.emit(finished)


def score_of_file(path: Path, run: Run) -> Score | None:
    """Quality of a PLY as it lies on the disk."""
    model = create_model(read_ply(path).gaussians, run.config)
    try:
        return evaluate(model, run.held_out, run.config.sh_degree, tick=run.job.beat)
    finally:
        model.close()


def exportable(gaussians: Gaussians) -> Gaussians:
    """Without rows that no viewer can draw."""
    return gaussians.take(gaussians.finite_rows())


def report(run: Run, finished: Finished) -> dict[str, object]:
    """What report.json says."""
    return {"step": finished.step, "gaussians": finished.gaussians, "psnr": finished.psnr, "ssim": finished.ssim,
            "seconds": finished.seconds, "stopped": finished.stopped, "scene_scale": run.scene_scale,
            "train_views": len(run.train), "eval_views": len(run.held_out)}


class Progression:
    """Counts steps and says now and then how far the training is."""

    def __init__(self, run: Run):
        self.run = run
        self.due = Every(PROGRESS_SECONDS)
        self.mean_loss: float | None = None
        self.since = (time.monotonic(), run.step)
        self.rate = 0.0

    def count(self, loss: float) -> None:
        """Take note of one step."""
        self.mean_loss = loss if self.mean_loss is None else 0.98 * self.mean_loss + 0.02 * loss
        if self.due.due():
            self.run.job.beat()
            self._say()

    def _say(self) -> None:
        run, now = self.run, time.monotonic()
        then, step = self.since
        self.rate = (run.step - step) / max(1e-6, now - then)
        self.since = (now, run.step)
        eta = (run.config.max_steps - run.step) / max(1e-6, self.rate)
        run.emit(Progress(run.step, run.config.max_steps, float(self.mean_loss or 0.0), run.model.count,
                          round(self.rate, 2), round(eta, 1)))
