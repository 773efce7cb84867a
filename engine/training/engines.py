"""Which engine trains, and its model: the built-in one on the processor, or gsplat on a graphics card."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

from ..core.cameras.camera import Camera
from ..core.errors import UserError, Values, values
from ..core.protocol.config import TrainConfig
from ..core.protocol.events import Finding
from ..core.splats.gaussians import Gaussians
from .backend import BackendName, Model
from .group import SOLO, Group

GPU_GAUSSIANS = 1_000_000
"""What scenes of the usual benchmarks need for full detail, and every graphics card has room for."""


@dataclass(frozen=True)
class BackendChoice:
    """The backend that trains, and a sentence with the reason."""

    engine: BackendName
    reason: str
    hint: str = ""
    code: str = ""
    values: Values = ()

    @property
    def finding(self) -> Finding:
        """The reason, as it is told."""
        return Finding("info", self.reason, self.hint, code=self.code, values=self.values)


def choose_backend(config: TrainConfig, tick: Callable[[], None] = lambda: None) -> BackendChoice:
    """The engine that the settings ask for; `auto` takes the graphics card where it can train.

    Compiles gsplat's kernels the first time, which takes minutes; `tick` is called meanwhile. UserError when `cuda` is asked
    for and cannot train.
    """
    if config.backend == "cpu":
        return BackendChoice("cpu", "Training on the processor, as set.", code="engine.cpu_as_set")
    from .cuda.availability import has_card, prepare_kernels, unavailable

    problem = unavailable() or prepare_kernels(tick)
    if problem is None:
        return BackendChoice("cuda", "Training on the graphics card.", code="engine.cuda")
    if config.backend == "cuda":
        raise problem
    return BackendChoice("cpu", f"Training on the processor. {problem.message}", problem.hint if has_card() else "",
                  "engine.cpu_instead", values(problem=problem.message))


def likely_backend(config: TrainConfig) -> BackendName:
    """The backend that choose_backend will most likely take; compiles nothing and raises nothing."""
    if config.backend == "cpu":
        return "cpu"
    from .cuda.availability import unavailable

    return "cpu" if unavailable() else "cuda"


def affordable_gaussians(config: TrainConfig, engine: BackendName, pixels: int) -> int:
    """How many Gaussians suit the engine and images of so many pixels."""
    match engine:
        case "cpu":
            from .cpu.model import affordable_gaussians, default_threads

            return affordable_gaussians(pixels, config.threads or default_threads())
        case "cuda":
            return GPU_GAUSSIANS


def device_errors(engine: BackendName) -> AbstractContextManager[None]:
    """Errors of the backend's device inside become UserError or OutOfMemory."""
    if engine == "cpu":
        return nullcontext()
    from .cuda.failures import plain_errors

    return plain_errors()


def create_model(gaussians: Gaussians, config: TrainConfig, engine: BackendName = "cpu", cameras: Sequence[Camera] = (),
                 group: Group = SOLO) -> Model:
    """A model on an engine. `cameras` are those of the photos, `group` the processes that train together."""
    match engine:
        case "cpu":
            from .cpu.model import CpuModel

            if group.size > 1:
                raise UserError("Several processes train together on graphics cards alone.", "Start one process, or set backend to cuda.",
                                "training.processes")
            return CpuModel(gaussians, config.threads, config.antialiased, cameras)
        case "cuda":
            from .cuda.model import cuda_model

            return cuda_model(gaussians, config, cameras, group)
