"""Where trainings are kept and what runs them."""

from __future__ import annotations

import sys
from pathlib import Path

import bpy
from bpy.props import CollectionProperty, EnumProperty, StringProperty

from . import diagnosis, engine_status, full_engine, remote_engines
from .engine_panel import draw_diagnosis, draw_full_engine
from .engine_status import forget_status
from .sentences import draw_status

PACKAGE = (__package__ or "").rpartition(".")[0]


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

    engines: CollectionProperty(type=remote_engines.SPLATWRIGHT_PG_remote_engine)
    engine: EnumProperty(name="Train On", items=remote_engines.engine_items, description="The computer that trains")

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "jobs_folder", placeholder=str(default_jobs_folder()))
        layout.prop(self, "python", placeholder=str(full_engine.installed_python() or sys.executable))
        layout.prop(self, "engine_folder", placeholder=str(default_engine_folder()))
        draw_status(layout)
        draw_full_engine(layout)
        draw_diagnosis(layout)
        remote_engines.draw(layout, self)


def preferences() -> SplatwrightPreferences:
    """The extension's preferences."""
    return bpy.context.preferences.addons[PACKAGE].preferences


def jobs_folder() -> Path:
    """The folder of all trainings."""
    chosen = preferences().jobs_folder
    return Path(bpy.path.abspath(chosen)) if chosen else default_jobs_folder()


def default_jobs_folder() -> Path:
    """The extension's own folder; it stays when the extension is updated."""
    return Path(bpy.utils.extension_path_user(PACKAGE, path="jobs"))


def engine_folder() -> Path:
    """The folder of the full engine."""
    chosen = preferences().engine_folder
    return Path(bpy.path.abspath(chosen)) if chosen else default_engine_folder()


def default_engine_folder() -> Path:
    """In the extension's own folder."""
    return Path(bpy.utils.extension_path_user(PACKAGE, path="engine"))


def python_path() -> Path:
    """The interpreter of the engine's processes: the chosen one, the full engine's, or Blender's own; never Blender itself."""
    return Path(preferences().python or full_engine.installed_python() or sys.executable)


_register_class, _unregister_class = bpy.utils.register_classes_factory((SplatwrightPreferences,))


def register() -> None:
    remote_engines.register()
    _register_class()


def unregister() -> None:
    full_engine.unregister()
    diagnosis.unregister()
    engine_status.unregister()
    _unregister_class()
    remote_engines.unregister()
