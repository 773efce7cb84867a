"""Render a dataset from a dome of cameras without a window. In a Blender that has the extension, or with Blender as a Python module:

blender -b scene.blend --python examples/03_capture_headless.py -- DATASET
python examples/03_capture_headless.py -- DATASET
"""

import os
import sys
import tempfile
from pathlib import Path

dataset = Path(sys.argv[sys.argv.index("--") + 1]).resolve()
if "bpy" not in sys.modules:  # a module has no extensions installed: this checkout becomes one, in a profile of its own
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from tools.session import start_extension

    start_extension(Path(tempfile.mkdtemp(prefix="splatwright-profile-")))
import bpy  # noqa: E402

if not bpy.context.selected_objects:
    bpy.ops.mesh.primitive_monkey_add(location=(0, 0, 1))
scene = bpy.context.scene
scene.render.engine, scene.cycles.samples, scene.cycles.use_denoising = "CYCLES", 16, False  # EEVEE needs a graphics card
bpy.ops.splatwright.capture_dataset(directory=str(dataset), source="DOME", count=12, resolution=64, transparent=True)
print(f"{len(list((dataset / 'images').iterdir()))} images, their cameras and start points are in {dataset}", flush=True)
if not bpy.app.binary_path:
    os._exit(0)  # the module may hang at exit while an extension is enabled
