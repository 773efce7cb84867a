"""The guide's pictures of Blender's window, out of what the window test has left: `python -m tools.guide_pictures`.

`make test-gui` takes them, into out/window or the folder SPLATWRIGHT_GUI_PICTURES; this cuts out the parts that pages show, into
docs/window. No picture has more than LARGEST bytes.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(os.environ.get("SPLATWRIGHT_GUI_PICTURES", ROOT / "out" / "window"))
TARGET = ROOT / "docs" / "window"
LARGEST = 150_000
COLORS = 256

WHOLE = (0, 0, 1280, 800)
VIEWPORT = (0, 50, 1060, 690)
"""The viewport of Blender's factory layout with its sidebar, without the editors beside and below it."""


@dataclass(frozen=True)
class Picture:
    """A picture of the guide: what the window test calls it, and which part of the screen it shows, x and y from the upper left."""

    name: str
    taken_as: str
    part: tuple[int, int, int, int] = VIEWPORT


PICTURES = (
    Picture("first_look", "first_look"),
    Picture("capturing", "capturing"),
    Picture("first_splats", "first_splats"),
    Picture("trained", "trained"),
    Picture("placed", "placed"),
    Picture("export", "export_dialog", WHOLE),
    Picture("photos", "photos-level"),
    Picture("remote", "remote-preferences"),
)


def main() -> int:
    """Make every picture; 1 with a sentence where the window test has not taken one."""
    TARGET.mkdir(exist_ok=True)
    missing = [picture.taken_as for picture in PICTURES if taken(picture) is None]
    for picture in PICTURES:
        source = taken(picture)
        if source is not None:
            print(f"{make(source, picture).relative_to(ROOT)}: {(TARGET / f'{picture.name}.png').stat().st_size / 1000:.0f} kB")
    if missing:
        print(f"out/window lacks {', '.join(missing)}: run make test-gui first.", file=sys.stderr)
    return 1 if missing else 0


def taken(picture: Picture) -> Path | None:
    """The window test's picture; None where there is none."""
    return next(iter(sorted(SOURCE.glob(f"[0-9][0-9]_{picture.taken_as}.png"))), None)


def make(source: Path, picture: Picture) -> Path:
    """Cut the picture out of the screen; smaller where it would be too large to load."""
    with Image.open(source) as screen:
        part = screen.convert("RGB").crop(picture.part)
    target = TARGET / f"{picture.name}.png"
    while True:
        part.quantize(COLORS, dither=Image.Dither.NONE).save(target, optimize=True)
        if target.stat().st_size <= LARGEST:
            return target
        part = part.resize((part.width * 9 // 10, part.height * 9 // 10), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    sys.exit(main())
