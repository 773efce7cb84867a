"""Curves as inline SVG, in the colours of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from types import MappingProxyType

from .record import Curve

WIDTH, HEIGHT = 360, 200
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 14, 30
MOST_POINTS = 300
MARKED = 40
"""Curves of no more points than this show each of them."""


def chart(title: str, curve: Curve, digits: int, unit: str = "", turns: Mapping[int, str] = MappingProxyType({})) -> str:
    """A figure with a curve over the steps, its last value in the caption; empty without two points.

    `turns` are steps at which the training changed, with a word for each.
    """
    if len(curve) < 2:
        return ""
    drawn = thinned([(x, y) for x, y in curve if math.isfinite(y)])
    xs, ys = [x for x, _ in drawn], [y for _, y in drawn]
    across, up = ticks(min(xs), max(xs), 4), ticks(min(ys), max(ys), 4)
    left, right = min(across[0], min(xs)), max(across[-1], max(xs))
    low, high = min(up[0], min(ys)), max(up[-1], max(ys))
    places = [(_place(x, left, right, LEFT, WIDTH - RIGHT), _place(y, low, high, HEIGHT - BOTTOM, TOP)) for x, y in drawn]
    lines = "".join(_row(_place(value, low, high, HEIGHT - BOTTOM, TOP), short(value)) for value in up)
    lines += "".join(_column(_place(value, left, right, LEFT, WIDTH - RIGHT), short(value)) for value in across)
    lines += "".join(_turn(_place(step, left, right, LEFT, WIDTH - RIGHT), word) for step, word in turns.items() if left < step < right)
    last = f"{curve[-1][1]:,.{digits}f}{unit}"
    return (f'<figure class="chart"><figcaption>{escape(title)}<b>{last}</b></figcaption>'
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}, at the end {last}">{lines}'
            f'<path class="line" d="{_path(places)}"/>{_marks(places, drawn, digits, unit)}</svg></figure>')


def thinned(curve: Curve) -> Curve:
    """At most MOST_POINTS of the points, evenly, the last one among them."""
    step = max(1, math.ceil(len(curve) / MOST_POINTS))
    return curve[(len(curve) - 1) % step :: step]


def ticks(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers from the last below `low` to the first above `high`."""
    span = high - low or abs(high) or 1.0
    raw = span / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def short(value: float) -> str:
    """A number as axes say it."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:.4g}"


def _place(value: float, low: float, high: float, start: float, end: float) -> float:
    return start + (value - low) / (high - low) * (end - start)


def _path(places: list[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _row(y: float, label: str) -> str:
    return (f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text x="{LEFT - 6}" y="{y + 3.5:.1f}" text-anchor="end">{label}</text>')


def _column(x: float, label: str) -> str:
    return f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{label}</text>'


def _turn(x: float, word: str) -> str:
    side, anchor = (4, "start") if x < 0.8 * WIDTH else (-4, "end")
    return (f'<path class="turn" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
            f'<text x="{x + side:.1f}" y="{TOP + 10}" text-anchor="{anchor}">{escape(word)}</text>')


def _marks(places: list[tuple[float, float]], curve: Curve, digits: int, unit: str) -> str:
    """Points that say their numbers when the mouse rests on them."""
    shown = range(len(places)) if len(places) <= MARKED else [len(places) - 1]
    return "".join(f'<circle class="mark" cx="{places[i][0]:.1f}" cy="{places[i][1]:.1f}" r="3">'
                   f"<title>step {curve[i][0]:,.0f}: {curve[i][1]:,.{digits}f}{unit}</title></circle>" for i in shown)
