"""The guide's page about the command line, typed in as it stands, one command after the other in one folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.scenes import write_ball_dataset

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "command_line.md"
QUICK = {"train": ["--max-steps", "60", "--resolution", "48", "--max-gaussians", "300"], "estimate": ["--resolution", "48"]}
"""What makes a command of the page short; the rest is as it stands."""


@pytest.mark.timeout(600)
def test_the_commands_of_the_guide_work_in_their_order(tmp_path: Path) -> None:
    for name in ("photos", "more_photos"):
        write_ball_dataset(tmp_path / name)
    blocks = re.findall(r"^```sh\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    for line in "".join(blocks).splitlines():
        verb, *words = shlex.split(line)[1:]
        command = [sys.executable, "-m", "engine", verb, *words, *QUICK.get(verb, [])]
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
        assert done.returncode == 0 or verb == "doctor", f"{line}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stderr, line
    made = {path.name for path in tmp_path.iterdir()}
    assert {"sheet.png", "scene.ply", "scene.job", "renders", "scene.spz", "scene.compressed.ply", "colmap", "shot.txt"} <= made
