"""The smoke test: the first steps of a training must make it better, on views that it learns from and on those held out."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np

from ..core.errors import UserError
from .backend import Model
from .health.checks import standstill
from .health.measurements import ViewSample, mean_psnr, measure_health, sample_view, sampled_targets
from .run import Run
from .schedule import settings_at, sh_degree_at

STEPS = 100
VIEWS = 3
"""Of each kind that are looked at before and after."""

GOOD_START = 25.0
"""dB on held-out views from which on a training starts near its end and need not rise at once."""

GOOD_START_LOSES = 3.0
"""dB that even such a start must not lose."""

SKIP = "Correct it and train again, or switch the smoke test off (smoke_test) to go on nonetheless."


@dataclass(frozen=True)
class ViewQuality:
    """How good the model was."""

    loss: float
    psnr: float
    """dB on held-out views; NaN without any"""


class SmokeTest:
    """Looks at the untrained model, and again after STEPS steps. Reads the model alone: the training goes on as without it."""

    def __init__(self, run: Run):
        self.seconds = 0.0
        """spent on looking"""
        self._learned = sampled_targets(run.train, VIEWS)
        self._held_out = sampled_targets(run.held_out, VIEWS)
        self._ssim_lambda = run.config.ssim_lambda
        self._before = self._state(run.model, sh_degree_at(run.step, run.config))

    def conclude(self, run: Run) -> None:
        """UserError with the most likely cause when the steps so far have not improved the model."""
        after = self._state(run.model, sh_degree_at(run.step, run.config))
        problem = verdict(self._before, after)
        if problem:
            cause = self._cause(run)
            raise UserError(f"The first {run.step} steps did not {problem}. {cause}", SKIP,
                            "training.smoke_test", step=run.step, problem=problem, cause=cause)

    def _cause(self, run: Run) -> str:
        settings = settings_at(run.step, run.config, run.scene_scale, transparent=False)
        return standstill(measure_health(run.model, self._learned, run.step, settings), run.health.scene)

    def _state(self, model: Model, sh_degree: int) -> ViewQuality:
        start = time.perf_counter()
        learned = [sample_view(model, target, sh_degree, with_similarity=True) for target in self._learned]
        loss = float(np.mean([self._loss(view) for view in learned])) if learned else math.nan
        psnr = mean_psnr([sample_view(model, target, sh_degree) for target in self._held_out])
        self.seconds += time.perf_counter() - start
        return ViewQuality(loss, psnr)

    def _loss(self, view: ViewSample) -> float:
        return (1 - self._ssim_lambda) * view.l1 + self._ssim_lambda * (1 - view.similarity)


def verdict(before: ViewQuality, after: ViewQuality) -> str:
    """What the smoke test failed at, in the words of its sentence; empty when it went well."""
    if before.psnr >= GOOD_START and after.psnr > before.psnr - GOOD_START_LOSES:
        return ""
    if not after.loss < before.loss:
        return f"lower the loss ({before.loss:.4f} before, {after.loss:.4f} after)"
    if after.psnr <= before.psnr:
        return f"raise the PSNR on held-out views ({before.psnr:.2f} dB before, {after.psnr:.2f} dB after), though the loss fell"
    return ""


def begun(run: Run) -> SmokeTest | None:
    """That of a training that begins; None for one that goes on, is too short, resets its opacities early, or has it switched off."""
    config = run.config
    resets = config.strategy == "default" and config.reset_every <= STEPS
    wanted = config.smoke_test and run.step == 0 and config.max_steps > STEPS and not resets
    return SmokeTest(run) if wanted and run.group.leads else None
