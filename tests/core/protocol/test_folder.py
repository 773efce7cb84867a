"""The job folder and its events: round trips, and what happens to a folder that somebody touched."""

from __future__ import annotations

import dataclasses
import json
import os
import typing
from pathlib import Path
from threading import Thread
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.errors import UserError
from engine.core.files import replacing, write_text
from engine.core.protocol.config import TrainConfig, config_from_json, config_to_json
from engine.core.protocol.events import (
    Evaluated,
    Event,
    Failed,
    Finding,
    Finished,
    Fix,
    Posed,
    Preview,
    Progress,
    Stage,
    Started,
    event_from_json,
    event_to_json,
    newest,
)
from engine.core.protocol.folder import PROTOCOL, FolderGone, JobFolder, JobSpec, find_jobs
from engine.core.protocol.sfm_options import PosesOptions
from engine.core.protocol.spec import PosesSpec

text = st.text(max_size=30)
whole = st.integers(0, 10**6)
number = st.floats(0, 1e6)
events = st.one_of(
    st.builds(Started, text, whole, whole, whole, whole, whole),
    st.builds(Progress, whole, whole, number, whole, number, number),
    st.builds(Preview, whole, whole),
    st.builds(Finding, st.sampled_from(["info", "warning", "error"]), text, text, text, st.none() | number,
              st.lists(text).map(tuple), st.lists(st.sampled_from(get_args(Fix))).map(tuple)),
    st.builds(Evaluated, whole, number, number, whole),
    st.builds(Finished, whole, whole, st.none() | number, st.none() | number, number, st.booleans()),
    st.builds(Failed, text, text),
    st.builds(Stage, text, whole, whole, st.none() | number),
    st.builds(Posed, whole, whole, whole, number),
)


@pytest.fixture
def job(tmp_path: Path) -> JobFolder:
    folder = JobFolder(tmp_path / "työ 仕事")
    folder.write_spec(JobSpec(tmp_path / "data", TrainConfig(max_steps=7), "name"))
    return folder


@given(events)
def test_events_come_back_as_they_were(event: Event) -> None:
    line = event_to_json(event)
    assert "\n" not in line and event_from_json(line) == event


@pytest.mark.parametrize("line", ["", "{", "[]", "3", '{"event": "Nonsense"}', '{"event": "Progress"}', '{"event": ["x"]}',
                                  '{"event": "Preview", "step": "one", "gaussians": 2}',
                                  '{"event": "Preview", "step": true, "gaussians": 2}',
                                  '{"event": "Evaluated", "step": 1, "psnr": "high", "ssim": 1, "views": 1}',
                                  '{"event": "Finding", "severity": "dreadful", "message": "a"}', '{"event": "Failed", "message": ["a"]}'])
def test_lines_that_are_no_events_are_passed_over(line: str) -> None:
    assert event_from_json(line) is None


def test_events_are_read_in_parts(job: JobFolder) -> None:
    written = [Preview(step, step) for step in range(100)]
    for event in written:
        job.append_event(event)
    with open(job.events_file, "ab") as file:
        file.write(b"x" * 500 + b"\n")
    job.append_event(Failed("last"))
    found, offset = [], 0
    while (part := job.read_events(offset, 200))[1] != offset:
        assert len(part[0]) < 10
        found, offset = found + part[0], part[1]
    assert found == [*written, Failed("last")]


def test_newer_progress_and_previews_replace_older_ones() -> None:
    first, second = Progress(1, 9, 0.1, 5, 1.0, 1.0), Progress(2, 9, 0.1, 5, 1.0, 1.0)
    kept = newest([first, Preview(1, 5), Failed("x"), second, Preview(2, 5)])
    assert kept == [Failed("x"), second, Preview(2, 5)]


def test_newer_stages_replace_older_ones() -> None:
    assert newest([Stage("a", 1, 2, None), Finding("info", "x"), Stage("b", 1, 9, 2.0)]) == [Finding("info", "x"), Stage("b", 1, 9, 2.0)]


def test_annotations_of_events_resolve() -> None:
    for kind in Event.__args__:
        assert typing.get_type_hints(kind)


def test_spec_round_trip(job: JobFolder) -> None:
    spec = job.read_spec()
    assert spec.config.max_steps == 7 and spec.dataset.name == "data" and spec.name == "name"


@given(st.builds(PosesOptions, image_size=st.integers(0, 16_384), pairing=st.sampled_from(["auto", "similar"])))
def test_a_search_for_cameras_round_trip(tmp_path_factory: pytest.TempPathFactory, options: PosesOptions) -> None:
    folder = JobFolder(tmp_path_factory.getbasetemp() / "poses job")
    spec = PosesSpec(Path("/photos – 写真"), options, "name")
    folder.write_spec(spec)
    assert folder.read_any() == spec
    with pytest.raises(UserError, match="no training"):
        folder.read_spec()


@given(st.integers(1, 10**6), st.floats(0, 1), st.sampled_from(["random", "black", "white"]))
def test_config_round_trip(steps: int, share: float, background: str) -> None:
    config = TrainConfig(max_steps=steps, half_until=share, background=background)  # type: ignore[arg-type]
    assert config_from_json(json.loads(json.dumps(config_to_json(config)))) == config


@pytest.mark.parametrize("change", [
    {"max_steps": 0}, {"max_steps": "many"}, {"max_steps": 1.5}, {"sh_degree": 4}, {"resolution": float("nan")},
    {"backend": "abacus"}, {"unknown": 1}, {"seed": True},
])
def test_bad_settings_are_one_sentence(change: dict) -> None:
    with pytest.raises(UserError) as caught:
        config_from_json({**config_to_json(TrainConfig()), **change})
    assert next(iter(change)) in str(caught.value) and caught.value.hint


@pytest.mark.parametrize("content", ["", "{", "[]", "null", '{"protocol": 1}', '{"protocol": 1, "dataset": 3, "config": {}}',
                                     '{"protocol": 1, "kind": "poses", "photos": 3}', '{"protocol": 1, "kind": ["train"]}'])
def test_a_damaged_spec_is_one_sentence(job: JobFolder, content: str) -> None:
    (job.path / "job.json").write_text(content)
    with pytest.raises(UserError, match="damaged"):
        job.read_spec()


def test_another_protocol_is_refused(job: JobFolder) -> None:
    values = json.loads((job.path / "job.json").read_text())
    (job.path / "job.json").write_text(json.dumps({**values, "protocol": PROTOCOL + 1}))
    with pytest.raises(UserError, match="protocol"):
        job.read_spec()


def test_a_folder_without_job_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a job folder"):
        JobFolder(tmp_path).read_spec()


def test_events_are_read_in_pieces(job: JobFolder) -> None:
    job.append_event(Preview(1, 1))
    first, cursor = job.read_events()
    with open(job.events_file, "ab") as file:
        file.write(b'{"event": "Pre')
    assert job.read_events(cursor) == ([], cursor)
    with open(job.events_file, "ab") as file:
        file.write(b'view", "step": 2, "gaussians": 3}\n')
    assert job.read_events(cursor)[0] == [Preview(2, 3)] and first == [Preview(1, 1)]


def test_last_events_of_a_long_file(job: JobFolder) -> None:
    for step in range(1000):
        job.append_event(Preview(step, 1))
    assert job.last_events()[-1] == Preview(999, 1) and len(job.last_events()) < 1000


def test_control_and_heartbeat(job: JobFolder) -> None:
    assert job.control() == "run" and job.worker_pid() is None and job.heartbeat_age() is None
    job.set_control("pause")
    job.heartbeat()
    assert job.control() == "pause" and job.worker_pid() == os.getpid() and job.is_local()
    assert job.heartbeat_age() is not None and job.heartbeat_age() < 5
    write_text(job.path / "control", "nonsense")
    assert job.control() == "run" and job.control("pause") == "pause"
    write_text(job.path / "heartbeat", f'{{"pid": {os.getpid()}, "host": "another computer"}}')
    assert not job.is_local()
    job.heartbeat()
    assert job.is_local()
    job.clear_heartbeat()
    assert job.worker_pid() is None


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\0", b"stop\0", b"sto", None])
def test_an_unreadable_control_leaves_the_last_known_one(job: JobFolder, content: bytes | None) -> None:
    path = job.path / "control"
    path.mkdir() if content is None else path.write_bytes(content)
    assert job.control("pause") == "pause" and job.control("stop") == "stop"


@pytest.mark.parametrize("content", [
    b"", b"{", b"[]", b"\xff", b"[" * 100_000, b'{"pid": ' + b"9" * 400 + b"}", b'{"pid": -1}', b'{"pid": 0}', b'{"pid": true}',
    b'{"pid": 1e300}', b'{"pid": "1"}', None])
def test_an_unreadable_heartbeat_leaves_the_last_known_one(job: JobFolder, content: bytes | None) -> None:
    path = job.path / "heartbeat"
    path.write_text('{"pid": 77, "host": "another computer"}')
    assert job.worker_pid() == 77 and not job.is_local()
    path.unlink()
    path.mkdir() if content is None else path.write_bytes(content)
    assert job.worker_pid() == 77 and not job.is_local()
    path.rmdir() if content is None else path.unlink()
    assert job.worker_pid() is None and job.is_local()


@pytest.mark.parametrize("torn", [b'{"event": "Progress", "st', b"\0" * 4096, b"\xff", b'{"event": "Coded", "code": "a"'])
def test_a_torn_event_loses_nothing_after_it(job: JobFolder, torn: bytes) -> None:
    job.append_event(Preview(1, 1))
    with open(job.events_file, "ab") as file:
        file.write(torn)
    for event in (Failed("a", "b", "some.code"), Preview(2, 2)):
        job.append_event(event)
    assert job.read_events()[0] == [Preview(1, 1), Failed("a", "b", "some.code"), Preview(2, 2)]
    assert job.last_events()[-1] == Preview(2, 2)


def test_the_last_event_is_found_however_long_it_is(job: JobFolder) -> None:
    long = Finding("warning", "many", images=tuple(f"image {number:05}.png" for number in range(5000)))
    job.append_event(Preview(1, 1), long)
    assert job.last_events()[-1] == long


def test_a_folder_that_was_replaced_is_another(job: JobFolder) -> None:
    before = job.identity()
    assert job.identity() == before
    job.path.rename(job.path.with_name("moved"))
    with pytest.raises(FolderGone, match="moved or deleted"):
        job.identity()
    job.path.mkdir()
    assert job.identity() != before


def test_threads_that_write_the_same_file_do_not_disturb_each_other(tmp_path: Path) -> None:
    """Each writes under a name of its own; one of them is the last."""
    path, refused = tmp_path / "file", list[BaseException]()

    def write(letter: str) -> None:
        for _ in range(1500):
            try:
                write_text(path, letter * 1000)
            except Exception as error:
                refused.append(error)

    threads = [Thread(target=write, args=(letter,)) for letter in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not refused and list(tmp_path.iterdir()) == [path] and len(set(path.read_text())) == 1


def test_a_name_as_long_as_the_system_allows_can_be_written(tmp_path: Path) -> None:
    write_text(tmp_path / ("n" * 250), "x")
    assert [path.name for path in tmp_path.iterdir()] == ["n" * 250]


def test_jobs_are_found(tmp_path: Path, job: JobFolder) -> None:
    (tmp_path / "not a job").mkdir()
    assert find_jobs(tmp_path) == [job] and find_jobs(tmp_path / "nowhere") == []


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_text(path, "old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError) as caught:
        write_text(tmp_path / "file" / "below", "x")
    assert caught.value.hint


def test_every_setting_has_a_help_text() -> None:
    source = (Path(__file__).resolve().parents[3] / "engine/core/protocol/config.py").read_text()
    for field in dataclasses.fields(TrainConfig):
        assert f"    {field.name}: " in source
