"""What a worker writes into its folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.protocol.events import Failed, Finding, Preview, Progress
from engine.core.protocol.folder import JobFolder
from engine.worker import REPEAT_SECONDS, EventWriter

FULL = Finding("warning", "The disk is full: preview.ply could not be written.", "Free some space.", code="disk.full",
               values=(("path", "x"),))


def test_the_same_finding_is_written_once_in_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job, moment = JobFolder(tmp_path), [0.0]
    monkeypatch.setattr("engine.worker.time.monotonic", lambda: moment[0])
    writer = EventWriter(job)
    other = Finding("warning", "Something else.")
    for second in range(0, 60, 2):
        moment[0] = float(second)
        writer.emit(FULL)
        writer.emit(other)
    assert job.read_events()[0] == [FULL, other]
    moment[0] = REPEAT_SECONDS + 1
    writer.emit(FULL)
    assert job.read_events()[0] == [FULL, other, FULL]


def test_what_a_full_disk_refuses_is_written_later_without_what_is_no_news(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    job = JobFolder(tmp_path / "away")
    writer = EventWriter(job)
    for step in range(50):
        writer.emit(Progress(step, 99, 0.1, 5, 1.0, 1.0))
    writer.emit(Failed("end"))
    assert capfd.readouterr().err.count("cannot be reached") == 1
    job.path.mkdir()
    writer.emit(Preview(1, 1))
    assert job.read_events()[0] == [Progress(49, 99, 0.1, 5, 1.0, 1.0), Failed("end"), Preview(1, 1)]
