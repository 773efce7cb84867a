"""Where services for managed trainings put the input and expect the output.

SageMaker runs `docker run IMAGE train` with everything below /opt/ml: input/data/CHANNEL, input/config/hyperparameters.json,
checkpoints (which it copies to S3 and back), model, output/failure. Vertex AI names folders of Cloud Storage in AIP_MODEL_DIR and
AIP_CHECKPOINT_DIR and mounts Cloud Storage below /gcs. AWS Batch, and a container on a rented machine, have no places of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from ..core.datasets.file_types import is_plain_photos
from ..core.datasets.read import holds_dataset
from ..core.errors import UserError

Service = Literal["auto", "sagemaker", "vertex", "folders"]

CLOUD_STORAGE = "gs://"
USUAL_CHANNELS = ("training", "train", "dataset")
"""Names of the channel with the dataset, where there are several."""


@dataclass(frozen=True)
class JobPlaces:
    """Folders and files of one managed training; None where there is none, or not yet."""

    service: str
    input: Path | None = None
    parameters: Path | None = None
    checkpoints: Path | None = None
    model: Path | None = None
    failure: Path | None = None


def places_of(service: Service, environment: Mapping[str, str], root: Path) -> JobPlaces:
    """What a service provides by itself, below `root`; auto: the service that this looks like."""
    found = likely(environment, root) if service == "auto" else service
    if found == "sagemaker":
        base = root / "opt" / "ml"
        return JobPlaces("SageMaker", base / "input" / "data", base / "input" / "config" / "hyperparameters.json", base / "checkpoints",
                         base / "model", base / "output" / "failure")
    if found == "vertex":
        model, checkpoints = environment.get("AIP_MODEL_DIR", ""), environment.get("AIP_CHECKPOINT_DIR", "")
        return JobPlaces("Vertex AI", checkpoints=mounted(checkpoints, root) if checkpoints else None,
                         model=mounted(model, root) if model else None)
    return JobPlaces("folders")


def likely(environment: Mapping[str, str], root: Path) -> Service:
    """The service that runs this container, as its variables and folders tell."""
    if environment.get("AIP_MODEL_DIR") or environment.get("AIP_CHECKPOINT_DIR"):
        return "vertex"
    return "sagemaker" if (root / "opt" / "ml" / "input").is_dir() else "folders"


def mounted(place: str, root: Path) -> Path:
    """The folder or file of a name that may be one of Cloud Storage, which Vertex AI mounts below /gcs."""
    return root / "gcs" / place.removeprefix(CLOUD_STORAGE) if place.startswith(CLOUD_STORAGE) else Path(place)


def with_options(places: JobPlaces, root: Path, **chosen: str) -> JobPlaces:
    """The places, with those that options name instead; an empty one leaves what the service provides."""
    return replace(places, **{name: mounted(place, root) for name, place in chosen.items() if place})


@dataclass(frozen=True)
class RequiredPlaces:
    """The places of a training that has all it needs."""

    input: Path
    checkpoints: Path
    model: Path


def complete(places: JobPlaces) -> RequiredPlaces:
    """The places that a training cannot do without; UserError for the first that is missing."""
    if places.input is None:
        raise UserError("No folder with the images and cameras is given.", "Give it with --input.")
    if places.model is None:
        raise UserError("No folder for the result is given.", "Give it with --model.")
    if places.checkpoints is None:
        raise UserError("No folder for checkpoints is given, so a training that is cut off would begin anew.",
                        "Give one that outlives the machine with --checkpoints.")
    return RequiredPlaces(places.input, places.checkpoints, places.model)


def dataset_in(inputs: Path, channel: str) -> Path:
    """The dataset in the folder of the input: the folder itself, or one of its channels; UserError naming what is there instead."""
    if not inputs.exists():
        raise UserError(f"The input {inputs} is not there.", "Check the input channel, or the mounted folder, of the job.")
    if channel:
        place = inputs / channel
    elif inputs.is_file() or holds_dataset(inputs):
        return inputs
    else:
        channels = sorted(path for path in inputs.iterdir() if path.is_dir() and not path.name.startswith("."))
        named = [path for name in USUAL_CHANNELS for path in channels if path.name == name]
        place = named[0] if named else channels[0] if len(channels) == 1 else inputs
        if len(channels) > 1 and not named:
            raise UserError(f"The input has several channels: {', '.join(path.name for path in channels)}.",
                            "Name the one with the dataset in the settings, as channel=NAME.")
    if not place.exists():
        raise UserError(f"The input has no channel {channel!r}: {place} is not there.", "Check its name in the settings of the job.")
    if not holds_dataset(place) and is_plain_photos(place):
        raise UserError(f"{place} holds photos without cameras.",
                        "Find the cameras first with `splatwright poses PHOTOS DATASET`, and give the job that dataset.")
    return place
