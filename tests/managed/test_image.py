"""The Dockerfile's steps, run without Docker: its files are there, its locked packages have hashes, its commands make an environment that
serves and trains. Left out are what needs a network or root: apt-get, and the packages themselves, which this environment lends."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from fnmatch import fnmatch
from pathlib import Path

import pytest

from engine.cli import main
from engine.training.cpu.build import CACHE
from tests.managed.test_job import SHORT
from tests.scenes import write_ball_dataset

ROOT = Path(__file__).resolve().parents[2]
HOME, SOURCE = "/opt/splatwright", "/src"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the image is Linux")


def steps() -> list[tuple[str, str]]:
    """The Dockerfile's instructions: word and the rest, lines that go on put together."""
    text = re.sub(r"^\s*#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    return [(word, " ".join(rest.split())) for line in text.splitlines() if line.strip() for word, _, rest in [line.partition(" ")]]


def context(folder: Path) -> Path:
    """What Docker would be sent: the repository's files, without those that .dockerignore names."""
    ignored = (ROOT / ".dockerignore").read_text().split()
    listed = subprocess.run(["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True,
                            check=True).stdout.splitlines()
    for name in listed:
        left_out = any(fnmatch(part, pattern) for pattern in ignored for part in (name, *map(str, Path(name).parents)))
        if not left_out and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    return folder


def test_what_is_copied_is_there_and_every_locked_package_has_a_hash() -> None:
    copies = [rest.split() for word, rest in steps() if word == "COPY"]
    defaults = dict(rest.split("=") for word, rest in steps() if word == "ARG")
    for *sources, _ in copies:
        for name in sources:
            assert (ROOT / re.sub(r"\$\{(\w+)\}", lambda found: defaults[found[1]], name)).exists(), name
    [locked] = [sources[0] for *sources, _ in copies if "locks" in sources[0]]
    lock = (ROOT / locked.replace("${PACKAGES}", defaults["PACKAGES"])).read_text().replace("\\\n", " ")
    lines = [line for line in lock.splitlines() if line.strip() and not line.startswith(("#", "--", " "))]
    assert lines and [line for line in lines if not re.match(r"[\w.\[\]-]+(==| @ )", line) or "--hash=sha256:" not in line] == []
    assert [line for line in lines if line.startswith("torch==")]


def test_the_entry_point_is_understood_and_minds_signals() -> None:
    [entry] = [rest for word, rest in steps() if word == "ENTRYPOINT"]
    words = json.loads(entry)  # in the form without a shell, which would keep SIGTERM to itself
    assert words[0] == "splatwright" and main.VERBS and words[1] in {verb.__name__ for verb in main.VERBS}


def lend(packages: Path) -> None:
    """Let an environment find the packages of this one, setuptools too: a fresh one brings an older one along, and has no network."""
    for old in packages.glob("setuptools*"):
        shutil.rmtree(old)
    (packages / "lent.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")


def test_its_commands_make_an_environment_that_trains(tmp_path: Path) -> None:
    home, source = tmp_path / "home", context(tmp_path / "src")
    if CACHE.is_dir():
        (source / ".cache").mkdir()
        (source / ".cache" / "zig").symlink_to(CACHE)  # the compiler's own, which saves half a minute
    environment = {**os.environ, "PATH": f"{home / 'bin'}:/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    ran = []
    for word, rest in steps():
        if word != "RUN" or "apt-get" in rest or "packages.txt" in rest:
            continue
        command = rest.replace(HOME, str(home)).replace("python3 -m venv", f"{shlex.quote(sys.executable)} -m venv")
        done = subprocess.run(["sh", "-ec", command], cwd=source, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stdout + done.stderr
        ran.append(command)
        lend(next(home.glob("lib/python*/site-packages")))
    assert len(ran) == 2 and "--no-deps ." in ran[1]
    ml = tmp_path / "opt" / "ml"
    (ml / "input" / "config").mkdir(parents=True)
    (ml / "input" / "config" / "hyperparameters.json").write_text(json.dumps(SHORT))
    write_ball_dataset(ml / "input" / "data" / "training")
    bare = {"PATH": str(home / "bin"), "HOME": str(tmp_path)}
    done = subprocess.run(["splatwright", "job", "train", "--root", str(tmp_path)], cwd=tmp_path, env=bare, capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0 and (ml / "model" / "scene.ply").exists(), done.stdout + done.stderr
    place = subprocess.run(["python", "-c", "import splatwright; print(splatwright.__file__)"], cwd=tmp_path, env=bare, capture_output=True,
                           text=True, check=True).stdout
    assert Path(place.strip()).is_relative_to(home), "the copy in the image trains, not this checkout"
