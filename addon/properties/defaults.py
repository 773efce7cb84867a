"""What a setting of the engine or of a capture is as a property of Blender."""

from __future__ import annotations

from typing import Any

from ...engine.core.protocol.settings import Settings, about


def shown(kind: type[Settings], name: str) -> dict[str, Any]:
    """Label, default, range and tooltip of a setting, as Blender's properties take them."""
    known, default = about(kind, name), getattr(kind, name)
    number = float if isinstance(default, float) else int
    ends = {end: number(value) for end, value in (("min", known.low), ("max", known.high)) if value is not None}
    return {"name": known.label, "default": default, "description": known.text[:1].upper() + known.text[1:], **ends}
