"""Checks of one measurement of a training, with their thresholds: pure functions that return a Finding, or None when all is well.

Calibrated on the sample scene, a studio set of 16 photos, a hand-held orbit of 97 phone photos, and trainings in which each
trouble was planted; numbers in brackets are those of healthy data.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...core.errors import values
from ...core.protocol.config import TrainConfig
from ...core.protocol.events import Finding
from ...core.text import phrase
from ..backend import ParameterHealth, StepSettings
from ..strategies.mcmc import DEAD_OPACITY, sigmoid
from .measurements import Measurements

WORDS = {"means": "positions", "quats": "rotations", "scales": "sizes", "opacities": "opacities", "sh0": "colours",
         "shN": "view-dependent colours"}

FEWEST_STEPS = 10
"""Steps after which every parameter must have had a gradient and must have changed."""

NEEDLE = 10.0
"""Times the middle axis that the longest one of a needle measures."""

MOST_NEEDLES = 0.5
"""Share of the Gaussians that may be needles (sound: at most 0.22)."""

COLLAPSED = 0.9
"""Share of the Gaussians that are too transparent to see when opacities have collapsed (sound: at most 0.03)."""

FAR = 6.0
"""Scene lengths from the middle of the scene beyond which a Gaussian is lost."""

MOST_FAR = 0.3
"""Share of the Gaussians that may be lost, those of the sky apart (phone photos: 0.02)."""

DRIFT = 0.06
"""Difference of the mean brightness of renderings and photos, from 0 to 1 (sound: at most 0.01)."""

DRIFT_FROM = 500
"""Steps from the beginning, and from a reset of all opacities, until brightness has settled."""

ROUNDING = 0.1
"""dB that a PSNR may be beyond what the mean difference allows: backends compute in 32 bits."""

UNUSUAL = {"lr_means": 10.0, "lr_scales": 10.0, "lr_opacities": 10.0, "lr_quats": 10.0, "lr_sh0": 10.0,
           "opacity_regularisation": 50.0, "scale_regularisation": 50.0}
"""Settings that are named as a cause when they are so many times the default."""

NOTHING_DRAWN = 1e-3
BETA1, FADING = 0.9, 1e-4
"""How first moments fade from step to step where no gradient comes, and how exactly."""


@dataclass(frozen=True)
class SceneContext:
    """Middle and size of the scene, and the settings of the training."""

    middle: np.ndarray  # [3]
    scale: float
    config: TrainConfig


def run_checks(measurements: Measurements, scene: SceneContext) -> Iterator[Finding]:
    """The findings of one measurement, worst first."""
    config = scene.config
    transparent = collapsed(measurements, config)  # explains gradients that do not come
    judged = (not_finite(measurements, config), transparent or no_gradients(measurements), switched_off(measurements),
              lost(measurements, scene), needles(measurements, config), dark_or_bright(measurements, config))
    yield from (found for found in judged if found)


def not_finite(measurements: Measurements, config: TrainConfig) -> Finding | None:
    """NaN or infinity in parameters or gradients."""
    names = [name for name, parameter_health in measurements.parameter_health.items() if not parameter_health.finite]
    if not names:
        return None
    return Finding("error", f"The Gaussians' {_words(names)} hold values that are no numbers (step {measurements.step}). "
                   f"{unusual(config)}".rstrip(),
                   "Resume from the checkpoint with lower learning rates, or check images and poses.", "not_finite",
                   code="health.not_finite", values=values(parameters=_words(names), step=measurements.step, cause=unusual(config)))


def no_gradients(measurements: Measurements) -> Finding | None:
    """Parameters that have had no gradient at all."""
    still = [name for name in _active(measurements) if measurements.parameter_health[name].moment_norm == 0.0]
    return _without_gradients(still, measurements)


def gone_gradients(before: Measurements, parameter_health: dict[str, ParameterHealth], steps: int) -> Finding | None:
    """Parameters without gradient in the last `steps` steps: their moments have only decayed since the measurement `before`."""
    faded = [name for name in _active(before) if _faded(before.parameter_health[name], parameter_health[name], BETA1**steps)]
    return _without_gradients(faded, before)


def _faded(before: ParameterHealth, after: ParameterHealth, share: float) -> bool:
    """Whether norm and sum of the moments are exactly `share` of their values before."""
    return (math.isclose(after.moment_norm, share * before.moment_norm, rel_tol=FADING)
            and math.isclose(after.moment_sum, share * before.moment_sum, rel_tol=FADING))


def _active(measurements: Measurements) -> list[str]:
    """Names of the parameters that have gradients at this step: shN only from SH degree 1 on."""
    return [name for name in measurements.parameter_health if name != "shN" or measurements.settings.sh_degree]


def _without_gradients(dead: list[str], measurements: Measurements) -> Finding | None:
    if not dead:
        return None
    hint = phrase("Stop, and check the dataset: its poses, its start points and its images.")
    if not {"means", "sh0"} <= set(dead):
        hint = phrase("Please report this with the file engine.log: the engine has lost them.")
        cause = phrase("Other parameters get theirs.")
    elif measurements.alpha < NOTHING_DRAWN:
        cause = phrase("Nothing is drawn in any view: no camera sees a Gaussian.")
    else:
        cause = phrase("What is drawn does not depend on them.")
    return Finding("error", f"The gradients of the {_words(dead)} are exactly zero. {cause}", hint, "gradients", float(len(dead)),
                   code="health.no_gradients", values=values(parameters=_words(dead), cause=cause))


def switched_off(measurements: Measurements) -> Finding | None:
    """Parameters whose learning rate is 0."""
    stopped = [name for name in measurements.parameter_health if measurements.settings.learning_rates[name] == 0.0]
    return Finding("warning", f"The Gaussians' {_words(stopped)} do not change: their learning rate is 0.",
                   "Set it back to its default, unless this is meant.", "frozen", float(len(stopped)),
                   code="health.switched_off", values=values(parameters=_words(stopped))) if stopped else None


def unmoved(before: Measurements, parameter_health: dict[str, ParameterHealth], settings: StepSettings) -> Finding | None:
    """Parameters with gradients and a learning rate whose values are those of the measurement `before`."""
    stuck = [name for name, here in parameter_health.items() if here.moment_norm > 0.0 and before.parameter_health[name].moment_norm > 0.0
             and here.value_checksum == before.parameter_health[name].value_checksum and settings.learning_rates[name] > 0.0]
    return Finding("error", f"The Gaussians' {_words(stuck)} do not change, though they have gradients and a learning rate.",
                   "Please report this with the file engine.log.", "frozen", float(len(stuck)),
                   code="health.unmoved", values=values(parameters=_words(stuck))) if stuck else None


def collapsed(measurements: Measurements, config: TrainConfig) -> Finding | None:
    """Nearly all Gaussians have become transparent."""
    share = float((sigmoid(measurements.sample.opacities) < DEAD_OPACITY).mean()) if measurements.count else 1.0
    if share < COLLAPSED:
        return None
    return Finding("error", f"{share:.0%} of the Gaussians have become transparent. {unusual(config)}".rstrip(),
                   "Stop, and lower opacity_regularisation or lr_opacities; check that photos and poses belong together.",
                   "opacity", round(share, 3), code="health.transparent", values=values(share=share, cause=unusual(config)))


def lost(measurements: Measurements, scene: SceneContext) -> Finding | None:
    """Gaussians that have left the scene."""
    away = np.linalg.norm(measurements.sample.means - scene.middle, axis=1)
    allowed = MOST_FAR + scene.config.sky / max(1, measurements.count)
    share = float((away > FAR * scene.scale).mean()) if measurements.count else 0.0
    return Finding("error", f"{share:.0%} of the Gaussians have left the scene. {unusual(scene.config)}".rstrip(),
                   "Stop, and lower lr_means; check that poses and start points have the same unit.", "off_scene",
                   round(share, 3),
                   code="health.off_scene", values=values(share=share, cause=unusual(scene.config))) if share > allowed else None


def needles(measurements: Measurements, config: TrainConfig) -> Finding | None:
    """Too many Gaussians are needles."""
    ordered = np.sort(measurements.sample.scales, axis=1)
    share = float((ordered[:, 2] - ordered[:, 1] > math.log(NEEDLE)).mean()) if measurements.count else 0.0
    return Finding("warning", f"{share:.0%} of the Gaussians are needles, which other directions will show. {unusual(config)}".rstrip(),
                   "Add photos from more directions, lower lr_scales, or raise needle_weight (on a GPU).", "needles",
                   round(share, 3),
                   code="health.needles", values=values(share=share, cause=unusual(config))) if share > MOST_NEEDLES else None


def dark_or_bright(measurements: Measurements, config: TrainConfig) -> Finding | None:
    """The mean brightness of renderings is off."""
    resetting = config.strategy == "default" and config.reset_every <= measurements.step < config.refine_until * config.planned_steps
    since = measurements.step % config.reset_every if resetting else measurements.step
    if since < DRIFT_FROM or not measurements.views:
        return None
    drift = float(np.mean([ours - photo for ours, photo in (view.lumas for view in measurements.views)]))
    if abs(drift) < DRIFT:
        return None
    direction = phrase("brighter") if drift > 0 else phrase("darker")
    frozen_colors = f" {phrase('Colours may not change: lr_sh0 is 0.')}" if config.lr_sh0 == 0.0 else ""
    return Finding("warning", f"Renderings are {direction} than their photos by {abs(drift):.0%} of white."
                   f"{frozen_colors}", "Check that all photos have the same exposure; on a GPU lr_exposure evens them out.", "brightness",
                   round(drift, 3), code="health.brightness", values=values(drift=drift, cause=frozen_colors.strip(),
                                                                            direction=direction,
                                                                            difference=abs(drift), colors=frozen_colors))


def impossible(psnr: float, l1: float) -> Finding | None:
    """A PSNR in dB that no image with this mean difference can have.

    With errors e from 0 to 1: mean(e)² ≤ mean(e²) ≤ mean(e), so that PSNR lies between -10 log10 and -20 log10 of the L1.
    """
    l1 = max(1e-6, l1)
    if not math.isfinite(psnr) or -10 * math.log10(l1) - ROUNDING <= psnr <= min(100.0, -20 * math.log10(l1)) + ROUNDING:
        return None
    return Finding("error", f"The PSNR of {psnr:.1f} dB is impossible where the mean difference is {l1:.4f}.",
                   "All figures of this training may be wrong; please report it with the file engine.log.", "impossible", round(psnr, 2),
                   code="health.impossible_psnr", values=values(psnr=psnr, difference=l1))


def _words(names: list[str]) -> str:
    words = [WORDS[name] for name in names]
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def unusual(config: TrainConfig) -> str:
    """A sentence naming settings that are far beyond their defaults; empty when there are none."""
    usual = TrainConfig()
    far = [name for name, times in UNUSUAL.items() if getattr(config, name) > times * getattr(usual, name)]
    said = ", ".join(phrase(f"{name} is {getattr(config, name):g} (default {getattr(usual, name):g})") for name in far)
    return f"{said}." if said else ""


def standstill(measurements: Measurements, scene: SceneContext) -> str:
    """The most likely cause of a training that does not improve, as a sentence."""
    found = next(run_checks(measurements, scene), None)
    return found.message if found else unusual(scene.config) or phrase("Photos and poses may not belong together.")
