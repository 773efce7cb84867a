"""What an artist does first: the factory scene, Capture with a dome, Train, and look at the splats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import bpy as blender
import numpy as np
from driver import HERE, Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 4, False  # some builds have no denoiser
    bpy.ops.wm.save_as_mainfile(filepath=str(HERE / "scene.blend"))
    settings = scene.splatwright
    settings.capture.source, settings.capture.count, settings.capture.resolution = "DOME", 16, 96
    settings.train.max_steps, settings.train.max_gaussians, settings.train.resolution = 1000, 2000, 96
    yield from driver.open_tab("Splats")
    yield from driver.press("splatwright.capture_dataset")
    yield from driver.until(lambda: bpy.types.SPLATWRIGHT_OT_capture_dataset.progress, "the capture to begin")
    yield 1.0
    yield from driver.picture("loop-capturing")
    yield from driver.until(lambda: settings.captured, "the dataset")
    dataset = Path(bpy.path.abspath(settings.captured))
    driver.answers["views"] = len(json.loads((dataset / "transforms.json").read_text())["frames"])
    driver.answers["rendering_restored"] = scene.cycles.samples == 4 and scene.render.resolution_percentage == 100
    yield 0.5
    yield from driver.picture("loop-captured")
    yield from driver.press("splatwright.train")
    jobs = driver.module("addon.jobs.jobs")
    yield from driver.until(lambda: jobs.current(scene).imported, "the result")
    made = jobs.splat_object(settings.job)
    places = np.empty(3 * len(made.data.points), np.float32)
    made.data.attributes["position"].data.foreach_get("vector", places)
    driver.answers |= {"splats": len(made.data.points), "psnr": jobs.current(scene).psnr,
                       "distance": float(np.median(np.linalg.norm(places.reshape(-1, 3), axis=1)))}
    bpy.data.objects["Cube"].hide_set(True)
    yield 0.5
    yield from driver.picture("loop-trained")
