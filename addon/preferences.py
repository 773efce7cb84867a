"""Where trainings are kept and what runs them, and whether the engine is ready."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import bpy
from bpy.props import StringProperty

PACKAGE = __package__.rpartition(".")[0]
CHECK_SECONDS = 30


class EngineState(Enum):
    """Every state of the built-in engine that the interface draws."""

    UNKNOWN = "unknown"
    CHECKING = "checking"
    READY = "ready"
    BROKEN = "broken"


@dataclass(frozen=True)
class EngineStatus:
    """The engine's state and the sentence about it."""

    state: EngineState
    message: str
    hint: str = ""


UNKNOWN = EngineStatus(EngineState.UNKNOWN, "The engine has not been checked yet")
_status = UNKNOWN


class SplatwrightPreferences(bpy.types.AddonPreferences):
    """Preferences of the extension."""

    bl_idname = PACKAGE

    jobs_folder: StringProperty(
        name="Trainings", subtype="DIR_PATH",
        description="Folder for trainings: progress, checkpoints and results. Empty: the extension's own folder",
    )
    python: StringProperty(
        name="Engine Python", subtype="FILE_PATH",
        description="Interpreter that runs the engine. Empty: the one that comes with Blender",
    )

    def draw(self, context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "jobs_folder")
        layout.prop(self, "python")
        draw_status(layout)


def preferences() -> SplatwrightPreferences:
    """The extension's preferences."""
    return bpy.context.preferences.addons[PACKAGE].preferences


def jobs_folder() -> Path:
    """The folder of all trainings."""
    chosen = preferences().jobs_folder
    return Path(bpy.path.abspath(chosen)) if chosen else Path(bpy.utils.extension_path_user(PACKAGE, path="jobs"))


def python_path() -> Path:
    """The interpreter of the engine's processes: Blender's own Python, never Blender itself."""
    return Path(preferences().python or sys.executable)


def status() -> EngineStatus:
    """What is known about the engine."""
    return _status


def check_engine(command: list[str], environment: dict[str, str]) -> threading.Thread:
    """Ask a worker to check itself, in a thread; status() tells the answer."""
    global _status
    _status = EngineStatus(EngineState.CHECKING, "Checking the engine")
    thread = threading.Thread(target=_check, args=(command, environment), daemon=True)
    thread.start()
    return thread


def _check(command: list[str], environment: dict[str, str]) -> None:
    """Runs outside the main thread: touches no Blender data."""
    global _status
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_SECONDS, env=environment, check=False)
        answer = json.loads(done.stdout.strip().splitlines()[-1])
        state = EngineState.READY if answer["ok"] else EngineState.BROKEN
        _status = EngineStatus(state, str(answer["message"]), str(answer["hint"]))
    except (OSError, subprocess.SubprocessError, ValueError, KeyError, IndexError):
        _status = EngineStatus(EngineState.BROKEN, "The engine does not start.",
                               "Check Engine Python in the preferences, or reinstall the extension.")


def draw_status(layout: bpy.types.UILayout) -> None:
    """One line about the engine."""
    icons = {EngineState.UNKNOWN: "QUESTION", EngineState.CHECKING: "SORTTIME", EngineState.READY: "CHECKMARK", EngineState.BROKEN: "ERROR"}
    row = layout.row()
    row.alert = _status.state is EngineState.BROKEN
    row.label(text=_status.message, icon=icons[_status.state])
    row.operator("splatwright.check_engine", text="", icon="FILE_REFRESH")
    if _status.hint:
        layout.label(text=_status.hint)


def _forget_status() -> None:
    global _status
    _status = UNKNOWN


register_class, unregister_class = bpy.utils.register_classes_factory((SplatwrightPreferences,))


def register() -> None:
    register_class()


def unregister() -> None:
    unregister_class()
    _forget_status()
