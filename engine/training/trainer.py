"""The training itself: one loop for every backend."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from ..core.datasets.labels import read_labels, write_labels
from ..core.errors import UserError, values
from ..core.files import remove_file, write_text
from ..core.formats.ply import read_ply, write_ply
from ..core.formats.registry import write_splats
from ..core.protocol.events import Evaluated, Finding, Finished, Paused, Preview, Stage, error_of
from ..core.protocol.folder import Control, JobFolder
from ..core.splats.offset import NO_OFFSET
from ..core.text import duration
from .backend import Loss, Model, OutOfMemory
from .checkpoint import Checkpoint
from .checkpoint_writer import SURE_GAUSSIANS
from .clocks import Every
from .data.image_store import AHEAD
from .engines import create_model, device_errors
from .evaluate import Score, ViewScore, evaluate, evaluate_each, exposure_corrected, mean_score
from .group import SOLO, Group, SharedControl
from .run import Checks, Emit, MakeModel, Run, close, prepare, started
from .schedule import multiple_within, reduction_at, refinement_at, settings_at, sh_degree_at, view_at
from .shrink import make_room
from .smoke_test import STEPS, begun
from .surfaces.surfaces import Surfaces, SurfacesStopped, find_surfaces
from .thumbnail import write_thumbnail
from .versions import checksum, versions

PREVIEW_GAUSSIANS = 200_000
RETRY_SECONDS = 2.0
SURFACE_SECONDS = 0.5
HASTE_SECONDS = 1.0
"""Whoever ends a training waits for its last checkpoint; one that takes longer to write is left out, and the one before it holds."""

INTERVAL_SHARE = 1.25
"""A longer interval than the one that was named is worth a finding from so many times on."""

UNMEASURED = Finding("warning", "No view is held out, so the quality of this training is not measured: trained images would flatter it.",
                     "Hold views out: name them in val_filenames of transforms.json, or leave the lists out to hold out every eighth.",
                     code="training.unmeasured")

AskControl = Callable[[], Control]


def train(job: JobFolder, emit: Emit, control: AskControl, group: Group = SOLO, make_model: MakeModel = create_model,
          checks: Checks | None = None, look: Callable[[], None] = lambda: None) -> None:
    """Train the job to its end, or until control says stop. Goes on from the job's checkpoint when there is one.

    Emits events; leaves result.ply and report.json. Raises UserError for everything that people can mend. In a group of
    processes the first one alone emits, writes and is asked. `checks` look for trouble before. `look` is called wherever work takes
    long, and may raise KeyboardInterrupt, which ends the training with a checkpoint, as control may.
    """
    run = prepare(job, emit if group.leads else lambda event: None, group, make_model, checks, look if group.size == 1 else lambda: None)
    if not len(run.held_out) and group.leads:
        emit(UNMEASURED)
    try:
        with device_errors(run.engine):
            stopped = loop(run, SharedControl(within_budget(run, control), group))
            if group.leads:
                if stopped and run.budget.over():
                    emit(run.budget.ended())
                finish(run, stopped, control, make_model)
    except KeyboardInterrupt:
        if group.leads:
            save_in_haste(run)
        raise
    finally:
        if group.leads:
            run.budget.keep()
        run.checkpoints.wait()
        close(run)


def within_budget(run: Run, control: AskControl) -> AskControl:
    """The control, which says stop when the training's budget is spent; a word before that is emitted here."""
    def ask() -> Control:
        near = run.budget.near()
        if near:
            run.emit(near)
        return "stop" if run.budget.over() else control()

    return ask


def loop(run: Run, ask: AskControl) -> bool:
    """Step after step, with previews and checkpoints when they are due. True when it was asked to stop before the end."""
    previews = Every(run.config.preview_seconds)
    smoke_test = begun(run)
    while run.step < run.config.max_steps:
        problem = shortage(run, lambda: advance(run, previews))
        if problem:
            save_state(run)  # out here nothing holds what the failed step had
            make_room(run, problem)
        if smoke_test and run.step >= STEPS:
            smoke_test.conclude(run)
            run.health.seconds += smoke_test.seconds
            smoke_test = None
        with run.progress.beside():
            save_when_due(run)
        keep_time(run)
        if pause_or_stop(run, ask):
            return True
    return False


def keep_time(run: Run) -> None:
    """Let a training that has minutes end earlier or later, when its steps take longer or shorter than expected."""
    end = run.pace.end(run.step, run.clock.seconds, run.config) if run.pace else None
    if end is not None:
        without_disk_trouble(run, lambda: run.plan_anew(end))


def shortage(run: Run, act: Callable[[], None]) -> OutOfMemory | None:
    """Do it; returns what is to be said when the device's memory ended in between."""
    try:
        with device_errors(run.engine):
            act()
    except OutOfMemory as error:
        return OutOfMemory(error.message, error.hint, error.code, **dict(error.values))
    return None


def advance(run: Run, previews: Every) -> None:
    """One step with what belongs to it. When memory ends in between, it is as if it had not been begun, or it is done."""
    if run.group.leads and previews.due():
        with run.progress.beside():
            save_preview(run)
    loss = learn(run)
    watch(run)  # before a refinement, which lets moments start anew
    refine(run)
    run.step += run.stride
    report_progress(run, loss)


def learn(run: Run) -> Loss:
    """One step: choose a view at the size of the schedule and let the model learn from it."""
    target = run.train.at(next_view(run, 0), reduction_at(run.step, run.config))
    look_ahead(run)
    return run.model.step(target, settings_at(run.step, run.config, run.scene_scale, target.image.shape[2] == 4))


def next_view(run: Run, iterations: int) -> int:
    """The view that this process learns from so many iterations from here."""
    return view_at(run.step + run.group.rank + iterations * run.stride, len(run.train), run.config.seed)


def look_ahead(run: Run) -> None:
    """Let photos be decoded, and brought to the device, that the next steps ask for."""
    if not run.train.whole:
        for iterations in range(1, AHEAD + 1):
            run.train.expect(next_view(run, iterations))
    view = next_view(run, 1)
    if run.train.ready(view):
        run.model.expect(run.train.peek(view, reduction_at(run.step + run.stride, run.config)))


def watch(run: Run) -> None:
    """Look at the training's health when it is time to, tell what was found, and ask for a pause where going on is pointless."""
    if not run.group.leads:
        return
    run.health.watch(run.model, run.step + run.stride, settings_at(run.step, run.config, run.scene_scale, transparent=False))
    for finding in run.health.updates():
        run.emit(finding)
        if finding.kind == "not_finite":
            raise error_of(finding)
        if finding.severity == "error" and finding.kind not in run.health.forgiven and run.config.pause_on_failure:
            run.unhealthy = run.unhealthy or finding
            if run.job.control() == "run":
                without_disk_trouble(run, lambda: run.job.set_control("pause"))


def refine(run: Run) -> None:
    """Add, move and remove Gaussians, if it is time to."""
    due = refinement_at(run.step, run.config, run.stride)
    if due is None:
        return
    before = run.model.count
    changed = run.strategy.refine(run.model, np.random.default_rng([run.config.seed, 3, due]), due)
    run.health.refined(before, run.model.count, changed)
    run.model.arrange()


def report_progress(run: Run, loss: Loss) -> None:
    """Count the step, say how far the training is, measure when it is time to."""
    run.progress.count(run.step, loss)
    if not run.group.leads:
        return
    if run.progress.due():
        run.heartbeat()
        run.emit(run.progress.event(run.model.count))
    passed = multiple_within(run.step - run.stride + 1, run.stride, run.config.eval_every) is not None
    if passed and run.step < run.config.max_steps:
        with run.progress.beside():
            measure(run)


def measure(run: Run) -> Score | None:
    """Evaluate on held-out views and emit the scores, None without any; and write the thumbnail."""
    def tick() -> None:
        run.heartbeat()
        save_when_due(run)

    degree = sh_degree_at(run.step, run.config)
    without_disk_trouble(run, lambda: write_thumbnail(run.job.thumbnail, run.model, degree, run.held_out, run.train))
    score = evaluate(run.model, run.held_out.each(), degree, tick)
    if score:
        run.emit(Evaluated(run.step, score.psnr, score.ssim, score.views))
        run.health.measured(run.model, run.step, score.psnr, degree)
    return score


def save_preview(run: Run) -> None:
    """Write preview.ply for the viewport: no view-dependent colour, a sample of at most PREVIEW_GAUSSIANS."""
    gaussians = run.model.sample(PREVIEW_GAUSSIANS)
    if without_disk_trouble(run, lambda: write_ply(run.job.preview, gaussians, antialiased=run.config.antialiased, offset=run.offset)):
        run.emit(Preview(run.step, len(gaussians)))


def save_state(run: Run) -> bool:
    """Write a checkpoint and wait for it; False when the disk is full, which does not end the training.

    UserError, and no checkpoint, when the loss is not a number.
    """
    state = checkpoint_of(run)
    return without_disk_trouble(run, lambda: run.checkpoints.save(state))


def save_in_haste(run: Run) -> None:
    """Write a checkpoint, if it is another than the last one and can be written while somebody waits for the end."""
    run.checkpoints.wait()
    if run.checkpoints.saved_step != run.step and run.checkpoints.took < HASTE_SECONDS:
        save_state(run)


def save_when_due(run: Run) -> None:
    """Begin to write a checkpoint when it is time to, and say so when what a cut costs is more than the training's start named."""
    problem = run.checkpoints.problem()
    if problem:
        tell_trouble(run, problem)
    if run.group.leads and run.checkpoints.due(run.model.count):
        run.look()  # a folder that has taken the job's place gets no checkpoint
        run.checkpoints.begin(lambda: checkpoint_of(run))
    name_interval(run)


def name_interval(run: Run) -> None:
    """Say once that checkpoints turned out to be rarer than the training's start named."""
    every = run.checkpoints.interval(run.model.count)
    if every <= INTERVAL_SHARE * run.named_interval or not run.group.leads:
        return
    took, run.named_interval = run.checkpoints.took, every
    run.emit(Finding("info", f"A checkpoint takes {took:.1f} s to write, so there is one every {duration(every)}: "
                     "so much of the training at most is repeated when the computer or the engine is cut off.",
                     "A faster disk or fewer Gaussians make it less.",
                     code="training.slow_checkpoints", values=values(seconds=took, every=every, interval=duration(every))))


def checkpoint_of(run: Run) -> Checkpoint:
    """The training's state, of many Gaussians no copy. UserError when it holds values that are no numbers: the last sound one stays."""
    run.progress.settle()
    broken = run.model.broken()
    if broken:
        raise UserError(f"The training has values that are no numbers: {', '.join(broken)}.",
                        "Resume from the checkpoint with lower learning rates, or check images and poses.",
                        "training.not_finite", parameters=', '.join(broken))
    copy = run.model.count <= SURE_GAUSSIANS
    return Checkpoint(run.step, run.clock.seconds, run.model.snapshot(copy), live=not copy)


def without_disk_trouble(run: Run, write: Callable[[], object]) -> bool:
    """Do it; when the disk refuses, say so as a finding and return False."""
    try:
        write()
    except UserError as error:
        tell_trouble(run, error)
        return False
    return True


def tell_trouble(run: Run, error: UserError) -> None:
    """Say what the disk refused."""
    run.emit(Finding("warning", error.message, error.hint, code=error.code, values=error.values))


def pause_or_stop(run: Run, control: AskControl) -> bool:
    """Wait as long as control says pause. True when it says stop."""
    asked = control()
    if asked == "pause":
        saved = run.group.leads and save_state(run)
        run.emit(paused(run, saved))
        run.unhealthy = None
        with run.clock.stopped(), run.budget.stopped(), run.progress.beside():
            while (asked := control()) == "pause":
                run.heartbeat()
                time.sleep(0.1)
        run.emit(started(run))
    return asked == "stop"


def paused(run: Run, saved: bool) -> Paused:
    """The pause, with its cause where the training asked for it itself."""
    cause = run.unhealthy
    return Paused(run.step, cause.message, saved, cause.code, cause.values) if cause else Paused(run.step, "", saved)


def finish(run: Run, stopped: bool, control: AskControl, make_model: MakeModel) -> None:
    """Checkpoint, write the result, measure the very file that was written, and report."""
    run.progress.settle()
    without_disk_trouble(run, lambda: save_state(run))
    surfaces = found_surfaces(run, control, stopped)
    count = write_result(run, control, surfaces)
    started = time.monotonic()
    scores, corrected = scores_of_file(run.job.result, run, make_model)
    score = mean_score(scores)
    if score:
        run.emit(Evaluated(run.step, score.psnr, score.ssim, score.views))
    finished = Finished(run.step, count, score.psnr if score else None, score.ssim if score else None,
                        round(run.clock.seconds, 2), stopped)
    said = {**report(run, finished, scores, time.monotonic() - started), **corrected, **surfaces_report(surfaces)}
    insist(run, lambda: write_text(run.job.report, json.dumps(said, indent=2)), control)
    run.emit(finished)


def found_surfaces(run: Run, control: AskControl, stopped: bool) -> Surfaces:
    """What the dataset's maps say about the Gaussians. Nothing where the settings say so, or the budget is spent; who asks to stop
    meanwhile gets what is found already."""
    if not run.config.surfaces or run.budget.over():
        return Surfaces()

    def tick(done: int, total: int) -> None:
        run.heartbeat()
        if not stopped and control() == "stop":
            raise SurfacesStopped
        if told.due() or done + 1 == total:
            run.emit(Stage("surfaces", done, total, None))

    told = Every(SURFACE_SECONDS)
    found = find_surfaces(run.model, run.train, tick)
    for problem in found.problems:
        tell_trouble(run, problem)
    return found


def surfaces_report(surfaces: Surfaces) -> dict[str, object]:
    """What report.json says about them: how many objects, which properties, and what it took."""
    if not surfaces.columns:
        return {}
    return {"surfaces": {"labels": surfaces.label_count, "properties": list(surfaces.columns), "seconds": round(surfaces.seconds, 2)}}


def write_result(run: Run, control: AskControl, surfaces: Surfaces) -> int:
    """Close the model and write what it has learned: so many Gaussians. UserError when the disk refuses and somebody asks to stop."""
    learned = run.model.gaussians()
    run.model.close()  # what it took is needed to write a large result
    rows = learned.finite_rows()  # the others no viewer can draw
    result, extra = (learned if rows.all() else learned.take(rows)), surfaces.rows(rows)

    def write() -> None:
        try:
            write_splats(run.job.result, result, antialiased=run.config.antialiased, extra=extra, offset=run.offset)
            copy_labels(run)
        except UserError:
            with suppress(OSError):
                remove_file(run.job.preview)  # where the disk is full, the result needs its room
            raise

    if not insist(run, write, control):
        raise UserError("The result could not be written.", "Free some space and resume the job: its checkpoint is kept.",
                        "training.result_not_written")
    return len(result)


def insist(run: Run, write: Callable[[], object], control: AskControl) -> bool:
    """Do it as soon as the disk lets us; False when somebody asks, or has asked, not to wait for that."""
    while not without_disk_trouble(run, write):
        if control() == "stop":
            return False
        run.heartbeat()
        time.sleep(RETRY_SECONDS)
    return True


def scores_of_file(path: Path, run: Run, make_model: MakeModel) -> tuple[list[ViewScore], dict[str, object]]:
    """Quality of a PLY as it lies on the disk, view by view, and with corrected exposure; and the thumbnail is drawn from it."""
    gaussians = read_ply(path).gaussians
    model = make_model(gaussians, replace(run.config, max_gaussians=len(gaussians)), run.engine)
    try:
        write = partial(write_thumbnail, run.job.thumbnail, model, run.config.sh_degree, run.held_out, run.train)
        without_disk_trouble(run, write)
        named = zip(run.held_out.names, run.held_out.each(), strict=True)
        scores = evaluate_each(model, named, run.config.sh_degree, tick=run.heartbeat)
        return scores, corrected_figure(run, model) if run.config.lr_exposure else {}
    finally:
        model.close()


def corrected_figure(run: Run, model: Model) -> dict[str, object]:
    """What report.json adds where photos have exposures of their own: beside the plain PSNR, under a name of its own."""
    found = [exposure_corrected(model, target, run.config.sh_degree) for target in run.held_out.each()]
    figures = [figure for figure in found if figure is not None]
    return {"psnr_exposure_corrected": sum(figures) / len(figures), "exposure_fitted_on": "left half",
            "exposure_measured_on": "right half"} if figures else {}


def copy_labels(run: Run) -> None:
    """Leave beside the result what its labels are, where the dataset says that and it can be read."""
    if run.labels_file is None or not run.config.surfaces:
        return
    try:
        labels = read_labels(run.labels_file)
    except UserError as error:
        tell_trouble(run, error)
        return
    write_labels(run.job.labels, labels)


def report(run: Run, finished: Finished, scores: list[ViewScore], measuring: float) -> dict[str, object]:
    """What report.json says. Its figures are of the file with that checksum."""
    return {"step": finished.step, "gaussians": finished.gaussians, "psnr": finished.psnr, "ssim": finished.ssim,
            "engine": run.engine, "seconds": finished.seconds, "watching_seconds": round(run.health.seconds, 3),
            "stopped": finished.stopped, "scene_scale": run.scene_scale, **({"offset": run.offset} if run.offset != NO_OFFSET else {}),
            "train_views": len(run.train), "eval_views": len(run.held_out), "held_out": list(run.held_out.names),
            "views": [asdict(score) for score in scores], "sha256": checksum(run.job.result),
            "seconds_to_measure": round(measuring, 2), "versions": versions(run.engine)}
