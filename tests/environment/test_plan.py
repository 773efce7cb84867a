"""Which packages suit which driver and card: nvidia-smi's real words through the real parser, and the sentences for people."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from engine.environment.backends import BACKENDS, CPU, CUDA
from engine.environment.graphics import Graphics, cuda_of_driver, find_graphics
from engine.environment.plan import Surroundings, choose, prebuilt
from tests.fakes.programs import program

SUMMARY = """\
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI {driver:<22} Driver Version: {driver:<14} {cuda} |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
|=========================================+========================+======================|
|   0  {card:<28}   On  |   00000000:01:00.0  On |                  N/A |
"""

# driver, what it says of CUDA, card, capability -> CUDA, set on Linux with g++ and no toolkit
MACHINES = [
    ("580.65.06", "CUDA Version: 13.0", "NVIDIA GeForce RTX 4090", "8.9", (13, 0), "cu130"),
    ("590.44.01", "CUDA Version: 13.1", "NVIDIA GeForce RTX 5090", "12.0", (13, 1), "cu130"),
    ("581.29", "CUDA Version: 13.0", "NVIDIA H100 80GB HBM3", "9.0", (13, 0), "cu130"),
    ("580.65.06", "CUDA Version: 13.0", "NVIDIA GeForce GTX 1080", "6.1", (13, 0), "cpu"),
    ("570.124.06", "CUDA Version: 12.8", "NVIDIA GeForce RTX 3060", "8.6", (12, 8), "cpu"),
    ("535.183.01", "CUDA Version: 12.2", "NVIDIA GeForce RTX 3060", "8.6", (12, 2), "cpu"),
    ("535.183.01", "CUDA Version: N/A ", "NVIDIA GeForce RTX 3060", "8.6", (12, 2), "cpu"),
    ("470.256.02", "CUDA Version: 11.4", "NVIDIA GeForce GTX 980", "5.2", (11, 4), "cpu"),
    ("340.108", "", "GeForce GT 220", "[Not Supported]", (0, 0), "cpu"),
]


def pretend(folder: Path, driver: str, cuda: str, card: str, capability: str) -> None:
    """A program nvidia-smi in a folder."""
    summary, row = SUMMARY.format(driver=driver, cuda=cuda, card=card), f"{card}, {capability}"
    program(folder, "nvidia-smi", f"import sys\nprint({row!r} if sys.argv[1:] else {summary!r})")


@pytest.mark.parametrize(("driver", "said", "card", "capability", "cuda", "chosen"), MACHINES)
def test_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, driver: str, said: str, card: str, capability: str,
                  cuda: tuple[int, int], chosen: str) -> None:
    pretend(tmp_path, driver, said, card, capability)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin{os.pathsep}/bin")
    found = find_graphics()
    assert found is not None and found.cuda == cuda and found.driver == driver and found.card == card
    assert found.capability == (tuple(map(int, capability.split("."))) if "." in capability else None)
    plan = choose(Surroundings("linux", found, toolkit=None, compiler=True))
    assert plan.backend.name == chosen, plan.message
    assert card in plan.message or f"Your driver {driver.partition('.')[0]} supports CUDA {cuda[0]}.{cuda[1]};" in plan.message


def test_a_driver_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    program(tmp_path, "nvidia-smi", f"print({failed!r})\nraise SystemExit(9)")
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/usr/bin")
    graphics = find_graphics()
    assert graphics is None or not graphics.driver, "what is left is the driver's library"


ADA = Graphics("NVIDIA GeForce RTX 4090", "535.183.01", (12, 2), (8, 9))
PASCAL = replace(ADA, card="NVIDIA GeForce GTX 1080", capability=(6, 1))


def test_what_decides_on_linux() -> None:
    here = Surroundings("linux", ADA, toolkit=12, compiler=True)
    assert choose(here).backend.name == "cu128"
    assert choose(replace(here, graphics=PASCAL)).backend.name == "cu126"
    assert choose(replace(here, graphics=replace(ADA, driver="580.1", cuda=(13, 0)))).backend.name == "cu130"
    assert choose(replace(here, graphics=replace(ADA, driver="580.1", cuda=(13, 0)), toolkit=None)).backend.name == "cu130"
    assert choose(replace(here, graphics=replace(ADA, capability=None))).backend.name == "cu128"


def test_the_sentence_when_neither_way_to_the_kernels_works() -> None:
    plan = choose(Surroundings("linux", ADA, toolkit=None, compiler=True))
    assert plan.backend is CPU
    assert plan.message.startswith("Your driver 535 supports CUDA 12.2;") and "built-in engine" in plan.message
    assert "CUDA toolkit 12" in plan.hint and "update the driver to 580" in plan.hint
    plan = choose(Surroundings("linux", replace(ADA, driver="580.65", cuda=(13, 0)), toolkit=None, compiler=False))
    assert plan.backend is CPU and plan.hint == "Install a C++ compiler (package g++), then install again."
    plan = choose(Surroundings("win32", replace(ADA, driver="581.29", cuda=(13, 0)), toolkit=None, compiler=False))
    assert "Visual Studio" in plan.hint and "CUDA toolkit 13" in plan.hint
    old = choose(Surroundings("linux", replace(ADA, driver="470.1", cuda=(11, 4)), compiler=True))
    assert "PyTorch needs 12.0" in old.message and "525" in old.hint
    ancient = choose(Surroundings("linux", replace(ADA, card="GeForce GTX 680", capability=(3, 0)), toolkit=12, compiler=True))
    assert "GTX 680" in ancient.message and "card" in ancient.hint


def test_computers_without_such_a_card() -> None:
    assert choose(Surroundings("darwin")).backend is CPU and "Macs" in choose(Surroundings("darwin")).message
    assert choose(Surroundings("linux")).backend is CPU and choose(Surroundings("win32")).hint


def test_a_prebuilt_gsplat_needs_no_compiler() -> None:
    python = f"cp{sys.version_info[0]}{sys.version_info[1]}"
    name = f"gsplat-1.5.3+pt213cu130-{python}-{python}-linux_x86_64.whl"
    here = Surroundings("linux", replace(ADA, cuda=(13, 0)), wheels=(name,))
    assert choose(here).backend.name == "cu130"
    others = (name.replace("cu130", "cu128"), name.replace("pt213", "pt29"), name.replace(python, "cp39"), "gsplat-1.5.3-py3-none-any.whl")
    for other in others:
        assert choose(replace(here, wheels=(other,))).backend is CPU
    assert prebuilt(BACKENDS["cu130"], (name,)) == "1.5.3+pt213cu130"


def test_the_table_of_drivers() -> None:
    assert cuda_of_driver("531.79") == (12, 1) and cuda_of_driver("522.06") == (11, 8) and cuda_of_driver("390.157") == (0, 0)


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=list(BACKENDS))
def test_locks_hold_checksums_for_everything(backend: object) -> None:
    text = backend.lock.read_text(encoding="utf-8")  # type: ignore[attr-defined]
    packages = re.findall(r"^[\w.-]+==[^\n]+", text, re.MULTILINE)
    assert len(packages) > 20 and all(line.endswith("\\") for line in packages)
    assert not re.search(r"https?://", text)
    assert ("torch==" in text) == (backend in CUDA)


def test_windows_takes_pytorch_from_its_own_index() -> None:
    text = BACKENDS["cu130"].requirements("win32")
    found = re.search(r"^torch==\S+\+cu130\n(\S+)", text, re.MULTILINE)
    assert found is not None and not found[1].startswith("--hash")
    assert BACKENDS["cu130"].requirements("linux") == BACKENDS["cu130"].lock.read_text(encoding="utf-8")
    assert CPU.requirements("win32") == CPU.lock.read_text(encoding="utf-8")
