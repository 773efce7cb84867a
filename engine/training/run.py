"""Everything that one training holds in memory, and how it comes together from the job."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..core.cameras.distortion import undistorted_camera
from ..core.datasets.dataset import Dataset
from ..core.datasets.fingerprint import fingerprint
from ..core.datasets.read import read_dataset_of
from ..core.datasets.recentring import remember_offset
from ..core.datasets.spread import focus_point, scene_scale, steady_cameras
from ..core.errors import UserError, values
from ..core.protocol.config import TrainConfig
from ..core.protocol.events import CHECKPOINTS, Event, Finding, Started, error_of
from ..core.protocol.folder import JobFolder
from ..core.protocol.plan import Plan, write_plan
from ..core.splats.offset import NO_OFFSET, Offset
from .backend import BackendName, Model
from .checkpoint import Checkpoint, load_checkpoint
from .checkpoint_writer import CheckpointWriter
from .clocks import Clock
from .data.image_store import Photos, empty_store
from .data.view_files import Seen, ViewFiles
from .engines import choose_backend, device_errors
from .group import SOLO, Group
from .health.checks import SceneContext
from .health.monitor import Health
from .host_memory import free_memory
from .init.depth_start import DepthTargets
from .init.initialize import initial_gaussians, starts_from_depth
from .init.region_start import check_region
from .init.splat_start import read_start, start_findings
from .job_budget import JobBudget
from .pace import Costs, TimeKeeper, planned_anew
from .progress import Progression
from .requirements import check_demands, guided, settled
from .strategies import Strategy, create_strategy

START_SHARE = 0.1
"""Of the free memory that pictures with depth maps may take until the first splats are made from them."""

TRAIN_SHARE = 0.85
"""Of the memory for photos that those trained on get; the held-out ones get the rest."""

Emit = Callable[[Event], None]
MakeModel = Callable[..., Model]


class TimedSettings(Protocol):
    """Settings that fit into their minutes."""

    @property
    def config(self) -> TrainConfig:
        """The settings."""
        ...

    @property
    def costs(self) -> Costs:
        """Seconds of a step in equal parts of the schedule."""
        ...

    @property
    def ending(self) -> float:
        """Seconds that it takes from the last step to the result."""
        ...

    @property
    def finding(self) -> Finding:
        """What was chosen, in words."""
        ...


class Checks(Protocol):
    """What looks for trouble before a training begins; a finding of severity "error" ends it before it has begun."""

    def dataset(self, dataset: Dataset, config: TrainConfig, tick: Callable[[], None], seen: Seen, /) -> tuple[Dataset, list[Finding]]:
        """What of the dataset can be used, and findings about images, poses and points; `tick` is called for each image, `seen` with the
        files that are decoded for it."""
        ...

    def timetable(self, dataset: Dataset, config: TrainConfig, engine: BackendName, folder: Path, tick: Callable[[], None],
                  /) -> TimedSettings:
        """Settings that fit into the minutes which they name, found by trying some steps with files in `folder` for a moment; those of a
        plan that was made already stay."""
        ...

    def settings(self, dataset: Dataset, config: TrainConfig, engine: BackendName, folder: Path, /) -> list[Finding]:
        """Findings about what the training takes: memory, disk of the job's `folder`, time."""
        ...


@dataclass
class Run:
    """Everything of one training in memory. `step` counts photos learned from: each of the group's processes takes one at a time.

    `memory_limited`: memory did not suffice for all Gaussians. `named_interval`: seconds that a cut costs at most, as was said.
    `unhealthy`: why the training pauses by itself. `offset`: what was taken from the dataset's coordinates. `look` may end the work by
    raising. `pace`: of a training that has minutes. `fingerprint`: of the dataset. `labels_file`: says what
    the numbers of its label maps are.
    """

    job: JobFolder
    config: TrainConfig
    engine: BackendName
    model: Model
    train: Photos
    held_out: Photos
    scene_scale: float
    strategy: Strategy
    step: int
    clock: Clock
    progress: Progression
    health: Health
    emit: Emit
    checkpoints: CheckpointWriter
    budget: JobBudget
    group: Group = SOLO
    look: Callable[[], None] = lambda: None
    memory_limited: bool = False
    named_interval: float = 0.0
    unhealthy: Finding | None = None
    offset: Offset = NO_OFFSET
    pace: TimeKeeper | None = None
    fingerprint: str = ""
    labels_file: Path | None = None

    @property
    def stride(self) -> int:
        """Photos learned from in one iteration."""
        return self.group.size

    def plan_anew(self, end: int) -> None:
        """Let the training end elsewhere. That is written down before a step follows it, so that a resumed training does as this one;
        UserError where the disk refuses."""
        config = planned_anew(self.config, self.step, end)
        write_plan(self.job.plan, Plan(self.fingerprint, config))
        self.job.write_spec(replace(self.job.read_spec(), config=config))
        self.config = config
        self.progress.end_at(end)

    def heartbeat(self) -> None:
        """Say that the job is alive, and look whether it shall end."""
        if self.group.leads:
            self.job.heartbeat()
        self.look()


def prepare(job: JobFolder, emit: Emit, group: Group, make_model: MakeModel, checks: Checks | None = None,
            look: Callable[[], None] = lambda: None) -> Run:
    """Read the job and its dataset, look for trouble, load images, and make the model or restore it."""
    def tick() -> None:
        if group.leads:
            job.heartbeat()
        look()

    begin, spec = time.monotonic(), job.read_spec()
    budget = JobBudget(job, spec.config)
    dataset, checkpoint = read_dataset_of(job), load_checkpoint(job.checkpoint)
    if checkpoint:
        dataset = replace(dataset, start_file=None)
    start = read_start(dataset)
    check_region(dataset)
    timed, known = timetable(job, dataset, spec.config, group, tick, checks), fingerprint(dataset)
    wished = timed.config if timed else spec.config
    asked = replace(wished, guides=False) if checkpoint else guided(wished, dataset)  # what goes on goes on as it began
    dataset, sources = checked_sources(dataset, asked, group, tick, emit, checks)
    choice = choose_backend(asked, tick)
    config = settled(asked if checkpoint else wished, dataset, choice.engine)  # the check may have left out maps
    if group.leads:
        job.write_spec(replace(spec, config=config))
        write_plan(job.plan, Plan(known, config))
        remember_offset(job, dataset.offset)
    if checks and group.leads:
        report_findings(checks.settings(dataset, config, choice.engine, job.path), emit)
    report_findings(start_findings(start, config), emit)
    emit(choice.finding)
    if timed:
        emit(timed.finding)
    scale = scene_scale(dataset)
    check_demands(config, dataset, choice.engine)
    cameras = [undistorted_camera(view.camera) for view in dataset.train_views]
    model = make_model(initial_gaussians(dataset, config, sources.start, start), config, choice.engine, cameras, group)
    if checkpoint:
        restore(model, checkpoint, config)
    step, seconds = (checkpoint.step, checkpoint.seconds) if checkpoint else (0, 0.0)
    budget.count_earlier(seconds)
    photos, held_out = sources.filled(tick)
    context = SceneContext(focus_point(steady_cameras(cameras)), scale, config)
    health = Health(context, photos, model.count, job.read_events()[0] if checkpoint else ())
    most = max(model.count, config.max_gaussians)
    checkpoints = CheckpointWriter(job.checkpoint, config.checkpoint_seconds, most, live=choice.engine == "cpu")
    run = Run(job, config, choice.engine, model, photos, held_out, scale, create_strategy(config, scale, dataset.region), step,
              Clock(seconds), Progression(step, config.max_steps), health, emit, checkpoints, budget, group, look, offset=dataset.offset,
              named_interval=checkpoints.interval(most), fingerprint=known, labels_file=dataset.labels_file)
    if timed and group.size == 1:
        known_speed = None if spec.config.course else 1.0
        run.pace = TimeKeeper(60 * config.minutes - (time.monotonic() - begin) - timed.ending, timed.costs, known_speed)
    emit(started(run))
    return run


def timetable(job: JobFolder, dataset: Dataset, config: TrainConfig, group: Group, tick: Callable[[], None],
              checks: Checks | None) -> TimedSettings | None:
    """Settings that fit into the minutes which they name, the same in every process of the group; None without minutes."""
    if not config.minutes or checks is None:
        return None
    choice = choose_backend(config, tick)
    check_demands(config, dataset, choice.engine)
    found = None
    if group.leads:
        with tempfile.TemporaryDirectory(dir=job.path) as folder, device_errors(choice.engine):
            found = checks.timetable(dataset, config, choice.engine, Path(folder), tick)
    return group.shared(found)


def started(run: Run) -> Started:
    """The begin of the training, or its going on, with the seconds of it that a cut costs at most."""
    return Started(run.engine, run.step, run.config.max_steps, len(run.train), len(run.held_out), run.model.count,
                   CHECKPOINTS, values(every=round(run.named_interval, 1)))


def checked_sources(dataset: Dataset, config: TrainConfig, group: Group, tick: Callable[[], None], emit: Emit,
                    checks: Checks | None) -> tuple[Dataset, Sources]:
    """What of the dataset can be used, the same in every process of the group, and stores of it; UserError where that is not enough."""
    sources = open_sources(dataset, config, group)
    if checks is None:
        return dataset, sources
    usable = dataset
    if group.leads:
        usable, findings = checks.dataset(dataset, config, tick, sources.offer)
        report_findings(findings, emit)
    usable = replace(dataset, views=group.shared(usable.views), left_out=group.shared(usable.left_out))
    if usable.views == dataset.views:
        return dataset, sources
    sources.close()  # numbers of views are others without those that were left out
    return usable, open_sources(usable, config, group)


@dataclass(frozen=True)
class Sources:
    """What a training takes from the files of its dataset."""

    train: Photos
    held_out: Photos
    start: DepthTargets

    def offer(self, files: ViewFiles) -> None:
        """Take what is needed of a view that is decoded anyway."""
        for source in (self.train, self.held_out, self.start):
            source.offer(files)

    def close(self) -> None:
        """Free all that was taken."""
        self.start.clear()
        self.train.close()
        self.held_out.close()

    def filled(self, tick: Callable[[], None]) -> tuple[Photos, Photos]:
        """The photos trained on and the held-out ones, with what is still missing; `tick` is called for each that is read."""
        self.start.clear()
        for photos in (self.train, self.held_out):
            photos.fill(tick)
        return self.train, self.held_out


def open_sources(dataset: Dataset, config: TrainConfig, group: Group) -> Sources:
    """Stores for the photos within the memory that the settings allow, still empty."""
    train = empty_store(dataset.train_views, config, TRAIN_SHARE / group.size)
    held_out = empty_store(dataset.eval_views if group.leads else (), config, 1 - TRAIN_SHARE, numbered=False)
    depth = any(view.depth for view in dataset.train_views) and starts_from_depth(dataset, config)
    return Sources(train, held_out, DepthTargets(START_SHARE * free_memory() if depth else 0))


def close(run: Run) -> None:
    """Free threads and memory."""
    run.model.close()
    run.train.close()
    run.held_out.close()


def report_findings(findings: list[Finding], emit: Emit) -> None:
    """Emit what a check found; raise UserError for the first finding that makes training pointless."""
    for finding in findings:
        emit(finding)
    for finding in findings:
        if finding.severity == "error":
            raise error_of(finding)


def restore(model: Model, checkpoint: Checkpoint, config: TrainConfig) -> None:
    """Put the checkpoint's state into the model; UserError when the job was changed so that it does not fit."""
    coefficients = (config.sh_degree + 1) ** 2 - 1
    if checkpoint.arrays["shN"].shape[1:] != (coefficients, 3):
        raise UserError("The job's SH degree was changed after its training began.",
                        "Set sh_degree back to its first value, or start a new training.", "training.sh_degree_changed")
    model.load_state(checkpoint.arrays)
