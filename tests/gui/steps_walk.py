"""The whole way by mouse and keys, from the factory scene to an exported file: what an artist does, counts and waits for."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import bpy as blender
from driver import HERE, Driver, Steps
from label_widths import cut_labels
from longest_steps import Stopwatch
from steps_drawing import window_region

bpy: Any = blender  # stubs know nothing of what the extension registers


def steps(driver: Driver) -> Steps:
    yield from driver.install_from(driver.arguments["repository"])
    yield 1.0
    yield from driver.picture("enabled")
    bpy.ops.object.select_all(action="DESELECT")
    watch = watched(driver)
    scene = bpy.context.scene
    quick(scene)
    yield from to_splats(driver, watch, scene)
    yield from to_the_end(driver, watch, scene)
    yield from placed(driver, watch)
    yield from exported(driver, watch)
    yield from imported(driver, watch)
    yield from other_panels(driver)
    driver.answers["longest"] = watch.longest


def quick(scene: bpy.types.Scene) -> None:
    """A small capture and a short training, as two cores without a graphics card can do them."""
    scene.render.engine = "CYCLES"
    scene.cycles.samples, scene.cycles.use_denoising = 4, False  # some builds have no denoiser
    settings = scene.splatwright
    settings.capture.count, settings.capture.resolution = 24, 200
    settings.train.max_steps, settings.train.max_gaussians, settings.train.resolution = 1500, 4000, 200


def watched(driver: Driver) -> Stopwatch:
    """Measures what the extension does in Blender's main thread: its timers, operators and drawing of splats."""
    watch = Stopwatch()
    watch.watch(driver.module("addon.jobs.jobs"), "_follow", "a look at a job")
    watch.watch(driver.module("addon.operators.load"), "advance", "a tick of the import")
    watch.watch(bpy.types.SPLATWRIGHT_OT_capture_dataset, "advance", "a tick of the capture, with what Blender sets up for a render")
    drawing = driver.module("addon.viewport.drawing")
    watch.watch(drawing.ViewportDrawing, "_stage", "collecting what is drawn")
    watch.watch(drawing.CloudLoading, "advance", "bringing splats to the graphics card")
    watch.watch(drawing.Painter, "paint", "painting, by a software rasterizer")
    return watch


def to_splats(driver: Driver, watch: Stopwatch, scene: bpy.types.Scene) -> Steps:
    """N, the tab, Capture, Train. Looking for buttons takes the test long: what is counted is the work that clicks begin."""
    region = window_region(driver)
    yield from driver.move(region.x + 300, region.y + 300)
    yield from driver.key("N", region.x + 300, region.y + 300)
    yield 0.7
    driver.clicks = 0
    yield from driver.click_tab("Splats")
    yield from driver.picture("first_look")
    driver.answers["cut"] = {"first look": cut_labels(driver)}
    watch.stage = "capture"
    yield from driver.press("splatwright.capture_dataset")
    began = time.monotonic()
    yield from driver.until(lambda: bpy.types.SPLATWRIGHT_OT_capture_dataset.progress, "the capture to begin")
    yield 1.0
    yield from driver.picture("capturing")
    yield from driver.until(lambda: scene.splatwright.captured, "the dataset")
    capture_seconds = time.monotonic() - began
    yield 0.7
    yield from driver.picture("captured")
    driver.answers["cut"]["captured"] = cut_labels(driver)
    watch.stage = "training"
    yield from driver.press("splatwright.train")
    began, jobs = time.monotonic(), driver.module("addon.jobs.jobs")
    yield from driver.until(lambda: jobs.splat_object(scene.splatwright.job), "splats")
    driver.answers |= {"clicks": driver.clicks, "capture_seconds": round(capture_seconds, 1),
                       "first_splats_seconds": round(time.monotonic() - began, 1)}
    yield 0.5
    yield from driver.picture("first_splats")
    driver.answers["cut"]["training"] = cut_labels(driver)


def to_the_end(driver: Driver, watch: Stopwatch, scene: bpy.types.Scene) -> Steps:
    jobs = driver.module("addon.jobs.jobs")
    yield from driver.until(lambda: jobs.current(scene).fraction > 0.6 or jobs.current(scene).imported, "more previews")
    yield 0.3
    yield from driver.picture("previews")
    yield from driver.until(lambda: jobs.current(scene).imported, "the result")
    yield 1.0
    yield from driver.picture("trained")
    driver.answers |= {"splats": len(jobs.splat_object(scene.splatwright.job).data.points), "psnr": jobs.current(scene).psnr}
    driver.answers["cut"]["trained"] = cut_labels(driver)


def placed(driver: Driver, watch: Stopwatch) -> Steps:
    """Select the splats and move them with the keys."""
    watch.stage = "placing"
    made = driver.module("addon.jobs.jobs").splat_object(bpy.context.scene.splatwright.job)
    bpy.ops.object.select_all(action="DESELECT")
    made.select_set(True)
    bpy.context.view_layer.objects.active = made
    region = window_region(driver)
    x, y = region.x + region.width // 3, region.y + region.height // 2
    yield from driver.move(x, y)
    for key in ("G", "X"):
        yield from driver.key(key, x, y)
    yield from driver.click(x + 150, y)
    yield 0.7
    driver.answers["moved"] = made.location.x
    yield from driver.picture("placed")
    driver.answers["cut"]["placing"] = cut_labels(driver)


def exported(driver: Driver, watch: Stopwatch) -> Steps:
    """The dialog opens in a window of its own, where Return accepts what it suggests."""
    watch.stage = "export"
    yield from driver.press("splatwright.export_splats")
    yield 2.0
    yield from driver.picture("export_dialog")
    dialog = bpy.context.window_manager.windows[-1]
    for kind, value in (("MOUSEMOVE", "NOTHING"), ("RET", "PRESS")):  # the window closes before a release
        dialog.event_simulate(type=kind, value=value, x=dialog.width // 2, y=dialog.height // 2)
        yield 0.2
    yield from driver.until(lambda: list(HERE.rglob("*.ply")) and len(bpy.context.window_manager.windows) == 1, "the exported file")
    files = [path for path in HERE.rglob("*.ply") if "jobs" not in path.parts and "unsaved" not in path.parts]
    driver.answers["exported"] = [path.name for path in files]
    yield 0.5
    yield from driver.picture("exported")


def imported(driver: Driver, watch: Stopwatch) -> Steps:
    """A million splats, dropped: how long the longest step is."""
    watch.stage = "import of 1M"
    region = window_region(driver)
    x, y = region.x + region.width // 3, region.y + region.height // 2
    yield from driver.move(x, y)
    with bpy.context.temp_override(window=driver.window, area=driver.viewport, region=region):
        bpy.ops.splatwright.import_splats("INVOKE_DEFAULT", filepath=str(HERE / "million.ply"))
    yield 0.5
    yield from driver.picture("import_dialog")
    yield from driver.key("RET", x, y)
    yield from driver.until(lambda: "million" in bpy.data.objects, "the import")
    watch.stage = "first draw of 1M"
    viewport = driver.module("addon.viewport").running
    yield from driver.until(lambda: viewport.is_loading, "the drawing")
    yield from driver.until(lambda: any(loading.partial for loading in viewport._loading.values()) or not viewport.is_loading, "a part")
    yield 0.3
    yield from driver.picture("import_partly_there")
    yield from driver.until(lambda: not viewport.is_loading and not viewport.busy_sorters(), "all splats")
    yield 2.0
    yield from driver.picture("imported")
    bpy.data.objects.remove(bpy.data.objects["million"])


def other_panels(driver: Driver) -> Steps:
    """Photos, with the captured images in the place of photos, and the panels at twice the size."""
    scene = bpy.context.scene
    scene.splatwright.photos.directory = str(Path(scene.splatwright.captured) / "images")
    yield from scrolled(driver, -6)
    yield from driver.picture("photos_panel")
    driver.answers["cut"]["photos"] = cut_labels(driver)
    yield from scrolled(driver, -30)
    yield from driver.picture("layout_panel")
    yield from scrolled(driver, 60)
    bpy.context.preferences.view.ui_scale = 2.0
    yield 1.5
    yield from driver.picture("twice_the_size")
    driver.answers["cut"]["twice the size"] = cut_labels(driver)
    bpy.context.preferences.view.ui_scale = 1.0
    yield 0.7


def scrolled(driver: Driver, lines: int) -> Steps:
    """Turn the wheel over the sidebar; negative is down."""
    region = driver.sidebar
    x, y = region.x + region.width // 2, region.y + region.height // 2
    yield from driver.move(x, y)
    for _ in range(abs(lines)):
        yield from driver.event("WHEELUPMOUSE" if lines > 0 else "WHEELDOWNMOUSE", "PRESS", x, y)
    yield 0.5
