"""Where Wine is missing or fails, Windows' tests say so, and nothing has failed."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.conftest import SKIPPED
from tests.windows import __main__ as windows_tests
from tests.windows import wine
from tests.windows.wine import WindowsPython


@pytest.fixture
def reasons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where reasons are left; the kernels for Windows are there."""
    (tmp_path / "splat-windows-x86_64.dll").touch()
    monkeypatch.setattr(windows_tests, "KERNELS", tmp_path)
    monkeypatch.setattr(windows_tests, "OUT", tmp_path / "windows")
    monkeypatch.setenv(SKIPPED, str(tmp_path / "skipped.txt"))
    return tmp_path / "skipped.txt"


def test_without_wine(reasons: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert windows_tests.main([]) == 0
    assert reasons.read_text(encoding="utf-8").startswith("1\tWindows under Wine: Wine is not installed")


@pytest.mark.skipif(sys.version_info[:2] != wine.MINOR or sys.platform != "linux", reason="the set-up is for one Python on Linux")
def test_with_a_wine_that_fails(reasons: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_originals", "_standard_library", "_compile", "_forwarder", "install"):  # what downloads and compiles
        monkeypatch.setattr(WindowsPython, name, lambda *_: None)
    monkeypatch.setattr(wine, "wine", lambda: "false")
    assert windows_tests.main([]) == 0
    assert "could not be set up" in reasons.read_text(encoding="utf-8")


def test_without_kernels(reasons: Path) -> None:
    (reasons.parent / "splat-windows-x86_64.dll").unlink()
    assert windows_tests.main([]) == 0
    assert "kernels for Windows are not built" in reasons.read_text(encoding="utf-8")
