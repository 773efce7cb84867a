"""Other implementations of the splat formats, installed once into .cache/peers by npm."""

from __future__ import annotations

import json
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
INSTALLED = HERE.parents[1] / ".cache" / "peers"
OLDEST_NODE = 22


def splat_transform(*arguments: object) -> None:
    """Run splat-transform."""
    _run(INSTALLED / "node_modules" / "@playcanvas" / "splat-transform" / "bin" / "cli.mjs", "-q", "-w", *arguments)


def read_spz(path: Path, axes: str) -> dict:
    """What the format's own implementation reads: numbers of each attribute, one after the other."""
    lines = _run(INSTALLED / "read_spz.mjs", path, axes).splitlines()
    return json.loads(lines[-1])


def _run(script: Path, *arguments: object) -> str:
    done = subprocess.run([_node(), str(script), *map(str, arguments)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@lru_cache(maxsize=1)
def _node() -> str:
    """The Node that runs the peers; skips the test with a reason where there is none or nothing can be installed."""
    reason = _install()
    if reason:
        pytest.skip(reason)
    own = shutil.which("node")
    if own and _major(own) >= OLDEST_NODE:
        return own
    return str(INSTALLED / "node_modules" / "node" / "bin" / "node")


@lru_cache(maxsize=1)
def _install() -> str:
    """Why the peers cannot be used; empty when they can."""
    npm, node = shutil.which("npm"), shutil.which("node")
    if not npm or not node:
        return "npm is not installed, so there is no splat-transform to compare with"
    INSTALLED.mkdir(parents=True, exist_ok=True)
    wanted = (HERE / "package.json").read_text(encoding="utf-8")
    shutil.copy(HERE / "read_spz.mjs", INSTALLED)
    marker = INSTALLED / "installed.json"
    if marker.exists() and marker.read_text(encoding="utf-8") == wanted:
        return ""
    shutil.copy(HERE / "package.json", INSTALLED)
    without_node = ["--omit=optional"] if _major(node) >= OLDEST_NODE else []
    try:
        done = subprocess.run([npm, "install", "--no-audit", "--no-fund", "--no-package-lock", *without_node], cwd=INSTALLED,
                              capture_output=True, text=True, timeout=240)
    except subprocess.TimeoutExpired:
        return "npm did not install splat-transform within four minutes"
    if done.returncode:
        return f"npm could not install splat-transform: {done.stderr.strip().splitlines()[-1:]}"
    marker.write_text(wanted, encoding="utf-8")
    return ""


def _major(node: str) -> int:
    return int(subprocess.run([node, "--version"], capture_output=True, text=True, timeout=30).stdout.lstrip("v").split(".")[0])
