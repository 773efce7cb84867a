"""Which packages photos and videos need; UserError when they are missing. Standard library only."""

from __future__ import annotations

import importlib.util

from ..core.errors import UserError

PACKAGES = {"pycolmap": "pycolmap", "PIL": "Pillow", "matplotlib": "matplotlib"}
"""Module -> what pip calls it."""

VIDEO_PACKAGES = {"av": "av", "PIL": "Pillow"}


def check_packages() -> None:
    """UserError naming the missing packages for photos."""
    _check("Finding the cameras of photos", PACKAGES)


def check_video_packages() -> None:
    """UserError naming the missing packages for videos."""
    _check("Extracting the frames of a video", VIDEO_PACKAGES)


def _check(work: str, packages: dict[str, str]) -> None:
    missing = [name for module, name in packages.items() if importlib.util.find_spec(module) is None]
    if missing:
        raise UserError(f"{work} needs {' and '.join(missing)}, which this Python lacks.",
                        "In Blender press Install Full Engine in the panel Photos; elsewhere: pip install 'splatwright[photos]'.",
                        "sfm.packages_missing", work=work, packages=", ".join(missing), missing=" and ".join(missing))
