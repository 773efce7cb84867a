"""Every setting of a training and its default, once. Blender properties and command-line flags read them from here."""

from __future__ import annotations

import ast
import inspect
import math
from dataclasses import asdict, dataclass, fields
from functools import cache
from itertools import pairwise
from typing import Any, Literal, get_args

from ..errors import UserError

Backend = Literal["auto", "cuda", "cpu"]
Background = Literal["random", "black", "white"]
StrategyName = Literal["mcmc", "default"]
MaskMeaning = Literal["ignore", "empty"]
Start = Literal["auto", "points", "depth"]


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Learning rates are those that the field shares (3D Gaussian Splatting; MCMC; gsplat)."""

    backend: Backend = "auto"
    """which engine computes: auto picks the fastest that runs here, cuda is an NVIDIA GPU, cpu is every processor"""
    max_steps: int = 3000
    """how many images are learned from, one a step; more is better and takes longer"""
    max_gaussians: int = 0
    """most Gaussians that the result may have; more show finer detail and take longer; 0: as many as suit this computer and the images"""
    resolution: int = 400
    """longest image side in pixels that is trained on; larger images are reduced"""
    sh_degree: int = 2
    """detail of view-dependent colour, 0 (none) to 3"""
    seed: int = 0
    """same seed, same result"""
    background: Background = "random"
    """what lies behind transparent pixels while training; random lies behind those alone"""
    antialiased: bool = False
    """draw small Gaussians without thickening them; for viewers that do the same"""

    ssim_lambda: float = 0.2
    """share of the structural term in the loss; the rest is the absolute difference"""
    lr_means: float = 3.2e-4
    """learning rate of positions, in units of the scene's scale; decays to a hundredth"""
    lr_scales: float = 7.5e-3
    """learning rate of log scales"""
    lr_opacities: float = 7.5e-2
    """learning rate of opacity logits"""
    lr_quats: float = 1.5e-3
    """learning rate of rotations"""
    lr_sh0: float = 3.75e-3
    """learning rate of base colours; view-dependent colour learns at a twentieth of it"""

    opacity_regularisation: float = 0.001
    """pressure towards transparent Gaussians, so that unused ones free themselves"""
    scale_regularisation: float = 0.001
    """pressure towards small Gaussians; none where there is a sky"""
    noise: float = 5e5
    """exploration noise of the strategy mcmc on nearly transparent Gaussians"""
    strategy: StrategyName = "mcmc"
    """where Gaussians are added: mcmc moves unused ones to where they help, default splits those that the images pull at"""
    growth: float = 0.05
    """share of new Gaussians at each refinement of the strategy mcmc"""
    grow_gradient: float = 4e-4
    """mean absolute gradient on the image beyond which the strategy default makes two Gaussians of one"""
    reach_limit: float = 0.0
    """reach of a Gaussian as a share of the image beyond which the strategy default splits it; 0: no limit"""
    reset_every: int = 3000
    """steps between the strategy default's resets of all opacities"""
    refine_every: int = 100
    """steps between refinements"""
    refine_from: float = 0.05
    """share of the run after which refinement starts"""
    refine_until: float = 0.8
    """share of the run after which refinement ends"""
    quarter_until: float = 0.15
    """share of the run that trains at a quarter of the resolution"""
    half_until: float = 0.6
    """share of the run that trains at no more than half of the resolution"""
    full_sh_at: float = 0.5
    """share of the run after which every SH degree is active"""
    start: Start = "auto"
    """what the training begins with: the dataset's start points, or splats made of its depth maps; auto: depth where every image has it"""
    initial_opacity: float = 0.3
    """opacity of start points"""
    sky: int = 0
    """start points on a far dome that become the sky and everything distant; 0: none"""

    mask_meaning: MaskMeaning = "ignore"
    """what masks hide: ignore leaves those pixels out, empty says that nothing is there"""
    alpha_weight: float = 0.0
    """weight of the difference to the images' transparency, beside what the random background teaches"""
    depth_weight: float = 0.0
    """weight of the relative difference to the dataset's depth maps"""
    normal_weight: float = 0.0
    """weight of the angle between the depth's slope and the dataset's normal maps"""
    distortion_weight: float = 0.0
    """pressure against floaters: the spread of depth along each ray"""
    transmittance_weight: float = 0.0
    """pressure against haze: every pixel is either covered or empty"""
    needle_weight: float = 0.0
    """pressure against Gaussians whose largest axis is more than ten times the middle one"""
    lr_exposure: float = 0.0
    """learning rate of a brightness and tint of its own for each photo; 0: all photos have the same exposure"""
    lr_poses: float = 0.0
    """learning rate of small corrections to the photos' poses, in units of the scene's scale; 0: the poses are right"""

    trial: bool = True
    """stop when the first hundred steps make nothing better"""
    pause_when_sick: bool = True
    """pause, with a checkpoint, when the training turns out to be sick"""
    eval_every: int = 500
    """steps between measurements on held-out views"""
    preview_seconds: float = 2.0
    """seconds between previews for the viewport"""
    checkpoint_seconds: float = 10.0
    """seconds between checkpoints"""
    max_minutes: float = 0.0
    """minutes that the training should take at most: estimates warn of more, with the setting that helps; 0: no limit"""
    gpus: int = 1
    """graphics cards that learn from different photos at the same time"""
    gpu_memory: float = 0.0
    """gigabytes of a graphics card's memory that may be used; 0: nearly all that is free"""
    image_memory: float = 0.0
    """gigabytes of the computer's memory for decoded photos, others are read again when needed; 0: half of what is free"""
    threads: int = 0
    """CPU threads; 0 leaves one core free for Blender when there are more than two"""

    def validate(self) -> TrainConfig:
        """Return self, or raise UserError naming the first setting that is out of range."""
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name))
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise UserError(f"{name} is {value}.", f"Set it between {low} and {high}.")
        return self


_CHOICES: dict[str, tuple[str, ...]] = {"backend": get_args(Backend), "background": get_args(Background),
                                        "strategy": get_args(StrategyName), "mask_meaning": get_args(MaskMeaning),
                                        "start": get_args(Start)}

_RANGES: dict[str, tuple[float, float]] = {
    "max_steps": (1, 1_000_000), "max_gaussians": (0, 50_000_000), "resolution": (16, 16_384), "sh_degree": (0, 3),
    "seed": (0, 2**31 - 1), "ssim_lambda": (0, 1), "lr_means": (0, 1), "lr_scales": (0, 1), "lr_opacities": (0, 1),
    "lr_quats": (0, 1), "lr_sh0": (0, 1), "opacity_regularisation": (0, 10), "scale_regularisation": (0, 10),
    "noise": (0, 1e8), "growth": (0, 1), "refine_every": (1, 1_000_000), "refine_from": (0, 1), "refine_until": (0, 1),
    "quarter_until": (0, 1), "half_until": (0, 1), "full_sh_at": (0, 1), "initial_opacity": (0.005, 0.99),
    "grow_gradient": (0, 1), "reach_limit": (0, 1), "reset_every": (1, 1_000_000), "sky": (0, 1_000_000),
    "alpha_weight": (0, 100), "depth_weight": (0, 100), "normal_weight": (0, 100), "distortion_weight": (0, 100),
    "transmittance_weight": (0, 100), "needle_weight": (0, 100), "lr_exposure": (0, 1), "lr_poses": (0, 1),
    "eval_every": (1, 1_000_000), "preview_seconds": (0.1, 3600), "checkpoint_seconds": (0.1, 3600), "threads": (0, 256),
    "max_minutes": (0, 100_000), "gpus": (1, 64), "gpu_memory": (0, 10_000), "image_memory": (0, 100_000),
}


@dataclass(frozen=True)
class Preset:
    """Settings that go together, beside the defaults."""

    label: str
    sentence: str
    settings: dict[str, Any]


PresetName = Literal["quick-look", "preview", "gpu-preview", "standard", "full", "outdoor", "object"]

DEFAULT_PRESET: PresetName = "preview"

LONG = {"sh_degree": 3, "resolution": 1600, "lr_means": 1.6e-4, "lr_scales": 5e-3, "lr_opacities": 5e-2, "lr_quats": 1e-3, "lr_sh0": 2.5e-3,
        "opacity_regularisation": 0.01, "scale_regularisation": 0.01, "eval_every": 2500}
"""What trainings for a graphics card share: many steps, so the learning rates and the regularisation of the papers."""

PRESETS: dict[PresetName, Preset] = {
    "quick-look": Preset("Quick Look", "a first impression within seconds",
                         {"max_steps": 1000, "resolution": 320, "refine_every": 50, "strategy": "default"}),
    "preview": Preset("Preview", "good enough to judge views and light, within two minutes on two cores", {"strategy": "default"}),
    "gpu-preview": Preset("GPU Preview", "a few minutes on a graphics card", {**LONG, "max_steps": 7_000, "max_gaussians": 500_000}),
    "standard": Preset("Standard", "for most scenes, on a graphics card", {**LONG, "max_steps": 15_000, "max_gaussians": 1_000_000}),
    "full": Preset("Full", "all detail that the images hold, on a graphics card",
                   {**LONG, "max_steps": 30_000, "max_gaussians": 2_000_000, "resolution": 3200}),
    "outdoor": Preset("Outdoor", "photos of large places with sky and changing light, on a graphics card",
                      {**LONG, "max_steps": 30_000, "max_gaussians": 3_000_000, "sky": 50_000, "lr_exposure": 1e-3, "lr_poses": 1e-5}),
    "object": Preset("Object", "one thing before white or before nothing, on a graphics card",
                     {**LONG, "max_steps": 15_000, "max_gaussians": 500_000, "background": "white", "alpha_weight": 0.1}),
}


def limits(name: str) -> tuple[float, float]:
    """Smallest and largest value of a setting."""
    return _RANGES[name]


@cache
def describe(name: str) -> str:
    """The sentence under a setting of TrainConfig."""
    body = next(node.body for node in ast.walk(ast.parse(inspect.getsource(TrainConfig))) if isinstance(node, ast.ClassDef))
    for field, text in pairwise(body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=found)), ast.Expr(value=ast.Constant(value=str(sentence))) if found == name:
                return sentence
    raise KeyError(name)


def _check_type(name: str, value: Any) -> None:
    if name in _CHOICES:
        if value not in _CHOICES[name]:
            raise UserError(f"{name} is {value!r}.", f"Choose one of: {', '.join(_CHOICES[name])}.")
    elif isinstance(getattr(TrainConfig, name), bool):
        if not isinstance(value, bool):
            raise UserError(f"{name} is {value!r}.", "Set it to true or false.")
    elif isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise UserError(f"{name} is {value!r}, not a number.", "Give a number.")
    elif isinstance(getattr(TrainConfig, name), int) and value != int(value):
        raise UserError(f"{name} is {value}, not a whole number.", "Give a whole number.")


def config_to_json(config: TrainConfig) -> dict[str, Any]:
    """Plain values for job.json."""
    return asdict(config)


def config_from_json(values: dict[str, Any]) -> TrainConfig:
    """The inverse of config_to_json. Unknown names and bad values raise UserError; missing names take their defaults."""
    known = {field.name for field in fields(TrainConfig)}
    unknown = sorted(set(values) - known)
    if unknown:
        raise UserError(f"The training settings contain {', '.join(unknown)}, which this version does not know.",
                        "Remove them, or use the version of Splatwright that wrote the file.")
    return TrainConfig(**values).validate()
