"""Import through the dialog with progress, undo it, stop another one; a linked file that changes on the disk."""

from __future__ import annotations

import itertools
import shutil
import time
from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps
from steps_drawing import bare_viewport, window_region

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    bare_viewport(driver)
    bpy.data.objects.remove(bpy.data.objects["Cube"])
    yield from driver.open_tab("Splats")
    yield from imported(driver)
    yield from undone(driver)
    yield from stopped(driver)
    yield from changed_on_disk(driver)


def dialog(driver: Driver, name: str, **options: Any) -> Steps:
    """Drop a file and press Enter."""
    region = window_region(driver)
    x, y = region.x + region.width // 3, region.y + region.height // 2
    yield from driver.move(x, y)
    with bpy.context.temp_override(window=driver.window, area=driver.viewport, region=region):
        bpy.ops.splatwright.import_splats("INVOKE_DEFAULT", filepath=str(HERE / name), **options)
    yield 0.5
    yield from driver.picture(f"import-dialog-{name.partition('.')[0]}")
    yield from driver.key("RET", x, y)


def progress(driver: Driver) -> float | None:
    return driver.module("addon.operators.load").SPLATWRIGHT_OT_load_splats.progress


def imported(driver: Driver) -> Steps:
    """The window goes on meanwhile: a timer counts how often, and measures its longest pause."""
    yield from dialog(driver, "big.ply")
    ticks = [time.monotonic()]
    bpy.app.timers.register(lambda: tick(driver, ticks), first_interval=0.0)
    yield from driver.until(lambda: progress(driver), "progress")
    yield from driver.picture("import-progress")
    yield from driver.until(lambda: "big" in bpy.data.objects, "the splats")
    driver.answers["pause"] = max(later - earlier for earlier, later in itertools.pairwise(ticks))
    driver.answers["seconds"] = ticks[-1] - ticks[0]
    driver.answers["ticks"] = len(ticks)
    driver.answers["splats"] = len(bpy.data.objects["big"].data.points)
    yield 3.0
    yield from driver.picture("import-done")


def tick(driver: Driver, ticks: list[float]) -> float | None:
    ticks.append(time.monotonic())
    return 0.01 if progress(driver) is not None else None


def undone(driver: Driver) -> Steps:
    with bpy.context.temp_override(window=driver.window):
        bpy.ops.ed.undo()
    driver.answers["after_undo"] = len(bpy.data.objects.keys()) and "big" in bpy.data.objects
    yield 0.5


def stopped(driver: Driver) -> Steps:
    yield from dialog(driver, "big.ply")
    yield from driver.until(lambda: progress(driver) is not None, "the import")
    region = window_region(driver)
    yield from driver.key("ESC", region.x + 50, region.y + 50)
    yield from driver.until(lambda: progress(driver) is None, "the end")
    yield 0.5
    driver.answers["after_escape"] = ["big" in bpy.data.objects, len(bpy.data.pointclouds)]


def changed_on_disk(driver: Driver) -> Steps:
    yield from dialog(driver, "one.ply", link=True)
    yield from driver.until(lambda: "one" in bpy.data.objects, "the linked splats")
    target = bpy.data.objects["one"]
    shutil.copy(HERE / "two.ply", HERE / "one.ply")
    before = len(target.data.points)
    yield from driver.until(lambda: len(bpy.data.objects["one"].data.points) != before, "the file's change")
    driver.answers["linked"] = [before, len(bpy.data.objects["one"].data.points)]
    (HERE / "one.ply").unlink()
    yield from driver.until(lambda: bpy.data.objects["one"].splatwright.problem, "the file's absence")
    yield 0.5
    yield from driver.picture("import-missing")
