"""Extracting the frames of a video: the sharpest of each stretch, without those that repeat the one before."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from av.video.frame import VideoFrame
from PIL import Image

from ..core.errors import UserError
from ..core.files import discard_folder, disk_error, make_folder, remove_file, rename, replacing
from ..core.protocol.progress import OnProgress, Step, ignore_progress
from ..core.protocol.sfm_options import FrameOptions
from .video import Timeline, decoded, display_matrix, grey, hdr, opened, picture, timeline

LOOK = "scanning the video"
TAKE = "extracting frames"
LOOKED_AT = 960
"""Longest side in pixels at which frames are compared."""

THUMBNAIL = 48
ALIKE = 1.0
"""Mean difference of two thumbnails, in levels of 255, below which the camera has not moved."""

QUALITY = 95


@dataclass(frozen=True)
class FramesReport:
    """What extracting frames from a video came to."""

    video: str
    pictures: tuple[Path, ...]
    width: int
    height: int
    frames: int  # that were looked at
    seconds: float
    alike: int
    turned: bool
    hdr: str  # PQ, HLG or empty
    cut_off: bool

    def notes(self) -> list[str]:
        """Sentences about what is special."""
        found = []
        if self.hdr:
            found.append(f"The video is HDR ({self.hdr}); the frames are tone-mapped to sRGB.")
        if self.turned:
            found.append("The video was recorded with the camera turned; the frames are upright.")
        if self.alike:
            found.append(f"{self.alike} frames were left out because they show the same as the one before: the camera stood still.")
        if self.cut_off:
            found.append(f"The video is cut off or damaged: only {self.seconds:.1f} seconds of it can be read.")
        return found

    def text(self) -> str:
        """The report as people read it."""
        line = (f"{len(self.pictures)} frames of {self.width} x {self.height} pixels, the sharpest of {self.frames} in "
                f"{self.seconds:.1f} seconds of {self.video}.")
        return "\n".join([line, *self.notes()]) + "\n"


@dataclass(frozen=True)
class _Candidate:
    """The sharpest frame of a stretch so far."""

    frame: VideoFrame
    sharpness: float
    thumbnail: np.ndarray  # [h, w] float32


def extract_frames(video: Path, folder: Path, options: FrameOptions = FrameOptions(),  # noqa: B008
                   on_progress: OnProgress = ignore_progress) -> FramesReport:
    """Extract frames of a video into a folder, as NAME_00001.jpg and so on; earlier ones of the same name are replaced.

    The files appear together at the end; a cancelled or failed run leaves the folder unchanged. UserError for what is no video.
    """
    options.validate()
    shown = timeline(video, lambda: on_progress(Step(LOOK)))
    part = make_folder(folder / f".{video.stem}.part")
    try:
        report = _taken(video, part, shown, options, on_progress)
        return _moved(report, part, folder, video.stem)
    except OSError as error:
        raise disk_error(folder, error) from error
    finally:
        discard_folder(part)
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def _taken(video: Path, part: Path, shown: Timeline, options: FrameOptions, on_progress: OnProgress) -> FramesReport:
    aspect, counter = _pixel_aspect(video), _Counter(on_progress, len(shown.times))
    pictures: list[Path] = []
    last, alike, size, first = None, 0, (0, 0), None
    for found in _sharpest(video, _stretch(shown, options), counter):
        first = first or found.frame
        if not options.keep_alike and last is not None and _are_alike(last, found.thumbnail):
            alike += 1
            continue
        last = found.thumbnail
        image = Image.fromarray(picture(found.frame, aspect, options.size))
        pictures.append(_saved(image, part / f"{video.stem}_{len(pictures) + 1:05d}.jpg"))
        size = image.size
    if first is None:
        raise UserError(f"No frame of {video.name} can be decoded.", "Convert it to MP4 with H.264, or copy it again from the camera.",
                        "video.undecodable", video=video.name)
    turned = not np.array_equal(display_matrix(first), np.eye(2))
    cut_off = shown.cut_off or counter.done < 0.9 * len(shown.times)
    return FramesReport(video.name, tuple(pictures), *size, counter.done, shown.seconds, alike, turned, hdr(first) or "", cut_off)


class _Counter:
    """Counts frames and reports each as a step."""

    def __init__(self, on_progress: OnProgress, total: int):
        self.on_progress, self.total, self.done = on_progress, total, 0

    def __call__(self) -> None:
        self.done += 1
        self.on_progress(Step(TAKE, min(self.done, self.total), self.total))


def _stretch(shown: Timeline, options: FrameOptions) -> float:
    """Seconds of video from which one frame is chosen."""
    return 1 / options.rate if options.rate else max(shown.seconds, 1e-3) / options.count


def _sharpest(video: Path, stretch: float, tick: _Counter) -> Iterator[_Candidate]:
    """The sharpest frame of each stretch of time."""
    best, current = None, 0
    for seconds, frame in decoded(video):
        tick()
        number = int(seconds / stretch + 1e-6)
        if number > current and best is not None:
            yield best
            best = None
        current = max(number, current)
        looked = grey(frame, LOOKED_AT)
        value = sharpness(looked)
        if best is None or value > best.sharpness:
            best = _Candidate(frame, value, thumbnail(looked))
    if best is not None:
        yield best


def sharpness(image: np.ndarray) -> float:
    """Mean square of the Laplacian of a grey image uint8 [H, W]; blur makes it small (Pech-Pacheco et al. 2000)."""
    i = image.astype(np.int16)
    if min(i.shape) < 3:
        return 0.0
    laplacian = 4 * i[1:-1, 1:-1] - i[:-2, 1:-1] - i[2:, 1:-1] - i[1:-1, :-2] - i[1:-1, 2:]
    return float(np.square(laplacian, dtype=np.float32).mean())


def thumbnail(image: np.ndarray) -> np.ndarray:
    """Means of blocks of a grey image [H, W]: float32 of at most 48 x 48, in which noise is gone."""
    block = max(1, max(image.shape) // THUMBNAIL)
    height, width = (max(1, side // block) for side in image.shape)
    cut = image[: height * block, : width * block].astype(np.float32)
    return cut.reshape(height, cut.shape[0] // height, width, cut.shape[1] // width).mean(axis=(1, 3))


def _are_alike(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and float(np.abs(one - other).mean()) < ALIKE


def _pixel_aspect(video: Path) -> float:
    """Width over height of a stored pixel."""
    with opened(video) as (_, stream):
        return float(stream.sample_aspect_ratio or 1)


def _saved(image: Image.Image, path: Path) -> Path:
    with replacing(path) as temporary:
        image.save(temporary, "JPEG", quality=QUALITY, subsampling=0)
    return path


def _moved(report: FramesReport, part: Path, folder: Path, stem: str) -> FramesReport:
    """Move the frames into their folder, in place of those of an earlier run; returns the report with the new paths."""
    earlier = re.compile(re.escape(stem) + r"_\d{5}\.jpg")
    for path in folder.iterdir():
        if earlier.fullmatch(path.name):
            remove_file(path)
    moved = [rename(path, folder / path.name) for path in report.pictures]
    return FramesReport(**{**vars(report), "pictures": tuple(moved)})
