"""Open the file again: the training is there, and Pause, Resume and Stop work on it."""

from __future__ import annotations

from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield 0.5
    bpy.ops.wm.open_mainfile(filepath=str(HERE / "scene.blend"))
    yield 0.5
    jobs = driver.module("addon.jobs.jobs")

    def job():
        return jobs.current(bpy.context.scene)

    driver.answers["job"] = bpy.context.scene.splatwright.job
    yield from driver.until(lambda: job() and job().step > driver.arguments["step"], "the training to go on")
    driver.answers["step"] = job().step
    yield from driver.open_tab("Splats")
    yield from driver.fold_first_panel()
    yield from driver.picture("return-running")
    yield from driver.press("splatwright.pause")
    yield from driver.until(lambda: job().state.value == "paused", "the pause")
    yield 0.5
    yield from driver.picture("return-paused")
    yield from driver.press("splatwright.resume")
    yield from driver.until(lambda: job().state.value == "running", "the training to go on")
    yield from driver.press("splatwright.stop")
    yield from driver.until(lambda: job().imported, "the result")
    yield 0.5
    yield from driver.picture("return-stopped")
    driver.answers["splats"] = len(jobs.splat_object(job().name).data.points)
    driver.answers["objects"] = len([found for found in bpy.data.objects if found.splatwright.job])
