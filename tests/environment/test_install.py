"""The full engine's environment, built with the real uv out of real wheels: interrupted, upgraded, refused, removed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.errors import UserError
from engine.core.protocol.progress import Step, ignore_progress
from engine.environment import backends, folder
from engine.environment.backends import BACKENDS, CPU
from engine.environment.folder import EngineFolder, Environment, InstallState
from engine.environment.graphics import Graphics
from engine.environment.install import InstallRequest, install
from engine.environment.own_wheel import write_wheel
from tests.processes import kill_group

REPOSITORY = Path(__file__).resolve().parents[2]
NOWHERE = "http://127.0.0.1:9"


def state(request: InstallRequest) -> InstallState:
    return EngineFolder(request.root).state()


def doctor(environment: Environment) -> dict[str, str]:
    """Subject -> state, as the environment's own command line sees itself."""
    program = environment.python.with_name("splatwright")
    done = subprocess.run([program, "doctor", "--json"], capture_output=True, text=True, cwd="/", env={"PATH": os.environ["PATH"]})
    return {row["subject"]: row["state"] for row in json.loads(done.stdout)["rows"]}


def start(request: InstallRequest, **variables: str) -> subprocess.Popen[str]:
    """The process that Blender starts."""
    command = [sys.executable, "-m", "engine.environment", "install", str(request.root), "--backend", request.backend.name]
    offline = ["--wheels", str(request.wheels)] if request.wheels else []
    return subprocess.Popen([*command, *offline], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, start_new_session=True,
                            env=os.environ | variables)


def answer_of(process: subprocess.Popen[str]) -> dict[str, str]:
    """The last line it says."""
    return json.loads(process.communicate(timeout=200)[0].splitlines()[-1])


def test_installing_from_a_folder_and_removing(request_in: InstallRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, NOWHERE)  # nothing is asked of any network
    assert state(request_in) is InstallState.ABSENT
    steps: list[Step] = []
    made = install(request_in, steps.append)
    assert state(request_in) is InstallState.READY and not (made.path / "incomplete").exists()
    assert [step.name for step in steps][-1] == "Ready" and any(step.total for step in steps)
    rows = doctor(made)
    assert rows["Built-in engine"] == "well" and rows["Photos and videos"] == "well"
    steps.clear()
    assert install(request_in, steps.append) == made
    assert [step.name for step in steps] == ["Ready"], "nothing is fetched or built again"
    EngineFolder(request_in.root).remove()
    assert state(request_in) is InstallState.ABSENT and not request_in.root.exists()
    EngineFolder(request_in.root).remove()


def test_killed_at_any_moment_it_goes_on(request_in: InstallRequest) -> None:
    for moment in ("Fetching the installer", "Making the environment", "Fetching packages"):
        process = start(request_in)
        assert process.stdout is not None
        for line in process.stdout:
            if moment in line:
                break
        kill_group(process.pid)
        process.communicate()
        assert state(request_in) is InstallState.INCOMPLETE
    while "error" in (answer := answer_of(start(request_in))):  # a child of the killed process may hold the lock for a moment
        assert "already" in answer["error"]
        time.sleep(0.2)
    assert state(request_in) is InstallState.READY


@pytest.fixture
def installed(request_in: InstallRequest) -> Environment:
    return install(request_in, ignore_progress)


def test_an_upgrade_that_fails_keeps_what_works(
        request_in: InstallRequest, installed: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Packages without numpy pass uv and fail the self-check."""
    broken = tmp_path / "locks"
    broken.mkdir()
    head, _, tail = CPU.lock.read_text().partition("\nnumpy==")
    rest = tail[tail.index("\npackaging=="):]
    (broken / "cpu.txt").write_text(head + rest)
    monkeypatch.setattr(backends, "LOCKS", broken)
    folder.fingerprint.cache_clear()
    assert state(request_in) is InstallState.OUTDATED
    with pytest.raises(UserError, match=r"self-check: This Python lacks numpy.*stays in use"):
        install(request_in, ignore_progress)
    assert EngineFolder(request_in.root).current() == installed and doctor(installed)["Built-in engine"] == "well"
    assert state(request_in) is InstallState.OUTDATED

    (broken / "cpu.txt").write_text(head + "\nnumpy==" + tail + "# newer\n")
    folder.fingerprint.cache_clear()
    newer = install(request_in, ignore_progress)
    folder.fingerprint.cache_clear()
    assert newer != installed and not installed.path.exists()
    assert [found.path for found in EngineFolder(request_in.root).environments()] == [newer.path]


def test_blenders_python_is_gone(request_in: InstallRequest, installed: Environment) -> None:
    installed.python.unlink()
    assert state(request_in) is InstallState.BROKEN
    install(request_in, ignore_progress)
    assert state(request_in) is InstallState.READY


def test_one_at_a_time(request_in: InstallRequest) -> None:
    with EngineFolder(request_in.root).locked(), pytest.raises(UserError, match="already"):
        install(request_in, ignore_progress)
    with EngineFolder(request_in.root).locked():
        assert "already" in answer_of(start(request_in))["error"]


def test_without_a_network(request_in: InstallRequest) -> None:
    """Neither uv nor, where uv is there already, the packages can be fetched."""
    online = replace(request_in, wheels=None)
    cut = {name: NOWHERE for name in ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY")}
    cut |= {"PIP_FIND_LINKS": "", "PIP_CONFIG_FILE": os.devnull, "UV_HTTP_RETRIES": "0"}
    for stage in ("uv", "packages"):
        answer = answer_of(start(online, **cut))
        assert answer["error"] == "The package index cannot be reached.", stage
        assert "folder of wheels" in answer["hint"] and state(online) is InstallState.INCOMPLETE
        install(request_in, ignore_progress)
        assert state(request_in) is InstallState.READY
        shutil.rmtree(online.root / "environments")
        shutil.rmtree(online.root / "cache")


def test_a_folder_that_lacks_a_wheel(request_in: InstallRequest, wheels: Path, tmp_path: Path) -> None:
    poor = tmp_path / "poor"
    poor.mkdir()
    for wheel in wheels.glob("*.whl"):
        if not wheel.name.startswith("pycolmap"):
            (poor / wheel.name).symlink_to(wheel)
    with pytest.raises(UserError, match=r"not found: Because pycolmap was not found"):
        install(replace(request_in, wheels=poor), ignore_progress)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no wheels" in answer_of(start(replace(request_in, wheels=empty)))["error"]


def test_no_headers_and_no_network(request_in: InstallRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blender's own Python cannot compile; the folder of wheels holds no compiled gsplat."""
    monkeypatch.setattr("engine.environment.install.needs_own_python", lambda backend: True)
    monkeypatch.setattr("engine.environment.install.find_graphics", lambda: Graphics("RTX 4090", "580.65", (13, 0), (8, 9)))
    with pytest.raises(UserError, match=r"cannot compile.*compiled gsplat for cu130"):
        install(replace(request_in, backend=replace(BACKENDS["cu130"], disk=0)), ignore_progress)


OLD = Graphics("GTX 980", "535.183", (12, 2), (5, 2))


@pytest.mark.parametrize(("graphics", "words"), [(None, "no NVIDIA graphics card"), (OLD, r"GTX 980.*driver 535 supports CUDA 12.2")])
def test_packages_for_another_card_are_not_fetched(
        request_in: InstallRequest, monkeypatch: pytest.MonkeyPatch, graphics: Graphics | None, words: str) -> None:
    monkeypatch.setattr("engine.environment.install.find_graphics", lambda: graphics)
    with pytest.raises(UserError, match=words):
        install(replace(request_in, backend=BACKENDS["cu130"]), ignore_progress)
    assert state(request_in) is InstallState.ABSENT


def test_a_wheel_that_was_changed(request_in: InstallRequest, wheels: Path, tmp_path: Path) -> None:
    changed = tmp_path / "changed"
    shutil.copytree(wheels, changed)
    victim = next(changed.glob("plyfile-*.whl"))
    victim.write_bytes(victim.read_bytes() + b" ")
    with pytest.raises(UserError, match=r"damaged.*plyfile|damaged.*ZIP"):
        install(replace(request_in, wheels=changed), ignore_progress)
    assert state(request_in) is InstallState.INCOMPLETE


def test_too_little_room_is_said_before_anything_is_fetched(request_in: InstallRequest) -> None:
    with pytest.raises(UserError, match=r"needs 999999999"):
        install(replace(request_in, backend=replace(CPU, disk=10**18 - 400_000_000)), ignore_progress)
    assert state(request_in) is InstallState.ABSENT


def test_a_full_disk(request_in: InstallRequest, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=150m", "none", str(small)], capture_output=True).returncode:
        pytest.skip("a small disk can only be made by root")
    try:
        full = replace(request_in, root=small / "engine", backend=replace(CPU, disk=0))
        with pytest.raises(UserError, match="disk is full"):
            install(full, ignore_progress)
        assert state(full) is InstallState.INCOMPLETE
    finally:
        subprocess.run(["umount", "-l", str(small)], check=True)


def test_a_folder_that_may_not_be_written(request_in: InstallRequest, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    answer = answer_of(start(replace(request_in, root=tmp_path / "file" / "engine")))
    assert str(tmp_path) in answer["error"] and answer["hint"]


def test_unknown_packages(request_in: InstallRequest) -> None:
    answer = answer_of(start(replace(request_in, backend=replace(CPU, name="cu999"))))
    assert "cu999" in answer["error"] and "cu130" in answer["hint"]


def test_the_same_files_make_the_same_wheel(tmp_path: Path) -> None:
    first = write_wheel(tmp_path).read_bytes()
    assert write_wheel(tmp_path).read_bytes() == first and len(first) > 100_000
