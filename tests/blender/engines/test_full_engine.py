"""The full engine from Blender's side: consent, the process that installs, its states in the preferences, which Python the jobs take."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.untyped import bpy

from ..conftest import REPOSITORY, module
from ..panels.test_panels import Layout


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set without a graphics card for this Python; skips where the package index cannot be reached."""
    folder = tmp_path_factory.mktemp("wheels ü")
    for lock in ("uv.txt", "cpu.txt"):
        fetch = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes",
                 "--only-binary", ":all:", "--dest", str(folder), "-r", str(REPOSITORY / "engine" / "locks" / lock)]
        done = subprocess.run(fetch, capture_output=True, text=True, timeout=280)
        if done.returncode:
            pytest.skip(f"the wheels cannot be fetched: {done.stderr[-300:]}")
    return folder


@pytest.fixture
def full(tmp_path: Path) -> Iterator[ModuleType]:
    """The extension's full engine, in a folder of its own."""
    settings, full_engine = module("addon.engines.locations").preferences(), module("addon.engines.full_engine")
    settings.engine_folder = str(tmp_path / "full engine é")
    settings.jobs_folder = str(tmp_path / "jobs")
    yield full_engine
    full_engine.close()
    module("addon.engines.self_check").close()
    settings.engine_folder = settings.jobs_folder = ""


@pytest.fixture
def online() -> Iterator[Callable[[bool], None]]:
    """Blender's setting that lets extensions use the network."""
    system = bpy.context.preferences.system
    before = system.use_online_access

    def set_to(allowed: bool) -> None:
        system.use_online_access = allowed

    yield set_to
    system.use_online_access = before


def wait(reached: Callable[[], Any], seconds: float = 90) -> None:
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


def drawn() -> Layout:
    """What the preferences show of the full engine and the self-check."""
    layout, panel = Layout(), module("addon.panels.engine")
    panel.draw_full_engine(layout)
    panel.draw_self_check(layout)
    return layout


def test_from_nothing_to_a_training_and_back(full: ModuleType, wheels: Path) -> None:
    """Install, stop, go on, train's Python, self-check, uninstall."""
    states = module("engine.environment.folder").InstallState
    choice = module("addon.engines.choice")
    assert full.state() is states.ABSENT and "install_engine" in drawn().operators
    assert choice.engine().python == Path(sys.executable)

    assert bpy.ops.splatwright.install_engine(backend="cpu", wheels=str(wheels)) == {"FINISHED"}
    wait(lambda: full.installation().step.name != "Starting")
    assert full.state() is states.INSTALLING and drawn().operators == ["stop_installing", "self_check"]
    with pytest.raises(RuntimeError, match="already"):
        bpy.ops.splatwright.install_engine(backend="cpu", wheels=str(wheels))
    bpy.ops.splatwright.stop_installing()
    wait(lambda: full.installation().process.poll() is not None)
    assert full.state() is states.INCOMPLETE
    assert "stopped" in drawn().text and "Install again" in drawn().text

    wait(lambda: group_is_gone(full.installation().process.pid))
    bpy.ops.splatwright.install_engine(backend="cpu", wheels=str(wheels))
    assert full.poll() == module("addon.ui.background").TICK_SECONDS
    sentences = set()
    wait(lambda: sentences.add(drawn().text) or not full.installation().running)
    assert full.installation().problem is None, full.installation().problem
    assert full.poll() is None and full.state() is states.READY
    assert len(sentences) >= 2 and "The full engine is installed: Photos and videos" in drawn().text
    python = choice.engine().python
    assert python.is_relative_to(full.folder().root) and choice.engine().import_paths == ()

    bpy.ops.splatwright.self_check()
    self_check_result = module("addon.engines.self_check")
    wait(lambda: not self_check_result.running())
    rows = {row.subject: row for row in self_check_result.result().rows}
    assert rows["Built-in engine"].state == "well" and str(python) in rows["Python"].sentence
    assert "Built-in engine: A training step" in drawn().text and "copy_self_check" in drawn().operators
    assert bpy.ops.splatwright.copy_self_check() == {"FINISHED"}

    assert bpy.ops.splatwright.uninstall_engine() == {"FINISHED"}
    assert full.state() is states.ABSENT and not full.folder().root.exists()
    assert choice.engine().python == Path(sys.executable)


def group_is_gone(leader: int) -> bool:
    """Whether a stopped installation and everything that it started have ended; without groups of processes, whether it has itself."""
    if not hasattr(os, "killpg"):
        return not module("engine.jobs.processes").process_exists(leader)
    try:
        os.killpg(leader, 0)
    except ProcessLookupError:
        return True
    return False


def test_how_far_it_is(full: ModuleType) -> None:
    found = full.start([sys.executable, "-c", "import time; time.sleep(60)"], {}, module("engine.environment.backends").CPU)
    found.hear('{"name": "Fetching packages (MB)", "done": 30, "total": 120}')
    assert drawn().progress_factor == 0.25 and "30 of 120" in found.sentence() and " left" in found.sentence()
    found.stop()
    wait(lambda: group_is_gone(found.process.pid))


def test_nothing_is_fetched_without_leave(full: ModuleType, online: Callable[[bool], None]) -> None:
    online(False)
    with pytest.raises(RuntimeError, match="Allow Online Access"):
        bpy.ops.splatwright.install_engine(backend="cpu")
    assert full.installation() is None and not full.folder().root.exists()
    assert full.may_go_online("/a/folder/of/wheels") and not full.may_go_online("")
    online(True)
    assert full.may_go_online("")


def test_consent_says_what_from_where_how_large_and_under_which_licence(full: ModuleType, online: Callable[[bool], None]) -> None:
    online(False)
    operator, backends = module("addon.operators.install"), module("engine.environment.backends")
    rows = dict(operator.consent(backends.BACKENDS["cu130"], ""))
    assert list(rows) == ["What", "From", "Size", "Into", "Licences"]
    assert "PyTorch" in rows["What"] and "Package Index" in rows["From"] and "3.0 GB" in rows["Size"] and "NVIDIA" in rows["Licences"]
    assert rows["Into"] == str(full.folder().root)
    assert "/wheels" in dict(operator.consent(backends.CPU, "/wheels"))["From"]
    layout = Layout()
    described = bpy.ops.splatwright.install_engine.get_rna_type()
    dialog = SimpleNamespace(layout=layout, backend="cpu", wheels="", bl_rna=described,
                             _chosen=lambda: backends.CPU, _reasons=lambda backend: ())
    operator.SPLATWRIGHT_OT_install_engine.draw(dialog, bpy.context)
    assert "Allow Online Access" in layout.text and "120 MB" in layout.text and layout.properties == ["backend", "wheels"]


def test_a_failed_installation_says_why(full: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    bpy.ops.splatwright.install_engine(backend="cpu", wheels=str(tmp_path / "empty"))
    wait(lambda: not full.installation().running)
    assert "holds no wheels" in drawn().text and "install_engine" in drawn().operators


def test_a_process_that_dies_without_a_message(full: ModuleType) -> None:
    found = full.start([sys.executable, "-c", "import sys; print('no JSON'); sys.exit(3)"], {}, module("engine.environment.backends").CPU)
    wait(lambda: not found.running)
    assert "without a message" in drawn().text


@pytest.mark.parametrize("state", ["absent", "incomplete", "ready", "outdated", "broken"])
def test_every_state_has_its_words_and_buttons(full: ModuleType, monkeypatch: pytest.MonkeyPatch, state: str) -> None:
    value = module("engine.environment.folder").InstallState(state)
    monkeypatch.setattr(full, "state", lambda: value)
    layout = drawn()
    assert layout.text and ("install_engine" in layout.operators) == (state != "ready")
    assert ("uninstall_engine" in layout.operators) == (state != "absent")


def test_a_self_check_that_does_not_answer(full: ModuleType) -> None:
    self_check_result = module("addon.engines.self_check")
    assert bpy.ops.splatwright.copy_self_check() == {"CANCELLED"}
    self_check_result.start([sys.executable, "-c", "print('nothing')"], {}).join()
    assert "gave no answer" in drawn().text
    self_check_result.start(["/no/such/python"], {}).join()
    assert "gave no answer" in drawn().text


def test_it_is_not_replaced_under_a_running_training(full: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    busy = SimpleNamespace(state=SimpleNamespace(alive=True))
    monkeypatch.setattr(module("addon.jobs.jobs"), "watched", lambda: [busy])
    with pytest.raises(RuntimeError, match="running with this engine"):
        bpy.ops.splatwright.uninstall_engine()


def test_a_chosen_python_comes_first(full: ModuleType, tmp_path: Path) -> None:
    settings = module("addon.engines.locations").preferences()
    settings.python = str(tmp_path / "python")
    try:
        engine = module("addon.engines.choice").engine()
        assert engine.python == tmp_path / "python" and engine.import_paths == ()
    finally:
        settings.python = ""
