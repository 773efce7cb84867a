"""Which engine trains and why; every reason against the graphics card is one sentence with the fix."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from engine.core.errors import UserError
from engine.core.protocol.config import TrainConfig
from engine.training.cuda import availability
from engine.training.cuda.availability import Machine, ask_driver, compile_problem, problem_of, unavailable
from engine.training.cuda.launch import launch_command
from engine.training.engines import choose_backend
from tests.fakes.programs import program

READY = Machine(13000, 0, 1, "2.11.0", "13.0", True, "NVIDIA H100", True)
WITHOUT_CARD = pytest.mark.skipif(ask_driver()[2] > 0, reason="there is an NVIDIA card here")


def nothing() -> None:
    pass


@pytest.mark.parametrize(("changes", "words"), [
    ({"driver": None}, "No NVIDIA graphics driver"),
    ({"code": 100}, "No NVIDIA graphics card"),
    ({"devices": 0}, "No NVIDIA graphics card"),
    ({"code": 999}, "does not answer"),
    ({"torch": None}, "PyTorch is not installed"),
    ({"gsplat": False}, "gsplat is not installed"),
    ({"torch_cuda": None}, "built without CUDA"),
    ({"driver": 12080}, "too old: it speaks CUDA 12.8, PyTorch needs 13.0"),
    ({"fits": False}, "does not run on this graphics card"),
])
def test_the_first_thing_that_is_missing(changes: dict[str, object], words: str) -> None:
    problem = problem_of(dataclasses.replace(READY, **changes))
    assert problem is not None and words in problem.message
    assert problem.message.endswith(".") and "\n" not in problem.message and problem.hint


def test_nothing_is_missing() -> None:
    assert problem_of(READY) is None
    assert problem_of(dataclasses.replace(READY, driver=13020)) is None


@pytest.mark.parametrize(("tools", "text", "words"), [
    ([], "", "no CUDA toolkit (nvcc)"),
    (["nvcc"], "", "no C++ compiler"),
    (["nvcc", "c++"], "Ninja is required to load C++ extensions", "ninja is missing"),
    (["nvcc", "c++"], "step 1\nfatal error: unsupported GNU version! gcc versions later than 14\n", "unsupported GNU version"),
    (["nvcc", "c++"], "Error building extension 'gsplat_cuda': [1/30] nvcc -c a.cu\nld: cannot find -lcudart\n", "cannot find -lcudart"),
])
def test_compilation_fails_with_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tools: list[str], text: str,
                                           words: str) -> None:
    for tool in tools:
        program(tmp_path / "bin", tool, "")
    for name in ("CUDA_HOME", "CUDA_PATH", "CXX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(availability, "TOOLKIT", str(tmp_path / "no toolkit"))
    problem = compile_problem(text)
    assert words in problem.message and "backend to cpu" in problem.hint


def test_auto_says_why_it_takes_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(availability, "unavailable", lambda: UserError("PyTorch is not installed.", "Install it."))
    monkeypatch.setattr(availability, "ask_driver", lambda: (13000, 0, 1))
    choice = choose_backend(TrainConfig(), nothing)
    assert choice.engine == "cpu" and "PyTorch is not installed" in choice.reason and choice.hint == "Install it."
    with pytest.raises(UserError, match="PyTorch"):
        choose_backend(TrainConfig(backend="cuda"), nothing)


def test_auto_takes_the_card_and_ticks_while_kernels_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks: list[int] = []
    monkeypatch.setattr(availability, "unavailable", lambda: None)
    monkeypatch.setattr(availability, "_load_kernels", lambda: time.sleep(0.2))
    assert choose_backend(TrainConfig(), lambda: ticks.append(1)).engine == "cuda" and ticks
    assert choose_backend(TrainConfig(backend="cpu"), nothing).engine == "cpu"
    monkeypatch.setattr(availability, "_load_kernels", lambda: UserError("They do not compile.", "Fix it."))
    assert "do not compile" in choose_backend(TrainConfig(), nothing).reason


@WITHOUT_CARD
def test_without_a_card_the_reason_is_true() -> None:
    problem = unavailable()
    assert problem is not None and "NVIDIA" in problem.message
    assert choose_backend(TrainConfig(), nothing).engine == "cpu"
    with pytest.raises(UserError, match="NVIDIA"):
        choose_backend(TrainConfig(backend="cuda"), nothing)
    with pytest.raises(UserError, match="gpus is 4"):
        launch_command(4, ["engine.worker", "a job"])
