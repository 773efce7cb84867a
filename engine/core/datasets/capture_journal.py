"""The frames of a dataset that is still being captured: a line each beside transforms.json, which need not be written anew for each.

The lines are frames of transforms.json. They count as long as that file says that the dataset is incomplete.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from ..confinement import admitted
from ..files import disk_error, remove_file
from ..parsing import parse_json

JOURNAL = "frames.jsonl"


def append_frame(folder: Path, frame: dict[str, Any]) -> None:
    """Add a frame to a dataset's journal; UserError when the disk is full."""
    path = folder / JOURNAL
    try:
        with open(path, "ab", buffering=0) as file:
            file.write((json.dumps(frame, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise disk_error(path, error) from error


def journal_frames(folder: Path) -> list[dict[str, Any]]:
    """The frames of a dataset's journal; none without one. A line that was cut off is no frame."""
    try:
        text = admitted(folder / JOURNAL).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return list(_frames(text))


def _frames(text: str) -> Iterator[dict[str, Any]]:
    for line in text.split("\n"):
        with suppress(ValueError):
            frame = parse_json(line)
            if isinstance(frame, dict):
                yield frame


def forget_journal(folder: Path) -> None:
    """Remove a journal whose frames transforms.json holds."""
    path = folder / JOURNAL
    try:
        remove_file(path)
    except OSError as error:
        raise disk_error(path, error) from error


def with_journal(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The values of an incomplete transforms.json with the frames of the journal beside it; held-out views are then every eighth."""
    frames, mark = journal_frames(folder), values.get("splatwright")
    if not frames or not isinstance(mark, dict) or mark.get("complete") is not False:
        return values
    without_lists = {name: value for name, value in values.items() if not name.endswith("_filenames")}
    known = {str(frame.get("file_path")) for frame in values.get("frames", []) if isinstance(frame, dict)}
    return {**without_lists, "frames": [*values.get("frames", []), *(frame for frame in frames if frame.get("file_path") not in known)]}
