"""Blender for tests: the repository as an extension in a temporary user folder, one empty scene for each test."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EXTENSION = "bl_ext.user_default.splatwright"


def _place_extension() -> None:
    """A link to the repository, or a copy on Windows, where not everybody may make links. Before bpy is imported: it reads the user folder
    once."""
    resources = Path(tempfile.mkdtemp(prefix="splatwright-blender-"))
    extensions = resources / "extensions" / "user_default"
    extensions.mkdir(parents=True)
    if os.name == "nt":
        ignored = shutil.ignore_patterns(".*", "tests", "docs", "out", "dist", "build", "__pycache__")
        shutil.copytree(REPOSITORY, extensions / "splatwright", ignore=ignored)
    else:
        (extensions / "splatwright").symlink_to(REPOSITORY, target_is_directory=True)
    os.environ["BLENDER_USER_RESOURCES"] = str(resources)


_place_extension()

import bpy as blender  # noqa: E402
from mathutils import Vector  # noqa: E402

from tests.blender_file import glowing  # noqa: E402

if TYPE_CHECKING:
    from .jobs.training import Desk

bpy: Any = blender  # stubs know nothing of what the extension registers

_exit_status = 0


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    global _exit_status
    _exit_status = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """bpy 4.5 hangs at interpreter exit while classes are registered."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(_exit_status)


@pytest.fixture(scope="session", autouse=True)
def extension() -> str:
    """The extension, enabled; its module name."""
    bpy.ops.preferences.addon_enable(module=EXTENSION)
    assert EXTENSION in bpy.context.preferences.addons
    return EXTENSION


def module(name: str) -> ModuleType:
    """A module of the extension as Blender knows it: module("addon.cameras"), module("engine.core.datasets.dataset")."""
    return importlib.import_module(f"{EXTENSION}.{name}")


@pytest.fixture
def fresh_scene() -> Iterator[bpy.types.Scene]:
    """An empty scene that renders tiny pictures quickly."""
    yield empty_scene()


def empty_scene() -> bpy.types.Scene:
    """Reset Blender; Cycles at 96 x 64 pixels."""
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 4
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y = 96, 64
    return scene


def add_camera(scene: bpy.types.Scene, location: tuple[float, float, float] = (3, -4, 2), name: str = "Camera") -> bpy.types.Object:
    """A selected camera that looks at the origin."""
    camera = bpy.data.objects.new(name, bpy.data.cameras.new(name))
    scene.collection.objects.link(camera)
    camera.location = location
    camera.rotation_euler = (-Vector(location)).to_track_quat("-Z", "Y").to_euler()
    camera.select_set(True)
    scene.camera = camera
    bpy.context.view_layer.update()
    return camera


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A place to train at."""
    from .jobs.training import Desk

    made = Desk(tmp_path)
    yield made
    made.close()


@pytest.fixture
def layout(fresh_scene: bpy.types.Scene) -> ModuleType:
    """Placing splat objects, in an empty scene."""
    return module("addon.placement")


def glow(target: bpy.types.Object, color: tuple[float, float, float]) -> None:
    """Give `target` a material that renders as exactly this linear colour."""
    target.data.materials.append(glowing(color))


def cube(location: tuple[float, float, float] = (0, 0, 0), name: str = "Cube") -> Any:
    """A cube that glows; it is active."""
    bpy.ops.mesh.primitive_cube_add(location=location)
    bpy.context.object.name = name
    glow(bpy.context.object, (0.8, 0.2, 0.1))
    return bpy.context.object


def select_only(*chosen: bpy.types.Object) -> None:
    """Select these objects and no others."""
    bpy.ops.object.select_all(action="DESELECT")
    for item in chosen:
        item.select_set(True)
