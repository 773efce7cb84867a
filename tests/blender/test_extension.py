"""The extension as a whole: it registers cleanly, and the built zip installs into a fresh Blender."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import addon_utils
import numpy as np
import pytest

from tests.untyped import bpy
from tools import extension as packaging

from .conftest import EXTENSION, REPOSITORY, module

CONTENT = {"__init__.py", "addon", "blender_manifest.toml", "engine", "help", "wheels", "LICENSE"}


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    packaging.fetch_wheels(REPOSITORY)
    return packaging.build(REPOSITORY, tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def cycle(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What install_cycle.py saw in a Blender of its own."""
    environment = os.environ | {"BLENDER_USER_RESOURCES": str(tmp_path_factory.mktemp("resources"))}
    script = Path(__file__).with_name("install_cycle.py")
    process = subprocess.run([sys.executable, str(script), str(archive)], env=environment, text=True, capture_output=True, timeout=200)
    answers = [line for line in process.stdout.splitlines() if line.startswith("ANSWERS ")]
    assert process.returncode == 0 and answers, process.stdout + process.stderr
    assert "Traceback" not in process.stderr, process.stderr
    return json.loads(answers[0].removeprefix("ANSWERS "))


def test_licences_agree() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert packaging.manifest(REPOSITORY)["license"] == [f"SPDX:{project['license']}"]


def test_zip_holds_the_extension_and_nothing_else(archive: Path) -> None:
    names = [name for name in zipfile.ZipFile(archive).namelist() if not name.endswith("/")]
    assert {name.split("/")[0] for name in names} == CONTENT
    assert not [name for name in names if "__pycache__" in name or name.endswith(".pyc") or "/." in name]
    shipped = {name for name in names if name.startswith("engine/training/cpu/lib/")}
    targets = module("engine.training.cpu.build").BUILDS
    assert shipped == {f"engine/training/cpu/lib/{build.output.name}" for build in targets}, "run `make kernels` first"
    assert [f"./{name}" for name in names if name.startswith("wheels/")] == packaging.manifest(REPOSITORY)["wheels"]


def test_zip_installs(cycle: dict[str, Any]) -> None:
    assert cycle["installed"] == [True, True]
    assert cycle["plyfile"] == ["plyfile.py"]
    assert "SPLATWRIGHT_OT_capture_dataset" in cycle["added"]["types"]
    assert "Scene.splatwright" in cycle["added"]["properties"]


def test_zip_enables_and_disables_without_a_trace(cycle: dict[str, Any]) -> None:
    assert cycle["after disable"] == {}
    assert cycle["enabled again"] == cycle["added"]
    assert cycle["after second disable"] == {}


def test_linked_extension_enables_and_disables() -> None:
    addon_utils.disable(EXTENSION)
    assert not hasattr(bpy.types, "SPLATWRIGHT_OT_capture_dataset") and not hasattr(bpy.types.Scene, "splatwright")
    addon_utils.enable(EXTENSION)
    assert hasattr(bpy.types, "SPLATWRIGHT_OT_capture_dataset") and hasattr(bpy.types.Scene, "splatwright")


def test_a_failing_module_leaves_nothing_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    addon = module("addon")
    addon_utils.disable(EXTENSION)
    monkeypatch.setattr(addon, "MODULES", (*addon.MODULES, "no_such_module"))
    with pytest.raises(ModuleNotFoundError):
        addon.register()
    monkeypatch.undo()
    assert not hasattr(bpy.types, "SPLATWRIGHT_OT_capture_dataset") and not hasattr(bpy.types.Scene, "splatwright")
    addon_utils.enable(EXTENSION)


def test_the_kernels_draw_in_blenders_own_python() -> None:
    """A Gaussian right before the lens of a camera that looks along -Z."""
    camera = module("engine.core.cameras.camera").Camera(33, 17, 30.0, 30.0, 16.5, 8.5, np.eye(4))
    arrays = {name: np.zeros(shape, np.float32) for name, shape in module("engine.training.cpu.blocks").parameter_shapes(1, 0).items()}
    arrays["means"][:], arrays["quats"][:], arrays["scales"][:] = (0, 0, -2), (1, 0, 0, 0), -1
    model = module("engine.training.cpu.model").CpuModel(module("engine.core.splats.gaussians").Gaussians(**arrays), 2)
    seen = model.render(camera, 0, (0, 0, 1))
    model.close()
    assert seen.rgb[8, 16] == pytest.approx([0.25, 0.25, 0.75], abs=1e-3) and seen.depth[8, 16] == pytest.approx(2)
    assert seen.rgb[0, 0] == pytest.approx([0, 0, 1])


def test_importing_the_root_imports_nothing_else() -> None:
    code = "import sys, __init__; print([name for name in sys.modules if name.split('.')[0] in ('addon', 'engine', 'numpy', 'bpy')])"
    process = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, cwd=REPOSITORY)
    assert process.stdout.strip() == "[]", process.stderr
