"""What a job is asked to do: the contents of job.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Union, get_args

from .config import TrainConfig, config_from_json, config_to_json
from .sfm_options import FrameOptions, PosesOptions, frame_options_from_json, options_from_json

Kind = Literal["train", "poses", "frames"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class JobSpec:
    """A training of splats."""

    dataset: Path
    config: TrainConfig
    name: str = ""


@dataclass(frozen=True)
class PosesSpec:
    """A search for the cameras of photos."""

    photos: Path
    options: PosesOptions = field(default_factory=PosesOptions)
    name: str = ""
    dataset: Path = Path("dataset")
    """where the result goes; a relative path lies in the job folder"""


@dataclass(frozen=True)
class FramesSpec:
    """Pictures out of a video."""

    video: Path
    options: FrameOptions = field(default_factory=FrameOptions)
    name: str = ""
    photos: Path = Path("photos")
    """where the pictures go; a relative path lies in the job folder"""


Spec = Union[JobSpec, PosesSpec, FramesSpec]


def spec_to_json(spec: Spec) -> dict[str, Any]:
    """Plain values for job.json, without the protocol's number."""
    match spec:
        case JobSpec():
            return {"kind": "train", "name": spec.name, "dataset": str(spec.dataset), "config": config_to_json(spec.config)}
        case PosesSpec():
            return {"kind": "poses", "name": spec.name, "photos": str(spec.photos), "dataset": str(spec.dataset),
                    "options": asdict(spec.options)}
        case FramesSpec():
            return {"kind": "frames", "name": spec.name, "video": str(spec.video), "photos": str(spec.photos),
                    "options": asdict(spec.options)}


def spec_from_json(values: dict[str, Any]) -> Spec:
    """The inverse of spec_to_json. TypeError, ValueError or KeyError for what is no spec, UserError for settings out of range."""
    kind, name = values.get("kind", "train"), str(values.get("name", ""))
    match kind, values:
        case "train", {"dataset": str(dataset), "config": dict(config)}:
            return JobSpec(Path(dataset), config_from_json(config), name)
        case "poses", {"photos": str(photos), "dataset": str(dataset), "options": dict(options)}:
            return PosesSpec(Path(photos), options_from_json(options), name, Path(dataset))
        case "frames", {"video": str(video), "photos": str(photos), "options": dict(options)}:
            return FramesSpec(Path(video), frame_options_from_json(options), name, Path(photos))
    raise ValueError
