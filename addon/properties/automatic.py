"""Numbers of which 0 means automatic: the switches that panels show in their place."""

import os
from collections.abc import Callable
from typing import Any

import bpy
from bpy.props import BoolProperty

from ..cameras import image_size
from ..typed import cycles, scene_settings, untyped

USUAL_SPLATS, USUAL_MEMORY, USUAL_MINUTES, USUAL_HOURS, USUAL_COST = 100_000, 4.0, 60.0, 2.0, 5.0
"""What stands in a number that is no longer automatic."""


def _switch(group: str, name: str, label: str, usual: Callable[[bpy.types.Scene], float]) -> Any:
    """Whether a number of the scene's settings is 0; switched off, it becomes the `usual` one."""

    def get(switches: bpy.types.PropertyGroup) -> bool:
        return not getattr(_settings(switches.id_data, group), name)

    def put(switches: bpy.types.PropertyGroup, on: bool) -> None:
        setattr(_settings(switches.id_data, group), name, 0 if on else usual(untyped(switches.id_data)))

    return BoolProperty(name=label, get=get, set=put, description="Switch off to choose a number", options={"SKIP_SAVE"})


def _settings(scene: Any, group: str) -> bpy.types.PropertyGroup:
    return getattr(scene_settings(scene), group)


def _samples(scene: bpy.types.Scene) -> int:
    return cycles(scene).samples if scene.render.engine == "CYCLES" else untyped(scene).eevee.taa_render_samples


class AutomaticSettings(bpy.types.PropertyGroup):
    """The switches of a scene, as GROUP_NAME. They hold nothing themselves."""

    capture_resolution: _switch("capture", "resolution", "From Scene", lambda scene: max(image_size(scene.render)))
    capture_samples: _switch("capture", "samples", "From Scene", _samples)
    train_max_gaussians: _switch("train", "max_gaussians", "Auto", lambda scene: USUAL_SPLATS)
    train_threads: _switch("train", "threads", "Auto", lambda scene: os.cpu_count() or 1)
    train_image_memory: _switch("train", "image_memory", "Auto", lambda scene: USUAL_MEMORY)
    train_max_minutes: _switch("train", "max_minutes", "No Limit", lambda scene: USUAL_MINUTES)
    train_budget_hours: _switch("train", "budget_hours", "No Limit", lambda scene: USUAL_HOURS)
    train_budget_cost: _switch("train", "budget_cost", "No Limit", lambda scene: USUAL_COST)


def draw_automatic(layout: bpy.types.UILayout, scene: bpy.types.Scene, group: str, name: str) -> None:
    """A row with the number, or with the word for its being automatic."""
    settings, switch = _settings(scene, group), f"{group}_{name}"
    switches = scene_settings(scene).automatic
    row = layout.row(align=True, heading=settings.bl_rna.properties[name].name)
    if getattr(switches, switch):
        row.prop(switches, switch)
    else:
        row.prop(switches, switch, text="")
        row.prop(settings, name, text="")

