"""Pictures of the empty panels, and of the preferences."""

from __future__ import annotations

from typing import Any

import bpy as blender
from driver import Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    yield from driver.open_tab("Splats")
    status = driver.module("addon.engines.status")
    yield from driver.until(lambda: status.status().state.value in ("ready", "broken"), "the engine's self-check")
    yield 0.5
    driver.answers["engine"] = status.status().state.value
    driver.answers["message"] = status.status().message
    yield from driver.picture("panels-narrow")
    yield from driver.widen_sidebar(120)
    bpy.context.scene.splatwright.capture.source = "DOME"
    yield 0.5
    yield from driver.picture("panels-wide")
    yield from only_more(driver)
    yield from driver.picture("panels-train-more")


def only_more(driver: Driver) -> Steps:
    """The settings of Train that are mostly closed, open and alone."""
    more = driver.module("addon.panels.train").SPLATWRIGHT_PT_train_more
    panels = [found for found in bpy.types.Panel.__subclasses__() if found.bl_rna.identifier.startswith("SPLATWRIGHT_PT")]
    for kind in sorted(panels, key=lambda found: not getattr(found, "bl_parent_id", "")):  # those within others first
        bpy.utils.unregister_class(kind)
    more.bl_options, more.bl_parent_id = set(), ""
    bpy.utils.register_class(more)
    bpy.context.scene.splatwright.train.budget_hours = 2.5
    driver.viewport.tag_redraw()
    yield 0.5
