"""The scenes that the repository generates: they build on every Blender and can be captured with all their maps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from demo.sample_scene import build_sample_scene
from demo.still_life import build_still_life
from demo.thicket_scene import build_thicket
from tests.untyped import bpy

from .capture.capturing import capture, pixels


@pytest.mark.parametrize("build", [build_sample_scene, build_still_life, build_thicket])
def test_a_scene_is_seen_from_all_around(fresh_scene: bpy.types.Scene, tmp_path: Path, build: Callable[[], list[bpy.types.Object]]) -> None:
    bpy.ops.object.select_all(action="DESELECT")
    for made in build():
        made.select_set(True)
    dataset = capture(tmp_path, source="DOME", count=3, resolution=64, samples=2, depth=True, normals=True, points=300)
    for view in dataset.views:
        covered = pixels(view.image)[..., 3] > 128
        assert 0.15 < covered.mean() < 0.9
        assert max(np.ptp(np.nonzero(covered.any(axis=axis))[0]) for axis in (0, 1)) > 0.6 * 64, "it fills the image"
        depth, normals = np.load(view.depth), np.load(view.normals).astype(np.float32)
        assert ((depth > 0) & covered).sum() > 0.9 * covered.sum()
        assert (np.linalg.norm(normals, axis=2)[covered] > 0.5).mean() > 0.8
    assert dataset.points is not None and len(dataset.points) > 200


def test_the_thicket_is_hard(fresh_scene: bpy.types.Scene) -> None:
    """Foliage, wires thinner than a pixel from afar, and things that mirror."""
    build_thicket()
    triangles = {item.name: len(item.data.polygons) for item in bpy.data.objects if item.type == "MESH"}
    assert triangles["Grass"] > 5000 and sum(count for name, count in triangles.items() if "Bush" in name or "leaves" in name) > 4000
    assert bpy.data.objects["Fence"].data.bevel_depth < 0.01 and len(bpy.data.objects["Spokes"].data.splines) == 28
    shader = bpy.data.objects["Mirror ball"].active_material.node_tree.nodes["Principled BSDF"]
    assert shader.inputs["Metallic"].default_value == 1 and shader.inputs["Roughness"].default_value < 0.1
