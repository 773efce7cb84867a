"""What the tests of capture share: a scene, ways to capture it, and snapshots of folders and settings."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np

from tests.untyped import bpy

from ..conftest import add_camera, glow, module

IGNORED_IMAGES = {"Render Result", "Viewer Node"}


def ball_scene(cameras: int = 2) -> list[bpy.types.Object]:
    """An orange ball at the origin, seen by selected cameras."""
    bpy.ops.mesh.primitive_uv_sphere_add(radius=0.8, segments=48, ring_count=24)
    glow(bpy.context.object, (1.0, 0.214, 0.0))
    bpy.ops.object.select_all(action="DESELECT")
    scene = bpy.context.scene
    return [add_camera(scene, (4, -3 + 2 * index, 1 + index), f"Camera {index}") for index in range(cameras)]


def request(directory: Path, **values: Any) -> Any:
    return module("addon.capture.request").CaptureRequest(directory, **values)


def capture(directory: Path, **values: Any) -> Any:
    return module("addon.capture.capture").capture(bpy.context, request(directory, **values))


def steps(directory: Path, **values: Any) -> Generator[Any, None, Any]:
    return module("addon.capture.capture").capture_steps(bpy.context, request(directory, **values))


def transforms(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "transforms.json").read_text())


def pixels(path: Path) -> np.ndarray:
    return module("engine.core.images.png").decode_png(path.read_bytes())


def folder_contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def snapshot() -> dict[str, Any]:
    """Every setting that a capture could touch, and the names of all data."""
    scene = bpy.context.scene
    state: dict[str, Any] = {"data": {
        kind: sorted(item.name for item in getattr(bpy.data, kind) if item.name not in IGNORED_IMAGES)
        for kind in ("objects", "cameras", "images", "scenes", "meshes", "collections")
    }}
    owners = {
        "scene": scene, "render": scene.render, "image": scene.render.image_settings, "view": scene.view_settings,
        "display": scene.display_settings, "cycles": scene.cycles, "eevee": scene.eevee, "layer": bpy.context.view_layer,
        "window": bpy.context.preferences.view,
    }
    owners |= {f"lens {item.name}": item.data for item in scene.objects if item.type == "CAMERA"}
    owners |= {f"dof {item.name}": item.data.dof for item in scene.objects if item.type == "CAMERA"}
    owners |= {f"marker {marker.name}": marker for marker in scene.timeline_markers}
    return state | {name: simple_values(owner) for name, owner in owners.items()}


def simple_values(owner: Any) -> dict[str, Any]:
    kinds = ("BOOLEAN", "INT", "FLOAT", "STRING", "ENUM")
    values = {item.identifier: getattr(owner, item.identifier) for item in owner.bl_rna.properties
              if (item.type in kinds and item.identifier != "use_nodes") or item.identifier in ("camera", "world")}
    return {name: tuple(value) if isinstance(value, bpy.types.bpy_prop_array) else value for name, value in values.items()}


def unusual_settings(scene: bpy.types.Scene) -> None:
    """Everything that capture overrides, set to something else."""
    if hasattr(scene.render.image_settings, "media_type"):
        scene.render.image_settings.media_type = "IMAGE"
    scene.render.image_settings.file_format = "OPEN_EXR"
    scene.render.image_settings.color_mode, scene.render.image_settings.color_depth = "RGBA", "16"
    scene.render.image_settings.exr_codec = "DWAA"
    scene.view_settings.view_transform = "AgX"
    scene.view_settings.look = "AgX - Punchy"
    scene.view_settings.exposure, scene.view_settings.gamma = 0.7, 1.3
    scene.render.dither_intensity, scene.render.film_transparent, scene.render.filepath = 1.5, False, "//somewhere/else"
    scene.render.use_motion_blur = scene.render.use_stamp = scene.render.use_border = scene.render.use_crop_to_border = True
    scene.render.border_min_x, scene.render.border_max_x = 0.2, 0.6
    scene.frame_set(7)
    marker = scene.timeline_markers.new("Cut", frame=1)
    marker.camera = scene.camera
    for item in scene.objects:
        if item.type == "CAMERA":
            item.data.dof.use_dof = True
