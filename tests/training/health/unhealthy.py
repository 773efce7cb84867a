"""Trainings with a trouble planted into them: models that misbehave, and a run that ends as soon as it is found."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from engine.core.protocol.events import Event, Finding, Paused, Started
from engine.core.protocol.folder import JobFolder
from engine.training.backend import StepSettings, Target
from engine.training.cpu.model import CpuModel
from engine.training.trainer import train
from engine.worker import Preflight


def watched(job: JobFolder, until: str = "", make_model: Callable[..., Any] | None = None) -> list[Event]:
    """Train; a pause that the training takes by itself, or a finding of the kind `until`, ends it."""
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, Paused) or (isinstance(event, Finding) and until and event.kind == until):
            job.set_control("stop")

    train(job, emit, job.control, checks=Preflight(), **({"make_model": make_model} if make_model else {}))
    return events


def told(events: list[Event]) -> list[Finding]:
    """What was found of the training after it began; that the computer is busy is none of it."""
    began = next(index for index, event in enumerate(events) if isinstance(event, Started))
    return [event for event in events[began:] if isinstance(event, Finding) and event.kind != "speed"]


def found(events: list[Event], kind: str) -> Finding:
    """The one finding of a kind."""
    findings = [event for event in events if isinstance(event, Finding) and event.kind == kind]
    assert len(findings) == 1, [event for event in events if isinstance(event, Finding)]
    assert findings[0].hint
    return findings[0]


def making(kind: type[CpuModel]) -> Callable[..., CpuModel]:
    """In the place of backend.create_model."""
    return lambda gaussians, config, *_: kind(gaussians, config.threads, config.antialiased)


class Blind(CpuModel):
    """Its Gaussians lie where no camera looks."""

    def __init__(self, gaussians: Any, *rest: Any):
        super().__init__(replace(gaussians, means=gaussians.means + np.float32([0, 0, 1e4])), *rest)


class Stuck(CpuModel):
    """Its positions never change."""

    def step(self, target: Target, settings: StepSettings) -> float:
        means = self.read("means")
        loss = super().step(target, settings)
        if len(means) == self.count:
            self.write("means", np.arange(len(means)), means)
        return loss


class Deaf(CpuModel):
    """The gradients of its rotations get lost."""

    def step(self, target: Target, settings: StepSettings) -> float:
        loss = super().step(target, settings)
        self.forget("quats")
        return loss


class Forgetful(CpuModel):
    """Halfway it looks elsewhere."""

    def step(self, target: Target, settings: StepSettings) -> float:
        if self._steps == 50:
            self.write("means", np.arange(self.count), self.read("means") + np.float32([0, 0, 15]))
        return super().step(target, settings)


class Stretched(CpuModel):
    """Its Gaussians become thin."""

    def step(self, target: Target, settings: StepSettings) -> float:
        scales = self.read("scales")
        scales[:, 0] += 0.1
        self.write("scales", np.arange(self.count), scales)
        return super().step(target, settings)


class Poisoned(CpuModel):
    """One of its positions becomes NaN."""

    def step(self, target: Target, settings: StepSettings) -> float:
        loss = super().step(target, settings)
        if self._steps == 40:
            self.write("means", np.array([3]), np.full((1, 3), np.nan, np.float32))
        return loss


class PoisonedGradient(CpuModel):
    """A gradient of its sizes becomes infinite."""

    def step(self, target: Target, settings: StepSettings) -> float:
        loss = super().step(target, settings)
        if self._steps == 40:
            self._first.write(np.array([3]), np.full((1, 3), np.inf, np.float32), "scales")
        return loss


class Flattered(CpuModel):
    """Says that it is better than it is."""

    def score(self, target: Target, sh_degree: int) -> tuple[float, float]:
        psnr, ssim = super().score(target, sh_degree)
        return psnr + 30.0, ssim


class Tired(CpuModel):
    """Becomes slow."""

    def step(self, target: Target, settings: StepSettings) -> float:
        if self._steps > 60:
            time.sleep(0.2)
        return super().step(target, settings)


class Hoarder(CpuModel):
    """Lets no memory go."""

    def step(self, target: Target, settings: StepSettings) -> float:
        self.__dict__.setdefault("_hoard", []).append(np.ones(2_000_000, np.float32))
        return super().step(target, settings)
