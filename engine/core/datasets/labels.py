"""labels.json: what the numbers of label maps stand for."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..confinement import admitted
from ..errors import UserError
from ..files import disk_error, write_text
from ..parsing import finite, parse_object

LABELS = "labels.json"
"""Beside transforms.json, and in the folder of a finished training."""

VERSION = 1
LARGEST = 2**16 - 1
"""Of a label map's 16 bits; 0 is the background."""

Matrix = tuple[tuple[float, ...], ...]
UPRIGHT: Matrix = ((1.0, 0.0, 0.0, 0.0), (0.0, 1.0, 0.0, 0.0), (0.0, 0.0, 1.0, 0.0), (0.0, 0.0, 0.0, 1.0))


@dataclass(frozen=True)
class Label:
    """One placed thing of the scene that was captured."""

    number: int  # in label maps, 1 to LARGEST
    name: str  # of the object
    library: str = ""  # the file that it is linked from; empty: the scene's own
    collection: str = ""  # the innermost one that it lies in
    matrix: Matrix = UPRIGHT  # 4 x 4, rows first: object to world at capture, in Blender's world
    color: tuple[float, float, float] = (0.8, 0.8, 0.8)  # 0 to 1, to tell them apart


def labels_to_json(labels: Sequence[Label]) -> str:
    """The text of labels.json."""
    return json.dumps({"version": VERSION, "labels": [asdict(label) for label in labels]}, indent=1, ensure_ascii=False)


def write_labels(path: Path, labels: Sequence[Label]) -> None:
    """Write labels.json in one piece."""
    write_text(path, labels_to_json(labels))


def read_labels(path: Path) -> tuple[Label, ...]:
    """The labels of a labels.json in the order of the file, the first of each number; UserError when it is damaged."""
    try:
        return labels_from_text(admitted(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise disk_error(path, error) from error
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(f"{path.name} is damaged and cannot be read.", "Capture the dataset again, or remove it: splats get no names then.",
                        "labels.damaged", path=path.name) from None


def labels_from_text(text: str) -> tuple[Label, ...]:
    """The inverse of labels_to_json, the first label of each number; ValueError and the like for what is none."""
    labels = [_label(values) for values in parse_object(text)["labels"]]
    return tuple({label.number: label for label in reversed(labels)}.values())[::-1]


def _label(values: dict[str, Any]) -> Label:
    """ValueError and the like for what is none."""
    number = int(finite(values["number"]))
    if not 0 < number <= LARGEST:
        raise ValueError("a label's number is out of range")
    matrix = tuple(tuple(finite(value) for value in row) for row in values.get("matrix", UPRIGHT))
    red, green, blue = (finite(value) for value in values.get("color", (0.8, 0.8, 0.8)))
    if [len(row) for row in matrix] != [4] * 4:
        raise ValueError("a label's matrix is none")
    return Label(number, str(values["name"]), str(values.get("library", "")), str(values.get("collection", "")), matrix, (red, green, blue))
