"""A release: what is published is whole, fits together, and installs from its own repository into a fresh Blender."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from engine.training.cpu.build import BUILDS
from tools.extension import REPOSITORY, manifest
from tools.release import LARGEST, PLATFORMS, NotReady, build_extensions, changelog_section, release, staged

KERNELS = "engine/training/cpu/lib/"


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a release – 発行")
    release(REPOSITORY, folder / "made", unreleased=True)
    return folder / "made"


def test_everything_is_there_with_its_checksum(published: Path) -> None:
    version = manifest(REPOSITORY)["version"]
    files = {path.relative_to(published).as_posix() for path in published.rglob("*") if path.is_file()}
    assert files == {"NOTES.md", "SHA256SUMS", "extensions/index.html", "extensions/index.json", f"extensions/splatwright-{version}.zip",
                     f"splatwright-{version}-py3-none-any.whl", f"splatwright-{version}.tar.gz"}
    sums = dict(reversed(line.split("  ")) for line in (published / "SHA256SUMS").read_text(encoding="utf-8").splitlines())
    assert sums == {name: hashlib.sha256((published / name).read_bytes()).hexdigest() for name in files - {"SHA256SUMS"}}


def test_wheel_and_source_archive_carry_every_kernel(published: Path) -> None:
    kernels = {build.output.name for build in BUILDS}
    [wheel], [source] = published.glob("*.whl"), published.glob("*.tar.gz")
    with zipfile.ZipFile(wheel) as archive:
        assert {name.rpartition("/")[2] for name in archive.namelist() if "/cpu/lib/" in name} == kernels
    with tarfile.open(source) as archive:
        assert {name.rpartition("/")[2] for name in archive.getnames() if "/cpu/lib/" in name} == kernels


def test_the_index_offers_one_zip(published: Path) -> None:
    [entry] = json.loads((published / "extensions" / "index.json").read_text(encoding="utf-8"))["data"]
    archive = published / "extensions" / entry["archive_url"]
    assert entry["archive_hash"] == f"sha256:{hashlib.sha256(archive.read_bytes()).hexdigest()}"
    assert archive.stat().st_size <= LARGEST and "platforms" not in entry


def test_it_installs_from_its_repository(published: Path, tmp_path: Path) -> None:
    index = (published / "extensions" / "index.json").as_uri()
    script = Path(__file__).with_name("install_from_repository.py")
    process = subprocess.run([sys.executable, str(script), index], env=os.environ | {"BLENDER_USER_RESOURCES": str(tmp_path)}, text=True,
                             capture_output=True, timeout=200)
    [answer] = [line for line in process.stdout.splitlines() if line.startswith("ANSWERS ")]
    assert json.loads(answer.removeprefix("ANSWERS ")) == {"enabled": [True, True], "panel": True}, process.stdout + process.stderr


def test_a_zip_that_is_too_large_becomes_one_for_each_platform(tmp_path: Path) -> None:
    made = build_extensions(REPOSITORY, tmp_path, largest=100_000)
    assert sorted(path.name for path in made) == sorted(path.name for path in tmp_path.iterdir()), "never both in one repository"
    shipped = {}
    for path in made:
        with zipfile.ZipFile(path) as archive:
            values = tomllib.loads(archive.read("blender_manifest.toml").decode())
            [platform] = values["platforms"]
            assert platform in path.name
            shipped[platform] = {name.removeprefix(KERNELS) for name in archive.namelist() if name.startswith(KERNELS) and name != KERNELS}
    assert set(shipped) == set(PLATFORMS)
    assert all(names and all(name.startswith(f"splat-{PLATFORMS[platform]}") for name in names) for platform, names in shipped.items())
    assert set().union(*shipped.values()) == {build.output.name for build in BUILDS}


def test_the_website_is_the_setting(tmp_path: Path) -> None:
    assert "website" not in manifest(staged(REPOSITORY, tmp_path / "none", ""))
    assert manifest(staged(REPOSITORY, tmp_path / "some", "https://splats.example"))["website"] == "https://splats.example"


@pytest.mark.parametrize(("text", "message"), [
    ("# Changes\n\n## Unreleased\n\n- A thing\n\n## 1.0.0\n\n- First\n", "unreleased changes.*version is still 1.0.0"),
    ("# Changes\n\n## Unreleased\n\n## 0.9.0\n\n- First\n", "no section 1.0.0"),
])
def test_a_changelog_that_does_not_name_the_version_is_told(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text(text, encoding="utf-8")
    with pytest.raises(NotReady, match=message):
        changelog_section(tmp_path / "CHANGELOG.md", "1.0.0")


def test_the_notes_are_the_section_of_the_version(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text("# Changes\n\n## Unreleased\n\n## 1.0.0 (2027)\n\n- New\n\n## 0.9.0\n\n- Old", encoding="utf-8")
    assert changelog_section(tmp_path / "CHANGELOG.md", "1.0.0") == "- New\n"
