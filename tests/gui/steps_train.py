"""Press Train, watch the splats come, look at the figures, let it end; undo and redo."""

from __future__ import annotations

import time
from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    settings = bpy.context.scene.splatwright.train
    settings.dataset = str(HERE / driver.arguments.get("dataset", "dataset"))
    settings.max_steps, settings.max_gaussians, settings.resolution = driver.arguments["steps_to_train"], 2000, 96
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(60)
    yield from driver.fold_first_panel()
    jobs = driver.module("addon.jobs.jobs")
    ticks = measured_ticks(jobs)
    yield from driver.press("splatwright.train")
    began = time.monotonic()
    yield from driver.picture("train-starting")
    yield from driver.until(lambda: splats(jobs), "a first preview")
    driver.answers["first_preview_seconds"] = round(time.monotonic() - began, 2)
    yield from driver.until(lambda: current(jobs).psnr is not None, "a measurement")
    yield 0.5
    yield from driver.picture("train-running")
    yield from driver.until(lambda: current(jobs).imported, "the result")
    driver.answers |= {"slowest_tick": max(ticks), "share_of_time": sum(ticks) / (time.monotonic() - began)}
    yield 0.5
    yield from driver.picture("train-finished")
    found = splats(jobs)
    driver.answers |= {"splats": len(found.data.points), "psnr": current(jobs).psnr, "identity": found.matrix_world.is_identity}
    yield from undo_and_redo(driver, jobs)
    bpy.ops.object.select_all(action="DESELECT")
    found = splats(jobs)
    found.select_set(True)
    bpy.context.view_layer.objects.active = found
    yield 0.5
    yield from driver.picture("train-selected")


def measured_ticks(jobs: Any) -> list[float]:
    """Seconds that each look at a job takes from now on."""
    took: list[float] = []
    follow = jobs._follow

    def measured(*arguments: Any) -> bool:
        start = time.perf_counter()
        try:
            return follow(*arguments)
        finally:
            took.append(time.perf_counter() - start)

    jobs._follow = measured
    return took


def undo_and_redo(driver: Driver, jobs: Any) -> Steps:
    """One undo takes the splats away, one redo brings them back, and the panel stays with its training."""
    x, y = driver.viewport.x + 200, driver.viewport.y + 200
    yield from driver.move(x, y)
    yield from driver.key("Z", x, y, ctrl=True)
    yield 0.7
    driver.answers["after_undo"] = splats(jobs) is not None
    driver.answers["job_after_undo"] = current(jobs) is not None
    yield from driver.key("Z", x, y, ctrl=True, shift=True)
    yield 0.7
    found = splats(jobs)
    driver.answers["after_redo"] = len(found.data.points) if found else 0


def current(jobs: Any):
    return jobs.current(bpy.context.scene)


def splats(jobs: Any):
    return jobs.splat_object(bpy.context.scene.splatwright.job)

