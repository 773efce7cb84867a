"""Cameras, dataset, training, splats in the scene, PLY: the whole way in a real Blender, at the size of a stamp."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("whole_way.py")


def test_the_whole_way(tmp_path: Path) -> None:
    pytest.importorskip("bpy", reason="Blender is not installed as a Python module: bpy")
    folder = tmp_path / "whole way – 全"
    folder.mkdir()
    done = subprocess.run([sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, timeout=240, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    figures = json.loads(done.stdout.strip().splitlines()[-1])
    assert figures["psnr"] > 22 and figures["splats"] > 500 and figures["live"]
    assert figures["on_pixels"] > 0.97
    assert figures["identity"] and figures["moved"] < 1e-4
