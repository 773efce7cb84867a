"""Everything that one training holds in memory, and how it comes together from the job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from ..core.config import TrainConfig
from ..core.distortion import undistorted_camera
from ..core.errors import UserError
from ..core.events import Event, Finding, Started
from ..core.job import JobFolder
from ..core.sources import read_dataset_of
from ..preflight import check_dataset
from ..preflight.budget import check_budget
from .backend import Engine, Model, choose_engine
from .checkpoint import Checkpoint, load_checkpoint
from .demands import check_demands, settled
from .distributed import SOLO, Group
from .health import Health
from .initialise import focus_point, initial_gaussians, scene_scale
from .photos import Photos, open_photos
from .progress import Progression
from .strategies import Strategy, create_strategy
from .symptoms import Scene
from .watch import Clock

TRAIN_SHARE = 0.85
"""Of the memory for photos that those trained on get; the held-out ones get the rest."""

Emit = Callable[[Event], None]
MakeModel = Callable[..., Model]


@dataclass
class Run:
    """Everything of one training in memory. `step` counts photos learned from: each of the group's processes takes one at a time.

    `cramped`: memory did not suffice for all Gaussians. `rarely_saved`: it was said that checkpoints are rare. `sick`: why the
    training pauses by itself.
    """

    job: JobFolder
    config: TrainConfig
    engine: Engine
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
    group: Group = SOLO
    cramped: bool = False
    rarely_saved: bool = False
    sick: str = ""

    @property
    def stride(self) -> int:
        """Photos learned from in one iteration."""
        return self.group.size

    def beat(self) -> None:
        """Say that the job is alive."""
        if self.group.leads:
            self.job.beat()


def prepare(job: JobFolder, emit: Emit, group: Group, make_model: MakeModel) -> Run:
    """Read the job and its dataset, look for trouble, load images, and make the model or restore it."""
    tick = job.beat if group.leads else lambda: None
    spec = job.read_spec()
    dataset = read_dataset_of(job)
    if group.leads:
        report_findings(check_dataset(dataset, tick), emit)
    choice = choose_engine(spec.config, tick)
    config = settled(spec.config, dataset, choice.engine)
    if group.leads:
        job.write_spec(replace(spec, config=config))
        report_findings(check_budget(dataset, config, choice.engine, job.path), emit)
    emit(Finding("info", choice.reason, choice.hint))
    scale = scene_scale(dataset)
    check_demands(config, dataset, choice.engine)
    checkpoint = load_checkpoint(job.checkpoint)
    cameras = [undistorted_camera(view.camera) for view in dataset.train_views]
    model = make_model(initial_gaussians(dataset, config), config, choice.engine, cameras, group)
    if checkpoint:
        restore(model, checkpoint, config)
    step, seconds = (checkpoint.step, checkpoint.seconds) if checkpoint else (0, 0.0)
    photos = open_photos(dataset.train_views, config, TRAIN_SHARE / group.size, tick)
    held_out = open_photos(dataset.eval_views if group.leads else (), config, 1 - TRAIN_SHARE, tick, numbered=False)
    health = Health(Scene(focus_point(cameras), scale, config), photos, model.count, job.read_events()[0] if checkpoint else ())
    emit(Started(choice.engine, step, config.max_steps, len(photos), len(held_out), model.count))
    return Run(job, config, choice.engine, model, photos, held_out, scale, create_strategy(config, scale), step, Clock(seconds),
               Progression(step, config.max_steps), health, emit, group)


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
            raise UserError(finding.message, finding.hint)


def restore(model: Model, checkpoint: Checkpoint, config: TrainConfig) -> None:
    """Put the checkpoint's state into the model; UserError when the job was changed so that it does not fit."""
    coefficients = (config.sh_degree + 1) ** 2 - 1
    if checkpoint.state["shN"].shape[1:] != (coefficients, 3):
        raise UserError("The job's SH degree was changed after its training began.",
                        "Set sh_degree back to its first value, or start a new training.")
    model.load_state(checkpoint.state)
