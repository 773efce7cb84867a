"""The frames of a video, upright and in sRGB, with PyAV: the containers of cameras, phones and editors, and any codec that FFmpeg knows."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import ArgumentError, FFmpegError, InvalidDataError
from av.error import EOFError as EndOfFile
from av.filter import Graph
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from ..core.confinement import admitted
from ..core.datasets.file_types import PHOTOS
from ..core.errors import UserError
from ..core.files import disk_error
from .tone_mapping import Transfer, tone_mapped

TRANSFERS: dict[int, Transfer] = {16: "PQ", 18: "HLG"}
"""ITU-T H.273's numbers of the curves of HDR video."""

CONTAINERS = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "mpegvideo", "asf", "flv", "ogg", "mxf", "dv", "h264",
              "hevc", "gif", "mp3", "wav", "flac")
"""FFmpeg's demuxers that read the one file alone. Playlists, sequences of images and descriptions of streams open further files and
addresses, whatever the ending of their own file is."""

OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "file"}

FULL_RANGE = 2
LITTLE = 1.0
"""Seconds that a video may end before its time without being called cut off."""


@dataclass(frozen=True)
class Timeline:
    """When the frames of a video are shown."""

    times: np.ndarray  # [N] seconds from the first, rising
    promised: float  # seconds that the file says it lasts; 0: it does not say

    @property
    def seconds(self) -> float:
        """From the first frame to the end of the last one."""
        count = len(self.times)
        return float(self.times[-1]) * count / (count - 1) if count > 1 else 0.0

    @property
    def cut_off(self) -> bool:
        """Whether frames are missing at the end."""
        return self.promised > self.seconds + max(LITTLE, 0.02 * self.promised)


@contextmanager
def opened(path: Path) -> Iterator[tuple[Any, VideoStream]]:
    """The container of a video and its video stream. UserError for what is no video."""
    if not path.is_file():
        raise UserError(f"{path} does not exist." if not path.exists() else f"{path} is a folder.", "Choose a video file.")
    if path.suffix.lower() in PHOTOS:
        raise UserError(f"{path.name} is an image, not a video.", "Choose a video file; photos need no frames taken from them.",
                        "video.image", file=path.name)
    try:
        with av.open(f"file:{os.path.abspath(admitted(path))}", options=OPTIONS) as container:
            stream = next((stream for stream in container.streams.video if not _is_cover(stream)), None)
            if stream is None:
                raise UserError(f"{path.name} holds no moving images, only {_kinds(container)}.", "Choose a video file.",
                                "video.no_images", file=path.name, kinds=_kinds(container))
            stream.thread_type = "AUTO"
            yield container, stream
    except (InvalidDataError, EndOfFile, ArgumentError):
        raise UserError(f"{path.name} is no video, or its beginning or end is missing.",
                        "Copy it again from the camera, or play it to see whether it is whole.", "video.damaged", file=path.name) from None
    except FFmpegError as error:
        if error.errno and error.errno > 0 and error.strerror and isinstance(error, OSError):
            raise disk_error(path, error) from error
        raise UserError(f"{path.name} cannot be read: {error.strerror}.", "Convert it to MP4 with H.264.", "video.unreadable",
                        file=path.name, problem=error.strerror) from None


def _is_cover(stream: VideoStream) -> bool:
    """Whether a stream is the cover image of an audio file."""
    return "attached_pic" in str(stream.disposition)


def _kinds(container: Any) -> str:
    return " and ".join(sorted({"a cover" if stream.type == "video" else stream.type for stream in container.streams})) or "nothing"


def timeline(path: Path, tick: Callable[[], None]) -> Timeline:
    """Look through a video without decoding it. `tick` is called now and then. UserError when it has no frames."""
    with opened(path) as (container, stream):
        times: list[float] = []
        for number, packet in enumerate(_packets(container, stream)):
            if packet.pts is not None and packet.size:
                times.append(float(packet.pts * packet.time_base))
            if number % 64 == 0:
                tick()
        promised = float(stream.duration * stream.time_base) if stream.duration and stream.time_base else (container.duration or 0) / 1e6
        rate = float(stream.average_rate or stream.guessed_rate or 25)
    if not times:
        raise UserError(f"{path.name} holds no frames.", "Copy it again from the camera; the recording may have been interrupted.",
                        "video.no_frames", file=path.name)
    rising = np.sort(np.array(times)) - min(times)
    return Timeline(rising if len(times) == 1 or rising[-1] > 0 else np.arange(len(times)) / rate, promised)


def _packets(container: Any, stream: VideoStream) -> Iterator[Any]:
    """All packets up to where the file is damaged."""
    packets = container.demux(stream)
    while True:
        try:
            yield next(packets)
        except (StopIteration, FFmpegError):
            return


def decoded(path: Path) -> Iterator[tuple[float, VideoFrame]]:
    """Every sound frame with its seconds from the first one. Damaged ones are left out; UserError when none can be decoded at all."""
    with opened(path) as (container, stream):
        if stream.codec_context is None:
            raise UserError(f"{path.name} is packed in a way that cannot be read.", "Convert it to MP4 with H.264.", "video.packed",
                            file=path.name)
        rate, begin = float(stream.average_rate or stream.guessed_rate or 25), None
        for number, frame in enumerate(_frames(container, stream)):
            time = float(frame.time) if frame.time is not None else number / rate
            begin = time if begin is None else begin
            yield time - begin, frame


def _frames(container: Any, stream: VideoStream) -> Iterator[VideoFrame]:
    for packet in _packets(container, stream):
        try:
            yield from (frame for frame in packet.decode() if not frame.is_corrupt)
        except FFmpegError:
            continue


def hdr(frame: VideoFrame) -> Transfer | None:
    """The curve of an HDR frame; None for others."""
    return TRANSFERS.get(int(frame.color_trc))


def grey(frame: VideoFrame, longest: int) -> np.ndarray:
    """Brightness of a frame at no more than `longest` pixels, as it is stored: uint8 [H, W]."""
    if frame.interlaced_frame:  # every other line alone: the comb of two moments is no sharpness
        return frame.reformat(frame.width // 2, frame.height // 2, "gray", interpolation="POINT").to_ndarray()
    width, height = _reduced(frame.width, frame.height, longest)
    return frame.reformat(width, height, "gray", interpolation="AREA").to_ndarray()


def picture(frame: VideoFrame, aspect: float, longest: int) -> np.ndarray:
    """A frame as people see it, uint8 [H, W, 3] sRGB: upright, with square pixels, at most `longest` pixels (0: as large as it is).

    `aspect` is width over height of a stored pixel.
    """
    width, height = _reduced(round(frame.width * aspect), frame.height, longest)
    transfer, matrix = hdr(frame), display_matrix(frame)
    if frame.interlaced_frame:
        frame = deinterlaced(frame)
    if transfer is None:
        stored = frame.reformat(width, height, "rgb24", interpolation="AREA").to_ndarray()
    else:
        full = int(frame.color_range) == FULL_RANGE
        stored = tone_mapped(_planes(frame.reformat(width, height, "yuv444p10le", interpolation="AREA")), transfer, full)
    return np.ascontiguousarray(upright(stored, matrix))


def deinterlaced(frame: VideoFrame) -> VideoFrame:
    """One moment of the two whose lines are woven into a frame, the lines between made up (FFmpeg's yadif)."""
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    weave, sink = graph.add("yadif", "mode=send_frame:deint=all"), graph.add("buffersink")
    source.link_to(weave)
    weave.link_to(sink)
    graph.configure()
    source.push(frame)
    source.push(None)
    shown = sink.pull()
    assert isinstance(shown, VideoFrame)
    return shown


def _reduced(width: int, height: int, longest: int) -> tuple[int, int]:
    factor = min(1.0, longest / max(width, height)) if longest else 1.0
    return max(1, round(width * factor)), max(1, round(height * factor))


def _planes(frame: VideoFrame) -> np.ndarray:
    """The 16-bit planes of a frame without its padding: uint16 [H, W, 3]."""
    rows = [np.frombuffer(bytes(plane), "<u2").reshape(plane.height, -1)[:, : plane.width] for plane in frame.planes]
    return np.stack(rows, axis=2)


def display_matrix(frame: VideoFrame) -> np.ndarray:
    """What the file asks players to do with stored pixels: an orthogonal matrix [2, 2] on (x, y), y down."""
    found = frame.side_data.get("DISPLAYMATRIX")
    if found is None:
        return np.eye(2, dtype=int)
    a, b, _, c, d, *_ = np.frombuffer(bytes(found), np.int32) / 65536
    matrix = np.rint([[a, c], [b, d]]).astype(int)
    return matrix if abs(round(np.linalg.det(matrix))) == 1 else np.eye(2, dtype=int)


def upright(stored: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Pixels [H, W, C] turned and mirrored by one of the eight orthogonal matrices of display_matrix()."""
    swapped = not matrix[0, 0]
    shown = stored.swapaxes(0, 1) if swapped else stored
    x, y = (matrix[0, 1], matrix[1, 0]) if swapped else (matrix[0, 0], matrix[1, 1])
    return shown[:: int(y), :: int(x)]
