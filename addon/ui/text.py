"""Sentences in panels, over as many lines as they need."""

from __future__ import annotations

import re
from typing import Any

import bpy

from ...engine.core.protocol.config import TrainConfig
from ...engine.core.protocol.settings import about
from ..translations import tr
from ..typed import current_context

LETTER_WIDTH = 6.0
"""Pixels that a letter takes on average in Blender's own font."""

SETTING = re.compile(rf"\b({'|'.join(name for name in TrainConfig.__dataclass_fields__ if '_' in name)})\b")
"""Names of one word, such as noise, are words of sentences too."""

MARGIN = 60
FIELD_LETTERS = 16
"""What a field of a path has room for at the sidebar's usual width."""
DEFAULT_LETTERS = 40


def draw_sentence(layout: bpy.types.UILayout, text: str, icon: Any, alert: bool = False) -> None:
    """A sentence over as many lines as the region's width asks for."""
    column = layout.column(align=True)
    column.alert = alert
    column.scale_y = 0.75
    for line in broken_lines(with_labels(tr(text)), letters()):
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


def short_path(path: str) -> str:
    """The path, or its last folder where a field has no room for more."""
    last = path.replace("\\", "/").rstrip("/").rpartition("/")[2]
    return path if len(path) <= FIELD_LETTERS else f"…/{last}"


def broken_lines(text: str, width: int) -> list[str]:
    """The text in lines of at most `width` letters; of paths and other words that are longer, parts go on in the next line."""
    lines: list[str] = []
    for word in [part for whole in text.split() for part in _broken_word(whole, width)]:
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def _broken_word(word: str, width: int) -> list[str]:
    """A word in parts of at most `width` letters, broken behind separators of folders where it has some."""
    parts: list[str] = []
    while len(word) > width:
        at = max(word.rfind("/", 0, width), word.rfind("\\", 0, width)) + 1 or width
        parts.append(word[:at])
        word = word[at:]
    return [*parts, word]
