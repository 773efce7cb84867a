"""Monitors a training: measures it at intervals and reports each kind of finding once. Reads the model and changes nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable

from ...core.protocol.events import Event, Finding
from ..backend import Model, StepSettings
from ..clocks import Every
from ..data.image_store import Photos
from ..host_memory import free_memory, used_memory
from .checks import FEWEST_STEPS, SceneContext, collapsed, gone_gradients, impossible, run_checks, unmoved
from .measurements import Measurements, mean_psnr, measure_health, sample_view, sampled_targets
from .trends import (
    Measurement,
    Pace,
    Refinement,
    densification_idle,
    memory_growth,
    overfitting,
    plateaued,
    runaway_growth,
    slowdown,
    switched_off,
)

LOOK_SECONDS = 2.0
SHARE = 0.004
"""Largest share of the time that measurements take: slower ones are taken less often."""

PROBES = 2
"""Training views that a measurement renders."""

DISTRUST_EVERY = 8
"""The backend's own PSNR is checked at the first of so many measurements."""

REMEMBERED = 64
"""Latest measurements that speed and memory are judged by."""


class Health:
    """Monitor of one training. updates() returns what it has found."""

    def __init__(self, scene: SceneContext, photos: Photos, count: int, earlier: Iterable[Event] = ()):
        self.scene = scene
        self.seconds = 0.0
        """spent on watching"""
        self.forgiven = {event.kind for event in earlier if isinstance(event, Finding) and event.severity == "error"}
        """kinds that this job has paused for before and was resumed after"""
        self._targets = sampled_targets(photos, PROBES)
        self._looks = Every(LOOK_SECONDS, first=False)
        self._told: set[str] = set()
        self._updates: list[Finding] = []
        self._looks_taken = 0
        self._traced: Measurements | None = None
        self._paces: deque[Pace] = deque(maxlen=REMEMBERED)
        self._refinements: list[Refinement] = []
        self._measurements: list[Measurement] = []
        self._report(switched_off(scene.config, count))

    def watch(self, model: Model, step: int, settings: StepSettings) -> None:
        """Measure the training when it is due; `step` steps are done, the last of them with `settings`."""
        if self._traced and step >= self._traced.step + FEWEST_STEPS:
            self._recheck(model, self._traced, step, settings)
        if step >= FEWEST_STEPS and self._looks.due():
            self.look(model, step, settings)

    def updates(self) -> list[Finding]:
        """What was found since the last call; every kind once in a training."""
        updates, self._updates = self._updates, []
        return updates

    def look(self, model: Model, step: int, settings: StepSettings) -> None:
        """Measure parameters, moments and a few views."""
        start = time.perf_counter()
        if self._looks_taken % DISTRUST_EVERY == 0:
            self._check_own_figures(model, settings.sh_degree)
        self._looks_taken += 1
        measurements = measure_health(model, self._targets, step, settings)
        self._report(*run_checks(measurements, self.scene))
        self._traced = self._traced or measurements
        self._paces.append(Pace(step, time.monotonic(), measurements.count, used_memory(), (settings.reduction, settings.sh_degree)))
        self._report(slowdown(list(self._paces)), memory_growth(list(self._paces), self.scene.config.max_steps, free_memory()))
        took = time.perf_counter() - start
        self.seconds += took
        self._looks.postpone(took / SHARE)

    def _recheck(self, model: Model, before: Measurements, step: int, settings: StepSettings) -> None:
        """Check whether parameters have had gradients and have changed since the measurement `before`."""
        start = time.perf_counter()
        parameter_health = model.parameter_health()
        if not collapsed(before, self.scene.config):
            self._report(gone_gradients(before, parameter_health, step - before.step))
        self._report(unmoved(before, parameter_health, settings))
        self._traced = None
        self.seconds += time.perf_counter() - start

    def refined(self, before: int, after: int, changed: int) -> None:
        """Record a refinement: Gaussians before and after, and how many were added, moved or removed."""
        self._traced = None  # rows are others
        self._refinements.append(Refinement(before, after, changed))
        self._report(densification_idle(self._refinements, self.scene.config), runaway_growth(self._refinements, self.scene.config))

    def measured(self, model: Model, step: int, psnr: float, sh_degree: int) -> None:
        """Record a PSNR in dB on held-out views, and measure views that are trained on."""
        start = time.perf_counter()
        learned = mean_psnr([sample_view(model, target, sh_degree) for target in self._targets])
        self._measurements.append(Measurement(step, psnr, learned))
        self._report(overfitting(self._measurements), plateaued(self._measurements, self.scene.config))
        self.seconds += time.perf_counter() - start

    def _check_own_figures(self, model: Model, sh_degree: int) -> None:
        """Compare the backend's PSNR of a view with the L1 of its rendering; both render the reduced view."""
        for target in self._targets[:1]:
            self._report(impossible(model.score(target, sh_degree)[0], sample_view(model, target, sh_degree, reduction=1).l1))

    def _report(self, *found: Finding | None) -> None:
        """Keep findings of a new kind for updates()."""
        for finding in found:
            if finding and finding.kind not in self._told:
                self._told.add(finding.kind)
                self._updates.append(finding)
