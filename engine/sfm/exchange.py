"""Request and outcome of the process that runs COLMAP: two JSON files in the work folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..core.files import write_text
from ..core.parsing import parse_object
from ..core.protocol.sfm_options import Features, Mapping, Pairing

REQUEST, OUTCOME = "request.json", "outcome.json"
FEWEST_FEATURES = 100
"""A photo with fewer features has too little texture to be registered."""


@dataclass(frozen=True)
class CameraGroup:
    """Copies that one camera took."""

    images: tuple[str, ...]
    width: int
    height: int
    focal: float | None  # pixels of the copies, by EXIF
    sample: str  # one of the original files, for COLMAP's table of sensors
    face: str = ""  # the side of a cube that they are cuts for
    rig: str = ""  # what the groups of one cube share


@dataclass(frozen=True)
class SearchRequest:
    """What to do with the copies in a work folder."""

    images: tuple[str, ...]  # in natural order
    groups: tuple[CameraGroup, ...]
    ordered: bool
    features: Features
    pairing: Pairing
    mapping: Mapping
    max_features: int
    threads: int
    thorough: bool = False

    @property
    def database(self) -> str:
        """File in the work folder that keeps features and matches; quick and thorough ones do not mix."""
        return "thorough.db" if self.thorough else "quick.db"


@dataclass(frozen=True)
class ImageOutcome:
    """Whether one copy was registered, with its numbers of features and points."""

    name: str
    features: int
    placed: bool
    points: int
    stray: bool  # placed first, then found to contradict the others


@dataclass(frozen=True)
class Link:
    """Verified matches between two copies."""

    first: str
    second: str
    matches: int


@dataclass(frozen=True)
class Outcome:
    """The best model lies in the work folder's sparse/0; without a model no image is placed."""

    images: tuple[ImageOutcome, ...]
    links: tuple[Link, ...]
    reprojection_error: float
    focals: tuple[float | None, ...]  # what EXIF said for each group, in pixels of the copies

    @property
    def placed(self) -> int:
        """How many copies have a camera."""
        return sum(image.placed for image in self.images)


def write_request(request: SearchRequest, work: Path) -> None:
    """Write request.json."""
    write_text(work / REQUEST, json.dumps(asdict(request)))


def read_request(work: Path) -> SearchRequest:
    """The inverse of write_request."""
    values = parse_object((work / REQUEST).read_text(encoding="utf-8"))
    groups = tuple(CameraGroup(**{**group, "images": tuple(group["images"])}) for group in values["groups"])
    return SearchRequest(**{**values, "images": tuple(values["images"]), "groups": groups})


def write_outcome(outcome: Outcome, work: Path) -> None:
    """Write outcome.json."""
    write_text(work / OUTCOME, json.dumps(asdict(outcome)))


def read_outcome(work: Path) -> Outcome:
    """The inverse of write_outcome."""
    values = parse_object((work / OUTCOME).read_text(encoding="utf-8"))
    return Outcome(tuple(ImageOutcome(**each) for each in values["images"]), tuple(Link(**each) for each in values["links"]),
                   values["reprojection_error"], tuple(values["focals"]))
