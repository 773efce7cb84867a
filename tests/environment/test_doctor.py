"""`splatwright doctor` as a process, and single rows in trouble."""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from engine import doctor
from engine.doctor import DoctorOptions, DoctorState, examine
from engine.environment.graphics import Graphics, find_graphics
from engine.training.cuda import toolkit

REPOSITORY = Path(__file__).resolve().parents[2]
NVIDIA_TOOLS = ["PyTorch", "CUDA toolkit", "C++ compiler", "Architectures", "gsplat kernels"]


def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "engine", "doctor", *arguments], capture_output=True, text=True, cwd=REPOSITORY,
                          env=os.environ | variables, timeout=200)


def test_on_this_computer(tmp_path: Path) -> None:
    done = run("--json", "--folder", str(tmp_path))
    answer = json.loads(done.stdout)
    rows = {row["subject"]: row for row in answer["rows"]}
    assert done.returncode == 0 and done.stdout.count("\n") == 1
    tools = NVIDIA_TOOLS if find_graphics() else []
    assert list(rows) == ["Python", "Built-in engine", "Images", "Photos and videos", "Graphics card", *tools, "Disk", "Memory", "Port"]
    assert rows["Python"]["state"] == rows["Built-in engine"]["state"] == "well"
    assert "forward and backward" in rows["Built-in engine"]["sentence"]
    assert str(tmp_path) in rows["Disk"]["sentence"]
    assert all(row["sentence"].endswith(".") and (row["fix"] or row["state"] in ("well", "absent")) for row in rows.values())
    assert all(row["sentence"] in answer["report"] for row in rows.values())


def test_what_is_broken_is_said_with_its_fix(tmp_path: Path) -> None:
    done = run(SPLATWRIGHT_KERNELS=str(tmp_path))
    assert done.returncode == 1 and "Traceback" not in done.stdout + done.stderr
    line = next(line for line in done.stdout.splitlines() if "Built-in engine" in line)
    assert line.startswith("broken") and "kernels" in done.stdout


def test_a_computer_for_its_graphics_card_must_have_what_that_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    assert doctor.pytorch(None, needed=True).state is DoctorState.BROKEN and doctor.pytorch(None, needed=False).state is DoctorState.ABSENT
    assert doctor.gsplat_kernels(None, needed=True).state is DoctorState.BROKEN
    assert doctor.driver(None, needed=True).state is DoctorState.BROKEN and doctor.driver(None, needed=False).state is DoctorState.ABSENT


@pytest.mark.parametrize(("card", "meant"), [(False, False), (True, False), (False, True)])
def test_nvidias_tools_are_listed_where_they_matter(monkeypatch: pytest.MonkeyPatch, card: bool, meant: bool) -> None:
    graphics = Graphics("RTX 4090", "550.54", (12, 4), (8, 9)) if card else None
    monkeypatch.setattr(doctor, "find_graphics", lambda: graphics)
    monkeypatch.setattr(doctor, "train_a_little", lambda engine: 0.01)
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda name: None)
    rows = {row.subject: row.state for row in examine(DoctorOptions(graphics=meant))}
    assert (set(NVIDIA_TOOLS) <= set(rows)) == (card or meant) and (card or meant or not set(NVIDIA_TOOLS) & set(rows))
    assert meant or not {DoctorState.WEAK, DoctorState.BROKEN} & {state for subject, state in rows.items()
                                                                 if subject not in ("Disk", "Memory", "Port", "Images")}


def test_a_driver_that_is_too_old_for_pytorch() -> None:
    row = doctor.driver(Graphics("GTX 980", "470.256.02", (11, 4), (5, 2)), needed=False)
    assert row.state is DoctorState.WEAK and row.sentence == "GTX 980. Your driver 470 supports CUDA 11.4." and "525" in row.fix


def test_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        row = doctor.port(taken.getsockname()[1])
    assert row.state is DoctorState.WEAK and row.fix
    assert doctor.port(70000).state is DoctorState.WEAK


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    row = doctor.disk(tmp_path / "gone")
    assert row.state is DoctorState.WEAK and "gone" in row.sentence and row.fix


def test_no_compiler(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert doctor.compiler(needed=True).state is DoctorState.WEAK and "g++" in doctor.compiler(needed=True).fix
    assert doctor.compiler(needed=False).state is DoctorState.ABSENT


def test_kernels_that_raise_anything_become_a_row() -> None:
    def explode() -> None:
        raise RuntimeError("CUDA error: an illegal memory access")

    row = doctor.kernels("gsplat kernels", "cuda", explode)  # type: ignore[arg-type]
    assert row.state is DoctorState.BROKEN and "illegal memory access" in row.sentence and row.fix


def test_the_compiler_of_the_packages_is_found_and_completed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "nvidia" / "cu13"
    for name in ("bin/nvcc", "lib/libcudart.so.13", "lib/libcublas.so.13"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("")
    (tmp_path / "nvidia" / "cublas").mkdir()
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("CUDA_HOME", "MAX_JOBS"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.setitem(os.environ, name, os.environ.get(name, ""))
    monkeypatch.setenv("PATH", "/usr/bin")
    assert toolkit.packaged_toolkit() == home
    for _ in range(2):
        toolkit.prepare_compiling()
        assert os.environ["CUDA_HOME"] == str(home) and str(home / "bin") in os.environ["PATH"]
    assert (home / "lib64" / "libcudart.so").resolve() == home / "lib" / "libcudart.so.13"


def test_a_toolkit_of_somebodys_choice_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_HOME", "/opt/my-cuda")
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("MAX_JOBS", "3")
    toolkit.prepare_compiling()
    assert os.environ["CUDA_HOME"] == "/opt/my-cuda" and os.environ["MAX_JOBS"] == "3"


def test_kernels_link_where_a_path_holds_spaces(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's own function, asked for the flags of a linker in a folder that somebody named."""
    cpp_extension = pytest.importorskip("torch.utils.cpp_extension", reason="PyTorch is not installed")
    monkeypatch.setattr(cpp_extension, "_prepare_ldflags", cpp_extension._prepare_ldflags)
    monkeypatch.setattr(cpp_extension, "TORCH_LIB_PATH", "/home/é t/engine/torch/lib")
    toolkit.quote_link_flags()
    toolkit.quote_link_flags()
    flags = cpp_extension._prepare_ldflags([], False, False, False, False)
    assert "-L/home/é t/engine/torch/lib" in shlex.split(" ".join(flags)) and "-ltorch" in flags


@pytest.mark.gpu
def test_the_graphics_card() -> None:
    states = {row.subject: row for row in examine(DoctorOptions(graphics=True))}
    if states["Graphics card"].state is not DoctorState.WELL:
        pytest.skip(states["Graphics card"].sentence)
    assert states["gsplat kernels"].state is DoctorState.WELL, states["gsplat kernels"]
    assert states["Architectures"].state is DoctorState.WELL
