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
    settings.train.max_steps, settings.train.max_gaussians, settings.train.resolution = 2500, 2000, 96
    bpy.ops.object.select_all(action="DESELECT")
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
    yield from previews(driver, jobs)
    yield from driver.until(lambda: jobs.current(scene).imported, "the result")
    made = jobs.splat_object(settings.job)
    places = np.empty(3 * len(made.data.points), np.float32)
    made.data.attributes["position"].data.foreach_get("vector", places)
    driver.answers |= {"splats": len(made.data.points), "psnr": jobs.current(scene).psnr,
                       "distance": float(np.median(np.linalg.norm(places.reshape(-1, 3), axis=1)))}
    yield 0.5
    yield from driver.picture("loop-trained")
    yield from originals(driver, jobs)


def previews(driver: Driver, jobs: Any) -> Steps:
    """The first previews: the cube that was captured does not cover them."""
    scene = bpy.context.scene
    job = jobs.current(scene)
    yield from driver.until(lambda: jobs.splat_object(job.name), "a first preview")
    driver.answers["hidden"] = hidden()
    for number in range(1, 4):
        before = job.preview
        yield 0.5
        yield from driver.picture(f"loop-preview-{number}")
        yield from driver.until(lambda before=before: job.imported or (job.preview is not before and not job.preview_due), "a preview")


def originals(driver: Driver, jobs: Any) -> Steps:
    """Selected splats with their box, Show Originals on and off, one undo, and the splats deleted."""
    scene = bpy.context.scene
    made = jobs.splat_object(scene.splatwright.job)
    bpy.ops.object.select_all(action="DESELECT")
    made.select_set(True)
    bpy.context.view_layer.objects.active = made
    yield 0.5
    yield from driver.picture("loop-selected")
    driver.viewport.spaces.active.shading.type = "MATERIAL"
    yield 3.0
    yield from driver.picture("loop-material")
    driver.viewport.spaces.active.shading.type = "SOLID"
    yield from driver.fold_first_panel()
    yield from driver.check("show_originals")
    driver.answers["shown"] = hidden()
    yield 0.5
    yield from driver.picture("loop-originals")
    x, y = driver.viewport.x + 200, driver.viewport.y + 200
    yield from driver.move(x, y)
    yield from driver.key("Z", x, y, ctrl=True)
    yield 0.7
    scene = bpy.context.scene
    driver.answers["after_undo"] = hidden()
    yield from driver.picture("loop-undone")
    jobs.splat_object(scene.splatwright.job).select_set(True)  # undo has taken the selection back too
    yield from driver.move(x, y)
    yield from driver.key("DEL", x, y)
    yield 0.7
    driver.answers["after_delete"] = hidden()
    yield from driver.picture("loop-deleted")


def hidden() -> list[bool]:
    """Whether the cube is disabled in viewports, in renders."""
    return [bpy.data.objects["Cube"].hide_viewport, bpy.data.objects["Cube"].hide_render]
