"""Blender's data with the types that its stubs cannot know: registered property groups, and what a caller knows about an object.

Blender's stubs call everything optional that is None at some time. Outside of start-up a scene, a view layer and a window manager are
always there, a panel that is drawn has a layout, and a splat object holds a point cloud.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import bpy

if TYPE_CHECKING:
    from .properties.scene import SceneSettings
    from .properties.splats import OriginalSettings, SplatSettings

    class Context(bpy.types.Context):
        """The context while Blender runs."""

        scene: bpy.types.Scene
        view_layer: bpy.types.ViewLayer
        window_manager: bpy.types.WindowManager
        preferences: bpy.types.Preferences
        collection: bpy.types.Collection
        workspace: bpy.types.WorkSpace
        window: bpy.types.Window
        screen: bpy.types.Screen
        area: bpy.types.Area | None
        region: bpy.types.Region | None
        space_data: Any  # of the editor that is open
        region_data: bpy.types.RegionView3D

    class OperatorMixin(bpy.types.Operator):
        """What operators have, for classes that are mixed into them."""

        def execute(self, context: Any) -> set[Any]: ...

else:
    Context, OperatorMixin = bpy.types.Context, object


def untyped(owner: Any) -> Any:
    """Blender's own data, for what its stubs lack: members that later versions, subclasses and add-ons have, or sequences' foreach_get."""
    return owner


class HasLayout(Protocol):
    """A panel, menu, operator or list that Blender draws."""

    @property
    def layout(self) -> bpy.types.UILayout | None: ...


def scene_settings(scene: bpy.types.Scene) -> SceneSettings:
    """Everything that Splatwright keeps in a scene."""
    return untyped(scene).splatwright


def splat_settings(target: bpy.types.Object) -> SplatSettings:
    """What an object knows about its splats, or about the photos that it stands for."""
    return untyped(target).splatwright


def original_settings(target: bpy.types.Object) -> OriginalSettings:
    """What an object that was captured knows about being hidden for its splats."""
    return splat_settings(target).original


def operators() -> Any:
    """Blender's operators. The stubs do not list Splatwright's, and say of the others that they return nothing."""
    return bpy.ops


def current_context() -> Context:
    """Blender's context."""
    return untyped(bpy.context)


def layout_of(drawn: HasLayout) -> bpy.types.UILayout:
    """Where something draws, while Blender draws it."""
    return untyped(drawn).layout


def point_cloud(target: bpy.types.Object) -> bpy.types.PointCloud:
    """The data of a splat object, or of another object that is a point cloud."""
    return untyped(target).data


def camera_data(target: bpy.types.Object) -> bpy.types.Camera:
    """The data of an object that is a camera."""
    return untyped(target).data


def mesh_data(target: bpy.types.Object) -> bpy.types.Mesh:
    """The data of an object that is a mesh."""
    return untyped(target).data


def active_camera(scene: bpy.types.Scene) -> bpy.types.Camera:
    """The data of the scene's camera, where it has one."""
    return untyped(scene).camera.data


def viewport_data(region: bpy.types.Region) -> bpy.types.RegionView3D:
    """What a region of a 3D viewport looks at."""
    return untyped(region).data


def shown_by(instance: bpy.types.DepsgraphObjectInstance) -> bpy.types.Object:
    """The evaluated object that an instance shows."""
    return untyped(instance).object


def original_of(evaluated: bpy.types.Object) -> bpy.types.Object:
    """The object in the file that an evaluated one was made from."""
    return untyped(evaluated).original


def owner_of(instance: bpy.types.DepsgraphObjectInstance) -> bpy.types.Object:
    """The object in the file by which an instance is there: the one that instances it, or the one shown itself."""
    return original_of(untyped(instance).parent if instance.is_instance else shown_by(instance))


def cycles(scene: bpy.types.Scene) -> Any:
    """The settings of Cycles, which is an add-on."""
    return untyped(scene).cycles


def classes_factory(classes: Iterable[type]) -> tuple[Callable[[], None], Callable[[], None]]:
    """Functions that register classes and that unregister them; the stubs say that Blender's own returns None."""
    return untyped(bpy.utils).register_classes_factory(classes)
