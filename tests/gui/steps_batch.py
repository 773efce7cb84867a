"""A batch by hand: scenes and collections added by their buttons, captured, stopped by Esc, gone on with, trained; one entry fails."""

from __future__ import annotations

from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps

from tests.blender_file import add_cameras, furnish

bpy: Any = blender  # stubs know nothing of what the extension registers

KITCHEN, HALL = "Küche 1", "ホール"


def steps(driver: Driver) -> Steps:
    yield from driver.install()
    rooms()
    batch = driver.module("addon.batch.run")
    show_batch_alone(driver)
    yield from driver.open_tab("Splats")
    yield from driver.widen_sidebar(160)
    yield from driver.picture("batch-empty")
    yield from driver.press("splatwright.add_batch_scenes")
    yield from driver.press("splatwright.add_batch_collections")
    yield 0.5
    driver.answers["entries"] = [entry.name for entry in entries(driver)]
    yield from driver.picture("batch-waiting")
    yield from captured(driver, batch)
    yield from trained(driver, batch)
    driver.module("addon.properties.batch").batch_settings().active = 0
    yield from driver.press("splatwright.show_batch_splats")
    yield from driver.until(lambda: [found for found in bpy.data.objects if found.splatwright.job], "the splats")
    yield 0.7
    yield from driver.picture("batch-splats")
    driver.answers["splats"] = [found.users_scene[0].name for found in bpy.data.objects if found.splatwright.job]


def captured(driver: Driver, batch: Any) -> Steps:
    """Esc in the second capture; the first is kept."""
    yield from driver.press("splatwright.run_batch")
    yield from driver.until(lambda: batch.tasks() and batch.tasks()[0].done >= 2, "the second view")
    yield from driver.picture("batch-capturing")
    yield from driver.until(lambda: batch.tasks()[1].state.value == "capturing" and batch.tasks()[1].done >= 1, "the second scene")
    driver.answers["shown"] = bpy.context.window_manager.windows[0].scene.name
    yield from driver.key("ESC", driver.viewport.x + 100, driver.viewport.y + 100)
    yield from driver.until(lambda: batch.tasks()[1].state.value == "waiting", "the end of the captures")
    yield 0.5
    driver.answers["after_escape"] = [task.state.value for task in batch.tasks()]
    driver.answers["shown_after"] = bpy.context.window_manager.windows[0].scene.name
    yield from driver.picture("batch-stopped")


def trained(driver: Driver, batch: Any) -> Steps:
    """The button goes on: other captures, then trainings one after the other."""
    first = (HERE / "splatwright" / KITCHEN / "images" / "0001.png").stat().st_mtime_ns
    if not batch.busy():
        yield from driver.press("splatwright.run_batch")
    yield from driver.until(lambda: any(task.state.value == "training" and task.done > 100 for task in batch.tasks()), "a training")
    driver.answers["kept"] = first == (HERE / "splatwright" / KITCHEN / "images" / "0001.png").stat().st_mtime_ns
    driver.answers["at_once"] = sum(task.state.value == "training" for task in batch.tasks())
    yield 0.6
    yield from driver.picture("batch-training")
    yield from driver.press("splatwright.stop_batch")
    yield from driver.until(lambda: not batch.busy() and batch.ended(), "the stop")
    yield 0.5
    yield from driver.picture("batch-rests")
    yield from driver.press("splatwright.run_batch")
    yield from driver.until(lambda: all(task.over for task in batch.tasks()) and batch.ended(), "the end")
    yield 0.7
    yield from driver.picture("batch-over")
    driver.answers["states"] = [task.state.value for task in batch.tasks()]
    driver.answers["problem"] = batch.tasks()[-1].problem
    driver.answers["ended"] = batch.ended()


def rooms() -> None:
    """Two scenes, the second with two collections of cameras, of which one is too small to train on."""
    bpy.ops.object.select_all(action="SELECT")
    bpy.ops.object.delete()
    kitchen, hall = bpy.context.scene, bpy.data.scenes.new(HALL)
    kitchen.name = KITCHEN
    for scene in (kitchen, hall):
        furnish(scene)
        scene.render.resolution_x = scene.render.resolution_y = 160
        scene.cycles.samples = 16
        settings = scene.splatwright.train
        settings.max_steps, settings.max_gaussians, settings.resolution, settings.trial = 4000, 1000, 96, False
    add_cameras(kitchen, kitchen.collection, 6)
    for name, count in (("Ring A", 6), ("Ring/B", 2)):
        ring = bpy.data.collections.new(name)
        hall.collection.children.link(ring)
        add_cameras(hall, ring, count)
    bpy.ops.wm.save_as_mainfile(filepath=str(HERE / "rooms.blend"))


def entries(driver: Driver) -> Any:
    return driver.module("addon.properties.batch").batch_settings().entries


def show_batch_alone(driver: Driver) -> None:
    """The panel opened and the others gone, so that all of its buttons are within the window."""
    panel = driver.module("addon.panels.batch").SPLATWRIGHT_PT_batch
    bpy.utils.unregister_class(panel)
    for name in ("next_step", "capture", "train"):
        driver.module(f"addon.panels.{name}").unregister()
    for other in ("check", "photos", "instant", "report", "splats", "layout"):
        driver.module(f"addon.panels.{other}").unregister()
    panel.bl_options = set()
    bpy.utils.register_class(panel)
