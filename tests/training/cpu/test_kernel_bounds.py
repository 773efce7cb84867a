"""The kernels' tests on other builds of them: those that check every access to memory, and the one for the oldest processors."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.training.cpu import build, library

ROOT = Path(__file__).resolve().parents[3]
HERE = Path(__file__).parent
GUARDED = HERE / "guarded.c"
TESTS, LIMITS, SAMPLING = (str(HERE / f"test_{name}.py") for name in ("kernels", "kernel_limits", "sampling"))
BUILDS = {each.output.name: each for each in build.BUILDS}
PLAIN, *FASTER = library.host_builds()

SHORT_ARRAYS = """
import ctypes, numpy as np
from engine.training.cpu.library import Kernels, ViewStruct, floats
kernels, short, value = Kernels(1), np.zeros(8, np.float32), ctypes.c_double()
kernels._library.splat_loss(kernels._handle, ViewStruct(40, 30), short.ctypes.data, 3, floats(short, 8), 0.2, 1, 0, floats(short, 8), value)
"""


def in_child(arguments: list[str], kernels: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own that takes its kernels from another folder."""
    variables = {**os.environ, library.OVERRIDE: str(kernels), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=280)


def sanitizer() -> str:
    """What to load first: gcc's address sanitizer, whose interface is clang's, and what it needs for torch's exceptions."""
    if sys.platform != "linux" or not shutil.which("gcc"):
        pytest.skip("the address sanitizer needs Linux and gcc")
    paths = [subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True, check=True).stdout.strip()
             for name in ("libasan.so", "libstdc++.so.6")]
    if not all(map(os.path.isabs, paths)):
        pytest.skip("libasan is not installed (it comes with gcc)")
    return " ".join(paths)


def compile_guarded(name: str, folder: Path) -> None:
    """The library of this name, checking every access and all undefined behaviour."""
    made = BUILDS[name]
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", made.target, f"-mcpu={made.cpu}", "-O1", "-g", "-ffp-contract=fast",
                "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-fsanitize=undefined", "-Xclang", "-fsanitize=address"]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(build.CACHE), "ZIG_LOCAL_CACHE_DIR": str(build.CACHE)}
    subprocess.run([*compiler, f"-I{build.HERE}", str(GUARDED), "-lm", "-lpthread", "-o", str(folder / name)], check=True, env=environment)


def runs(name: str) -> bool:
    """Whether this processor runs the library of this name."""
    return library.host_builds()[name] <= library.load().splat_x86_level()


@pytest.fixture(scope="module", params=[name for name in (PLAIN, *FASTER) if "avx2" not in name])
def guarded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with guarded kernels, and the environment that they need: those for vectors of eight, and those of sixteen."""
    preload, folder = sanitizer(), tmp_path_factory.mktemp("guarded")
    if not runs(request.param):
        pytest.skip(f"this processor does not run {request.param}")
    for name in {PLAIN, request.param}:  # the plain one tells which other may be loaded
        compile_guarded(name, folder)
    # Leaks are Python's own, which frees little at its end.
    return folder, {"LD_PRELOAD": preload, "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"}


def test_the_guard_catches_an_access_beyond_an_array(guarded: tuple[Path, dict[str, str]]) -> None:
    folder, environment = guarded
    done = in_child(["-c", SHORT_ARRAYS], folder, **environment)
    assert done.returncode and "AddressSanitizer: heap-buffer-overflow" in done.stderr


def test_no_access_leaves_its_array(guarded: tuple[Path, dict[str, str]]) -> None:
    folder, environment = guarded
    done = in_child(["-m", "pytest", "-x", "-s", "-p", "no:cacheprovider", LIMITS, SAMPLING], folder, **environment)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-6000:] + done.stderr[-6000:]


@pytest.mark.skipif(not FASTER, reason="only x86-64 has a plainer build")
def test_the_plainest_build_passes_all_the_same(tmp_path: Path) -> None:
    shutil.copy(library.FOLDER / PLAIN, tmp_path)
    done = in_child(["-m", "pytest", "-x", "-p", "no:cacheprovider", TESTS, SAMPLING], tmp_path)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-6000:]
