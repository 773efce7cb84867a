"""Cameras, dataset, training, splats in the scene, PLY: the whole way in a real Blender, at the size of a stamp."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = '''
import importlib, json, os, sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
from tools.session import MODULE, start_extension
folder = Path(sys.argv[2])
start_extension(folder / "profile")
from tests.untyped import bpy

def module(name):
    return importlib.import_module(f"{MODULE}.{name}")

def quilt(mesh):
    mesh.color_attributes.new("patches", "FLOAT_COLOR", "CORNER")
    colors = np.repeat(np.random.default_rng(0).random((len(mesh.loops) // 4, 4)), 4, axis=0).astype(np.float32)
    mesh.attributes["patches"].data.foreach_set("color", colors.ravel())
    material = bpy.data.materials.new("Quilt")
    material.use_nodes = True
    tree = material.node_tree
    tree.nodes.clear()
    read, glow, out = (tree.nodes.new("ShaderNode" + kind) for kind in ("Attribute", "Emission", "OutputMaterial"))
    read.attribute_name = "patches"
    tree.links.new(read.outputs["Color"], glow.inputs["Color"])
    tree.links.new(glow.outputs[0], out.inputs["Surface"])
    mesh.materials.append(material)

bpy.ops.mesh.primitive_cube_add(size=1.5, location=(0.4, -0.2, 0.6), rotation=(0.2, 0.3, 0.5))
cube = bpy.context.object
bpy.ops.object.mode_set(mode="EDIT")
bpy.ops.mesh.subdivide(number_cuts=3)
bpy.ops.object.mode_set(mode="OBJECT")
quilt(cube.data)
scene = bpy.context.scene
scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 4, False
bpy.ops.splatwright.capture_dataset(directory=str(folder / "dataset"), source="DOME", count=16, resolution=64, transparent=True)
settings = scene.splatwright.train
settings.dataset, settings.max_steps, settings.max_gaussians, settings.resolution = str(folder / "dataset"), 400, 3000, 64
module("addon.engines.locations").preferences().jobs_folder = str(folder / "jobs")
bpy.ops.splatwright.train()
jobs = module("addon.jobs.jobs")
end = time.monotonic() + 120
splats = lambda: next((found for found in bpy.data.objects if found.splatwright.job), None)
live = False
while not scene.splatwright.imported_job:
    jobs.poll()
    live = live or (splats() is not None and not scene.splatwright.imported_job)
    assert time.monotonic() < end, jobs.watched()
    time.sleep(0.05)

# At identity in the scene's frame: its opaque splats lie on the pixels that show the cube.
target = splats()
gaussians = module("engine.core.splats.gaussians")
found = module("addon.splats.splat_object").gaussians_from_object(target)
opaque = found.means[found.opacities > 0]
dataset = module("engine.core.datasets.read").read_dataset(folder / "dataset")
read_png = module("engine.core.images.png").decode_png
shares = []
for view in dataset.views:
    alpha = read_png(view.image.read_bytes())[..., 3]
    pixels, depth = view.camera.project(opaque.astype(float))
    columns, rows = np.clip(pixels.astype(int).T, 0, 63)
    shares.append(float((alpha[rows, columns] > 0).mean()))
job = jobs.current(scene)
target.location, target.rotation_euler, target.scale = (3, 0, 0), (0, 0, 1), (2, 2, 2)
target.select_set(True)
bpy.context.view_layer.objects.active = target
bpy.context.view_layer.update()
bpy.ops.splatwright.export_splats(filepath=str(folder / "placed.ply"))
bpy.ops.splatwright.import_splats(filepath=str(folder / "placed.ply"))
again = module("addon.splats.splat_object").gaussians_from_object(bpy.context.object).means
expected = found.means @ np.array(target.matrix_world)[:3, :3].T + np.array(target.matrix_world)[:3, 3]
print(json.dumps({"identity": bool(np.allclose(bpy.context.object.matrix_world, np.eye(4))), "live": live, "psnr": job.psnr,
                  "on_pixels": min(shares), "splats": len(found), "moved": float(np.abs(again - expected).max())}), flush=True)
os._exit(0)
'''


def test_the_whole_way(tmp_path: Path) -> None:
    pytest.importorskip("bpy")
    folder = tmp_path / "whole way – 全"
    folder.mkdir()
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(ROOT), str(folder)], capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    assert figures["psnr"] > 22 and figures["splats"] > 500 and figures["live"]
    assert figures["on_pixels"] > 0.97
    assert figures["identity"] and figures["moved"] < 1e-4
