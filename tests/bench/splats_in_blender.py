"""Run as a module in a process of its own: what one splat file takes in Blender. Prints its figures as JSON."""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.bench.bench_blender import best
from tests.bench.bench_formats import trained_like
from tests.blender.conftest import EXTENSION, empty_scene, module

import bpy as blender  # isort: skip
from tests.untyped import gpu  # isort: skip

bpy: Any = blender  # stubs know nothing of what the extension registers

PREVIEW = 200_000
Figures = dict[str, float]


def ours(path: Path) -> Figures:
    """Import, export with a transform baked in, reload of a changed file, live preview, depth order."""
    figures = imported(path, lambda: bpy.ops.splatwright.import_splats(filepath=str(path)))
    target = bpy.context.object
    target.location, target.rotation_euler, target.scale = (1, 2, 3), (0.1, 0.2, 0.3), (2, 2, 2)
    figures["export with transform"] = best(lambda: exported(path))
    target.scale = (1, 2, 3)
    figures["export with stretching"] = best(lambda: exported(path), 1)
    target.splatwright.linked = True
    figures["reload of a changed file"] = best(lambda: reloaded(target))
    figures["save while linked"] = best(lambda: saved(path))
    figures["depth order for the viewport"] = best(sorting(target))
    return figures | preview() | longest_steps(path)


def stock(path: Path) -> Figures:
    """Blender's own import: points that are no splats before 5.3."""
    return imported(path, lambda: bpy.ops.wm.ply_import(filepath=str(path), import_attributes=True))


def imported(path: Path, work: Callable[[], object]) -> Figures:
    """Best of three imports; the peak is of the first, when nothing was in memory before."""
    before = memory()
    first = best(work, 1)
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before) / path.stat().st_size
    again = [first]
    for _ in range(2):
        empty_scene()
        again.append(best(work, 1))
    return {"import": min(again), "memory peak of import / file": peak}


def exported(path: Path) -> None:
    bpy.context.view_layer.update()
    assert bpy.ops.splatwright.export_splats(filepath=str(path.with_name("again.ply"))) == {"FINISHED"}


def reloaded(target: bpy.types.Object) -> None:
    target.splatwright.stamp = ""
    module("addon.splats.linked_files").refresh()
    assert target.splatwright.stamp


def saved(path: Path) -> None:
    bpy.ops.wm.save_as_mainfile(filepath=str(path.with_suffix(".blend")), copy=True)
    assert path.with_suffix(".blend").stat().st_size < 2e6


def sorting(target: bpy.types.Object) -> Callable[[], object]:
    """Sorts the object's splats as a viewport does when it turns."""
    order = module("addon.viewport.order")
    means = module("addon.splats.attributes").read_layer(target.data, "position")
    request = order.SortRequest((), (order.SortedPart(means, 0, np.array([0.1, 0.3, -0.9, 9.0])),), True)
    return lambda: order.sort(request)


def preview() -> Figures:
    """A training's preview: as many splats as before, without harmonics."""
    empty_scene()
    splat_object = module("addon.splats.splat_object")
    kind = module("engine.core.splats.gaussians").Gaussians
    gaussians = kind(**trained_like(PREVIEW).with_sh_degree(0).arrays())
    made = splat_object.create_splat_object("Splats", gaussians)
    return {"preview of 200k rewritten": best(lambda: splat_object.update_splat_object(made, gaussians), 5)}


def longest_steps(path: Path) -> Figures:
    """The longest single step of the main thread by processor time: import, Blender's evaluation, first draw, preview."""
    empty_scene()
    operator = SimpleNamespace(report=lambda *_: None)
    figures = {"longest step of the import": longest(module("addon.operators.load").loading_steps(operator, [path], "AUTO", False))}
    start = time.thread_time()
    bpy.context.view_layer.update()
    figures["Blender's evaluation after the import"] = time.thread_time() - start
    if not module("addon.splats.display").draws_natively() and hasattr(gpu, "init"):
        gpu.init()
        figures["longest step of the first draw, without painting"] = longest(loading(bpy.data.objects[0]))
    return figures | {"longest step of a preview of 200k": preview_step()}


def loading(target: bpy.types.Object) -> Iterator[object]:
    """Brings an object's splats to the graphics card, step by step."""
    cloud = module("addon.viewport.cloud")
    yield from cloud.CloudLoading([cloud.Source("", target.evaluated_get(bpy.context.evaluated_depsgraph_get()))])._steps


def preview_step() -> float:
    """Packed in a thread, a preview is written at once."""
    empty_scene()
    splat_object, packing, display = (module(f"addon.splats.{name}") for name in ("splat_object", "packing", "display"))
    gaussians = module("engine.core.splats.gaussians").Gaussians(**trained_like(PREVIEW).with_sh_degree(0).arrays())
    made = splat_object.create_splat_object("Splats", gaussians.take(slice(0, PREVIEW // 2)))
    return longest(splat_object.write_packed(made, packing.pack(gaussians, display.schema())) for _ in range(1))


def longest(steps: Iterable[object]) -> float:
    """Seconds of processor time of the longest step."""
    took, start = 0.0, time.thread_time()
    for share in steps:
        took = max(took, time.thread_time() - start)
        if share is None:
            time.sleep(0.001)  # a thread is at work
        start = time.thread_time()
    return max(took, time.thread_time() - start)


def memory() -> int:
    """Bytes that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def main() -> None:
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    empty_scene()
    figures = {"ours": ours, "stock": stock}[sys.argv[1]](Path(sys.argv[2]))
    print("FIGURES", json.dumps(figures), flush=True)


if __name__ == "__main__":
    try:
        main()
    finally:
        sys.stderr.flush()
        os._exit(0)  # bpy 4.5 hangs at exit while classes are registered
