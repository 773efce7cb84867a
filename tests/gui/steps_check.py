"""Check a dataset with planted trouble, look at its contact sheet and coverage, and see a training pause that has become sick."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    bpy.context.scene.splatwright.train.dataset = str(HERE / "troubled")
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(120)
    yield from checked(driver)
    yield from covered(driver)
    bpy.context.scene.splatwright.train.dataset = str(HERE / "dataset")
    yield from unhealthy(driver)


def checked(driver: Driver) -> Steps:
    """Findings in the panel, and the contact sheet in an image editor."""
    show_check_alone(driver)
    checks = driver.module("addon.jobs.dataset_check")
    yield from driver.press("splatwright.check_dataset")
    yield from driver.until(lambda: not checks.current(bpy.context.scene).running, "the check")
    yield 0.7
    driver.answers["kinds"] = sorted(found.kind for found in checks.current(bpy.context.scene).findings)
    yield from driver.picture("check-findings")
    area = next(area for area in driver.window.screen.areas if area.type == "PROPERTIES")
    area.type = "IMAGE_EDITOR"
    yield from driver.press("splatwright.show_contact_sheet")
    yield 0.7
    driver.answers["sheet"] = list(area.spaces.active.image.size)
    yield from driver.picture("check-sheet")


def covered(driver: Driver) -> Steps:
    """The heat map on the cube that stands where the ball was, and the cameras that it lacks."""
    bpy.data.objects["Cube"].scale = (0.6, 0.6, 0.6)
    sources = driver.module("engine.core.datasets.read")
    dataset = sources.read_dataset(HERE / "troubled")
    behind = [view.name for view in dataset.views if view.camera.position[0] < 0]
    driver.module("engine.core.datasets.excluded").exclude(dataset, behind)
    yield from driver.press("splatwright.show_coverage")
    yield from driver.press("splatwright.suggest_cameras")
    driver.answers["suggested"] = len(bpy.data.collections["Suggested Cameras"].objects)
    yield 0.7
    yield from driver.picture("check-coverage")


def unhealthy(driver: Driver) -> Steps:
    """A training whose Gaussians all become transparent pauses; Resume goes on."""
    jobs, config, job = (driver.module(name) for name in ("addon.jobs.jobs", "engine.core.protocol.config", "engine.core.protocol.folder"))
    for name in ("capture", "train"):
        driver.module(f"addon.panels.{name}").register()
    settings = config.TrainConfig(backend="cpu", max_steps=100_000, max_gaussians=500, resolution=64, opacity_regularisation=10.0,
                                  refine_until=0.0, smoke_test=False)
    jobs.submit(bpy.context.scene, job.JobSpec(Path(HERE) / "dataset", settings))
    yield from driver.until(lambda: current(jobs).state.value in ("paused", "failed"), "the pause")
    yield from driver.fold_first_panel()
    yield 0.7
    yield from driver.picture("sick-paused")
    driver.answers["sick"] = current(jobs).unhealthy
    step = current(jobs).step
    yield from driver.press("splatwright.resume")
    yield from driver.until(lambda: current(jobs).step > step, "the training to go on")
    yield from driver.press("splatwright.stop")
    yield from driver.until(lambda: current(jobs).imported, "the result")
    yield from driver.picture("sick-stopped")


def current(jobs: Any):
    return jobs.current(bpy.context.scene)


def show_check_alone(driver: Driver) -> None:
    """The panel opened and the others gone, so that all of its buttons are within the window."""
    panel = driver.module("addon.panels.check").SPLATWRIGHT_PT_check
    bpy.utils.unregister_class(panel)
    for name in ("next_step", "capture", "photos", "batch", "instant", "train"):
        driver.module(f"addon.panels.{name}").unregister()
    panel.bl_options, panel.bl_parent_id = set(), ""
    bpy.utils.register_class(panel)
