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
