"""Scripts that import what version 0.1.0 had: public modules under their former path, one sentence for all others."""

from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from engine.core.former_names import MEMBERS, MODULES, PUBLIC

ROOT = Path(__file__).resolve().parents[2]
KNOWN: dict[str, list[str]] = json.loads((ROOT / "tests/fixtures/version_0_1/names.json").read_text())["modules"]
FORMER = {name.removeprefix("splatwright."): members for name, members in KNOWN.items() if name != "splatwright"}
STILL_PUBLIC = sorted(name for name in FORMER if MODULES.get(name, name) in PUBLIC)
MOVED = sorted(name for name in FORMER if name in MODULES and MODULES[name] not in PUBLIC)
GONE = {"core.job_spec": {"Kind"}, "core.ply": {"ANTIALIASED"}}
"""Names without a meaning outside of their module, for which nothing stands any more."""

PACKAGES = {"batch", "cli", "training.health"}
"""Former modules in whose place a folder lies."""


def test_there_is_something_to_compare() -> None:
    assert len(FORMER) > 200 and len(STILL_PUBLIC) > 20 and len(MOVED) > 60


def test_the_page_for_scripts_lists_the_public_modules() -> None:
    listed = re.findall(r"^\| `([a-z0-9_.]+)` \|", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(listed) == PUBLIC and len(listed) == len(PUBLIC)
    assert all(file_of(name).is_file() for name in PUBLIC)


@pytest.mark.parametrize("former", STILL_PUBLIC)
def test_a_public_module_holds_all_that_it_held(former: str) -> None:
    if former in MODULES:
        with pytest.warns(DeprecationWarning, match=re.escape(f"engine.{MODULES[former]}")):
            module = fresh(f"engine.{former}")
    else:
        module = importlib.import_module(f"engine.{former}")
    for name in set(FORMER[former]) - GONE.get(former, set()):
        place, _, now = MEMBERS.get(former, {}).get(name, f"{MODULES.get(former, former)}.{name}").rpartition(".")
        with_warning = former not in MODULES and name in MEMBERS.get(former, {})
        if with_warning or former == "core.formats":
            with pytest.warns(DeprecationWarning, match=now):
                found = getattr(module, name)
        else:
            found = getattr(module, name)
        assert found is getattr(importlib.import_module(f"engine.{place}"), now)


def fresh(name: str) -> object:
    """Imported as for the first time; core.formats is a folder now, whose members are asked for one by one."""
    if name == "engine.core.formats":
        module = importlib.import_module(name)
        module.read_splats  # noqa: B018 (it warns)
        return module
    sys.modules.pop(name, None)
    return importlib.import_module(name)


@pytest.mark.parametrize("former", [name for name in MOVED if name not in PACKAGES])
def test_another_module_says_where_it_is(former: str) -> None:
    with pytest.raises(ModuleNotFoundError) as caught:
        importlib.import_module(f"engine.{former}")
    assert str(caught.value) == f"engine.{former} is now engine.{MODULES[former]}: import it from there."
    assert file_of(MODULES[former]).is_file()


@pytest.mark.parametrize("former", sorted(PACKAGES))
def test_names_of_a_module_that_became_a_folder_say_where_they_are(former: str) -> None:
    package = importlib.import_module(f"engine.{former}")
    for name, place in MEMBERS[former].items():
        assert name in FORMER[former]
        with pytest.raises(ImportError, match=re.escape(f"engine.{place}")):
            getattr(package, name)
        module, _, current = place.rpartition(".")
        assert current in file_of(module).read_text(encoding="utf-8")
    assert not hasattr(package, "nothing_of_this_name")


def test_no_module_is_lost() -> None:
    lost = [name for name in FORMER if name not in MODULES and name.partition(".")[0] != "commands" and not file_of(name).is_file()]
    assert lost == []
    with pytest.raises(ModuleNotFoundError, match=r"engine\.cli"):
        importlib.import_module("engine.commands.train")


def test_a_script_sees_the_warning_at_its_own_line(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import engine.core.ply\nfrom engine.core.job import JobFolder\nprint(JobFolder.__module__)\n")
    done = subprocess.run([sys.executable, script], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.stdout == "engine.core.protocol.folder\n", done.stderr
    assert "script.py:1: DeprecationWarning: engine.core.ply is now engine.core.formats.ply" in done.stderr
    assert "script.py:2: DeprecationWarning" in done.stderr


def test_unknown_modules_stay_unknown() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"^No module named 'engine\.core\.nothing'$"):
        importlib.import_module("engine.core.nothing")


def test_blender_has_no_finder_of_former_paths() -> None:
    code = ("import sys, types; outer = types.ModuleType('outer'); outer.__path__ = ['.']; sys.modules['outer'] = outer; "
            "import outer.engine; print([type(finder).__name__ for finder in sys.meta_path if type(finder).__name__ == 'FormerPaths'])")
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "[]\n", done.stderr


def file_of(name: str) -> Path:
    """The file of a module of the engine, which may not exist."""
    path = ROOT / "engine" / name.replace(".", "/")
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
