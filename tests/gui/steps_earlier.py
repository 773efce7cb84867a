"""Earlier trainings by hand: unfold the list, train further, ask to delete; a copied scene starts clean; the status bar tells how far."""

from __future__ import annotations

from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps

bpy: Any = blender  # stubs know nothing of what the extension registers

HEADING = 102
"""Pixels from the sidebar's upper edge."""

PENCIL, BIN = 0.765, 0.845
"""Shares of the sidebar's width."""


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    settings = bpy.context.scene.splatwright.train
    settings.dataset = str(HERE / "dataset")
    settings.max_steps, settings.max_gaussians, settings.resolution = 600, 2000, 96
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(60)
    yield from driver.fold_first_panel()
    jobs = driver.module("addon.jobs.jobs")
    names = []
    for seed in (1, 2):
        settings.seed = seed
        yield from driver.press("splatwright.train")
        yield from driver.until(lambda: current(jobs) and current(jobs).imported and not current(jobs).state.alive, "the result")
        names.append(current(jobs).name)
    yield from unfold(driver)
    yield from driver.picture("earlier-list")
    yield from driver.press("splatwright.rename_training", (PENCIL,))
    yield 0.5
    yield from driver.picture("earlier-rename")
    yield from leave_dialog(driver)
    bpy.ops.splatwright.rename_training(job=names[1], title="Ball from the left")
    yield from driver.press("splatwright.delete_training", (BIN,))
    yield 0.5
    yield from driver.picture("earlier-delete")
    x, y = driver.window.width // 2, driver.window.height // 2
    yield from driver.key("RET", x, y)  # the usual answer is Cancel
    yield 0.5
    driver.answers["kept"] = sorted(driver.module("addon.engines.choice").local_engine().jobs()) == sorted(names)
    yield from leave_dialog(driver)
    bpy.context.scene.splatwright.further_steps = 60_000
    yield from driver.press("splatwright.train_further")
    yield from driver.until(lambda: current(jobs).step > 700, "further steps")
    yield 0.5
    yield from driver.picture("earlier-further")
    driver.answers["end"] = current(jobs).max_steps
    bpy.ops.scene.new(type="FULL_COPY")
    yield 1.0
    driver.answers["copy"] = [bpy.context.scene.splatwright.job, jobs.current(bpy.context.scene) is None]
    yield from driver.picture("earlier-copy")


def unfold(driver: Driver) -> Steps:
    """Click on the list's heading, on top of the panel Train, which is the third one."""
    yield from driver.until(driver.module("addon.jobs.earlier").rows, "the list")
    driver.viewport.tag_redraw()
    yield 0.5
    yield from driver.picture("earlier-folded")
    yield from driver.click(driver.sidebar.x + 120, driver.sidebar.y + driver.sidebar.height - HEADING)
    yield 0.7


def leave_dialog(driver: Driver) -> Steps:
    yield from driver.key("ESC", driver.window.width // 2, driver.window.height // 2)
    yield 0.5


def current(jobs: Any) -> Any:
    return jobs.current(bpy.context.scene)
