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

from engine.training.cpu import build, library
from engine.training.cpu.blocks import NAMES, Blocks
from engine.training.cpu.library import CLASSIC, Kernels, KernelScene, StepInputStruct, ViewStruct
from engine.training.cpu.model import packed, view_struct
from tests.scenes import colored_ball, ring_cameras

STEPS, RATE, SSIM_LAMBDA, REGULARISATION, NOISE, THREADS, SH_DEGREE = 12, 0.003, 0.2, 0.01, 3.0, 2, 3
PROGRAM = Path(__file__).with_name("run_scene.c")
ARM64_SYSTEM = Path("/usr/aarch64-linux-gnu")
WINE = shutil.which("wine64") or shutil.which("wine") or shutil.which("/usr/lib/wine/wine64")
BUILDS = {each.output.name: each for each in build.BUILDS}


@dataclass(frozen=True)
class Outcome:
    """A frame, the gradients of its loss, and what a training leaves."""

    images: np.ndarray  # [5, H, W]: rgb, transmittance, expected depth
    gradients: Blocks
    pose: np.ndarray  # [3, 4]
    absolute: np.ndarray  # [N, 2]
    losses: np.ndarray  # [STEPS]
    learned: Blocks


def scene() -> tuple[KernelScene, ViewStruct, np.ndarray]:
    """Gaussians, a tenth of them too faint to see; a camera whose sides are no multiples of a tile; the picture that they should become."""
    camera = ring_cameras(1, 61)[0]
    target = np.random.default_rng(5).integers(0, 256, (camera.height, camera.width, 4), np.uint8)
    arrays = colored_ball(300, sh_degree=SH_DEGREE).arrays()
    arrays["opacities"][::10] = -7
    return KernelScene(packed(arrays), SH_DEGREE, CLASSIC.reduced(2)), view_struct(camera, (0.1, 0.5, 0.9)), target


@pytest.fixture(scope="module")
def here() -> Outcome:
    """With the kernels that this computer takes."""
    return outcome_here()


def outcome_here() -> Outcome:
    """What run_scene.c does, through Python."""
    (drawing, view, target), kernels = scene(), Kernels(THREADS)
    images = kernels.forward(drawing, view, with_depth=True)
    upstream = np.empty_like(images.rgb)
    kernels.loss(view, target, images.rgb, SSIM_LAMBDA, upstream)
    back = kernels.backward(upstream, absolute=True)
    step_input = StepInputStruct(ssim_lambda=SSIM_LAMBDA, noise=NOISE, seed=7)
    step_input.opacity_regularisation = step_input.scale_regularisation = REGULARISATION
    step_input.rates[:] = [RATE] * len(NAMES)
    moments, losses = (zeros_like(drawing.gaussians), zeros_like(drawing.gaussians)), []
    for step_input.step in range(1, STEPS + 1):
        losses.append(kernels.step(drawing, view, target, step_input, moments))
    kernels.close()
    assert images.depth is not None and back.absolute is not None
    pictures = np.stack([*images.rgb, images.transmittance, images.depth])
    return Outcome(pictures, back.gaussians, back.pose, back.absolute, np.array(losses), drawing.gaussians)


def zeros_like(blocks: Blocks) -> Blocks:
    return Blocks.zeros(blocks.count, blocks.rest)


def write_scene(path: Path) -> None:
    """The scene as run_scene.c reads it."""
    drawing, view, target = scene()
    whole = (drawing.gaussians.count, 1 + drawing.gaussians.rest, drawing.sh_degree, STEPS, THREADS)
    header = struct.pack("<5i6f", *whole, drawing.low_pass.dilation, drawing.low_pass.blur, RATE, SSIM_LAMBDA, REGULARISATION, NOISE)
    path.write_bytes(header + bytes(view) + drawing.gaussians.values.tobytes() + target.tobytes())


def read_outcome(path: Path) -> Outcome:
    """What run_scene.c wrote."""
    drawing, view, _ = scene()
    values = np.fromfile(path, np.float32)
    assert np.isfinite(values).all()

    def take(*shape: int) -> np.ndarray:
        nonlocal values
        count = int(np.prod(shape))
        taken, values = values[:count].reshape(shape), values[count:]
        return taken

    def take_blocks() -> Blocks:
        return Blocks(take(*drawing.gaussians.values.shape), drawing.gaussians.count)

    images, gradients, rotation, translation = take(5, view.height, view.width), take_blocks(), take(3, 3), take(3)
    absolute, losses, learned = take(drawing.gaussians.count, 2), take(STEPS), take_blocks()
    outcome = Outcome(images, gradients, np.column_stack([rotation, translation]), absolute, losses, learned)
    assert not len(values)
    return outcome


def assert_same_images(images: np.ndarray, expected: np.ndarray) -> None:
    """To float tolerance: a fused multiply-add rounds differently, and a pixel on the edge of a Gaussian may fall on either side."""
    error = np.abs(images - expected)
    assert error.max() < 0.02 and (error > 1e-5 * (1 + np.abs(expected))).mean() < 1e-3


def assert_same(outcome: Outcome, expected: Outcome) -> None:
    assert_same_images(outcome.images, expected.images)
    pairs = {name: (outcome.gradients.read(name), expected.gradients.read(name)) for name in NAMES}
    pairs |= {"pose": (outcome.pose, expected.pose), "absolute": (outcome.absolute, expected.absolute)}
    for name, (found, truth) in pairs.items():
        assert truth.any() and np.linalg.norm(found - truth) < 1e-3 * np.linalg.norm(truth), name
    np.testing.assert_allclose(outcome.losses, expected.losses, rtol=1e-4)
    assert expected.losses[-1] < 0.97 * expected.losses[0]
    assert_same_training(outcome.learned, expected.learned)


def assert_same_training(learned: Blocks, expected: Blocks) -> None:
    """Adam divides by a gradient's size: where that is rounding noise, two processors may go different ways."""
    start = scene()[0].gaussians
    for name in NAMES:
        moved, error = (np.abs(expected.read(name) - blocks.read(name)) for blocks in (start, learned))
        assert np.quantile(error, 0.95) < 0.02 * moved.max(), name
    shaken = np.s_[::10]
    assert np.abs(expected.read("means") - start.read("means"))[shaken].max() > 0
    np.testing.assert_allclose(learned.read("means")[shaken], expected.read("means")[shaken], atol=1e-4)


def compile_program(folder: Path, target: str, *flags: str) -> Path:
    """run_scene.c for another computer, compiled like the kernels, whose C library zig has built already."""
    program = folder / ("run_scene.exe" if "windows" in target else "run_scene")
    compiler = [sys.executable, "-m", "ziglang", "cc", "-target", target, *build.FLAGS, "-w", f"-I{build.HERE}", *flags]
    environment = {**os.environ, "ZIG_GLOBAL_CACHE_DIR": str(build.CACHE), "ZIG_LOCAL_CACHE_DIR": str(build.CACHE)}
    subprocess.run([*compiler, str(PROGRAM), "-o", str(program)], check=True, env=environment)
    return program


def run_program(folder: Path, command: list[str], library_name: str = "", **environment: str) -> Outcome:
    """Train the scene by a program of another computer, in `folder`, with the library that users get."""
    write_scene(folder / "scene")
    if library_name:
        shutil.copy(shipped(library_name), folder)
    arguments = [*command, "scene", "result", *([f"./{library_name}"] if library_name else [])]
    variables = {**os.environ, **environment}
    done = subprocess.run(arguments, cwd=folder, env=variables, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"exit status {done.returncode}: {done.stderr}"
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
        program = compile_program(tmp_path, "aarch64-linux-musl", "-static", "-DLINKED")
        assert_same(run_program(tmp_path, [qemu, str(program)]), here)


@pytest.mark.skipif(sys.platform != "linux", reason="qemu's user mode emulates Linux programs on Linux")
def test_linux_x86_64_runs_on_a_processor_without_avx(tmp_path: Path, here: Outcome) -> None:
    qemu = emulator("qemu-x86_64")
    program = compile_program(tmp_path, "x86_64-linux-gnu.2.17", "-mcpu=x86_64_v2")
    assert_same(run_program(tmp_path, [qemu, "-cpu", "Nehalem", str(program)], "splat-linux-x86_64.so"), here)
    with pytest.raises(AssertionError, match=r"Illegal instruction|signal 4|status -4"):  # the emulator does refuse AVX
        run_program(tmp_path, [qemu, "-cpu", "Nehalem", str(program)], "splat-linux-x86_64-avx2.so")


@pytest.fixture(scope="module")
def windows() -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with the program, and the environment of a Windows of its own; both are gone afterwards."""
    if not WINE:
        pytest.skip("wine is not installed (package wine64)")
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        compile_program(Path(folder), "x86_64-windows-gnu", "-mcpu=x86_64_v2")
        environment = boot_windows(Path(folder) / "first") or boot_windows(Path(folder) / "second")
        assert environment, "wine does not start"
        yield Path(folder), environment
        end_windows(environment)


def boot_windows(prefix: Path) -> dict[str, str] | None:
    """Environment of a new Windows; None where wine itself fails, as it may when a server of an earlier one is still ending."""
    environment = {"WINEPREFIX": str(prefix), "WINEDEBUG": "-all", "WINEDLLOVERRIDES": "mscoree,mshtml="}
    done = subprocess.run([str(WINE), "wineboot", "--init"], env={**os.environ, **environment}, capture_output=True, timeout=200)
    if done.returncode == 0:
        return environment
    end_windows(environment)
    return None


def end_windows(environment: dict[str, str]) -> None:
    server = shutil.which("wineserver") or str(Path(str(WINE)).resolve().with_name("wineserver"))
    subprocess.run([server, "-k"], env={**os.environ, **environment}, capture_output=True, check=False)


@pytest.mark.parametrize("name", [name for name in BUILDS if "windows-x86_64" in name])
def test_windows_runs_under_wine(name: str, windows: tuple[Path, dict[str, str]], here: Outcome) -> None:
    folder, environment = windows
    if library.X86_VARIANTS[BUILDS[name].variant] > host_level():
        pytest.skip(f"this processor does not run {name}")
    assert_same(run_program(folder, [str(WINE), "./run_scene.exe"], name, **environment), here)


def host_level() -> int:
    """The level of x86-64 by what Linux says that this processor can do."""
    cpuinfo = Path("/proc/cpuinfo")
    if not cpuinfo.exists():
        pytest.skip("only Linux tells what the processor can do")
    flags = set(" ".join(re.findall(r"^flags\s*:(.*)$", cpuinfo.read_text(), re.MULTILINE)).split())
    if not {"avx2", "fma"} <= flags:
        return 2
    return 4 if {"avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"} <= flags else 3


@pytest.fixture
def fresh_loader() -> Iterator[None]:
    library.load.cache_clear()
    yield
    library.load.cache_clear()


@pytest.mark.skipif(len(library.host_builds()) < 2, reason="only x86-64 has several builds")
def test_the_processor_decides_between_the_builds(fresh_loader: None) -> None:
    best = max((level, name) for name, level in library.host_builds().items() if level <= host_level())
    assert Path(library.load()._name).name == best[1]


@pytest.mark.parametrize(("processor", "answer"), [("Nehalem", "2"), ("Haswell", "3")])
def test_older_processors_are_told_apart(processor: str, answer: str) -> None:
    """Plain Python asks the library: numpy itself may not run on such a processor."""
    code = f"import ctypes; print(ctypes.CDLL({str(shipped('splat-linux-x86_64.so'))!r}).splat_x86_level())"
    command = [emulator("qemu-x86_64"), "-cpu", processor, sys.executable, "-S", "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, timeout=100).stdout.strip() == answer


@pytest.mark.parametrize("count", range(1, len(library.host_builds()) + 1))
def test_every_build_of_this_computer_gives_the_same(
    count: int, tmp_path: Path, here: Outcome, monkeypatch: pytest.MonkeyPatch, fresh_loader: None,
) -> None:
    """The fastest of those that are there is taken, and one alone serves."""
    *slower, (name, level) = list(library.host_builds().items())[:count]
    if level > host_level():
        pytest.skip(f"this processor does not run {name}")
    for each in (*dict(slower), name):
        shutil.copy(shipped(each), tmp_path)
    monkeypatch.setenv(library.OVERRIDE, str(tmp_path))
    assert_same(outcome_here(), here)
    assert Path(library.load()._name) == tmp_path / name
