"""`splatwright frames`: frames of a video as images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import tyro

from ..core.protocol.sfm_options import FrameOptions
from .terminal import progress_bar

Positional = tyro.conf.Positional


def frames(
    video: Positional[Path],
    folder: Positional[Path],
    options: Annotated[FrameOptions, tyro.conf.OmitArgPrefixes, tyro.conf.arg(name="")] = FrameOptions(),  # noqa: B008
) -> int:
    """Extract the sharpest frames of a video, evenly spread over it: upright, in sRGB. Ctrl+C leaves nothing behind.

    Args:
        video: a video in any common container
        folder: where the frames go; it may hold those of other videos
    """
    from ..sfm.needs import check_video_packages

    check_video_packages()
    from ..sfm.frames import extract_frames

    with progress_bar() as on_progress:
        report = extract_frames(video, folder, options, on_progress)
    print(report.text(), end="")
    return 0
