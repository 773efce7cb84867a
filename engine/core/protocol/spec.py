"""What a job is asked to do, the contents of job.json, and the table of the kinds of jobs.

A new kind of job is a dataclass of its own here, in Spec and in a row of KINDS, and the function that its row names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Union

from ..errors import UserError
from ..parsing import finite, plain_path
from .config import TrainConfig, config_from_json, config_to_json
from .sfm_options import FrameOptions, PosesOptions, frame_options_from_json, options_from_json

Rows = tuple[tuple[float, ...], ...]
"""A matrix [4, 4] by rows."""


@dataclass(frozen=True)
class JobSpec:
    """A training of splats."""

    dataset: Path
    config: TrainConfig
    name: str = ""
    exclude: tuple[str, ...] = ()
    """names of images that this training leaves out, * for any letters; others are in the dataset's excluded.txt"""
    start_file: Path | None = None
    """splats that it begins with, in the dataset's axes; its settings' start tells what it begins with otherwise"""
    region: Rows | None = None
    """the matrix of a box, outside of which only the background grows; where the dataset's source has it, whatever offset is taken from its
    coordinates (core/splats/region.py)"""


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


@dataclass(frozen=True)
class Extra:
    """A field of a spec that may be None, and is in job.json where it is not."""

    name: str
    to_json: Callable[[Any], Any]
    from_json: Callable[[Any], Any]


@dataclass(frozen=True)
class JobKind:
    """All that is particular to one kind of job.

    `source`, `settings` and `output` are names of fields of the spec, and the keys of job.json: the folder or file that the job reads,
    what was chosen, and the folder that it makes (empty where it makes `results`, files of the job folder). `names` is a field of
    names, which job.json has where there are some. `run` is `module:function`
    below the engine and is imported by the worker alone, because nothing here may import the rooms that do the work; the function
    takes the job folder, where events go, and what asks for control. `words` say what the job is.
    """

    name: str
    words: str
    spec: type[Any]
    run: str
    source: str
    settings: str
    settings_to_json: Callable[[Any], dict[str, Any]]
    settings_from_json: Callable[[dict[str, Any]], Any]
    makes: Literal["splats", "photos"]
    results: tuple[str, ...] = ()
    output: str = ""
    names: str = ""
    cards: Callable[[Any], int] = lambda spec: 1
    """how many graphics cards it asks for"""
    extras: tuple[Extra, ...] = ()

    @property
    def reads_dataset(self) -> bool:
        """Whether its source is a dataset, and not photos or a video."""
        return self.source == "dataset"


def rows_from_json(values: Any) -> Rows:
    """A matrix [4, 4] of plain values. TypeError or ValueError for anything else."""
    rows = tuple(tuple(finite(value) for value in row) for row in values)
    if [len(row) for row in rows] != [4] * 4:
        raise ValueError
    return rows


KINDS: dict[str, JobKind] = {kind.name: kind for kind in (
    JobKind("train", "a training", JobSpec, "worker:run_training", "dataset", "config", config_to_json, config_from_json, "splats",
            results=("result.ply", "labels.json", "thumbnail.png", "report.json", "report.html"), names="exclude",
            cards=lambda spec: spec.config.gpus,
            extras=(Extra("start_file", str, plain_path), Extra("region", list, rows_from_json))),
    JobKind("poses", "a search for the cameras of photos", PosesSpec, "sfm.job:run_poses", "photos", "options", asdict, options_from_json,
            "photos", output="dataset"),
    JobKind("frames", "frames from a video", FramesSpec, "sfm.frames_job:run_frames", "video", "options", asdict, frame_options_from_json,
            "photos", output="photos"),
)}
"""By the name in job.json."""

_BY_SPEC = {kind.spec: kind for kind in KINDS.values()}


def kind_of(spec: Spec) -> JobKind:
    """The kind of a job."""
    return _BY_SPEC[type(spec)]


def source_of(spec: Spec) -> Path:
    """The folder or file that a job reads."""
    return getattr(spec, kind_of(spec).source)


def output_of(spec: Spec) -> Path | None:
    """The folder that a job makes, relative to its own unless it was named otherwise; None where it makes single files."""
    name = kind_of(spec).output
    return getattr(spec, name) if name else None


def with_source(spec: Spec, source: Path) -> Spec:
    """The same job, reading from elsewhere and writing into its own folder."""
    kind = kind_of(spec)
    into = {kind.output: getattr(kind.spec, kind.output)} if kind.output else {}
    return replace(spec, **{kind.source: source, **into})


def kept_below(spec: Spec, root: Path) -> Spec:
    """A job as it was sent, whose paths are relative, with its files below `root`."""
    placed = with_source(spec, root / source_of(spec))
    if not isinstance(placed, JobSpec) or placed.start_file is None:
        return placed
    return replace(placed, start_file=root / placed.start_file)


def spec_to_json(spec: Spec) -> dict[str, Any]:
    """Plain values for job.json, without the protocol's number."""
    kind = kind_of(spec)
    paths = {name: str(getattr(spec, name)) for name in (kind.source, kind.output) if name}
    names = {kind.names: list(getattr(spec, kind.names))} if kind.names and getattr(spec, kind.names) else {}
    extras = {extra.name: extra.to_json(value) for extra in kind.extras if (value := getattr(spec, extra.name)) is not None}
    return {"kind": kind.name, "name": spec.name, **paths, **names, **extras,
            kind.settings: kind.settings_to_json(getattr(spec, kind.settings))}


def spec_from_json(values: dict[str, Any]) -> Spec:
    """The inverse of spec_to_json.

    TypeError, ValueError or KeyError for what is no spec, UserError for settings out of range and for kinds that this version lacks.
    """
    name = values.get("kind", "train")
    if isinstance(name, str) and name not in KINDS:
        raise UserError(f"The job is of the kind {name[:40]!r}, which this version does not know.",
                        "Use the version of Splatwright that made it.", "job.unknown_kind", kind=name[:40])
    kind = KINDS[name]
    paths = {field: values[field] for field in (kind.source, kind.output) if field}
    settings = values[kind.settings]
    if not isinstance(settings, dict):
        raise ValueError
    names = values.get(kind.names, []) if kind.names else []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError
    listed = {kind.names: tuple(names)} if names else {}
    found = {field: plain_path(path) for field, path in paths.items()}
    extras = {extra.name: extra.from_json(values[extra.name]) for extra in kind.extras if values.get(extra.name) is not None}
    return kind.spec(**found, **listed, **extras, **{kind.settings: kind.settings_from_json(settings)}, name=str(values.get("name", "")))
