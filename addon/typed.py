"""What the types of Blender's stubs leave open: the property groups that Splatwright registers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import bpy

if TYPE_CHECKING:
    from .properties import SceneSettings, SplatSettings


def scene_settings(scene: bpy.types.Scene) -> SceneSettings:
    """Everything that Splatwright keeps in a scene."""
    return _registered(scene)


def splat_settings(target: bpy.types.Object) -> SplatSettings:
    """What an object knows about its splats, or about the photos that it stands for."""
    return _registered(target)


def _registered(owner: Any) -> Any:
    return owner.splatwright
