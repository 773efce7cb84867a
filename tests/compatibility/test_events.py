"""Events of version 0.1.0 are read here, and events of this version there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from engine.core.errors import UserError, values
from engine.core.protocol.events import (
    Event,
    Failed,
    Finding,
    Finished,
    Paused,
    Preview,
    Started,
    error_of,
    event_from_json,
    event_to_json,
    events_from_lines,
    failed,
)
from engine.core.protocol.folder import JobFolder
from tests.compatibility.former_version import FIXTURES, FormerVersion

CODED = [Finding("warning", "3 of 9 images are black.", "Light them.", "dark", 3.0, ("a", "b"), ("exclude",), ("sky=5",), "preflight.dark",
                 values(count=3, total=9, names="a, b")),
         Paused(5, "Most splats are transparent.", True, "health.transparent", values(share=0.93)),
         Failed("No disk – 仕事.", "Free some.", "disk.full", values(path="/a b")), Failed("Old.", "")]
READ = """
import json, sys
from engine.core.events import event_from_json
for line in open(sys.argv[1], encoding="utf-8"):
    event = event_from_json(line)
    print(json.dumps([type(event).__name__, vars(event)] if event else None))
"""


def lines_of(events: list[Event]) -> list[str]:
    return [line for event in events for line in event_to_json(event).splitlines()]


def bare(event: Event) -> Event:
    return replace(event, code="", values=()) if isinstance(event, (Finding, Failed, Paused)) else event


def test_every_event_of_version_0_1_is_read() -> None:
    lines = (FIXTURES / "settings" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    events = events_from_lines(lines)
    assert len(events) == len(lines) == 14
    for event, line in zip(events, lines, strict=True):
        assert json.loads(event_to_json(event)) == json.loads(line), "and would be written just so"


@pytest.mark.parametrize("path", [path.relative_to(FIXTURES).as_posix() for path in sorted(FIXTURES.rglob("events.jsonl"))])
def test_no_line_of_version_0_1_is_passed_over(path: str) -> None:
    lines = (FIXTURES / path).read_text(encoding="utf-8").splitlines()
    assert lines and [event_to_json(event) for event in events_from_lines(lines)] == lines


def test_the_stream_of_a_server_of_version_0_1() -> None:
    text = (FIXTURES / "wire" / "events.txt").read_text(encoding="utf-8")
    lines = [line.removeprefix("data: ") for line in text.splitlines() if line.startswith('data: {"event"')]
    events = events_from_lines(lines)
    assert len(events) == len(lines) > 8 and isinstance(events[-1], Finished)


def test_codes_come_back(tmp_path: Path) -> None:
    job = JobFolder(tmp_path)
    job.append_event(*CODED, Preview(1, 2))
    assert job.read_events()[0] == [*CODED, Preview(1, 2)] and job.last_events()[-2:] == [CODED[-1], Preview(1, 2)]
    assert all(json.loads(line) for line in job.events_file.read_text(encoding="utf-8").splitlines())


@pytest.mark.parametrize("limit", [150, 260, 400, 2000])
def test_codes_are_not_lost_between_two_reads(tmp_path: Path, limit: int) -> None:
    job, found, offset = JobFolder(tmp_path), [], 0
    many = [replace(CODED[1], step=step) for step in range(50)]
    job.append_event(*many)
    while (part := job.read_events(offset, limit))[1] != offset:
        found, offset = found + part[0], part[1]
    assert [bare(event) for event in found] == [bare(event) for event in many]
    if limit > 250:  # both lines of an event fit
        assert found == many


def test_a_code_waits_for_its_event(tmp_path: Path) -> None:
    job = JobFolder(tmp_path)
    job.append_event(Preview(1, 1))
    coded, line = event_to_json(CODED[0]).splitlines()
    with open(job.events_file, "a", encoding="utf-8") as file:
        file.write(coded + "\n")
    first, cursor = job.read_events()
    assert first == [Preview(1, 1)] and job.read_events(cursor) == ([], cursor)
    with open(job.events_file, "a", encoding="utf-8") as file:
        file.write(line + "\n")
    assert job.read_events(cursor)[0] == [CODED[0]]


@pytest.mark.parametrize("line", ['{"event": "Coded"}', '{"event": "Coded", "code": 3, "values": {}}', '{"event": "Coded", "co',
                                  '{"event": "Coded", "code": "x", "values": [1]}', '{"event": "Coded", "code": "x", "values": {"a": []}}'])
def test_a_damaged_code_costs_no_event(line: str) -> None:
    assert events_from_lines([line, event_to_json(CODED[3])]) == [CODED[3]]


def test_a_code_belongs_to_the_next_line_alone() -> None:
    coded, line = event_to_json(CODED[2]).splitlines()
    assert events_from_lines([coded, event_to_json(Preview(1, 1)), line]) == [Preview(1, 1), bare(CODED[2])]
    assert events_from_lines([coded, "torn", line]) == [bare(CODED[2])]


def test_what_a_later_version_may_add() -> None:
    line = json.dumps({"event": "Preview", "step": 1, "gaussians": 2, "format": "spz", "more": {"a": 1}})
    assert event_from_json(line) == Preview(1, 2)
    assert event_from_json('{"event": "Uploaded", "bytes": 3}') is None
    inline = {**json.loads(event_to_json(CODED[0]).splitlines()[1]), "code": "a.b", "values": {"count": 3}}
    assert event_from_json(json.dumps(inline)) == replace(CODED[0], code="a.b", values=(("count", 3),))


def test_errors_keep_their_code() -> None:
    error = UserError("No.", "Yes.", "a.b", count=3, path=Path("x"))
    assert failed(error) == Failed("No.", "Yes.", "a.b", (("count", 3), ("path", "x")))
    again = error_of(failed(error))
    assert (again.message, again.hint, again.code, again.values) == (error.message, error.hint, error.code, error.values)


def test_version_0_1_reads_the_events_of_this_one(tmp_path: Path) -> None:
    former = FormerVersion(tmp_path / "former")
    events = [Started("cpu", 0, 9, 7, 1, 30), *CODED, Preview(1, 2)]
    path = tmp_path / "events.jsonl"
    path.write_text("".join(line + "\n" for line in lines_of(events)), encoding="utf-8")
    read = [json.loads(line) for line in former.run(READ, str(path)).splitlines()]
    expected = [json.loads(event_to_json(bare(event))) for event in events]
    assert [{"event": found[0], **found[1]} for found in read if found] == expected and read.count(None) == 3
