"""What a Blender without a window is asked to capture, and what it tells: order.json and news.jsonl in a work folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from ..files import open_shared, read_shared, write_text
from ..parsing import parse_object

ORDER, NEWS = "order.json", "news.jsonl"
COMMAND = "splatwright_capture"
"""Name of the extension's command: `blender --command splatwright_capture WORK`."""

ALL, EACH, RIG = "all", "each", "rig"
"""In place of a collection: every camera of the scene, each collection with cameras on its own, what the panel Capture says there."""


@dataclass(frozen=True)
class CaptureOrder:
    """A file with its scenes and cameras. Datasets are written into folders below `output`, named after scene and collection."""

    file: str
    output: str
    scenes: tuple[str, ...] = ()
    """empty: every one"""
    cameras: tuple[str, ...] = ()
    """names of collections, or the words above; empty: every camera, or the rig where there is but one"""
    image_size: int = 0
    samples: int = 0
    again: bool = False


@dataclass(frozen=True)
class CaptureUpdate:
    """How far one dataset is: `done` of `total` views; `problem` says why it failed. Without a dataset the problem is the file's."""

    name: str = ""
    dataset: str = ""
    done: int = 0
    total: int = 0
    view_seconds: float | None = None
    whole: bool = False
    problem: str = ""


def write_order(order: CaptureOrder, work: Path) -> None:
    """Put the order into a work folder."""
    write_text(work / ORDER, json.dumps(asdict(order), ensure_ascii=False))


def read_order(work: Path) -> CaptureOrder:
    """The order in a work folder that the command line made."""
    values = parse_object(read_shared(work / ORDER))
    return CaptureOrder(**{**values, "scenes": tuple(values["scenes"]), "cameras": tuple(values["cameras"])})


def report_update(news: CaptureUpdate, work: Path) -> None:
    """Add a line to the news."""
    with open(work / NEWS, "a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(news), ensure_ascii=False) + "\n")


def read_updates(work: Path, after: int) -> tuple[list[CaptureUpdate], int]:
    """News after a byte, and the byte to ask from next time; a line still being written waits."""
    try:
        with open_shared(work / NEWS) as file:
            data = file.read()[after:]
    except FileNotFoundError:
        return [], after
    whole = data[: data.rfind(b"\n") + 1]
    return [CaptureUpdate(**parse_object(line)) for line in whole.decode("utf-8").splitlines()], after + len(whole)
