"""Begin a long training, save the file, and close Blender."""

from __future__ import annotations

from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    bpy.ops.wm.save_userpref()
    settings = bpy.context.scene.splatwright.train
    settings.dataset, settings.max_steps, settings.max_gaussians, settings.resolution = str(HERE / "dataset"), 1_000_000, 2000, 96
    settings.threads = 1
    bpy.ops.splatwright.train()
    jobs = driver.module("addon.jobs.jobs")
    name = bpy.context.scene.splatwright.job
    yield from driver.until(lambda: jobs.splat_object(name), "a first preview")
    job = jobs.current(bpy.context.scene)
    driver.answers |= {"job": name, "step": job.step}
    bpy.ops.wm.save_as_mainfile(filepath=str(HERE / "scene.blend"))
    yield 0.2
