"""The whole way in a Blender of its own: `python whole_way.py FOLDER`. The last line it prints is a JSON object of figures."""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.session import MODULE, start_extension

FOLDER = Path(sys.argv[1])
start_extension(FOLDER / "profile")

from tests.untyped import bpy  # noqa: E402

PATIENCE = 120.0  # s
DATASET = FOLDER / "dataset"


def module(name: str) -> Any:
    """A module of the extension."""
    return importlib.import_module(f"{MODULE}.{name}")


def main() -> None:
    """Capture, train, place, export and import again."""
    patterned_cube()
    scene = bpy.context.scene
    scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 4, False
    bpy.ops.splatwright.capture_dataset(directory=str(DATASET), source="DOME", count=16, resolution=64, transparent=True)
    live = train(scene)
    target = splats()
    assert target is not None
    found = module("addon.splats.splat_object").gaussians_from_object(target)
    job = module("addon.jobs.jobs").current(scene)
    on_pixels = min(shares_on_pixels(found.means[found.opacities > 0]))
    again = moved_and_back(target)
    expected = found.means @ np.array(target.matrix_world)[:3, :3].T + np.array(target.matrix_world)[:3, 3]
    print(json.dumps({"identity": bool(np.allclose(bpy.context.object.matrix_world, np.eye(4))), "live": live, "psnr": job.psnr,
                      "on_pixels": on_pixels, "splats": len(found), "moved": float(np.abs(again - expected).max())}), flush=True)


def patterned_cube() -> None:
    """A cube whose faces are patches of glowing colours."""
    bpy.ops.mesh.primitive_cube_add(size=1.5, location=(0.4, -0.2, 0.6), rotation=(0.2, 0.3, 0.5))
    cube = bpy.context.object
    bpy.ops.object.mode_set(mode="EDIT")
    bpy.ops.mesh.subdivide(number_cuts=3)
    bpy.ops.object.mode_set(mode="OBJECT")
    mesh = cube.data
    mesh.color_attributes.new("patches", "FLOAT_COLOR", "CORNER")
    colors = np.repeat(np.random.default_rng(0).random((len(mesh.loops) // 4, 4)), 4, axis=0).astype(np.float32)
    mesh.attributes["patches"].data.foreach_set("color", colors.ravel())
    mesh.materials.append(glowing("patches"))


def glowing(attribute: str) -> bpy.types.Material:
    """A material that shows the colours of an attribute as they are."""
    material = bpy.data.materials.new("Glowing")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    read, glow, out = (tree.nodes.new("ShaderNode" + kind) for kind in ("Attribute", "Emission", "OutputMaterial"))
    read.attribute_name = attribute
    tree.links.new(read.outputs["Color"], glow.inputs["Color"])
    tree.links.new(glow.outputs[0], out.inputs["Surface"])
    return material


def splats() -> bpy.types.Object | None:
    """The splat object of the training."""
    return next((found for found in bpy.data.objects if found.splatwright.job), None)


def train(scene: bpy.types.Scene) -> bool:
    """Train to the end; whether splats were in the scene before that."""
    settings = scene.splatwright.train
    settings.dataset, settings.max_steps, settings.max_gaussians, settings.resolution = str(DATASET), 400, 3000, 64
    module("addon.engines.locations").preferences().jobs_folder = str(FOLDER / "jobs")
    bpy.ops.splatwright.train()
    jobs, live, end = module("addon.jobs.jobs"), False, time.monotonic() + PATIENCE
    while not scene.splatwright.imported_job:
        jobs.poll()
        live = live or (splats() is not None and not scene.splatwright.imported_job)
        assert time.monotonic() < end, jobs.watched()
        time.sleep(0.05)
    return live


def shares_on_pixels(places: np.ndarray) -> list[float]:
    """For each view, the share of `places` [N, 3] that lie on pixels which show the cube: splats stand at identity in the scene."""
    dataset = module("engine.core.datasets.read").read_dataset(DATASET)
    decode = module("engine.core.images.png").decode_png
    shares = []
    for view in dataset.views:
        alpha = decode(view.image.read_bytes())[..., 3]
        pixels, _ = view.camera.project(places.astype(float))
        columns, rows = np.clip(pixels.astype(int).T, 0, 63)
        shares.append(float((alpha[rows, columns] > 0).mean()))
    return shares


def moved_and_back(target: bpy.types.Object) -> np.ndarray:
    """Places [N, 3] of the splats after they were moved, exported and imported."""
    target.location, target.rotation_euler, target.scale = (3, 0, 0), (0, 0, 1), (2, 2, 2)
    target.select_set(True)
    bpy.context.view_layer.objects.active = target
    bpy.context.view_layer.update()
    bpy.ops.splatwright.export_splats(filepath=str(FOLDER / "placed.ply"))
    bpy.ops.splatwright.import_splats(filepath=str(FOLDER / "placed.ply"))
    return module("addon.splats.splat_object").gaussians_from_object(bpy.context.object).means


if __name__ == "__main__":
    main()
    os._exit(0)  # bpy as a module may hang at exit while classes are registered
