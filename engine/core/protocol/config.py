"""Every setting of a training and its default, once. Blender properties and command-line flags read them from here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ..former_names import SETTINGS
from .course import COURSE
from .settings import about, checked, setting, settings_from_json

Backend = Literal["auto", "cuda", "cpu"]
Background = Literal["random", "black", "white"]
StrategyName = Literal["mcmc", "default"]
MaskMeaning = Literal["ignore", "empty"]
Start = Literal["auto", "points", "depth"]


@dataclass(frozen=True)
class TrainConfig:
    """One training run. Learning rates are those that the field shares (3D Gaussian Splatting; MCMC; gsplat)."""

    backend: Backend = setting(
        "auto", "Engine", "which engine computes: auto picks the fastest that runs here, cuda is an NVIDIA GPU, cpu is every processor",
        choices=Backend)
    max_steps: int = setting(3000, "Steps", "how many images are learned from, one a step; more is better and takes longer", 1, 1_000_000)
    max_gaussians: int = setting(
        0, "Max Splats",
        "most Gaussians that the result may have; more show finer detail and take longer; 0: as many as suit this computer and the images",
        0, 50_000_000)
    resolution: int = setting(400, "Resolution", "longest image side in pixels that is trained on; larger images are reduced", 16, 16_384)
    sh_degree: int = setting(2, "View Dependence", "detail of view-dependent colour, 0 (none) to 3", 0, 3)
    seed: int = setting(0, "Seed", "same seed, same result", 0, 2**31 - 1)
    background: Background = setting(
        "random", "Background", "what lies behind transparent pixels while training; random lies behind those alone",
        choices=Background)
    antialiased: bool = setting(False, "Antialiased", "draw small Gaussians without thickening them; for viewers that do the same")

    ssim_lambda: float = setting(0.2, "SSIM Weight", "share of the structural term in the loss; the rest is the absolute difference", 0, 1)
    lr_means: float = setting(
        3.2e-4, "Position Rate", "learning rate of positions, in units of the scene's scale; decays to a hundredth", 0, 1)
    lr_scales: float = setting(7.5e-3, "Scale Rate", "learning rate of log scales", 0, 1)
    lr_opacities: float = setting(7.5e-2, "Opacity Rate", "learning rate of opacity logits", 0, 1)
    lr_quats: float = setting(1.5e-3, "Rotation Rate", "learning rate of rotations", 0, 1)
    lr_sh0: float = setting(
        3.75e-3, "Colour Rate", "learning rate of base colours; view-dependent colour learns at a twentieth of it", 0, 1)

    opacity_regularisation: float = setting(
        0.001, "Opacity Regularisation", "pressure towards transparent Gaussians, so that unused ones free themselves", 0, 10)
    scale_regularisation: float = setting(
        0.001, "Scale Regularisation", "pressure towards small Gaussians; none where there is a sky", 0, 10)
    noise: float = setting(5e5, "Noise", "exploration noise of the strategy mcmc on nearly transparent Gaussians", 0, 1e8)
    strategy: StrategyName = setting(
        "mcmc", "Strategy",
        "where Gaussians are added: mcmc moves unused ones to where they help, default splits those that the images pull at",
        choices=StrategyName)
    grow_rate: float = setting(0.05, "Grow Rate", "share of new Gaussians at each refinement of the strategy mcmc", 0, 1)
    grow_gradient: float = setting(
        4e-4, "Grow Gradient", "mean absolute gradient on the image beyond which the strategy default makes two Gaussians of one", 0, 1)
    max_radius_2d: float = setting(
        0.0, "Max Radius", "reach of a Gaussian as a share of the image beyond which the strategy default splits it; 0: no limit", 0, 1)
    start_share: float = setting(
        1.0, "Start Share", "most of the cap that start points take where Gaussians are added later; the rest is left for those", 0.05, 1)
    reset_every: int = setting(3000, "Reset Every", "steps between the strategy default's resets of all opacities", 1, 1_000_000)
    refine_every: int = setting(100, "Refine Every", "steps between refinements", 1, 1_000_000)
    refine_from: float = setting(0.05, "Refine From", "share of the run after which refinement starts", 0, 1)
    refine_until: float = setting(0.8, "Refine Until", "share of the run after which refinement ends", 0, 1)
    quarter_until: float = setting(0.15, "Quarter Size Until", "share of the run that trains at a quarter of the resolution", 0, 1)
    half_until: float = setting(0.6, "Half Size Until", "share of the run that trains at no more than half of the resolution", 0, 1)
    settle_from: float = setting(
        1.0, "Settle From", "share of the run after which all learning rates sink, to a tenth at its end; 1: those of positions alone",
        0, 1)
    full_sh_at: float = setting(0.5, "Full View Dependence At", "share of the run after which every SH degree is active", 0, 1)
    start: Start = setting(
        "auto", "Start",
        "what the training begins with: the dataset's start points, or splats made of its depth maps; auto: depth where every image has it",
        choices=Start)
    initial_opacity: float = setting(0.3, "Initial Opacity", "opacity of start points", 0.005, 0.99)
    sky: int = setting(0, "Sky Points", "start points on a far dome that become the sky and everything distant; 0: none", 0, 1_000_000)

    mask_meaning: MaskMeaning = setting(
        "ignore", "Masks", "what masks hide: ignore leaves those pixels out, empty says that nothing is there",
        choices=MaskMeaning)
    guides: bool = setting(
        True, "Depth and Normals",
        "learn from the dataset's depth and normal maps where every image has them; weights that are set are kept either way")
    guide_until: float = setting(0.6, "Guide Until", "share of the run during which depth and normal maps are learned from", 0, 1)
    alpha_weight: float = setting(
        0.0, "Transparency Weight", "weight of the difference to the images' transparency, beside what the random background teaches",
        0, 100)
    depth_weight: float = setting(
        0.0, "Depth Weight", "weight of the relative difference to the dataset's depth maps", 0, 100)
    normal_weight: float = setting(
        0.0, "Normal Weight", "weight of the angle between the splats' normals and the dataset's normal maps", 0, 100)
    distortion_weight: float = setting(
        0.0, "Distortion Weight", "pressure against floaters: the spread of depth along each ray", 0, 100)
    transmittance_weight: float = setting(
        0.0, "Transmittance Weight", "pressure against haze: every pixel is either covered or empty", 0, 100)
    needle_weight: float = setting(
        0.0, "Needle Weight", "pressure against Gaussians whose largest axis is more than ten times the middle one", 0, 100)
    lr_exposure: float = setting(
        0.0, "Exposure Rate", "learning rate of a brightness and tint of its own for each photo; 0: all photos have the same exposure",
        0, 1)
    lr_poses: float = setting(
        0.0, "Pose Rate", "learning rate of small corrections to the photos' poses, in units of the scene's scale; 0: the poses are right",
        0, 1)

    surfaces: bool = setting(
        True, "Surfaces", "give each splat the object, the colour without light and the normal that the dataset's maps show")

    smoke_test: bool = setting(True, "Smoke Test", "stop when the first hundred steps make nothing better")
    pause_on_failure: bool = setting(True, "Pause on Failure", "pause, with a checkpoint, when the training turns out to be unhealthy")
    anyway: bool = setting(
        False, "Train Anyway", "train on what is left where most of the dataset, or all but two of its views, cannot be used")
    eval_every: int = setting(500, "Measure Every", "steps between measurements on held-out views", 1, 1_000_000)
    preview_seconds: float = setting(2.0, "Preview Seconds", "seconds between previews for the viewport", 0.1, 3_600)
    checkpoint_seconds: float = setting(10.0, "Checkpoint Seconds", "seconds between checkpoints", 0.1, 3_600)
    schedule_steps: int = setting(
        0, "Schedule Steps",
        "steps over which learning rates, image size and refinement run their course; those beyond go on as the last of them; 0: all steps",
        0, 1_000_000)
    minutes: float = setting(
        0.0, "Time",
        "minutes that the training shall take: resolution, steps and splats are fitted into them as this computer is found to be fast; "
        "0: as long as the steps take", 0, 100_000)
    course: str = setting(
        "", "Course", "steps and the end that was planned at each, as a training with minutes has written them; to repeat it", form=COURSE)
    max_minutes: float = setting(
        0.0, "Max Minutes",
        "minutes that the training should take at most: estimates warn of more, with the setting that helps; 0: no limit", 0, 100_000)
    budget_hours: float = setting(
        0.0, "Budget (Hours)",
        "hours after which the training stops with a checkpoint and the splats so far; it goes on when the budget is raised; 0: no limit",
        0, 100_000)
    budget_cost: float = setting(
        0.0, "Budget (Cost)",
        "money that the training may cost at most, by the price per hour of the engine that trains; 0: no limit", 0, 1_000_000)
    gpus: int = setting(1, "Graphics Cards", "graphics cards that learn from different photos at the same time", 1, 64)
    gpu_memory: float = setting(
        0.0, "Card Memory (GB)", "gigabytes of a graphics card's memory that may be used; 0: nearly all that is free", 0, 10_000)
    image_memory: float = setting(
        0.0, "Photo Memory (GB)",
        "gigabytes of the computer's memory for decoded photos, others are read again when needed; 0: half of what is free", 0, 100_000)
    threads: int = setting(0, "Threads", "CPU threads; 0 leaves one core free for Blender when there are more than two", 0, 256)

    def validate(self) -> TrainConfig:
        """Return self, or raise UserError naming the first setting that is out of range."""
        return checked(self)

    @property
    def planned_steps(self) -> int:
        """Steps over which the schedule runs its course."""
        return self.schedule_steps or self.max_steps

    def lasting(self, max_steps: int) -> TrainConfig:
        """The same training with another length. A longer one keeps its schedule and goes on beyond it as it ended; in a shorter one the
        schedule ends with the training."""
        if max_steps == self.max_steps:
            return self
        planned = self.planned_steps
        kept = {"schedule_steps": planned} if planned < max_steps else {"schedule_steps": 0, "course": ""}
        return replace(self, max_steps=max_steps, minutes=0.0, **kept)


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
"""What long trainings share: many steps, so the learning rates and the regularisation of the papers."""

SHORT = {"strategy": "default", "start_share": 0.6, "reset_every": 1_000_000, "settle_from": 0.7}
"""What trainings of a few thousand steps share. They never reset opacities: what a reset spoils takes thousands of steps to come back."""

SHORTEST = {**SHORT, "lr_means": 6e-4, "lr_scales": 2.5e-2}
"""What those of hundreds of steps have: Gaussians have little time to take their place and shape. Chosen by `make sweep`."""

PRESETS: dict[PresetName, Preset] = {
    "quick-look": Preset("Quick Look", "a first impression within seconds", {**SHORTEST, "max_steps": 600, "resolution": 320}),
    "preview": Preset("Preview", "good enough to judge views and light, within two minutes on two cores", {**SHORT, "grow_gradient": 8e-4}),
    "gpu-preview": Preset("GPU Preview", "a few minutes on a graphics card, about an hour on a processor",
                          {**LONG, "max_steps": 7_000, "max_gaussians": 500_000}),
    "standard": Preset("Standard", "for most scenes; hours on a processor, minutes on a graphics card",
                       {**LONG, "max_steps": 15_000, "max_gaussians": 1_000_000}),
    "full": Preset("Full", "all detail that the images hold; on a graphics card, or overnight",
                   {**LONG, "max_steps": 30_000, "max_gaussians": 2_000_000, "resolution": 3200}),
    "outdoor": Preset("Outdoor", "photos of large places with sky and changing light; on a graphics card, or overnight",
                      {**LONG, "max_steps": 30_000, "max_gaussians": 3_000_000, "sky": 50_000, "lr_exposure": 1e-3, "lr_poses": 1e-5}),
    "object": Preset("Object", "one thing before white or before nothing; hours on a processor, minutes on a graphics card",
                     {**LONG, "max_steps": 15_000, "max_gaussians": 500_000, "background": "white", "alpha_weight": 0.1}),
}


TIMES: dict[str, tuple[str, float]] = {
    "STEPS": ("By Steps", 0.0), "SECONDS_20": ("20 Seconds", 1 / 3), "MINUTES_2": ("2 Minutes", 2.0), "MINUTES_10": ("10 Minutes", 10.0),
    "HOUR": ("1 Hour", 60.0), "NIGHT": ("Overnight", 480.0)}
"""Choices of `minutes`, with their labels."""


def limits(name: str) -> tuple[float, float]:
    """Smallest and largest value of a setting of TrainConfig that is a number."""
    known = about(TrainConfig, name)
    assert known.low is not None and known.high is not None
    return known.low, known.high


def describe(name: str) -> str:
    """The sentence under a setting of TrainConfig."""
    return about(TrainConfig, name).text


LATER = ("guides", "guide_until", "anyway", "schedule_steps", "budget_hours", "budget_cost", "start_share", "minutes", "course",
         "settle_from", "surfaces")
"""Settings that files of 0.1.0 do not know: left away at their default, so that it reads them and what is derived from them stays."""

CHANGEABLE = ("backend", "gpus", "gpu_memory", "image_memory", "threads", "smoke_test", "pause_on_failure", "anyway", "budget_hours",
              "budget_cost")
"""Settings that may change when a training goes on."""


def gone_on(before: TrainConfig, asked: TrainConfig) -> TrainConfig:
    """Settings of a training that goes on: as it began, but for its length, the engine it runs on, and a cap that was asked for."""
    changes = {name: getattr(asked, name) for name in CHANGEABLE}
    return replace(before.lasting(asked.max_steps), **changes, max_gaussians=asked.max_gaussians or before.max_gaussians)


FORMER = {current: former for former, current in SETTINGS.items()}


def config_to_json(config: TrainConfig) -> dict[str, Any]:
    """Plain values for job.json, under the names that files keep, without those of LATER that have their default."""
    return {FORMER.get(name, name): value for name, value in asdict(config).items()
            if name not in LATER or value != getattr(TrainConfig, name)}


def config_from_json(values: dict[str, Any]) -> TrainConfig:
    """The inverse of config_to_json, which reads current names too. Unknown names and bad values raise UserError; missing names take
    their defaults."""
    return settings_from_json(TrainConfig, {SETTINGS.get(name, name): value for name, value in values.items()}, "the training")
