"""Sentences in panels, over as many lines as they need."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from typing import Any

import blf
import bpy

from ...engine.core.protocol.config import TrainConfig
from ...engine.core.protocol.settings import about
from ..translations import tr
from ..typed import current_context

LETTER_WIDTH = 6.0
"""Pixels that a letter takes on average in Blender's own font."""

SETTING = re.compile(rf"\b({'|'.join(name for name in TrainConfig.__dataclass_fields__ if '_' in name)})\b")
"""Names of one word, such as noise, are words of sentences too."""

MARGIN = 80
"""Pixels beside a line, at a scale of 1: the sidebar's tabs, the panel's borders, the line's icon and what a label leaves free."""

FIELD_LETTERS = 16
"""What a field of a path has room for at the sidebar's usual width."""
DEFAULT_LETTERS = 40


def draw_sentence(layout: bpy.types.UILayout, text: str, icon: Any, alert: bool = False) -> None:
    """A sentence over as many lines as the region's width asks for."""
    column = layout.column(align=True)
    column.alert = alert
    column.scale_y = 0.75
    for line in broken_lines(with_labels(tr(text)), *line_room()):
        column.label(text=line, icon=icon)
        icon = "BLANK1"


def with_labels(text: str) -> str:
    """The text with settings of trainings by the labels that panels show, where it names them as the command line does."""
    return SETTING.sub(lambda found: tr(about(TrainConfig, found[0]).label).partition(" (")[0], text)


def letters() -> int:
    """How many letters fit a line of the region that is drawn."""
    region, scale = current_context().region, current_context().preferences.system.ui_scale
    if region is None or region.width < 2:
        return DEFAULT_LETTERS
    return max(16, int((region.width / scale - MARGIN) / LETTER_WIDTH))


def line_room() -> tuple[float, Callable[[str], float]]:
    """How wide a line of the region that is drawn may be, and what measures how wide a text is; in pixels where there is a region."""
    region, preferences = current_context().region, current_context().preferences
    if region is None or region.width < 2:
        return DEFAULT_LETTERS, cells
    scale = preferences.system.ui_scale
    blf.size(0, preferences.ui_styles[0].widget.points * scale)
    return max(16 * LETTER_WIDTH, region.width / scale - MARGIN) * scale, lambda text: blf.dimensions(0, text)[0]


def cells(text: str) -> int:
    """The width of a text in letters; those of Chinese and Japanese are as wide as two."""
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def short_path(path: str) -> str:
    """The path, or its last folder where a field has no room for more."""
    last = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return path if len(path) <= FIELD_LETTERS else f"…/{last}"


def broken_lines(text: str, width: float, measure: Callable[[str], float] = cells) -> list[str]:
    """The text in lines of at most `width`, as `measure` says; of paths and other words that are longer, parts go on in the next line."""
    lines: list[str] = []
    for word in [part for whole in text.split() for part in _broken_word(whole, width, measure)]:
        if lines and measure(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _broken_word(word: str, width: float, measure: Callable[[str], float]) -> list[str]:
    """A word in parts of at most `width`, broken behind separators of folders where it has some, behind any letter else."""
    parts: list[str] = []
    while measure(word) > width and len(word) > 1:
        most = next((count for count in range(2, len(word) + 1) if measure(word[:count]) > width), len(word) + 1) - 1
        at = max(word.rfind("/", 0, most), word.rfind("\\", 0, most)) + 1 or most
        parts.append(word[:at])
        word = word[at:]
    return [*parts, word]
