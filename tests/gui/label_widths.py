"""Runs inside Blender: labels of panels that do not fit their place, found by drawing the panels into a layout that measures.

Blender tells nobody how wide a button becomes. Widths are those of its interface's font; a row that has less room than its parts
want cuts them. Fields of files and texts may be cut: they show what people typed.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import blf
import bpy as blender

bpy: Any = blender  # stubs know nothing of what the extension registers

FONT_POINTS = 11.0
UNIT = 20.0
"""Height of a button, and width of an icon, in pixels at 100 %."""
PADDING = 0.4 * UNIT
"""What a button leaves free beside its text, both sides together."""
PANEL_MARGIN = 16.0
BOX_MARGIN = 10.0
LABEL_SHARE = 0.4
"""Of a line with property split, left of its field."""
CHECKBOX = 0.9 * UNIT


def cut_labels(driver: Any) -> list[str]:
    """Every text of the sidebar's tab that does not fit, as 'panel: text'."""
    region, area = driver.sidebar, driver.viewport
    found: list[str] = []
    with bpy.context.temp_override(window=driver.window, area=area, region=region):
        scale = bpy.context.preferences.system.ui_scale
        tabs = 1.2 * UNIT * scale
        for kind in panels():
            if hasattr(kind, "poll") and not kind.poll(bpy.context):
                continue
            layout = Layout((region.width - tabs) / scale - PANEL_MARGIN)
            for name in ("draw_header", "draw"):
                if hasattr(kind, name):
                    getattr(kind, name)(Shown(kind, layout), bpy.context)
            found += [f"{kind.bl_label}: {text}" for text in layout.cut()]
    return found


def panels() -> list[Any]:
    """Of the extension's tab."""
    found = [getattr(bpy.types, name) for name in dir(bpy.types) if name.startswith("SPLATWRIGHT_PT_")]
    return [kind for kind in found if getattr(kind, "bl_category", "") == "Splats"]


class Shown:
    """A panel as its draw() sees it."""

    def __init__(self, kind: Any, layout: Layout):
        self._kind, self.layout = kind, layout

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._kind, name)
        return found.__get__(self) if callable(found) and hasattr(found, "__get__") else found


def width_of(text: str) -> float:
    """Pixels at 100 %."""
    blf.size(0, FONT_POINTS)
    return blf.dimensions(0, text)[0]


class Layout:
    """Takes what panels draw; `wanted` is the width that its texts need, `width` what it has."""

    def __init__(self, width: float, across: bool = False, columns: int = 1):
        self._width, self._across, self._columns = width, across, columns
        self._parts: list[tuple[str, float]] = []
        self._below: list[Layout] = []
        self.use_property_split, self.enabled, self.alert, self.active, self.scale_y, self.scale_x = False, True, False, True, 1.0, 1.0

    def cut(self) -> list[str]:
        """Texts without the room that they want."""
        room = self._width / self._columns
        wants = [(text, want) for text, want in self._parts]
        if self._across:
            wants += [(layout.text, layout.wanted) for layout in self._below if layout.wanted]
            over = sum(want for _, want in wants) > room + 1
            return [text for text, _ in wants if text] if over else []
        return [text for text, want in wants if want > room + 1] + [text for layout in self._below for text in layout.cut()]

    @property
    def wanted(self) -> float:
        """The width that it needs."""
        parts = [want for _, want in self._parts] + [layout.wanted for layout in self._below]
        return sum(parts) if self._across else max(parts, default=0.0) * self._columns

    @property
    def text(self) -> str:
        """All that stands in it."""
        return " | ".join(filter(None, [*(text for text, _ in self._parts), *(layout.text for layout in self._below)]))

    def label(self, text: str = "", icon: Any = "NONE", **_: Any) -> None:
        self._add(text, icon, PADDING)

    def operator(self, name: str, text: str | None = None, icon: Any = "NONE", **_: Any) -> Any:
        group, short = name.split(".")
        self._add(getattr(getattr(bpy.ops, group), short).get_rna_type().name if text is None else text, icon, PADDING)
        return SimpleNamespace()

    def menu(self, name: str, text: str | None = None, icon: Any = "NONE", **_: Any) -> None:
        self._add(getattr(bpy.types, name).bl_label if text is None else text, icon, PADDING + UNIT)

    def progress(self, text: str = "", **_: Any) -> None:
        self._add(text, "NONE", PADDING)

    def prop(self, data: Any, name: str, text: str | None = None, icon: Any = "NONE", **_: Any) -> None:
        known = data.bl_rna.properties[name]
        label = known.name if text is None else text
        value = data.bl_rna.properties[name].enum_items[getattr(data, name)].name if known.type == "ENUM" else ""
        if self.use_property_split and known.type != "BOOLEAN" and label:
            room = self._width / self._columns
            self._parts.append((label, (width_of(label) + PADDING) / LABEL_SHARE if not self._across else width_of(label)))
            self._parts.append((value, room - room * (1 - LABEL_SHARE) + width_of(value) + PADDING + UNIT if value else 0.0))
        elif known.type == "BOOLEAN":
            extra = (CHECKBOX if icon == "NONE" else 0) + PADDING
            self._parts.append((label, width_of(label) + extra + (UNIT if icon != "NONE" else 0)))
        else:
            self._add(label + (f" {value}" if value and label else value), icon, PADDING + (UNIT if value else 0))

    def row(self, heading: str = "", **_: Any) -> Layout:
        return self._place(Layout(self._width / self._columns, across=True), heading)

    def column(self, heading: str = "", **_: Any) -> Layout:
        return self._place(Layout(self._width / self._columns), heading)

    def box(self) -> Layout:
        return self._place(Layout(self._width / self._columns - BOX_MARGIN))

    def split(self, factor: float = 0.5, **_: Any) -> Layout:
        return self._place(Layout(self._width / self._columns, across=True))

    def grid_flow(self, columns: int = 1, **_: Any) -> Layout:
        return self._place(Layout(self._width / self._columns, columns=max(1, columns)))

    def column_flow(self, columns: int = 1, **_: Any) -> Layout:
        return self.grid_flow(columns)

    def panel(self, *_: Any, **__: Any) -> tuple[Layout, Layout | None]:
        return self.row(), None

    def _place(self, layout: Layout, heading: str = "") -> Layout:
        layout.use_property_split = self.use_property_split
        if heading:
            layout._parts.append((heading, width_of(heading)))
        self._below.append(layout)
        return layout

    def _add(self, text: str, icon: Any, padding: float) -> None:
        self._parts.append((text, (width_of(text) + padding if text else 0.0) + (UNIT if icon not in ("NONE", 0) else 0.0)))

    def __getattr__(self, name: str) -> Any:
        """Lists, separators and what else holds no labels of ours."""
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *_, **__: None
