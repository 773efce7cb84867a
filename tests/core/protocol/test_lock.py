"""The lock of a worker: held by one process, gone with it, and no condition for working."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from engine.core.protocol import lock
from engine.core.protocol.lock import NAME, Holder, holder, holding

HOLD = Path(__file__).with_name("hold_lock.py")


def other_process(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, str(HOLD), str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "True\n"
    return process


def test_one_holds_it_and_its_end_frees_it_however_it_ends(tmp_path: Path) -> None:
    assert holder(tmp_path) == Holder(None)
    process = other_process(tmp_path)
    assert holder(tmp_path) == Holder(True, process.pid)
    with holding(tmp_path) as held:
        assert held is False
    process.kill()
    process.wait()
    assert holder(tmp_path) == Holder(False, process.pid)
    with holding(tmp_path) as held:
        assert held and holder(tmp_path) == Holder(True, os.getpid())
    assert holder(tmp_path).held is False


def test_a_child_of_the_holder_does_not_keep_it(tmp_path: Path) -> None:
    with holding(tmp_path):
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert holder(tmp_path).held is False
    child.kill()
    child.wait()


@pytest.mark.skipif(os.name == "nt", reason="there a process turns into no other")
def test_a_program_that_the_holder_turns_into_keeps_it(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, str(HOLD), str(tmp_path), "--become-another"], stdout=subprocess.PIPE, text=True)
    assert process.stdout and process.stdout.readline() == "True\n"
    time.sleep(0.5)
    assert holder(tmp_path) == Holder(True, process.pid)
    process.kill()
    process.wait()
    assert holder(tmp_path).held is False


def test_those_who_look_hinder_nobody(tmp_path: Path) -> None:
    with holding(tmp_path):
        pass
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            holder(tmp_path)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(20):
            with holding(tmp_path) as held:
                assert held
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_a_disk_without_locks_and_one_that_is_full_do_not_hinder_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).write_text("not a number")

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with monkeypatch.context() as without:
        without.setattr(lock, "_lock", no_locks)
        with holding(tmp_path) as held:
            assert held is None and holder(tmp_path) == Holder(None)
    with holding(tmp_path / "nowhere") as held:
        assert held is None
