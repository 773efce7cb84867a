"""Modal operators driven without a window, where Blender's timers never tick."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from tests.untyped import bpy

TICK, ESCAPE, CLICK, WHEEL = (SimpleNamespace(type=kind, mouse_x=0, mouse_y=0) for kind in ("TIMER", "ESC", "LEFTMOUSE", "WHEELUPMOUSE"))


class FakeManager:
    """Stands in for the window manager: without a window Blender's timers never tick."""

    def __init__(self) -> None:
        self.timers = 0
        self.operators: list[Any] = []
        self.status: list[str | None] = []

    def event_timer_add(self, _: float, window: Any = None) -> str:
        self.timers += 1
        return "timer"

    def event_timer_remove(self, _: str) -> None:
        self.timers -= 1

    def modal_handler_add(self, _: Any) -> None: ...

    def status_text_set(self, text: str | None) -> None:
        self.status.append(text)


def windowless(kind: type[bpy.types.Operator]) -> type[Any]:
    """The operator's class with its mixins but without Blender's own base, which only Blender can make objects of."""
    mixins = tuple(base for base in kind.__bases__ if base is not bpy.types.Operator)
    return type("Running", mixins, {name: value for name, value in vars(kind).items() if callable(value)})
