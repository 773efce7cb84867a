"""What tells computers apart, and that the host's name of a former heartbeat is understood."""

from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import pytest

from engine.core import computer, macos
from engine.core.computer import is_this_computer, this_computer
from engine.core.protocol.folder import JobFolder


@pytest.mark.skipif(sys.platform == "darwin", reason="there it is the machine's own number")
def test_elsewhere_it_is_the_name_of_the_host() -> None:
    assert this_computer() == platform.node()


def test_a_host_that_gets_another_name_stays_the_same_computer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As a Mac does in another network."""
    this_computer.cache_clear()
    monkeypatch.setattr(computer.sys, "platform", "darwin")
    monkeypatch.setattr(macos, "computer", lambda: "0123456789abcdef")
    try:
        folder = JobFolder(tmp_path)
        folder.heartbeat()
        assert json.loads((tmp_path / "heartbeat").read_text())["host"] == "0123456789abcdef"
        monkeypatch.setattr(platform, "node", lambda: "another-name.local")
        assert folder.is_local() and is_this_computer("another-name.local") and not is_this_computer("somebody-else")
    finally:
        this_computer.cache_clear()


@pytest.mark.skipif(sys.platform != "darwin", reason="functions of macOS")
def test_what_macos_tells() -> None:
    import os

    start, used, free = macos.process_start(os.getpid()), macos.used_memory(), macos.free_memory()
    assert len(macos.computer() or "") == 32 and start and used and free
    assert used > 1e6 and free > 1e6
