"""The steps of the demonstration that happen in Blender, through the extension's own operators."""

from __future__ import annotations

import importlib
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
from mathutils import Vector

from demo import pictures
from demo.still_life import build_still_life
from engine.core.datasets.read import read_dataset
from engine.core.protocol.events import Event, Finished, Preview, Progress
from engine.core.protocol.folder import JobFolder
from tools.session import MODULE

context: Any = bpy.context  # the stubs call all of it optional
operators: Any = bpy.ops  # the stubs know none of ours

LIMIT_SECONDS = 1200


@dataclass(frozen=True)
class Outcome:
    """What the training left."""

    splats: bpy.types.Object
    dataset: Path
    result: Path
    events: list[Event]
    first_preview_seconds: float
    psnr: float
    ssim: float
    gaussians: int


def new_scene(build: Callable[[], list[bpy.types.Object]] = build_still_life) -> None:
    """Build a scene and select what the capture rig turns around."""
    bpy.ops.wm.read_homefile(use_empty=True)
    objects = build()
    bpy.ops.object.select_all(action="DESELECT")
    for made in objects:
        made.select_set(True)
    context.view_layer.objects.active = objects[0]


def capture(folder: Path, cameras: int) -> None:
    """Render the dataset from a dome of cameras."""
    operators.splatwright.capture_dataset(directory=str(folder), source="DOME", count=cameras, transparent=True)


def train(dataset: Path, jobs_folder: Path, steps: int) -> Outcome:
    """Press Train and wait, turning the extension's timer by hand because none ticks without a window."""
    jobs = extension("addon.jobs.jobs")
    settings = context.scene.splatwright.train
    settings.dataset = str(dataset)
    settings.max_steps = steps
    extension("addon.engines.locations").preferences().jobs_folder = str(jobs_folder)
    start = time.monotonic()
    operators.splatwright.train()
    engine, job = extension("addon.engines.choice").engine(), context.scene.splatwright.job
    folder = JobFolder(jobs_folder / job)
    first_preview = 0.0
    said = 0.0
    while True:
        jobs.poll()
        events = folder.read_events()[0]
        if not first_preview and any(isinstance(event, Preview) for event in events) and splat_object(job):
            first_preview = time.monotonic() - start
        said = say(events, said)
        if not engine.state(job).alive:
            break
        if time.monotonic() - start > LIMIT_SECONDS:
            raise SystemExit("The training takes too long.")
        time.sleep(0.1)
    while jobs.poll() is not None and any(found.name == job and not found.imported for found in jobs.watched()):
        time.sleep(0.01)  # the result is shown in steps
    events = folder.read_events()[0]
    last = next((event for event in reversed(events) if isinstance(event, Finished)), None)
    splats = splat_object(job)
    if last is None or last.psnr is None or last.ssim is None or splats is None:
        raise SystemExit(f"The training failed: {events[-1]}")
    return Outcome(splats, dataset, folder.result, events, round(first_preview, 2), round(last.psnr, 2), round(last.ssim, 4),
                   last.gaussians)


def say(events: list[Event], said: float) -> float:
    """Print the newest progress every few seconds."""
    now = time.monotonic()
    progress = next((event for event in reversed(events) if isinstance(event, Progress)), None)
    if progress is None or now - said < 5:
        return said
    print(f"  step {progress.step}/{progress.max_steps}  loss {progress.loss:.4f}  {progress.gaussians:,} Gaussians  "
          f"{progress.steps_per_second:.1f} it/s  {progress.eta_seconds:.0f} s left", flush=True)
    return now


def splat_object(job: str) -> bpy.types.Object | None:
    """The splat object of a job."""
    objects: Any = bpy.data.objects
    return next((found for found in objects if found.splatwright.job == job), None)


def place_and_export(splats: bpy.types.Object, path: Path) -> None:
    """Move, turn and scale the splats as an artist would, and write them where they stand now."""
    splats.location = Vector((2.3, 0.0, 0.0))
    splats.rotation_euler = (0.0, 0.0, math.radians(60))
    splats.scale = (0.8, 0.8, 0.8)
    context.view_layer.update()
    bpy.ops.object.select_all(action="DESELECT")
    splats.select_set(True)
    context.view_layer.objects.active = splats
    operators.splatwright.export_splats(filepath=str(path), axes="SUPERSPLAT")


def draw_pictures(outcome: Outcome, out: Path) -> list[Path]:
    """Contact sheet, truth beside render, training curve, and a Cycles render of the splats beside the meshes."""
    dataset = read_dataset(outcome.dataset)
    return [
        pictures.contact_sheet(dataset, out / "contact_sheet.png"),
        pictures.truth_beside_render(outcome.result, outcome.dataset, out / "truth_beside_render.png"),
        pictures.training_curve(outcome.events, out / "training_curve.png"),
        render_in_scene(outcome.splats, out / "splats_in_scene.png"),
    ]


def render_in_scene(splats: bpy.types.Object, path: Path) -> Path:
    """Cycles sees the meshes on the left and the moved splats on the right."""
    scene = context.scene
    scene.splatwright.show_originals = True
    camera = bpy.data.objects.new("Demo camera", bpy.data.cameras.new("Demo camera"))
    scene.collection.objects.link(camera)
    camera_data: Any = camera.data
    camera_data.lens = 40
    camera.location = (1.15, -4.6, 2.2)
    camera.rotation_euler = (Vector((1.15, 0.0, 0.2)) - camera.location).to_track_quat("-Z", "Y").to_euler()
    scene.camera = camera
    extension("addon.splats.display").prepare_cycles(scene)
    scene.view_settings.view_transform = "Standard"
    scene.render.film_transparent = False
    scene.render.resolution_x, scene.render.resolution_y = 800, 400
    scene.cycles.samples = 4
    scene.render.filepath = str(path)
    bpy.ops.render.render(write_still=True)
    return path


def extension(name: str) -> Any:
    """A module of the enabled extension."""
    return importlib.import_module(f"{MODULE}.{name}")
