"""`splatwright job` in a root folder of its own, as process 1, without network, with a read-only input: as a container runs it."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.managed.test_job import ENDLESS, ROOT, kept_step
from tests.scenes import write_ball_dataset

NAMESPACES = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--net", "--fork", "--kill-child"]
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib64", "/etc/ld.so.cache")


def allowed() -> bool:
    if not shutil.which("unshare"):
        return False
    return subprocess.run([*NAMESPACES, "true"], capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not allowed(), reason="this system lets nobody make a root folder of their own (unshare)")


def bare_root(root: Path, settings: dict[str, str]) -> Path:
    ml = root / "opt" / "ml"
    for name in ("input/config", "input/data/training", "model", "output", "checkpoints"):
        (ml / name).mkdir(parents=True)
    (ml / "input" / "config" / "hyperparameters.json").write_text(json.dumps(settings))
    for name in ("proc", "dev", "tmp"):
        (root / name).mkdir()
    return ml


def start(root: Path, dataset: Path) -> subprocess.Popen[str]:
    """The command in that root, with the system's programs, this Python and the engine, all but /opt/ml and /tmp read-only."""
    mounts = [Path(name) for name in SYSTEM if Path(name).exists()]
    mounts += [path for path in (Path(sys.base_prefix), Path(sys.prefix), ROOT / "engine") if not path.is_relative_to("/usr")]
    lines = ["set -e"]
    for path in mounts:
        inside = root / path.relative_to("/")
        if path.is_symlink() and len(path.parts) == 2:  # /bin -> usr/bin
            lines.append(f"ln -s {os.readlink(path)} {shlex.quote(str(inside))}")
        elif path.is_dir():
            lines.append(f"mkdir -p {shlex.quote(str(inside))}; mount --rbind {shlex.quote(str(path))} {shlex.quote(str(inside))}")
        else:
            lines.append(f"mkdir -p {shlex.quote(str(inside.parent))}; cp {shlex.quote(str(path))} {shlex.quote(str(inside))}")
    inputs = shlex.quote(str(root / "opt/ml/input/data/training"))
    lines += [f"mount --bind {shlex.quote(str(dataset))} {inputs}; mount -o remount,bind,ro {inputs}",
              f"mount -t proc proc {shlex.quote(str(root / 'proc'))}; mount --rbind /dev {shlex.quote(str(root / 'dev'))}",
              f"exec chroot {shlex.quote(str(root))} env -i PATH=/usr/bin:/bin HOME=/tmp PYTHONPATH={shlex.quote(str(ROOT))} "
              f"{shlex.quote(sys.executable)} -m engine job train"]
    return subprocess.Popen([*NAMESPACES, "sh", "-c", "\n".join(lines)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def first_process(unshare: int) -> int:
    """The number outside of the process that is 1 inside."""
    return int(Path(f"/proc/{unshare}/task/{unshare}/children").read_text().split()[0])


def test_a_container_is_stopped_and_another_goes_on(tmp_path: Path) -> None:
    dataset = write_ball_dataset(tmp_path / "data").folder
    first = bare_root(tmp_path / "first", ENDLESS)
    process = start(tmp_path / "first", dataset)
    end = time.monotonic() + 90
    while kept_step(first / "checkpoints") < 100:
        assert time.monotonic() < end and process.poll() is None, process.communicate(timeout=10)[0]
        time.sleep(0.2)
    begin = time.monotonic()
    os.kill(first_process(process.pid), signal.SIGTERM)
    said, _ = process.communicate(timeout=40)
    assert process.returncode == 75, said
    assert time.monotonic() - begin < 30 and "Start the job again" in (first / "output" / "failure").read_text()
    step = kept_step(first / "checkpoints")
    second = bare_root(tmp_path / "second", {**ENDLESS, "max_steps": str(step + 50)})
    (second / "checkpoints").rmdir()
    (first / "checkpoints").rename(second / "checkpoints")
    process = start(tmp_path / "second", dataset)
    said, _ = process.communicate(timeout=120)
    assert process.returncode == 0 and f"step {step}" in said, said
    assert json.loads((second / "model" / "report.json").read_text())["step"] == step + 50
    assert (second / "model" / "scene.ply").exists() and not (second / "output" / "failure").exists()
