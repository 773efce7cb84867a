"""Everything that one training holds in memory, and how it comes together from the job."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from ..core.cameras.distortion import undistorted_camera
from ..core.datasets.dataset import Dataset
from ..core.datasets.read import read_dataset_of
from ..core.errors import UserError
from ..core.protocol.config import TrainConfig
from ..core.protocol.events import Event, Finding, Started
from ..core.protocol.folder import JobFolder
from .backend import BackendName, Model
from .checkpoint import Checkpoint, load_checkpoint
from .clocks import Clock
from .data.image_store import Photos, open_photos
from .engines import choose_backend
from .group import SOLO, Group
from .health.checks import SceneContext
from .health.monitor import Health
from .init.initialize import focus_point, initial_gaussians, scene_scale
from .progress import Progression
from .requirements import check_demands, settled
from .strategies import Strategy, create_strategy

TRAIN_SHARE = 0.85
"""Of the memory for photos that those trained on get; the held-out ones get the rest."""

Emit = Callable[[Event], None]
MakeModel = Callable[..., Model]


class Checks(Protocol):
    """What looks for trouble before a training begins; a finding of severity "error" ends it before it has begun."""

    def dataset(self, dataset: Dataset, tick: Callable[[], None], /) -> list[Finding]:
        """Findings about images, poses and points; `tick` is called for each image."""
        ...

    def settings(self, dataset: Dataset, config: TrainConfig, engine: BackendName, folder: Path, /) -> list[Finding]:
        """Findings about what the training takes: memory, disk of the job's `folder`, time."""
        ...


@dataclass
class Run:
    """Everything of one training in memory. `step` counts photos learned from: each of the group's processes takes one at a time.

    `memory_limited`: memory did not suffice for all Gaussians. `rarely_saved`: a finding says that checkpoints are rare.
    `unhealthy`: why the training pauses by itself.
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
    group: Group = SOLO
    memory_limited: bool = False
    rarely_saved: bool = False
    unhealthy: str = ""

    @property
    def stride(self) -> int:
        """Photos learned from in one iteration."""
        return self.group.size

    def heartbeat(self) -> None:
        """Say that the job is alive."""
        if self.group.leads:
            self.job.heartbeat()


def prepare(job: JobFolder, emit: Emit, group: Group, make_model: MakeModel, checks: Checks | None = None) -> Run:
    """Read the job and its dataset, look for trouble, load images, and make the model or restore it."""
    tick = job.heartbeat if group.leads else lambda: None
    spec = job.read_spec()
    dataset = read_dataset_of(job)
    if checks and group.leads:
        report_findings(checks.dataset(dataset, tick), emit)
    choice = choose_backend(spec.config, tick)
    config = settled(spec.config, dataset, choice.engine)
    if group.leads:
        job.write_spec(replace(spec, config=config))
    if checks and group.leads:
        report_findings(checks.settings(dataset, config, choice.engine, job.path), emit)
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
    health = Health(SceneContext(focus_point(cameras), scale, config), photos, model.count, job.read_events()[0] if checkpoint else ())
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
