"""What a training will take, as Blender asks for it: the chosen engine tries it beside Blender, a timer follows."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import bpy

from ...engine.core.errors import UserError
from ...engine.core.protocol.config import TrainConfig
from ...engine.core.protocol.events import Estimated, Failed, Finding, Stage
from ...engine.core.protocol.spec import JobSpec
from ...engine.jobs.estimation import Estimation
from ..engines import choice
from ..typed import scene_settings
from .latest import Latest, existing_dataset
from .training_spec import spec_of


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

    @property
    def dataset(self) -> Path:
        """The folder that the training would learn from."""
        return self.spec.dataset

    def follow(self) -> None:
        """Take in what the engine has told."""
        self.running = self.making.running
        events = self.making.events()
        self.findings = [event for event in events if isinstance(event, Finding)]
        self.stage, self.found, self.failure = (last(events, kind) for kind in (Stage, Estimated, Failed))

    def stop(self) -> None:
        """End it, if it is still being made."""
        self.making.stop()


_latest: Latest[Estimate] = Latest()
current, forget, poll, close = _latest.current, _latest.forget, _latest.poll, _latest.close


def last(events: list[Any], kind: type) -> Any:
    """The last event of a kind; None where there is none."""
    return next((event for event in reversed(events) if isinstance(event, kind)), None)


def wanted(scene: bpy.types.Scene) -> JobSpec:
    """The training that Train would begin; UserError where that cannot be said."""
    return replace(spec_of(scene), name="")


def found(scene: bpy.types.Scene) -> bool:
    """Whether there are figures."""
    made = current(scene)
    return made is not None and made.found is not None


def changed_links(scene: bpy.types.Scene, estimate: Estimate) -> bool:
    """Whether the settings are others than those that were tried."""
    try:
        return estimate.spec != wanted(scene)
    except UserError:
        return True


def start(scene: bpy.types.Scene) -> Estimate:
    """Begin to try the scene's training; an estimate that is still being made is ended. UserError when there is nothing to try."""
    existing_dataset(scene)
    spec = wanted(scene)
    forget()
    return _latest.start(Estimate(spec, choice.engine().estimate(spec)))


def wait(estimate: Estimate) -> None:
    """Let the estimate come to its end, for scripts."""
    estimate.making.wait()
    estimate.follow()


def changes(finding: Finding) -> dict[str, float]:
    """The settings that a finding wants, by name; those that Blender does not know are left out."""
    pairs = [setting.partition("=") for setting in finding.settings]
    kinds = {name: type(getattr(TrainConfig, name)) for name, _, _ in pairs if hasattr(TrainConfig, name)}
    return {name: kinds[name](float(value)) for name, _, value in pairs if name in kinds}


def apply(scene: bpy.types.Scene, finding: Finding) -> dict[str, float]:
    """Set what a finding wants; what was set."""
    found = changes(finding)
    for name, value in found.items():
        setattr(scene_settings(scene).train, name, value)
    return found
