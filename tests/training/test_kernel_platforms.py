"""The kernels of other computers, run under an emulator where one is installed; the choice between the builds for this one."""

from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from engine.core.gaussians import Gaussians
from engine.training.cpu import build, library
from engine.training.cpu.library import Kernels, ViewStruct, parameter_shapes
from engine.training.cpu.model import NAMES, view_struct
from tests.scenes import colored_ball, ring_cameras

STEPS, RATE, SSIM_LAMBDA, THREADS, SH_DEGREE = 12, 0.003, 0.2, 2, 3
PROGRAM = Path(__file__).with_name("run_scene.c")
ARM64_SYSTEM = Path("/usr/aarch64-linux-gnu")
WINE = shutil.which("wine64") or shutil.which("wine") or shutil.which("/usr/lib/wine/wine64")
BUILDS = {each.output.name: each for each in build.BUILDS}


@dataclass(frozen=True)
class Outcome:
    """What a training leaves: the first step's images and gradients, and every step's loss."""

    images: np.ndarray  # [5, H, W]: rgb, transmittance, expected depth
    gradients: dict[str, np.ndarray]
    losses: np.ndarray  # [STEPS]


def scene() -> tuple[Gaussians, ViewStruct, np.ndarray]:
    """Gaussians, a camera whose sides are no multiples of a tile, and the picture [3, H, W] that they should become."""
    camera = ring_cameras(1, 61)[0]
    target = np.random.default_rng(5).random((3, camera.height, camera.width), np.float32)
    return colored_ball(300, sh_degree=SH_DEGREE), view_struct(camera, (0.1, 0.5, 0.9)), target


@pytest.fixture(scope="module")
def here() -> Outcome:
    """The training with this computer's kernels."""
    gaussians, view, target = scene()
    kernels, parameters = Kernels(THREADS), gaussians.arrays()
    gradients, first, second = ({name: np.zeros_like(array) for name, array in parameters.items()} for _ in range(3))
    image_gradient, losses, beginning = np.empty_like(target), [], None
    for step in range(1, STEPS + 1):
        images = kernels.forward(parameters, SH_DEGREE, view, with_depth=True)
        losses.append(kernels.loss(images.rgb, target, SSIM_LAMBDA, image_gradient))
        kernels.backward(image_gradient, gradients)
        beginning = beginning or (np.stack([*images.rgb, images.transmittance, images.depth]),
                                  {name: array.copy() for name, array in gradients.items()})
        for name in NAMES:
            kernels.adam(parameters[name], gradients[name], first[name], second[name], RATE, step)
    kernels.close()
    assert beginning is not None
    return Outcome(*beginning, np.array(losses))


def write_scene(path: Path) -> None:
    """The scene as run_scene.c reads it."""
    gaussians, view, target = scene()
    numbers = (len(gaussians), 1 + gaussians.shN.shape[1], SH_DEGREE, STEPS, THREADS, RATE, SSIM_LAMBDA)
    arrays = [gaussians.arrays()[name] for name in NAMES]
    path.write_bytes(struct.pack("<5i2f", *numbers) + bytes(view) + b"".join(array.tobytes() for array in [*arrays, target]))


def read_outcome(path: Path) -> Outcome:
    """What run_scene.c wrote."""
    gaussians, view, _ = scene()
    shapes = parameter_shapes(len(gaussians), gaussians.shN.shape[1])
    values = np.fromfile(path, np.float32)
    assert np.isfinite(values).all()

    def take(*shape: int) -> np.ndarray:
        nonlocal values
        count = int(np.prod(shape))
        taken, values = values[:count].reshape(shape), values[count:]
        return taken

    outcome = Outcome(take(5, view.height, view.width), {name: take(*shapes[name]) for name in NAMES}, take(STEPS))
    assert not len(values)
    return outcome


def assert_same_images(images: np.ndarray, expected: np.ndarray) -> None:
    """To float tolerance: a fused multiply-add rounds differently, and a pixel on the edge of a Gaussian may fall on either side."""
    error = np.abs(images - expected)
    assert error.max() < 0.02 and (error > 1e-5 * (1 + np.abs(expected))).mean() < 1e-3


def assert_same(outcome: Outcome, expected: Outcome) -> None:
    assert_same_images(outcome.images, expected.images)
    for name, truth in expected.gradients.items():
        assert np.linalg.norm(outcome.gradients[name] - truth) < 1e-3 * np.linalg.norm(truth), name
    np.testing.assert_allclose(outcome.losses, expected.losses, rtol=1e-4)
    assert expected.losses[-1] < 0.97 * expected.losses[0]


def compile_program(folder: Path, target: str, *flags: str) -> Path:
    """run_scene.c for another computer."""
    program = folder / ("run_scene.exe" if "windows" in target else "run_scene")
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", target, "-O1", "-w", "-ffp-contract=fast", "-fno-math-errno",
                "-fno-trapping-math", f"-I{build.HERE}", *flags]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(build.CACHE), "ZIG_LOCAL_CACHE_DIR": str(build.CACHE)}
    subprocess.run([*compiler, str(PROGRAM), "-o", str(program)], check=True, env=environment)
    return program


def run_program(folder: Path, command: list[str], library_name: str = "", **environment: str) -> Outcome:
    """Train the scene by a program of another computer, in `folder`, with the library that users get."""
    write_scene(folder / "scene")
    if library_name:
        shutil.copy(shipped(library_name), folder)
    arguments = ["scene", "result", *([f"./{library_name}"] if library_name else [])]
    done = subprocess.run([*command, *arguments], cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    return read_outcome(folder / "result")


def shipped(name: str) -> Path:
    """A library as `make kernels` leaves it."""
    path = BUILDS[name].output
    assert path.exists(), f"{name} is missing: run `make kernels`"
    return path


def emulator(name: str) -> str:
    """qemu's user-mode emulator of a processor, or a skipped test."""
    found = shutil.which(name) or shutil.which(f"{name}-static")
    if not found:
        pytest.skip(f"{name} is not installed (package qemu-user)")
    return found


def test_linux_arm64_runs_under_qemu(tmp_path: Path, here: Outcome) -> None:
    qemu = emulator("qemu-aarch64")
    if (ARM64_SYSTEM / "lib" / "ld-linux-aarch64.so.1").exists():  # package libc6-arm64-cross
        program = compile_program(tmp_path, "aarch64-linux-gnu.2.17")
        assert_same(run_program(tmp_path, [qemu, "-L", str(ARM64_SYSTEM), str(program)], "splat-linux-arm64.so"), here)
    else:  # nothing there loads a shared library: the same source, compiled in
        program = compile_program(tmp_path, "aarch64-linux-musl", "-static", "-DLINKED", "-O3")
        assert_same(run_program(tmp_path, [qemu, str(program)]), here)


@pytest.mark.skipif(sys.platform != "linux", reason="qemu's user mode emulates Linux programs on Linux")
def test_linux_x86_64_runs_on_a_processor_without_avx(tmp_path: Path, here: Outcome) -> None:
    qemu = emulator("qemu-x86_64")
    program = compile_program(tmp_path, "x86_64-linux-gnu.2.17", "-mcpu=x86_64_v2")
    assert_same(run_program(tmp_path, [qemu, "-cpu", "Nehalem", str(program)], "splat-linux-x86_64.so"), here)
    with pytest.raises(AssertionError, match="Illegal instruction|signal 4"):  # the emulator does refuse AVX
        run_program(tmp_path, [qemu, "-cpu", "Nehalem", str(program)], "splat-linux-x86_64-avx2.so")


@pytest.fixture(scope="module")
def windows() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with the program, and the environment of a Windows of its own; both are gone afterwards."""
    if not WINE:
        pytest.skip("wine is not installed (package wine64)")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        environment = {"WINEPREFIX": f"{folder}/prefix", "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}
        compile_program(Path(folder), "x86_64-windows-gnu", "-mcpu=x86_64_v2")
        yield Path(folder), environment
        server = shutil.which("wineserver") or str(Path(WINE).resolve().with_name("wineserver"))
        subprocess.run([server, "-k"], env={**os.environ, **environment}, check=False)


@pytest.mark.parametrize("name", ["splat-windows-x86_64.dll", "splat-windows-x86_64-avx2.dll"])
def test_windows_runs_under_wine(name: str, windows: tuple[Path, dict[str, str]], here: Outcome) -> None:
    folder, environment = windows
    if "avx2" in name and "avx2" not in host_flags():
        pytest.skip("this processor has no AVX2")
    assert_same(run_program(folder, [str(WINE), "./run_scene.exe"], name, **environment), here)


def host_flags() -> set[str]:
    """What Linux says that this processor can do."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("only Linux tells what the processor can do")
    lines = re.findall(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)
    return set(lines[0].split()) if lines else set()


@pytest.fixture
def fresh_loader() -> Iterator[None]:
    library.load.cache_clear()
    yield
    library.load.cache_clear()


@pytest.mark.skipif(len(library.host_builds()) < 2, reason="only x86-64 has two builds")
def test_the_processor_decides_between_the_builds(fresh_loader: None) -> None:
    fast = {"avx2", "fma"} <= host_flags()
    assert Path(library.load()._name).name == library.host_builds()[fast]


@pytest.mark.parametrize(("processor", "answer"), [("Nehalem", "0"), ("Haswell", "1")])
def test_older_processors_are_told_apart(processor: str, answer: str) -> None:
    """Plain Python asks the library: numpy itself may not run on such a processor."""
    code = f"import ctypes; print(ctypes.CDLL({str(shipped('splat-linux-x86_64.so'))!r}).splat_has_avx2())"
    command = [emulator("qemu-x86_64"), "-cpu", processor, sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, timeout=100).stdout.strip() == answer


@pytest.mark.skipif(len(library.host_builds()) < 2, reason="only x86-64 has two builds")
def test_the_plain_build_serves_alone_and_gives_the_same(
    tmp_path: Path, here: Outcome, monkeypatch: pytest.MonkeyPatch, fresh_loader: None,
) -> None:
    shutil.copy(shipped(library.host_builds()[0]), tmp_path)
    monkeypatch.setenv(library.OVERRIDE, str(tmp_path))
    gaussians, view, _ = scene()
    kernels = Kernels(THREADS)
    images = kernels.forward(gaussians.arrays(), SH_DEGREE, view, with_depth=True)
    kernels.close()
    assert Path(library.load()._name).parent == tmp_path
    assert_same_images(np.stack([*images.rgb, images.transmittance, images.depth]), here.images)
