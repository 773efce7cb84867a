"""What renders of splats need before Blender draws them itself: rays of Cycles that pass as many splats as overlap.

Cycles' usual 8 transparent bounces end rays within dense splats, which leaves black spots.
"""

from __future__ import annotations

import bpy

from ..typed import cycles, scene_settings

TRANSPARENT_BOUNCES = 256
"""How many splats a ray may pass; fewer leave dark spots where many overlap."""


def ends_rays_early(scene: bpy.types.Scene) -> bool:
    """Whether renders of splats get dark spots."""
    return scene.render.engine == "CYCLES" and cycles(scene).transparent_max_bounces < TRANSPARENT_BOUNCES


def raise_bounces(scene: bpy.types.Scene) -> None:
    """Let rays pass as many splats as overlap in a dense object, none of them ended early by chance, which would be noise."""
    settings = cycles(scene)
    settings.transparent_max_bounces = max(settings.transparent_max_bounces, TRANSPARENT_BOUNCES)
    settings.min_transparent_bounces = settings.transparent_max_bounces


def prepare_once(scene: bpy.types.Scene) -> None:
    """Raise the bounces when splats first appear in a scene that Cycles renders; restore() brings back what stood there."""
    if ends_rays_early(scene) and not was_prepared(scene):
        settings = cycles(scene)
        scene_settings(scene).bounces_before = settings.transparent_max_bounces, settings.min_transparent_bounces
        raise_bounces(scene)


def was_prepared(scene: bpy.types.Scene) -> bool:
    """Whether prepare_once() has raised the bounces of a scene; it never does so twice."""
    return scene_settings(scene).bounces_before[0] >= 0


def is_raised(scene: bpy.types.Scene) -> bool:
    """Whether the bounces are those that prepare_once() has set."""
    return was_prepared(scene) and scene.render.engine == "CYCLES" and not ends_rays_early(scene)


def restore(scene: bpy.types.Scene) -> None:
    """Bring back what stood there before prepare_once()."""
    before, settings = scene_settings(scene).bounces_before, cycles(scene)
    settings.transparent_max_bounces, settings.min_transparent_bounces = before[0], before[1]
