"""Everything that a release consists of, in dist/release: `python -m tools.release [--unreleased]`.

The extension as one zip for all platforms, or one for each where that would be too large to download; wheel and source archive; a
static extension repository that any web server can offer; the changelog's section as the notes; checksums of it all.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from tools import extension

LARGEST = 5_000_000
"""Bytes of the extension up to which one zip serves all platforms."""

PLATFORMS = {"windows-x64": "windows-x86_64", "windows-arm64": "windows-arm64", "macos-x64": "macos-x86_64", "macos-arm64": "macos-arm64",
             "linux-x64": "linux-x86_64", "linux-arm64": "linux-arm64"}
"""Blender's names of platforms, and how the names of their kernels go on after `splat-`."""

SHIPPED = ("__init__.py", "addon", "blender_manifest.toml", "engine", extension.HELP, "wheels", "LICENSE")
KERNELS = Path("engine/training/cpu/lib")


def main(arguments: list[str]) -> int:
    """Make the release; exit status 1 with a sentence when the changelog has no section for it."""
    try:
        made = release(extension.REPOSITORY, extension.REPOSITORY / "dist" / "release", "--unreleased" in arguments)
    except NotReady as reason:
        print(reason, file=sys.stderr)
        return 1
    for path in made:
        print(f"{path.relative_to(extension.REPOSITORY)}: {path.stat().st_size / 1e6:.2f} MB")
    return 0


class NotReady(Exception):
    """What is missing for a release, in one sentence with the fix."""


def release(source: Path, output: Path, unreleased: bool = False, largest: int = LARGEST) -> list[Path]:
    """Make every file of the release of `source` in the folder `output`, emptied before; returns them. NotReady, CalledProcessError.

    `unreleased` takes what the changelog has collected since the last version as notes, for a trial.
    """
    version = extension.manifest(source)["version"]
    notes = changelog_section(source / "CHANGELOG.md", version, unreleased)
    extension.fetch_wheels(source)
    extension.build_guide(source)
    if output.exists():
        shutil.rmtree(output)
    repository = output / "extensions"
    repository.mkdir(parents=True)
    build_repository(source, repository, largest)
    package = [sys.executable, "-m", "uv", "build", "--quiet", "--no-create-gitignore", "--out-dir", str(output), str(source)]
    subprocess.run(package, check=True)
    (output / "NOTES.md").write_text(notes, encoding="utf-8")
    files = sorted(path for path in output.rglob("*") if path.is_file())
    sums = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(output).as_posix()}\n" for path in files)
    (output / "SHA256SUMS").write_text(sums, encoding="utf-8")
    return [*files, output / "SHA256SUMS"]


def changelog_section(changelog: Path, version: str, unreleased: bool = False) -> str:
    """What the changelog says of a version. NotReady when it has no section for it, or changes that belong to no version yet."""
    heads = re.split(r"^## (.+)\n", changelog.read_text(encoding="utf-8"), flags=re.MULTILINE)
    sections = {name.partition(" ")[0]: text.strip() + "\n" for name, text in zip(heads[1::2], heads[2::2], strict=True)}
    waiting = sections.get("Unreleased", "").strip()
    if unreleased and waiting:
        return sections["Unreleased"]
    if waiting:
        raise NotReady(f"CHANGELOG.md has unreleased changes, and the version is still {version}: raise it in blender_manifest.toml, "
                       "and name the section after it. For a trial: make release ARGS=--unreleased")
    if version not in sections:
        raise NotReady(f"CHANGELOG.md has no section {version}: write one that begins with '## {version}'.")
    return sections[version]


def site(source: Path) -> str:
    """Where the project is found on the web, from [tool.splatwright] in pyproject.toml; empty while it has no place."""
    return tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["splatwright"]["site"].rstrip("/")


def build_repository(source: Path, folder: Path, largest: int = LARGEST) -> None:
    """The extension and the index that Blender reads, in an empty folder that any web server can offer."""
    build_extensions(source, folder, largest)
    extension.blender_ext("server-generate", "--repo-dir", str(folder), "--html")


def build_extensions(source: Path, output: Path, largest: int = LARGEST) -> list[Path]:
    """One zip for all platforms, or one for each where that one has more than `largest` bytes; never both."""
    website = site(source)
    with tempfile.TemporaryDirectory() as folder:
        whole = extension.build(staged(source, Path(folder) / "all", website), output)
        if whole.stat().st_size <= largest:
            return [whole]
        whole.unlink()
        parts = {platform: staged(source, Path(folder) / platform, website, platform) for platform in PLATFORMS}
        return [extension.build(part, output, platform) for platform, part in parts.items()]


def staged(source: Path, folder: Path, website: str, platform: str = "") -> Path:
    """A copy of what the extension ships, its manifest with the website, for one platform without the kernels of the others."""
    folder.mkdir(parents=True)
    for name in SHIPPED:
        copy = shutil.copytree if (source / name).is_dir() else shutil.copy
        copy(source / name, folder / name)
    added = ([f'website = "{website}"'] if website else []) + ([f'platforms = ["{platform}"]'] if platform else [])
    manifest = folder / "blender_manifest.toml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("\n[permissions]", "".join(f"{line}\n" for line in added) + "\n[permissions]", 1), encoding="utf-8")
    for kernel in (folder / KERNELS).iterdir():
        if platform and not re.match(rf"splat-{PLATFORMS[platform]}\b", kernel.name):
            kernel.unlink()
    return folder


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
