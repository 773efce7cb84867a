"""What `make test` says at its end."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests import parts

ROOT = Path(__file__).resolve().parents[1]
SKIPPING = """
import pytest

@pytest.mark.parametrize("number", [1, 2])
def test_one(number):
    pytest.skip("there is no moon")

@pytest.mark.skipif(True, reason="it rains")
def test_two():
    pass
"""


def pytest_on(file: Path) -> str:
    return subprocess.list2cmdline([sys.executable, "-m", "pytest", "-p", "tests.conftest", "--rootdir", str(ROOT), "-c",
                                    str(ROOT / "pyproject.toml"), str(file)])


def test_minutes_and_skips_are_told(tmp_path: Path) -> None:
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    command = pytest_on(tmp_path / "test_skipping.py")
    assert parts.main([f"first={command}", f"second={command}"], tmp_path) == 0
    lines = (tmp_path / "tests.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines[1:3]] == ["first", "second"]
    assert lines[3].split()[:2] == ["in", "all"] and lines[5:] == ["Skipped, 6 in all", "     4  there is no moon", "     2  it rains"]


def test_the_first_part_that_fails_ends_it(tmp_path: Path) -> None:
    exits = [subprocess.list2cmdline([sys.executable, "-c", f"raise SystemExit({status})"]) for status in (0, 3, 0)]
    assert parts.main([f"part {number}={command}" for number, command in enumerate(exits)], tmp_path) == 3
    text = (tmp_path / "tests.txt").read_text()
    assert "FAILED" in text and "part 1" in text and "part 2" not in text and "Nothing was skipped" in text


def test_two_parts_run_together_and_print_one_after_the_other(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Each waits for the other's file: alone it would never end."""
    meet = """
import pathlib, sys, time
own, other = map(pathlib.Path, sys.argv[1:])
print(f"{own.name} begins", flush=True)
own.touch()
while not other.exists():
    time.sleep(0.01)
print(f"{own.name} ends")
"""
    (tmp_path / "meet.py").write_text(meet)
    pairs = [(tmp_path / "a", tmp_path / "b"), (tmp_path / "b", tmp_path / "a")]
    commands = [subprocess.list2cmdline([sys.executable, str(tmp_path / "meet.py"), str(own), str(other)]) for own, other in pairs]
    assert parts.main(["--together", "2", f"one={commands[0]}", f"two={commands[1]}"], tmp_path) == 0
    printed = capfd.readouterr().out
    assert "a begins\na ends" in printed and "b begins\nb ends" in printed
    assert (tmp_path / "tests" / "one.txt").read_text() == "a begins\na ends\n"
