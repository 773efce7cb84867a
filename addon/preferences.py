"""Where trainings are kept and what runs them."""

from __future__ import annotations

import sys

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, StringProperty

from .engines import full_engine, remote
from .engines.locations import PACKAGE, default_engine_folder, default_jobs_folder
from .engines.status import forget_status
from .panels.base import draw_status
from .panels.engine import draw_full_engine, draw_self_check
from .typed import Context, classes_factory, layout_of
from .welcome import WHERE


def _python_changed(preferences: bpy.types.AddonPreferences, context: bpy.types.Context) -> None:
    forget_status()


class SplatwrightPreferences(bpy.types.AddonPreferences):
    """Preferences of the extension."""

    bl_idname = PACKAGE

    jobs_folder: StringProperty(
        name="Trainings", subtype="DIR_PATH",
        description="Folder for trainings: progress, checkpoints and results. Empty: the extension's own folder",
    )
    python: StringProperty(
        name="Engine Python", subtype="FILE_PATH", update=_python_changed,
        description="Interpreter that runs the engine: an existing Python with splatwright's packages. "
        "Empty: the full engine's when it is installed, else the one that comes with Blender",
    )
    engine_folder: StringProperty(
        name="Engine Folder", subtype="DIR_PATH", update=_python_changed,
        description="Where the full engine is installed; gigabytes for graphics cards. Empty: the extension's own folder",
    )

    welcomed: BoolProperty(name="Welcomed", options={"HIDDEN"}, description="Where the panels are has been said once")
    engines: CollectionProperty(type=remote.SPLATWRIGHT_PG_remote_engine)
    engine: EnumProperty(name="Train On", items=remote.engine_items, description="The computer that trains")

    def draw(self, context: Context) -> None:
        layout = layout_of(self)
        layout.label(text=f"{WHERE}.", icon="INFO")
        layout.use_property_split = True
        layout.prop(self, "jobs_folder", placeholder=str(default_jobs_folder()))
        layout.prop(self, "python", placeholder=str(full_engine.installed_python() or sys.executable))
        layout.prop(self, "engine_folder", placeholder=str(default_engine_folder()))
        draw_status(layout)
        draw_full_engine(layout)
        draw_self_check(layout)
        remote.draw(layout, self)


_register_class, _unregister_class = classes_factory((SplatwrightPreferences,))


def register() -> None:
    remote.register()
    _register_class()


def unregister() -> None:
    _unregister_class()
    remote.unregister()
