"""The contact sheet: every image of a dataset, small, with the findings marked."""

from __future__ import annotations

import math
import textwrap

import numpy as np

from ..core.protocol.events import Finding, Severity
from .bitmap_font import HEIGHT, STEP, fitting, write_text
from .image_stats import THUMBNAIL, ImageStats

PAPER, INK, FAINT, CLEAR = (38, 38, 38), (235, 235, 235), (150, 150, 150), 128
COLORS: dict[Severity | None, tuple[int, int, int]] = {
    "error": (226, 62, 52), "warning": (240, 168, 32), "info": (86, 156, 226), None: (78, 78, 78)}
LEVELS: tuple[Severity, ...] = ("error", "warning", "info")
FRAME, GAP, LINE = 3, 4, HEIGHT + 3
MOST_FINDINGS = 12
HALVE_ABOVE = 400
"""Datasets with more images are shown at half the size, so that the image stays small enough to open."""


def contact_sheet(names: list[str], all_stats: dict[str, ImageStats], findings: tuple[Finding, ...], held_out: set[str]) -> np.ndarray:
    """uint8 [H, W, 3]: a headline, the findings, and one cell for each of the named views; images that are not in `looks` are crossed."""
    side = THUMBNAIL // (2 if len(names) > HALVE_ABOVE else 1)
    cell = (side + 2 * FRAME + 2 * LINE + GAP, side + 2 * FRAME + GAP)
    columns = max(4, math.ceil(math.sqrt(len(names) * 1.4)))
    marks = _marks(findings)
    cells = [_cell(cell, side, f"{index} {name}" + (" EVAL" if name in held_out else ""), all_stats.get(name), marks.get(name, []))
             for index, name in enumerate(names, 1)]
    cells += [_paper(*cell)] * (-len(cells) % columns)
    rows = [np.concatenate(cells[first : first + columns], axis=1) for first in range(0, len(cells), columns)]
    return np.concatenate([_headline(len(names), findings, columns * cell[1]), *rows])


def _paper(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), PAPER, np.uint8)


def _marks(findings: tuple[Finding, ...]) -> dict[str, list[Finding]]:
    """Findings by the name of the image that they are about."""
    marks: dict[str, list[Finding]] = {}
    for finding in findings:
        for name in finding.images:
            marks.setdefault(name, []).append(finding)
    return marks


def _headline(images: int, findings: tuple[Finding, ...], width: int) -> np.ndarray:
    """How many images and findings there are, and the findings' sentences."""
    said: list[tuple[str, tuple[int, int, int]]] = [(f"{images} images, {len(findings)} findings", INK)]
    for finding in findings[:MOST_FINDINGS]:
        lines = textwrap.wrap(f"{finding.severity}: {finding.message}", max(20, (width - 2 * GAP) // (2 * STEP)))
        said += [(line, COLORS[finding.severity]) for line in lines]
    if len(findings) > MOST_FINDINGS:
        said.append((f"and {len(findings) - MOST_FINDINGS} more", FAINT))
    picture = _paper(2 * GAP + len(said) * 2 * LINE, width)
    for index, (line, color) in enumerate(said):
        write_text(picture, line, GAP + index * 2 * LINE, GAP, color, 2)
    return picture


def _cell(size: tuple[int, int], side: int, label: str, stats: ImageStats | None, marks: list[Finding]) -> np.ndarray:
    """One image in a frame of its worst finding's colour, its name, and what is wrong with it."""
    picture = _paper(*size)
    worst: Severity | None = next((level for level in LEVELS if any(mark.severity == level for mark in marks)), None)
    framed = side + 2 * FRAME
    picture[:framed, :framed] = COLORS[worst]
    inner = picture[FRAME : FRAME + side, FRAME : FRAME + side]
    inner[:] = PAPER
    _cross(inner) if stats is None else _place(inner, _over_grey(stats.thumbnail, THUMBNAIL // side))
    write_text(picture, fitting(label, framed), framed + 2, 1, INK if marks else FAINT)
    words = ", ".join(dict.fromkeys(mark.kind.replace("_", " ") for mark in marks))
    write_text(picture, fitting(words, framed), framed + 2 + LINE, 1, COLORS[worst])
    return picture


def _over_grey(thumbnail: np.ndarray, step: int) -> np.ndarray:
    """uint8 [h, w, 4] over grey [h / step, w / step, 3]."""
    small = thumbnail[::step, ::step].astype(np.uint16)
    alpha = small[..., 3:]
    return ((small[..., :3] * alpha + CLEAR * (255 - alpha)) // 255).astype(np.uint8)


def _place(inner: np.ndarray, image: np.ndarray) -> None:
    """Put an image into the middle; small ones are enlarged by whole factors."""
    times = max(1, min(inner.shape[0] // image.shape[0], inner.shape[1] // image.shape[1]))
    image = image.repeat(times, axis=0).repeat(times, axis=1)[: inner.shape[0], : inner.shape[1]]
    top, left = (inner.shape[0] - image.shape[0]) // 2, (inner.shape[1] - image.shape[1]) // 2
    inner[top : top + image.shape[0], left : left + image.shape[1]] = image


def _cross(inner: np.ndarray) -> None:
    """For images that cannot be read."""
    row, column = np.indices(inner.shape[:2])
    inner[(np.abs(row - column) < 2) | (np.abs(row + column - len(inner) + 1) < 2)] = COLORS["error"]
