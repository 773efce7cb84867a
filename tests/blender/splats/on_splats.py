"""Splat objects as operators find them, and what is seen of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.blender.conftest import module
from tests.scenes import colored_ball
from tests.untyped import bpy


def dirty_ball() -> Any:
    """A ball of 2000 splats with a faint one in row 3, a huge one in row 5 and a lonely one in row 7."""
    ball = colored_ball(2000)
    ball.opacities[3], ball.scales[5, 1], ball.means[7] = -6, np.log(1.5), [4, 4, 4]
    return ball


def splats(gaussians: Any = None, name: str = "Splats") -> bpy.types.Object:
    made = module("addon.splats.splat_object").create_splat_object(name, colored_ball(2000) if gaussians is None else gaussians)
    made.select_set(True)
    bpy.context.view_layer.objects.active = made
    bpy.context.view_layer.update()
    return made


def parented(made: bpy.types.Object) -> bpy.types.Object:
    parent = bpy.data.objects.new("Parent", None)
    bpy.context.collection.objects.link(parent)
    made.parent = parent
    bpy.context.view_layer.update()
    return parent


def seen(*targets: bpy.types.Object) -> Any:
    return module("addon.splats.exporting").world_gaussians(targets).gaussians


def lowest(*targets: bpy.types.Object) -> float:
    placing, gaussians = module("engine.core.splats.placing"), seen(*targets)
    return placing.lowest_height(placing.bottoms(gaussians, np.eye(4)), gaussians.opacities)


def run(name: str, **options: Any) -> set[str]:
    return getattr(bpy.ops.splatwright, name)("EXEC_DEFAULT", **options)
