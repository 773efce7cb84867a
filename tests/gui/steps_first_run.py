"""The first ten minutes: the factory scene with nothing selected and never saved, to splats by the one button on top; then a first save."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import bpy as blender
from driver import HERE, MODULE, Driver, Steps
from steps_engine import show_preferences

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.drop_extension("first-run-dropped")
    yield 1.0
    yield from driver.picture("first-run-enabled")
    scene = bpy.context.scene
    bpy.ops.object.select_all(action="DESELECT")
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 4, False  # some builds have no denoiser
    settings = scene.splatwright
    settings.capture.count, settings.capture.resolution = 16, 96
    settings.train.max_steps, settings.train.max_gaussians, settings.train.resolution = 600, 1000, 96
    yield from driver.open_tab("Splats")
    driver.answers["cameras"] = settings.capture.cameras_from
    yield 0.7
    yield from driver.picture("first-run-capture")
    began = time.monotonic()
    yield from driver.press("splatwright.capture_dataset")
    yield from driver.until(lambda: bpy.types.SPLATWRIGHT_OT_capture_dataset.progress, "the capture to begin")
    yield 1.0
    yield from driver.picture("first-run-capturing")
    yield from driver.until(lambda: settings.captured, "the dataset")
    driver.answers["unsaved"] = settings.captured
    yield 0.7
    yield from driver.picture("first-run-captured")
    yield from driver.press("splatwright.train")
    jobs = driver.module("addon.jobs.jobs")
    yield from driver.until(lambda: jobs.current(scene).step, "steps")
    yield 0.7
    yield from driver.picture("first-run-training")
    yield from driver.until(lambda: jobs.current(scene).imported, "the result")
    driver.answers["seconds"] = round(time.monotonic() - began)
    yield 0.7
    yield from driver.picture("first-run-trained")
    saved(driver, scene)
    yield 0.7
    yield from driver.picture("first-run-saved")
    yield from check_everything(driver)


def saved(driver: Driver, scene: bpy.types.Scene) -> None:
    """The dataset goes where the file is, and the training knows."""
    before = Path(scene.splatwright.captured)
    bpy.ops.wm.save_as_mainfile(filepath=str(HERE / "first.blend"))
    jobs = driver.module("addon.jobs.jobs")
    driver.answers |= {"captured": scene.splatwright.captured, "left": before.exists(), "dataset": str(HERE / "splatwright" / "dataset"),
                       "trained_on": str(jobs.current(scene).engine.spec(scene.splatwright.job).dataset)}


def check_everything(driver: Driver) -> Steps:
    """The self-check of a fresh installation."""
    diagnosis = driver.module("addon.engines.self_check")
    show_preferences(driver)
    bpy.ops.splatwright.self_check()
    yield from driver.until(lambda: diagnosis.result() is not None, "the self-check")
    driver.answers["rows"] = {row.subject: row.state for row in diagnosis.result().rows}
    yield 1.0
    yield from driver.picture("first-run-self_check")
    assert MODULE in bpy.context.preferences.addons
