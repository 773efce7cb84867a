"""What a training will take, as Blender asks for it: the chosen engine tries it beside Blender, a timer follows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import bpy

from ..engine.core.config import TrainConfig
from ..engine.core.errors import UserError
from ..engine.core.events import Estimated, Failed, Finding, Stage
from ..engine.core.job_spec import JobSpec
from ..engine.estimation import Estimation
from . import jobs
from .properties import dataset_folder
from .redraw import redraw_sidebars

TICK_SECONDS = 0.2


@dataclass
class Estimate:
    """One estimate: of which training, and what came of it."""

    spec: JobSpec
    making: Estimation
    running: bool = True
    stage: Stage | None = None
    found: Estimated | None = None
    findings: list[Finding] = field(default_factory=list)
    failure: Failed | None = None

    def follow(self) -> None:
        """Take in what the engine has told."""
        self.running = self.making.running
        events = self.making.events()
        self.findings = [event for event in events if isinstance(event, Finding)]
        self.stage, self.found, self.failure = (last(events, kind) for kind in (Stage, Estimated, Failed))


_estimate: Estimate | None = None


def last(events: list[Any], kind: type) -> Any:
    """The last event of a kind; None where there is none."""
    return next((event for event in reversed(events) if isinstance(event, kind)), None)


def wanted(scene: bpy.types.Scene) -> JobSpec:
    """The training that Train would begin; UserError where that cannot be said."""
    return JobSpec(dataset_folder(scene), scene.splatwright.train.to_config())


def current(scene: bpy.types.Scene) -> Estimate | None:
    """The last estimate, if it was of the scene's dataset."""
    try:
        return _estimate if _estimate is not None and _estimate.spec.dataset == dataset_folder(scene) else None
    except UserError:
        return None


def found(scene: bpy.types.Scene) -> bool:
    """Whether there are figures."""
    made = current(scene)
    return made is not None and made.found is not None


def outdated(scene: bpy.types.Scene, estimate: Estimate) -> bool:
    """Whether the settings are others than those that were tried."""
    try:
        return estimate.spec != wanted(scene)
    except UserError:
        return True


def start(scene: bpy.types.Scene) -> Estimate:
    """Begin to try the scene's training; an estimate that is still being made is ended. UserError when there is nothing to try."""
    global _estimate
    spec = wanted(scene)
    if not spec.dataset.exists():
        raise UserError("There is no dataset yet.", "Capture one, or choose its folder.")
    forget()
    _estimate = Estimate(spec, jobs.engine().estimate(spec))
    if not bpy.app.timers.is_registered(poll):
        bpy.app.timers.register(poll, first_interval=TICK_SECONDS)
    return _estimate


def poll() -> float | None:
    """One tick: take in what is new. Returns the seconds to the next tick, None when the estimate is there."""
    if _estimate is None:
        return None
    _estimate.follow()
    redraw_sidebars()
    return TICK_SECONDS if _estimate.running else None


def wait(estimate: Estimate) -> None:
    """Let the estimate come to its end, for scripts."""
    estimate.making.wait()
    estimate.follow()


def forget() -> None:
    """End an estimate that is being made, and know nothing."""
    global _estimate
    if _estimate is not None:
        _estimate.making.stop()
    _estimate = None
    redraw_sidebars()


def changes(finding: Finding) -> dict[str, float]:
    """The settings that a finding wants, by name; those that Blender does not know are left out."""
    pairs = [setting.partition("=") for setting in finding.settings]
    kinds = {name: type(getattr(TrainConfig, name)) for name, _, _ in pairs if hasattr(TrainConfig, name)}
    return {name: kinds[name](float(value)) for name, _, value in pairs if name in kinds}


def apply(scene: bpy.types.Scene, finding: Finding) -> dict[str, float]:
    """Set what a finding wants; what was set."""
    found = changes(finding)
    for name, value in found.items():
        setattr(scene.splatwright.train, name, value)
    return found


def register() -> None:
    pass


def unregister() -> None:
    if bpy.app.timers.is_registered(poll):
        bpy.app.timers.unregister(poll)
    forget()
