"""Which folder may import what, read from the syntax trees."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STANDARD = set(sys.stdlib_module_names)
BLENDER = {"bpy", "bmesh", "gpu", "mathutils", "bpy_extras", "addon_utils", "blf", "gpu_extras"}

# folder or file -> (third-party packages, other rooms of the engine) that it may import
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    "engine/core": ({"numpy", "plyfile", "zstandard"}, set()),
    "engine/estimation.py": (set(), {"core"}),
    "engine/processes.py": (set(), {"core"}),
    "engine/client.py": (set(), {"core", "estimation", "processes"}),
    "engine/batch.py": (set(), {"core"}),
    "engine/batch_trainings.py": (set(), {"core", "batch", "client"}),
    "engine/blender.py": (set(), {"core"}),
    "engine/remote": (set(), {"core", "client", "estimation"}),
    "engine/server": ({"fastapi", "starlette", "uvicorn", "ray"}, {"core", "client", "estimation", "preflight", "processes"}),
    "engine/worker.py": (set(), {"core", "processes", "training", "preflight", "report", "sfm"}),
    "engine/sfm": ({"numpy", "av", "PIL", "pillow_heif", "pycolmap", "matplotlib"}, {"core"}),
    "engine/environment": (set(), {"core"}),
    "engine/doctor.py": ({"numpy", "torch"}, {"core", "environment", "sfm", "training"}),
    "engine/commands": ({"tyro", "numpy"}, {"core", "batch", "batch_trainings", "blender", "client", "doctor", "estimation",
                                            "evaluation", "monocular", "preflight", "remote", "report", "server", "sfm", "terminal",
                                            "training", "viewer"}),
    "engine/training/cuda": ({"numpy", "torch", "gsplat", "triton"}, {"core", "training"}),
    "engine/training/distributed.py": ({"torch"}, {"core", "training"}),
    "engine/training": ({"numpy", "PIL"}, {"core", "preflight"}),
    "engine/preflight": ({"numpy"}, {"core", "training"}),
    "engine/evaluation": ({"numpy", "av", "torch"}, {"core", "training"}),
    "engine/report": ({"numpy"}, {"core", "training", "evaluation"}),
    "engine/monocular.py": ({"numpy", "onnxruntime", "torch", "PIL"}, {"core", "training"}),
    "engine/viewer.py": ({"numpy", "viser"}, {"core", "training"}),
    "engine/cli.py": ({"tyro"}, {"core", "commands", "terminal"}),
    "engine/terminal.py": ({"rich"}, {"core", "batch", "client"}),
    "engine/__main__.py": (set(), {"cli"}),
    "engine/__init__.py": (set(), set()),
}
ADDON = ({"numpy", "plyfile"} | BLENDER, {"core", "client", "batch", "batch_trainings", "environment", "estimation", "remote"})


def sources(folder: str) -> list[Path]:
    path = ROOT / folder
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def imports(path: Path) -> list[tuple[int, str]]:
    """(level, dotted name) of every import, those inside functions too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            found += [(node.level, f"{base}.{alias.name}".strip(".")) for alias in node.names]
    return found


def absolute(path: Path, level: int, name: str) -> str:
    """A relative import as a dotted path from the repository's root."""
    package = list(path.relative_to(ROOT).with_suffix("").parts[:-1])
    return ".".join([*package[: len(package) - level + 1], name])


def entry_of(path: Path) -> tuple[set[str], set[str], str]:
    relative = path.relative_to(ROOT).as_posix()
    for prefix, (packages, rooms) in ALLOWED.items():
        if relative == prefix or relative.startswith(prefix + "/"):
            own = Path(prefix).with_suffix("").name
            return packages, rooms | {own}, prefix
    raise AssertionError(f"{relative} lies in no known room: add it to ALLOWED")


@pytest.mark.parametrize("path", sources("engine"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_engine_imports(path: Path) -> None:
    packages, rooms, _ = entry_of(path)
    for level, name in imports(path):
        if level == 0:
            top = name.split(".")[0]
            assert top in STANDARD or top in packages, f"{name} may not be imported here"
        else:
            target = absolute(path, level, name).split(".")
            assert target[0] == "engine", f"{'.'.join(target)} lies outside the engine"
            assert len(target) < 2 or target[1] in rooms or len(target) == 2, f"{'.'.join(target)} may not be imported here"


@pytest.mark.parametrize("path", [ROOT / "__init__.py", *sources("addon")], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_addon_imports(path: Path) -> None:
    packages, rooms = ADDON
    for level, name in imports(path):
        if level == 0:
            top = name.split(".")[0]
            assert top in STANDARD or top in packages, f"{name} may not be imported in Blender"
        else:
            target = absolute(path, level, name).split(".")
            assert target[0] in ("addon", "engine"), f"{'.'.join(target)} lies outside the extension"
            if target[0] == "engine" and len(target) > 1:
                assert target[1] in rooms, f"{'.'.join(target)} may not be imported in Blender"


def test_training_needs_numpy_alone_until_a_gpu_is_chosen() -> None:
    """Torch is imported by the functions that need it, never by a module of the trainer."""
    for path in sources("engine/training"):
        if "cuda" not in path.parts:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            at_the_top = [ast.unparse(node) for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
            assert not [line for line in at_the_top if "torch" in line], path


@pytest.mark.parametrize("name", ["utils.py", "helpers.py", "manager.py", "misc.py", "common.py"])
def test_no_room_for_odds_and_ends(name: str) -> None:
    assert not [path for folder in ("engine", "addon", "tests", "demo") for path in (ROOT / folder).rglob(name)]
