"""`blender --command splatwright_capture WORK`: captures scenes of a file without a window, for `splatwright capture`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import bpy

from ...engine.batch.tasks import TaskState, forget
from ...engine.core.errors import UserError
from ...engine.core.processes import end_with_parent
from ...engine.core.protocol.capture_messages import ALL, COMMAND, EACH, RIG, CaptureOrder, CaptureUpdate, read_order, report_update
from ..capture.render_passes import render_blocking
from ..properties.batch import camera_collections, cameras_of, file_name
from ..typed import operators
from .capture import captured
from .plan import BatchPlan, Views, check_apart, check_places, check_room, make_plan

_handle: object = None


def run(arguments: list[str]) -> int:
    """Capture what a work folder orders; its news say how far that is. Exit status 0 also when something failed: the news tell."""
    end_with_parent()
    work = Path(arguments[0])
    order = read_order(work)
    try:
        _capture(order, work)
    except UserError as error:
        report_update(CaptureUpdate(problem=str(error)), work)
    return 0


def _capture(order: CaptureOrder, work: Path) -> None:
    try:
        operators().wm.open_mainfile(filepath=order.file, load_ui=False)
    except RuntimeError as error:
        raise UserError(f"{order.file} could not be opened: {str(error).removeprefix('Error: ').strip()}", "Open it in Blender.",
                        "batch.not_opened", file=order.file, error=str(error).removeprefix("Error: ").strip()) from error
    plans = list(_plans(order, work))
    check_apart(plans)
    check_room(plans)
    for plan in plans:
        if order.again:
            forget(plan.task.dataset)
        _report_task(plan, work)
    for plan in plans:
        if plan.ready:
            plan.task.captured(plan.ready)
        else:
            for _ in captured(plan, render_blocking):
                _report_task(plan, work)
        _report_task(plan, work)


def _plans(order: CaptureOrder, work: Path) -> Iterator[BatchPlan]:
    """A plan for each dataset; problems of one are reported, and the others go on."""
    for views in _views(order):
        name = f"{views.scene.name} {views.collection.name}" if views.collection else views.scene.name
        dataset = Path(order.output) / file_name(name)
        try:
            plan = make_plan(name, views, dataset, None)
            request = replace(plan.request, resolution=order.image_size or plan.request.resolution,
                              samples=order.samples or plan.request.samples)
            check_places(plan)
            yield replace(plan, request=request)
        except UserError as error:
            report_update(CaptureUpdate(name, str(dataset), problem=str(error)), work)


def _views(order: CaptureOrder) -> list[Views]:
    """What the order's scenes and cameras mean in this file; UserError for names that it does not have."""
    scenes = [scene for scene in bpy.data.scenes if not order.scenes or scene.name in order.scenes]
    _check_names(order.scenes, {scene.name for scene in bpy.data.scenes}, "scene")
    collections = {found.name for scene in scenes for found in scene.collection.children_recursive}
    _check_names([name for name in order.cameras if name not in (ALL, EACH, RIG)], collections, "collection")
    return [views for scene in scenes for views in _views_of(scene, order.cameras)]


def _views_of(scene: bpy.types.Scene, words: tuple[str, ...]) -> Iterator[Views]:
    if not words:
        yield Views(scene, "ALL" if len(cameras_of(scene.objects)) > 1 else "RIG")
    for word in words:
        match word:
            case "all" | "rig":
                yield Views(scene, word.upper())
            case "each":
                yield from (Views(scene, "COLLECTION", found) for found in camera_collections(scene))
            case _:
                yield from (Views(scene, "COLLECTION", found) for found in scene.collection.children_recursive if found.name == word)


def _check_names(asked: list[str] | tuple[str, ...], known: set[str], kind: str) -> None:
    missing = [name for name in asked if name not in known]
    if missing:
        raise UserError(f"The file has no {kind} {missing[0]}.", f"It has: {', '.join(sorted(known)) or 'none'}.", "batch.unknown_name",
                        kind=kind, missing=missing[0], known=", ".join(sorted(known)) or 'none')


def _report_task(plan: BatchPlan, work: Path) -> None:
    task = plan.task
    whole = task.state is TaskState.DONE
    done, total = (task.images, task.images) if whole else (task.done, task.total or task.images)
    report_update(CaptureUpdate(task.name, str(task.dataset), done, total, task.view_seconds, whole, task.problem), work)


def register() -> None:
    global _handle
    _handle = bpy.utils.register_cli_command(COMMAND, run)


def unregister() -> None:
    bpy.utils.unregister_cli_command(_handle)
