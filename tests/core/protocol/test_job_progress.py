"""The one reading of a job's events."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import get_args

import pytest

from engine.core.protocol.events import (
    CHECKPOINTS,
    SLOW_CHECKPOINTS,
    Estimated,
    Evaluated,
    Event,
    Failed,
    Finding,
    Finished,
    Paused,
    Posed,
    Preview,
    Progress,
    Stage,
    Started,
    event_from_json,
    event_to_json,
    events_from_lines,
)
from engine.core.protocol.job_progress import MOST_FINDINGS, JobProgress, told
from tests.compatibility.former_version import FIXTURES

STARTED = Started("cpu", 0, 100, 9, 1, 30)
PROGRESS = Progress(40, 100, 0.25, 50, 20.0, 3.0)
FINISHED = Finished(100, 60, 30.0, 0.9, 5.0, False)


def test_every_event_changes_what_is_known() -> None:
    """None is passed over: each is told to a fresh reading, and something there differs."""
    lines = (FIXTURES / "settings" / "events.jsonl").read_text(encoding="utf-8").splitlines()
    seen = {type(event): event for line in lines if (event := event_from_json(line))}
    assert set(seen) == set(get_args(Event))
    for event in seen.values():
        assert told([event]) != JobProgress(), event


def test_a_training_from_its_start_to_its_end() -> None:
    known = told([Stage("sending", 3, 4, 1.0), STARTED])
    assert (known.stage, known.step, known.max_steps, known.gaussians, known.fraction) == ("", 0, 100, 30, 0.0)
    for event in (PROGRESS, Evaluated(40, 20.0, 0.5, 1), Preview(40, 50)):
        known.apply(event)
    assert (known.step, known.loss, known.rate, known.eta, known.psnr, known.fraction) == (40, 0.25, 20.0, 3.0, 20.0, 0.4)
    assert known.word == PROGRESS and known.end is None and known.preview == Preview(40, 50)
    known.apply(FINISHED)
    assert known.end == FINISHED and (known.step, known.gaussians, known.psnr, known.stopped) == (100, 60, 30.0, False)


@pytest.mark.parametrize("end", [Failed("No memory.", "Add some."), Paused(40, "Most are transparent."), FINISHED])
def test_a_new_start_forgets_how_it_ended(end: Failed | Paused | Finished) -> None:
    known = told([STARTED, PROGRESS, end])
    assert known.end == end and bool(known.problem) == (end is not FINISHED)
    known.apply(Started("cpu", 40, 100, 9, 1, 50))
    assert known.end is None and not known.problem and not known.unhealthy and known.failure is None and known.finished is None


def test_a_pause_that_was_asked_for_is_no_end() -> None:
    known = told([STARTED, Paused(7)])
    assert known.end is None and known.word == Paused(7) and known.step == 7 and not known.problem


def test_problems_in_a_sentence() -> None:
    assert told([Failed("No memory.", "Add some.")]).problem == "No memory. Add some."
    assert told([STARTED, Paused(40, "Dark.")]).problem == "The training paused itself at step 40. Dark."


def test_findings_are_kept_once_and_the_newest_of_them() -> None:
    many = [Finding("info", str(number)) for number in range(MOST_FINDINGS + 5)]
    assert told([*many, many[-2]]).findings == [*many[5:-2], many[-1], many[-2]]


def test_what_a_cut_costs_is_known_from_the_start_and_when_it_turns_out_to_be_more() -> None:
    begun = replace(STARTED, code=CHECKPOINTS, values=(("every", 25.0),))
    assert told([STARTED]).checkpoint_interval == 0 and told([begun]).checkpoint_interval == 25
    slow = Finding("info", "A checkpoint takes long.", code=SLOW_CHECKPOINTS, values=(("seconds", 4.0), ("every", 50.0)))
    assert told([begun, slow]).checkpoint_interval == 50
    assert events_from_lines(event_to_json(begun).splitlines()) == [begun], "0.1.0 passes over the line with the value alone"


def test_photos() -> None:
    known = told([Stage("matching", 5, 10, 2.0), Posed(3, 4, 100, 0.5), Estimated("cpu", *[1.0] * 10)])
    assert known.posed == Posed(3, 4, 100, 0.5) and known.stage == "matching" and known.fraction == 0.5 and known.estimated


def test_readings_are_made_by_name() -> None:
    assert all(field.kw_only for field in fields(JobProgress))
