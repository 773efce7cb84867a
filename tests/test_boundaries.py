"""Which folder may import what, read from the syntax trees."""

from __future__ import annotations

import ast
import sys
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
STANDARD = set(sys.stdlib_module_names)
TYPED = ROOT / "addon" / "typed.py"
"""Names the types of a room above it, for type checkers alone; every room of the add-on may import it."""
BLENDER = {"bpy", "bmesh", "gpu", "mathutils", "bpy_extras", "addon_utils", "blf", "gpu_extras"}

# room -> (third-party packages, other rooms) that it may import. A room is a folder, or a file that lies beside folders.
CORE = {"core", "core/cameras", "core/datasets", "core/formats", "core/images", "core/protocol", "core/splats"}
PILLOW = "core/images/pillow"
TRAINING = {"training", "training/cpu", "training/cuda", "training/data", "training/health", "training/init", "training/strategies",
            "training/surfaces"}
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    "engine/core": (set(), set()),
    "engine/core/splats": ({"numpy"}, {"core", "core/cameras"}),
    "engine/core/cameras": ({"numpy"}, {"core"}),
    "engine/core/images": ({"numpy"}, {"core"}),
    "engine/core/images/pillow.py": ({"PIL"}, {"core"}),
    "engine/core/protocol": (set(), {"core"}),
    "engine/core/formats": ({"numpy", "plyfile", "zstandard"}, {"core", "core/splats"}),
    "engine/core/datasets": ({"numpy"}, CORE),
    "engine/training": ({"numpy"}, CORE | TRAINING),
    "engine/training/group.py": ({"torch"}, CORE | {"training"}),
    "engine/training/cpu": ({"numpy"}, CORE | {"training"}),
    "engine/training/cuda": ({"numpy", "torch", "gsplat", "triton"}, CORE | {"training"}),
    "engine/training/strategies": ({"numpy"}, CORE | {"training"}),
    "engine/training/data": ({"numpy", "PIL", "pillow_heif"}, CORE | {PILLOW, "training", "training/cpu"}),
    "engine/training/init": ({"numpy"}, CORE | {"training", "training/data", "training/strategies"}),
    "engine/training/surfaces": ({"numpy"}, CORE | {"training", "training/data", "training/init"}),
    "engine/training/health": ({"numpy"}, CORE | {"training", "training/data", "training/strategies"}),
    "engine/preflight": ({"numpy"}, CORE | {"training", "training/data", "training/init"}),
    "engine/estimate": ({"numpy"}, CORE | TRAINING | {"preflight"}),
    "engine/evaluation": ({"numpy", "av", "torch"}, CORE | TRAINING),
    "engine/report": ({"numpy"}, CORE | TRAINING | {"evaluation"}),
    "engine/sfm": ({"numpy", "av", "PIL", "pillow_heif", "pycolmap", "matplotlib"}, CORE | {PILLOW}),
    "engine/feed_forward.py": ({"numpy"}, CORE | {"monocular"}),
    "engine/monocular.py": ({"numpy", "onnxruntime", "torch", "PIL"}, CORE | {PILLOW, "training/data"}),
    "engine/viewer.py": ({"numpy", "viser", "websockets"}, CORE | {"training/data"}),
    "engine/jobs": (set(), CORE),
    "engine/batch": (set(), CORE | {"jobs"}),
    "engine/managed": (set(), CORE | {"jobs", "training"}),
    "engine/remote": (set(), CORE | {"jobs"}),
    "engine/server": ({"fastapi", "starlette", "uvicorn"}, CORE | {"jobs", "server/cluster"}),
    "engine/server/cluster": ({"ray"}, CORE | {"jobs", "server"}),
    "engine/environment": (set(), CORE),
    "engine/doctor.py": ({"numpy", "torch"}, CORE | TRAINING | {"environment", "sfm"}),
    "engine/worker.py": (set(), CORE | TRAINING | {"estimate", "jobs", "preflight", "report", "sfm"}),
    "engine/cli": ({"tyro", "numpy", "rich"}, CORE | TRAINING | {
        "batch", "doctor", "estimate", "evaluation", "feed_forward", "jobs", "managed", "monocular", "preflight", "remote", "report",
        "server", "sfm", "viewer"}),
    "engine/__main__.py": (set(), {"cli"}),
    "engine/__init__.py": (set(), {"core"}),
}
ENGINE_IN_BLENDER = CORE | {"batch", "environment", "jobs", "remote"}
IN_BLENDER = {"numpy", "plyfile"} | BLENDER
FEATURES = {"capture", "photos", "splats", "ui"}
ADDON: dict[str, set[str]] = {
    "addon/typed.py": set(),
    "addon/ui": set(),
    "addon/translations": set(),
    "addon/cameras.py": set(),
    "addon/scene_collections.py": set(),
    "addon/splats": {"scene_collections", "ui"},
    "addon/viewport": {"capture", "jobs", "splats", "ui"},
    "addon/capture": {"cameras", "scene_collections", "splats", "ui"},
    "addon/photos": {"cameras", "scene_collections", "splats"},
    "addon/placement.py": {"photos", "splats"},
    "addon/unsaved.py": {"engines"},
    "addon/properties": {"cameras", "capture", "splats", "unsaved"},
    "addon/engines": {"photos", "ui"},
    "addon/jobs": {"engines", "photos", "properties", "scene_collections", "splats", "ui"},
    "addon/batch": {"cameras", "capture", "engines", "jobs", "properties", "ui"},
    "addon/operators": FEATURES | {"batch", "cameras", "engines", "jobs", "placement", "properties", "viewport"},
    "addon/panels": FEATURES | {"batch", "engines", "jobs", "operators", "properties", "viewport"},
    "addon/welcome.py": {"engines", "ui"},
    "addon/preferences.py": {"engines", "panels", "welcome"},
    "addon/first_save.py": {"batch", "capture", "engines", "jobs", "operators", "properties", "ui", "unsaved"},
    "addon/__init__.py": set(),
    "addon/__main__.py": set(),
}


def sources(folder: str) -> list[Path]:
    path = ROOT / folder
    return [path] if path.is_file() else sorted(path.rglob("*.py"))


def nodes(node: ast.AST, for_types: bool) -> Iterator[ast.AST]:
    """A syntax tree's nodes; those of `if TYPE_CHECKING`, which never run, when they are asked for."""
    yield node
    for child in ast.iter_child_nodes(node):
        if for_types or not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from nodes(child, for_types)


def imports(path: Path) -> list[tuple[int, str]]:
    """(level, dotted name) of every import, those inside functions too."""
    found = []
    for node in nodes(ast.parse(path.read_text(encoding="utf-8")), path != TYPED):
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


def room_of(path: Path, rooms: Collection[str]) -> str:
    """The innermost of `rooms` that a file lies in."""
    relative = path.relative_to(ROOT).as_posix()
    found = [room for room in rooms if relative == room or relative.startswith(room + "/")]
    assert found, f"{relative} lies in no known room: say what it may import"
    return max(found, key=len)


def imported(path: Path) -> Iterator[tuple[str, Path | None]]:
    """(dotted name, file of our own or None) of every import."""
    for level, name in imports(path):
        yield (name, None) if level == 0 else (dotted := absolute(path, level, name), file_of(dotted))


def file_of(dotted: str) -> Path:
    """The module that a dotted name of our own lies in, or is."""
    place = ROOT.joinpath(*dotted.split("."))
    for candidate in (place.with_suffix(".py"), place / "__init__.py", place.parent.with_suffix(".py"), place.parent / "__init__.py"):
        if candidate.is_file():
            return candidate
    raise AssertionError(f"{dotted} is not there")


def room_name(room: str) -> str:
    """As the tables name it; a file that has a line of its own belongs to its folder."""
    name = room.partition("/")[2].removesuffix(".py")
    return "training" if name == "training/group" else name


@pytest.mark.parametrize("path", sources("engine"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_engine_imports(path: Path) -> None:
    room = room_of(path, ALLOWED)
    packages, rooms = ALLOWED[room]
    for name, file in imported(path):
        if file is None:
            top = name.split(".")[0]
            assert top in STANDARD or top in packages, f"{name} may not be imported in {room}"
        elif file != ROOT / "engine" / "__init__.py":
            assert name.startswith("engine."), f"{name} lies outside the engine"
            assert room_name(room_of(file, ALLOWED)) in rooms | {room_name(room)}, f"{name} may not be imported in {room}"


@pytest.mark.parametrize("path", sources("addon"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_addon_imports(path: Path) -> None:
    room = room_of(path, ADDON)
    for name, file in imported(path):
        if file is None:
            top = name.split(".")[0]
            assert top in STANDARD or top in IN_BLENDER, f"{name} may not be imported in Blender"
        elif name.startswith("engine."):
            assert room_name(room_of(file, ALLOWED)) in ENGINE_IN_BLENDER, f"{name} may not be imported in Blender"
        else:
            assert name.startswith("addon."), f"{name} lies outside the extension"
            allowed = ADDON[room] | {room_name(room), "typed", "translations"}
            assert room_name(room_of(file, ADDON)) in allowed, f"{name} may not be imported in {room}"


def test_every_room_exists() -> None:
    assert not [room for room in (*ALLOWED, *ADDON) if not (ROOT / room).exists()]


def places(path: Path) -> set[Path]:
    """A module, and its folder where that holds no other folders with modules: what circles are looked for between."""
    folder = path.parent
    return {path} if path.name == "__init__.py" or any(folder.glob("*/__init__.py")) else {path, folder}


def test_no_circles() -> None:
    """Neither between modules nor between rooms; imports inside functions count."""
    graph: dict[Path, set[Path]] = {}
    for path in (*sources("engine"), *sources("addon")):
        for _, file in imported(path):
            if file is not None and file != path:
                for start in places(path):
                    graph.setdefault(start, set()).update(places(file) - places(path))
                graph.setdefault(path, set()).add(file)
    assert circle_in(graph) == []


def circle_in(graph: dict[Path, set[Path]]) -> list[str]:
    """One circle of the graph, from a place back to itself; empty when there is none."""
    done: set[Path] = set()

    def walk(place: Path, way: list[Path]) -> list[Path]:
        if place in way:
            return [*way[way.index(place) :], place]
        if place in done:
            return []
        done.add(place)
        return next((circle for following in sorted(graph.get(place, ())) if (circle := walk(following, [*way, place]))), [])

    found = next((circle for place in sorted(graph) if (circle := walk(place, []))), [])
    return [place.relative_to(ROOT).as_posix() for place in found]


def test_a_circle_is_found() -> None:
    first, second, third = (ROOT / name for name in "abc")
    assert circle_in({first: {second}, second: {third}, third: {second}}) == ["b", "c", "b"]
    assert circle_in({first: {second, third}, second: {third}}) == []


def test_training_needs_numpy_alone_until_a_gpu_is_chosen() -> None:
    """Torch is imported by the functions that need it, never by a module of the trainer."""
    for path in sources("engine/training"):
        if "cuda" not in path.parts:
            body = ast.parse(path.read_text(encoding="utf-8")).body
            at_the_top = [ast.unparse(node) for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
            assert not [line for line in at_the_top if "torch" in line], path


STARTING = {"subprocess.Popen", "subprocess.run", "subprocess.call", "subprocess.check_call", "subprocess.check_output", "os.system",
            "os.popen", "os.fork", "os.posix_spawn", "os.startfile", "asyncio.create_subprocess_exec", "asyncio.create_subprocess_shell",
            *(f"os.exec{how}" for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe")),
            *(f"os.spawn{how}" for how in ("l", "le", "lp", "lpe", "v", "ve", "vp", "vpe"))}
STARTS_BY_ITSELF = {
    "engine/core/processes.py": "what all others call",
    "engine/server/cluster/node_agent.py": "Ray sends this file alone to other machines, without the rest of the engine",
    "engine/server/cluster/supervised_worker.py": "os.fork: it becomes nobody's child before it starts its worker by spawn()",
    "engine/server/shutdown.py": "the shell runs what the server's owner wrote",
    "engine/training/cpu/build.py": "compiles the kernels before there is an engine; the compiler speaks to the terminal",
    "engine/worker.py": "os.execv: the worker becomes torchrun, under the number by which its job knows it",
}
"""File -> why it starts programs by itself."""


def started_in(path: Path) -> list[str]:
    """The calls of a module that start programs without core/processes.py, also where a function was imported by its name."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    named = [f"{node.module}.{alias.name}" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level
             for alias in node.names]
    called = [ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return [name for name in (*named, *called) if name in STARTING]


def test_programs_are_started_in_one_way() -> None:
    """Own group, no console window, ended with all that they started: engine/core/processes.py."""
    found = {path.relative_to(ROOT).as_posix() for path in (*sources("engine"), *sources("addon")) if started_in(path)}
    assert found == set(STARTS_BY_ITSELF)


def test_a_started_program_is_found(tmp_path: Path) -> None:
    for number, line in enumerate(("import subprocess\nsubprocess.run(['true'])", "from subprocess import Popen\nPopen(['true'])",
                                   "import os\nos.execv('true', [])")):
        module = tmp_path / f"{number}.py"
        module.write_text(line)
        assert started_in(module)
    assert not started_in(ROOT / "tests" / "conftest.py")


@pytest.mark.parametrize("name", ["utils.py", "helpers.py", "manager.py", "misc.py", "common.py"])
def test_no_room_for_odds_and_ends(name: str) -> None:
    assert not [path for folder in ("engine", "addon", "tests", "demo") for path in (ROOT / folder).rglob(name)]
