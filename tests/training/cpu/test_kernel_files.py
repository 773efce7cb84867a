"""What the kernel files of every platform promise to its system, read from the files themselves."""

from __future__ import annotations

import inspect
import re
import struct
from pathlib import Path

import pytest

from engine.training.cpu import build, library

BUILDS = {each.output.name: each for each in build.BUILDS}
MACHINE_NUMBERS = {("linux", "x86_64"): 62, ("linux", "arm64"): 183, ("windows", "x86_64"): 0x8664, ("windows", "arm64"): 0xAA64,
                   ("macos", "x86_64"): 0x01000007, ("macos", "arm64"): 0x0100000C}


def machine_number(data: bytes) -> int:
    """The processor that an ELF, PE or Mach-O file is for, by the file's own header."""
    if data[:4] == b"\x7fELF":
        return struct.unpack_from("<H", data, 18)[0]
    if data[:2] == b"MZ":
        return struct.unpack_from("<H", data, struct.unpack_from("<I", data, 60)[0] + 4)[0]
    assert data[:4] == b"\xcf\xfa\xed\xfe"
    return struct.unpack_from("<I", data, 4)[0]


def shipped(name: str) -> Path:
    """A library as `make kernels` leaves it."""
    path = BUILDS[name].output
    assert path.exists(), f"{name} is missing: run `make kernels`"
    return path


@pytest.mark.parametrize("name", list(BUILDS))
def test_every_library_is_for_the_computer_of_its_name(name: str) -> None:
    data, build_ = shipped(name).read_bytes(), BUILDS[name]
    assert machine_number(data) == MACHINE_NUMBERS[build_.system, build_.machine]
    for function in set(re.findall(r"splat_[a-z_0-9]+", inspect.getsource(library))):
        assert function.encode() + b"\0" in data, function


@pytest.mark.parametrize("name", [name for name in BUILDS if "linux" in name])
def test_linux_libraries_run_on_a_system_from_2012(name: str) -> None:
    versions = {tuple(map(int, found.split(b"."))) for found in re.findall(rb"GLIBC_(\d+\.\d+)", shipped(name).read_bytes())}
    assert versions and max(versions) <= (2, 17)


def load_commands(data: bytes) -> dict[int, bytes]:
    """Mach-O load commands by number."""
    commands, at = {}, 32
    for _ in range(struct.unpack_from("<I", data, 16)[0]):
        number, size = struct.unpack_from("<II", data, at)
        commands[number], at = data[at : at + size], at + size
    return commands


@pytest.mark.parametrize("name", [name for name in BUILDS if "macos" in name])
def test_mac_libraries_run_from_macos_11_and_are_signed_where_they_must_be(name: str) -> None:
    commands = load_commands(shipped(name).read_bytes())
    build_version, code_signature = 0x32, 0x1D
    assert struct.unpack_from("<I", commands[build_version], 12)[0] == 11 << 16
    assert code_signature in commands or "arm64" not in name  # Apple's own processors load nothing unsigned
