"""The probe: real steps on the dataset with its settings, from which a whole training can be reckoned.

A model is tried at two sizes, because time and memory are straight lines in the number of Gaussians. At each some fifty steps are
timed: with pictures of the schedule's three sizes, with and without view-dependent colour. All else that a training does is done
once: it refines, saves, draws a preview, measures a view. Nothing is written but into the folder that is given.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..core.cameras.distortion import undistorted_camera
from ..core.datasets.dataset import Dataset, View
from ..core.datasets.spread import scene_scale
from ..core.formats.ply import write_ply
from ..core.protocol.config import TrainConfig
from ..core.protocol.progress import OnProgress, Step
from ..core.splats.gaussians import Gaussians
from ..preflight.image_stats import measure_images
from ..training.backend import BackendName, Model, StepSettings, Target
from ..training.checkpoint import NEWEST, Checkpoint, save_checkpoint
from ..training.cuda.memory import bytes_of_gaussian, bytes_of_pixel
from ..training.data.image_store import Photos, bytes_of
from ..training.data.targets import REDUCTIONS, TargetPyramid
from ..training.data.targets import sizes as reduced_sizes
from ..training.engines import create_model
from ..training.host_memory import free_memory, used_memory
from ..training.init.initialize import initial_gaussians
from ..training.schedule import settings_at
from ..training.strategies import create_strategy
from ..training.trainer import PREVIEW_GAUSSIANS
from .peak_memory import card_memory, watched
from .probe_result import Kind, Probe, Size

STAGE = "trying steps"
STEPS = 3
"""That are timed in one round."""

UNSURE = 0.2
"""Relative error of what was timed once."""

LONGEST_KIND, LONGEST_SETTLING = 1.2, 3.0
"""Seconds after which no further round of a kind of step, or no further step of settling, is begun."""

MOST_GAUSSIANS: dict[BackendName, int] = {"cpu": 120_000, "cuda": 500_000}
"""Of the larger model: beyond it the straight line goes on."""

BYTES_A_PIXEL = 1000
"""Of memory that measuring a view takes, roughly: pictures for which a quarter of the free memory does not suffice are tried smaller."""


@dataclass(frozen=True)
class Effort:
    """How thorough a probe is."""

    views: int = 12
    """photos that are read for it, spread evenly over those trained on"""
    settling: int = 24
    """steps at a quarter of the size in which start points become a picture, before anything is timed"""
    rounds: int = 4
    """of STEPS steps that are timed for each kind of step"""


THOROUGH, BRIEF = Effort(), Effort(4, 12, 1)


@dataclass(frozen=True)
class ProbePhoto:
    """A few photos, and what it takes to have one."""

    pyramids: list[TargetPyramid]
    seconds: float
    bytes: float
    reading: float
    left: float


Tick = Callable[[], None]
"""Called for each photo and before each step; what it raises ends the probe."""


def probe(dataset: Dataset, config: TrainConfig, engine: BackendName, folder: Path, on_progress: OnProgress, tick: Tick = lambda: None,
          make_model: Callable[..., Model] = create_model, effort: Effort = THOROUGH) -> Probe:
    """Try a training of `dataset` with settled settings; checkpoints go into `folder`. Takes some seconds."""
    begin, idle, free = time.monotonic(), used_memory(), free_memory()
    free_card = card_memory(config, engine)
    config = bearable(dataset, config, free, free_card)
    photos = read_photos(chosen_views(dataset, effort.views), config, tick)
    start = initial_gaussians(dataset, config)
    held = used_memory()
    run = ProbeRun(dataset, config, engine, folder, photos.pyramids, scene_scale(dataset), make_model,
                   Counter(on_progress, tick, effort), effort)
    small, large = sizes(len(start), config, engine, free_card)
    first, settled, growth = run.size(resized(start, small, config.seed), effort.settling)
    second, _, _ = run.size(resized(settled, large, config.seed), effort.settling // 2)
    run.counter.end()
    return Probe(
        engine=engine, config=config, start=len(start), growth=growth, views=len(dataset.train_views), held_out=len(dataset.eval_views),
        idle=idle, free=free + idle, free_card=free_card, longest_side=longest_side(dataset),
        largest=largest_picture(dataset, config.resolution), reading=photos.reading, left=photos.left, photo_bytes=photos.bytes,
        photo_seconds=photos.seconds, small=beyond(first, held), large=beyond(second, held), seconds=time.monotonic() - begin)


def bearable(dataset: Dataset, config: TrainConfig, free: float, free_card: float) -> TrainConfig:
    """The settings with a resolution at which a try exhausts neither the memory nor the card's."""
    room = min(free / 4 / BYTES_A_PIXEL, free_card / 4 / bytes_of_pixel() if free_card else np.inf)
    factor = np.sqrt(room / largest_picture(dataset, config.resolution))
    return config if factor >= 1 else replace(config, resolution=max(16, int(min(config.resolution, longest_side(dataset)) * factor)))


def largest_picture(dataset: Dataset, resolution: int) -> float:
    """Pixels of the largest photo at no more than `resolution` on its longest side."""
    return max(float(np.prod(reduced_sizes(view.camera, resolution)[0])) for view in dataset.views)


def longest_side(dataset: Dataset) -> int:
    """Pixels of the largest photo."""
    return max(max(view.camera.width, view.camera.height) for view in dataset.views)


def beyond(size: Size, held: float) -> Size:
    """A size with its memory counted from what was held before there was a model."""
    return replace(size, memory=max(0.0, size.memory - held))


def sizes(start: int, config: TrainConfig, engine: BackendName, free_card: float) -> tuple[int, int]:
    """Gaussians of the small and the large model; the large one leaves most of a card free."""
    room = int(free_card / 4 / bytes_of_gaussian(config.sh_degree)) if free_card else MOST_GAUSSIANS[engine]
    large = max(2, min(max(start, config.max_gaussians), MOST_GAUSSIANS[engine], room))
    return max(1, min(start, large // 2)), large


def chosen_views(dataset: Dataset, most: int) -> tuple[View, ...]:
    """At most so many of those trained on, spread evenly."""
    views = dataset.train_views
    return tuple(views[row] for row in np.unique(np.linspace(0, len(views) - 1, min(most, len(views))).astype(int)))


def read_photos(views: tuple[View, ...], config: TrainConfig, tick: Tick) -> ProbePhoto:
    """Look at them and read them as a training does, and take time and memory."""
    begin, before = time.perf_counter(), used_memory()
    photos = Photos(views, config, math.inf)
    with watched("cpu") as peak:
        unreadable = measure_images(views, tick, photos.offer).unreadable
        if unreadable:
            photos.close()
            views = tuple(view for view in views if all(view is not found.view for found in unreadable))
            if not views:
                raise unreadable[0].error
            photos = Photos(views, config, math.inf)
        photos.fill(tick)
    pyramids = [photos.pyramid(number) for number in range(len(views))]
    kept = sum(map(bytes_of, pyramids))
    seconds = time.perf_counter() - begin
    reading, left = (max(0.0, memory - before - kept) for memory in (peak.memory, used_memory()))
    return ProbePhoto(pyramids, seconds / len(views), kept / len(views), reading, left)


def resized(gaussians: Gaussians, count: int, seed: int) -> Gaussians:
    """As many Gaussians as asked for that fill the space of these: copies are moved within the original, and all become smaller, or
    larger where some are left out.

    Trained scenes have means of axes that shrink with the number of Gaussians to the power of 0.23 to 0.37.
    """
    if count == len(gaussians):
        return gaussians
    rng = np.random.default_rng([seed, 5])
    rows = np.sort(rng.permutation(np.arange(count) % len(gaussians) if count > len(gaussians) else len(gaussians))[:count])
    taken = gaussians.take(rows)
    moved = rng.standard_normal(taken.means.shape) * np.exp(taken.scales) * (count > len(gaussians))
    smaller = np.log(len(gaussians) / count) / 3
    return replace(taken, means=(taken.means + moved).astype(np.float32), scales=(taken.scales + smaller).astype(np.float32))


@dataclass
class Counter:
    """Says how far the probe is."""

    on_progress: OnProgress
    tick: Tick
    effort: Effort
    done: int = 0

    @property
    def total(self) -> int:
        """Of what is counted."""
        return self.effort.settling + self.effort.settling // 2 + 2 * (4 * (self.effort.rounds * STEPS + 1) + 4)

    def count(self) -> None:
        """Before a step, or something that takes as long."""
        self.tick()
        self.on_progress(Step(STAGE, min(self.done, self.total), self.total))
        self.done += 1

    def end(self) -> None:
        """All is through."""
        self.on_progress(Step(STAGE, self.total, self.total))


@dataclass
class ProbeRun:
    """Tries models of the sizes that are asked for."""

    dataset: Dataset
    config: TrainConfig
    engine: BackendName
    folder: Path
    pyramids: list[TargetPyramid]
    scene_scale: float
    make_model: Callable[..., Model]
    counter: Counter
    effort: Effort

    def size(self, gaussians: Gaussians, settling: int) -> tuple[Size, Gaussians, float]:
        """What a model of these Gaussians takes; they after some steps; the share that the strategy default would add."""
        cameras = [undistorted_camera(view.camera) for view in self.dataset.train_views]
        config = replace(self.config, max_gaussians=len(gaussians))
        with watched(self.engine) as peak:
            model = self.make_model(gaussians, config, self.engine, cameras)
            try:
                self._settle(model, settling)
                growth = self._growth(model)
                found = self._tried(model)
                settled = model.gaussians()
            finally:
                model.close()
            score = self._timed(lambda: self._measure_result(settled))
        return replace(found, score=score, memory=peak.memory, card=peak.card), settled, growth

    def _settle(self, model: Model, steps: int) -> None:
        """Let it become a picture; on slow computers less of one."""
        begin = time.perf_counter()
        for number in range(steps):
            if time.perf_counter() - begin < LONGEST_SETTLING:
                self._learn(model, 4, 0, 1, number)

    def _tried(self, model: Model) -> Size:
        """What a training does with its model, once or more; the rest is filled in outside."""
        degree = self.config.sh_degree
        kinds = [self._kind(model, 4, 0)] + [self._kind(model, reduction, degree) for reduction in reversed(REDUCTIONS)]
        count = model.count
        preview = self._timed(lambda: write_ply(self.folder / "preview.ply", model.sample(PREVIEW_GAUSSIANS)))
        saving = self._timed(lambda: save_checkpoint(self.folder, Checkpoint(0, 0.0, model.snapshot(copy=True))))
        write_ply(self.folder / "result.ply", model.gaussians())
        refining = self._timed(lambda: self._refine(model))
        checkpoint, result = ((self.folder / name).stat().st_size for name in (NEWEST, "result.ply"))
        return Size(count, tuple(kinds), refining, saving, preview, 0.0, 0.0, 0.0, checkpoint, result)

    def _kind(self, model: Model, reduction: int, degree: int) -> Kind:
        """Time one kind of step; the first of them makes room and is not counted."""
        begin, slow = time.perf_counter(), self._learn(model, reduction, degree, 1) > LONGEST_KIND / STEPS / 2
        rounds, steps = [], 1 if slow else STEPS
        while len(rounds) < self.effort.rounds and (not rounds or time.perf_counter() - begin < LONGEST_KIND):
            rounds.append(self._learn(model, reduction, degree, steps, len(rounds) * steps) / steps)
        error = float(np.std(rounds, ddof=1) / np.sqrt(len(rounds))) if len(rounds) > 1 else UNSURE * rounds[0]
        pixels = [pyramid.at(reduction).image[..., 0].size for pyramid in self.pyramids]
        return Kind(reduction, float(np.mean(pixels)), (degree + 1) ** 2, float(np.median(rounds)), error)

    def _learn(self, model: Model, reduction: int, degree: int, steps: int, first: int = 0) -> float:
        """Seconds of so many steps, each on another photo."""
        loss, begin = None, time.perf_counter()
        for number in range(first, first + steps):
            self.counter.count()
            target = self._target(number, reduction)
            model.expect(self._target(number + 1, reduction))
            loss = model.step(target, self._settings(target, reduction, degree))
        float(loss or 0.0)  # waits for the device
        return time.perf_counter() - begin

    def _target(self, number: int, reduction: int) -> Target:
        return self.pyramids[number % len(self.pyramids)].at(reduction)

    def _settings(self, target: Target, reduction: int, degree: int) -> StepSettings:
        usual = settings_at(0, self.config, self.scene_scale, target.image.shape[2] == 4)
        return replace(usual, reduction=reduction, sh_degree=degree)

    def _growth(self, model: Model) -> float:
        """Share of the Gaussians that the images pull at so hard that the strategy default would make two of them."""
        if self.config.strategy != "default":
            return self.config.grow_rate
        statistics = model.take_statistics()
        return float((statistics.gradient / np.maximum(statistics.seen, 1) > self.config.grow_gradient).mean())

    def _measure_result(self, gaussians: Gaussians) -> None:
        """As at the end of a training, when its model is closed: another one of the same Gaussians draws a view."""
        result = self.make_model(gaussians, replace(self.config, max_gaussians=len(gaussians)), self.engine)
        try:
            result.score(self.pyramids[0].full, self.config.sh_degree)
        finally:
            result.close()

    def _refine(self, model: Model) -> None:
        roomy = replace(self.config, max_gaussians=int(model.count * (1 + self.config.grow_rate)) + 1)
        create_strategy(roomy, self.scene_scale).refine(model, np.random.default_rng(self.config.seed), self.config.refine_every)

    def _timed(self, work: Callable[[], object]) -> float:
        self.counter.count()
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin
