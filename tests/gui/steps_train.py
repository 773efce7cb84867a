"""Press Train, watch the splats come, look at the figures, let it end; undo and redo."""

from __future__ import annotations

import time

import bpy
from driver import HERE, Driver, Steps


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    settings = bpy.context.scene.splatwright.train
    settings.dataset = str(HERE / "dataset")
    settings.max_steps, settings.max_gaussians, settings.resolution = driver.arguments["steps_to_train"], 2000, 96
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    driver.viewport.spaces.active.shading.type = "MATERIAL" if driver.arguments.get("material") else "SOLID"
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(60)
    fold("capture", driver)
    yield 0.5
    yield from driver.press("splatwright.train")
    began = time.monotonic()
    yield from driver.picture("train-starting")
    jobs = driver.module("addon.jobs")
    yield from driver.until(lambda: splats(jobs), "a first preview")
    driver.answers["first_preview_seconds"] = round(time.monotonic() - began, 2)
    yield from driver.until(lambda: current(jobs).psnr is not None, "a measurement")
    yield 0.5
    yield from driver.picture("train-running")
    yield from driver.until(lambda: current(jobs).imported, "the result")
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


def undo_and_redo(driver: Driver, jobs: object) -> Steps:
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


def current(jobs: object):
    return jobs.current(bpy.context.scene)


def splats(jobs: object):
    return jobs.splat_object(bpy.context.scene.splatwright.job)


def fold(panel: str, driver: Driver) -> None:
    """Panels cannot be folded from Python: hide one instead."""
    kind = getattr(driver.module("addon.panels"), f"SPLATWRIGHT_PT_{panel}")
    kind.poll = classmethod(lambda cls, context: False)
