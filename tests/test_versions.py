"""Versions stand once, in pyproject.toml; what must name them again says the same."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from engine.batch.blender import OLDEST
from engine.environment.own_wheel import engine_version
from tools import versions
from tools.extension import manifest

ROOT = Path(__file__).resolve().parents[1]


def test_the_manifest_names_the_same_versions() -> None:
    values = manifest(ROOT)
    major, minor = versions.blenders()[0]
    assert values["blender_version_min"] == f"{major}.{minor}.0"
    assert values["wheels"] == [f"./wheels/plyfile-{versions.version('plyfile')}-py3-none-any.whl"]


def test_the_version_stands_in_the_manifest_alone() -> None:
    assert "version" not in versions.project() and versions.project()["dynamic"] == ["version"]
    assert engine_version() == manifest(ROOT)["version"]


def test_the_oldest_blender_is_the_same_everywhere() -> None:
    major, minor = versions.blenders()[0]
    assert (major, minor) == OLDEST
    assert versions.requirement(f"fake-bpy-module-{major}.{minor}")
    assert f"fake-bpy-module-{major}.{minor}==" in " ".join(versions.requirements("dev"))


def test_the_readme_names_every_blender_that_is_tested() -> None:
    [row] = [line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if line.startswith("| Blender |")]
    named = [tuple(map(int, found)) for found in re.findall(r"(\d+)\.(\d+)", row.partition(";")[0])]
    assert named == versions.blenders()


def test_the_lock_of_the_newest_cuda_has_the_torch_that_is_tested() -> None:
    lock = (ROOT / "engine" / "locks" / "cu130.txt").read_text(encoding="utf-8")
    assert re.search(rf"^torch=={re.escape(versions.version('torch'))} ", lock, re.MULTILINE)


@pytest.mark.parametrize("name", ["Makefile", "Dockerfile", ".pre-commit-config.yaml", ".ci/run"])
def test_no_other_file_pins_a_package(name: str) -> None:
    assert not re.findall(r"\S+==\d\S*", (ROOT / name).read_text(encoding="utf-8"))


def test_requirements() -> None:
    assert versions.requirement("plyfile") == f"plyfile=={versions.version('plyfile')}", "the pinned one first"
    assert versions.requirements("blender50") == versions.project()["optional-dependencies"]["blender50"]
    with pytest.raises(LookupError, match=r"names no package bp$"):
        versions.requirement("bp")
    with pytest.raises(LookupError, match="pins no version"):
        versions.version("ruff")
