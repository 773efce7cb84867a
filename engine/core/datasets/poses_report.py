"""What finding the cameras of photos came to, in numbers and in plain words. Written as poses.json beside the dataset."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..confinement import admitted
from ..errors import UserError
from ..files import disk_error, write_text
from ..parsing import parse_object
from ..text import duration

FILE, TEXT, PICTURE = "poses.json", "poses.txt", "poses.png"
GOOD_ERROR = 1.0
"""Pixels of reprojection error below which cameras fit well."""


@dataclass(frozen=True)
class UnregisteredPhoto:
    """A photo that has no camera, why, and the photo that it fits best, if any."""

    name: str
    reason: str
    partner: str = ""


@dataclass(frozen=True)
class LensReport:
    """One camera as it was found: photos of one size, maker and zoom share it."""

    name: str  # empty when the photos do not tell
    photos: int
    width: int
    height: int
    focal: float  # pixels at this size
    equivalent: float  # millimetres on full frame
    exif: float | None  # the focal length in pixels that EXIF told


@dataclass(frozen=True)
class Gap:
    """A piece of the way around the scene without photos: degrees from `first` to `second`, counter-clockwise seen from above."""

    first: str
    second: str
    start: float
    degrees: float


@dataclass(frozen=True)
class PosesReport:
    """Figures of one run, and sentences about what to photograph next."""

    placed: tuple[str, ...]
    unplaced: tuple[UnregisteredPhoto, ...]
    lenses: tuple[LensReport, ...]
    reprojection_error: float  # pixels, mean, in photos of `working_size`
    working_size: int
    points: int
    pairs: int
    mapping: str
    centre: tuple[float, float, float]  # where the cameras look
    gap: Gap | None
    advice: tuple[str, ...]
    seconds: float

    @property
    def photos(self) -> int:
        """How many there were."""
        return len(self.placed) + len(self.unplaced)

    def text(self) -> str:
        """The report as people read it."""
        lines = [f"{len(self.placed)} of {self.photos} photos are registered."]
        lines += [f"  not registered: {photo.name}: {photo.reason}" for photo in self.unplaced]
        fit = "good" if self.reprojection_error < GOOD_ERROR else "poor: some photos are blurred, or something moved"
        lines.append(f"Reprojection error: {self.reprojection_error:.2f} pixels on photos of {self.working_size} pixels ({fit}); "
                     f"{self.points:,} points were found.")
        lines += [_lens_line(lens) for lens in self.lenses]
        if self.advice:
            lines.append("What to photograph next:")
            lines += [f"  {sentence}" for sentence in self.advice]
        lines.append(f"It took {duration(self.seconds)}.")
        return "\n".join(lines) + "\n"


def _lens_line(lens: LensReport) -> str:
    known = f", where EXIF says {lens.exif:.0f}" if lens.exif else ", EXIF says nothing"
    count = f"{lens.photos} photo" + ("s" if lens.photos != 1 else "")
    return (f"Lens {lens.name}".rstrip() + f" ({count} of {lens.width} x {lens.height}): focal length {lens.focal:.0f} pixels"
            f"{known}; like {lens.equivalent:.0f} mm on full frame.")


def write_report(report: PosesReport, folder: Path) -> Path:
    """Write poses.json into a folder; returns its path."""
    path = folder / FILE
    write_text(path, json.dumps(asdict(report), indent=1, ensure_ascii=False))
    return path


def read_report(folder: Path) -> PosesReport:
    """The inverse of write_report; UserError when the file is not there or damaged."""
    path = folder / FILE
    try:
        values = parse_object(admitted(path).read_text(encoding="utf-8"))
        parts = {"unplaced": tuple(UnregisteredPhoto(**each) for each in values["unplaced"]),
                 "lenses": tuple(LensReport(**each) for each in values["lenses"]),
                 "gap": Gap(**values["gap"]) if values["gap"] else None, "centre": tuple(values["centre"]),
                 "placed": tuple(values["placed"]), "advice": tuple(values["advice"])}
        return PosesReport(**{**values, **parts})
    except OSError as error:
        raise disk_error(path, error) from error
    except (ValueError, TypeError, KeyError, AttributeError):
        raise UserError(f"{path} is damaged.", "Find the cameras again: splatwright poses.", "poses.damaged_report", path=path) from None
