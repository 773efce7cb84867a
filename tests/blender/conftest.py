"""Blender for tests: the repository linked as an extension into a temporary user folder, one empty scene for each test."""

from __future__ import annotations

import importlib
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
EXTENSION = "bl_ext.user_default.splatwright"


def _link_extension() -> None:
    """Must happen before bpy is imported: it reads the user folder once."""
    resources = Path(tempfile.mkdtemp(prefix="splatwright-blender-"))
    extensions = resources / "extensions" / "user_default"
    extensions.mkdir(parents=True)
    (extensions / "splatwright").symlink_to(REPOSITORY, target_is_directory=True)
    os.environ["BLENDER_USER_RESOURCES"] = str(resources)


_link_extension()

import bpy  # noqa: E402

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


@pytest.fixture
def addon(extension: str) -> ModuleType:
    """Imports of the add-on as Blender sees it: `addon.cameras`, `addon.capture`."""
    return importlib.import_module(f"{extension}.addon")


@pytest.fixture
def core(extension: str) -> ModuleType:
    """engine.core as the add-on sees it."""
    return importlib.import_module(f"{extension}.engine.core")


@pytest.fixture
def fresh_scene() -> Iterator[bpy.types.Scene]:
    """An empty scene that renders tiny pictures quickly."""
    bpy.ops.wm.read_homefile(use_empty=True)
    scene = bpy.context.scene
    scene.render.engine = "CYCLES"
    scene.cycles.samples = 4
    scene.cycles.use_denoising = False
    scene.render.resolution_x, scene.render.resolution_y = 96, 64
    yield scene
