"""How much memory the kernels take, and what happens when there is no more. Each case in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="limits and figures of memory are Linux's")


def child(case: str, megabytes: int = 0) -> list[str]:
    """What a case of limited_memory.py printed, line by line."""
    command = [sys.executable, "-m", "tests.training.cpu.limited_memory", case, str(megabytes)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
    return done.stdout.splitlines()


@linux_only
def test_a_million_gaussians_on_one_pixel_stay_within_400_bytes_each() -> None:
    held, used, loss = map(float, child("million"))
    assert 0 < held < 400e6 + 60 * 64**2 and 0 < loss < 1
    assert used < 1.02 * held + 2**20  # nothing is kept beside what is counted


@linux_only
def test_a_large_image_takes_60_bytes_a_pixel() -> None:
    held, used = map(float, child("large_image"))
    assert 0 < held < 60 * 2000**2 + 400 * 50
    assert used < 1.02 * held + 2**20


@linux_only
def test_many_gaussians_are_saved_with_a_tenth_of_their_memory_beside_them() -> None:
    written, answer = child("saving", 300_000 * 59 * 3 * 4 // 10 // 2**20)
    assert written == "True" and answer != "not refused"


@linux_only
@pytest.mark.parametrize("megabytes", [0, 60, 100, 160, 240])
def test_a_step_without_memory_is_a_sentence_and_changes_nothing(megabytes: int) -> None:
    answer, unchanged, lives_on = child("step", megabytes)
    assert "out of memory" in answer and "Lower the resolution" in answer and unchanged == lives_on == "True"


@linux_only
def test_without_memory_for_the_way_back_a_sentence() -> None:
    [answer] = child("way_back")
    assert "out of memory" in answer


@linux_only
def test_without_memory_for_the_loss_a_sentence() -> None:
    [answer] = child("loss")
    assert "out of memory" in answer


@linux_only
def test_without_memory_for_threads_fewer_do() -> None:
    [same] = child("threads")
    assert same == "True"


@linux_only
def test_a_picture_larger_than_the_memory_is_refused() -> None:
    [answer] = child("picture")
    assert answer != "not refused"


def test_gaussians_that_all_cover_a_large_image_are_refused() -> None:
    answer, again = child("all_covering")
    assert "covers the whole image" in answer and again == "True"
