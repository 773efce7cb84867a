"""The kernels' tests once more on other builds of them: one that checks every access to memory, and the plainest one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from engine.training.cpu import build, library

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
GUARDED = HERE / "guarded.c"
TESTS = [str(HERE / "test_kernels.py"), str(HERE / "test_kernel_limits.py")]
PLAIN = library.host_builds()[0]

SHORT_ARRAYS = """
import ctypes, numpy as np
from engine.training.cpu.library import Kernels, floats
kernels, short = Kernels(1), np.zeros(8, np.float32)
kernels._library.splat_loss(kernels._handle, 40, 30, floats(short, 8), floats(short, 8), 0.2, floats(short, 8), ctypes.c_double())
"""


def in_child(arguments: list[str], kernels: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """A Python of its own that takes its kernels from another folder."""
    variables = {**os.environ, library.OVERRIDE: str(kernels), "PYTHONPATH": str(ROOT), **environment}
    return subprocess.run([sys.executable, *arguments], cwd=ROOT, env=variables, capture_output=True, text=True, timeout=280)


def sanitizer() -> Path:
    """gcc's address sanitizer, whose interface is clang's; skips where it is not installed."""
    if sys.platform != "linux" or not shutil.which("gcc"):
        pytest.skip("the address sanitizer needs Linux and gcc")
    path = Path(subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True).stdout.strip())
    if not path.is_absolute():
        pytest.skip("libasan is not installed (it comes with gcc)")
    return path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A folder with kernels that check every access and all undefined behaviour, and the environment that they need."""
    preload = sanitizer()
    folder = tmp_path_factory.mktemp("guarded")
    plain = next(each for each in build.BUILDS if each.output.name == PLAIN)
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", plain.target, f"-mcpu={plain.cpu}", "-O1", "-g", "-ffp-contract=fast",
                "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC", "-fsanitize=undefined", "-Xclang", "-fsanitize=address"]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(build.CACHE), "ZIG_LOCAL_CACHE_DIR": str(build.CACHE)}
    subprocess.run([*compiler, f"-I{build.HERE}", str(GUARDED), "-lm", "-lpthread", "-o", str(folder / PLAIN)], check=True, env=environment)
    # Leaks are Python's own, which frees little at its end.
    return folder, {"LD_PRELOAD": str(preload), "ASAN_OPTIONS": "detect_leaks=0:allocator_may_return_null=1"}


def test_the_guard_catches_an_access_beyond_an_array(guarded: tuple[Path, dict[str, str]]) -> None:
    folder, environment = guarded
    done = in_child(["-c", SHORT_ARRAYS], folder, **environment)
    assert done.returncode and "AddressSanitizer: heap-buffer-overflow" in done.stderr


def test_no_access_leaves_its_array(guarded: tuple[Path, dict[str, str]]) -> None:
    folder, environment = guarded
    done = in_child(["-m", "pytest", "-x", "-p", "no:cacheprovider", *TESTS], folder, **environment)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-6000:] + done.stderr[-6000:]


@pytest.mark.skipif(len(library.host_builds()) < 2, reason="only x86-64 has a plainer build")
def test_the_plainest_build_passes_all_the_same(tmp_path: Path) -> None:
    shutil.copy(library.FOLDER / PLAIN, tmp_path)
    done = in_child(["-m", "pytest", "-x", "-p", "no:cacheprovider", *TESTS], tmp_path)
    assert done.returncode == 0 and "passed" in done.stdout, done.stdout[-6000:]
