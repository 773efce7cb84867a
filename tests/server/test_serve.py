"""The server and RemoteEngine: real processes over real sockets."""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from engine.core.errors import UserError
from engine.core.formats.ply import read_ply
from engine.core.formats.registry import read_splats, write_splats
from engine.core.images.png import write_png
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Estimated, Failed, Finding, Finished, Preview, Progress, Stage, Started
from engine.core.protocol.folder import JobFolder, JobSpec
from engine.core.protocol.sfm_options import FrameOptions
from engine.core.protocol.spec import FramesSpec
from engine.core.splats.region import region_from_words
from engine.jobs.local_engine import JobState
from engine.jobs.processes import process_exists
from engine.remote.engine import RemoteEngine
from engine.remote.http import Address
from engine.remote.local_copy import read_remote_state
from tests.links import needs_links
from tests.processes import kill
from tests.scenes import colored_ball, write_ball_dataset
from tests.server.proxy import CuttingProxy
from tests.server.serving import OTHER, TOKEN, Server, ask, wait, wait_for

SHORT = TrainConfig(max_steps=200, max_gaussians=600, resolution=64, sh_degree=1, refine_every=20, checkpoint_seconds=0.1,
                    preview_seconds=0.1, threads=1)
ENDLESS = dataclasses.replace(SHORT, max_steps=1_000_000)


@pytest.fixture
def engine(server: Server, tmp_path: Path) -> Iterator[RemoteEngine]:
    made = RemoteEngine(tmp_path / "copies", server.address())
    yield made
    end_all(made)


def end_all(engine: RemoteEngine) -> None:
    for job in engine.jobs():
        engine.kill(job)
        wait(lambda job=job: not engine.state(job).alive, lambda job=job: engine.note(job))
    engine.close()


def far_folder(server: Server, engine: RemoteEngine, job: str) -> JobFolder:
    remote_state = read_remote_state(engine.folder(job))
    assert remote_state
    return JobFolder(server.jobs() / remote_state.job)


def steps(engine: RemoteEngine, job: str) -> int:
    return max((event.step for event in engine.events(job)[0] if isinstance(event, Progress)), default=0)


def test_a_job_runs_to_its_end_and_its_result_comes_home(server: Server, engine: RemoteEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, SHORT, "ball"))
    notes = set()
    wait(lambda: notes.add(engine.note(job)) or engine.state(job) is JobState.FINISHED)
    events = engine.events(job)[0]
    last = events[-1]
    assert isinstance(last, Finished) and any(isinstance(event, Preview) for event in events)
    result, preview = engine.file(job, "result.ply"), engine.file(job, "preview.ply")
    assert result and preview and len(read_ply(result).gaussians) == last.gaussians and len(read_ply(preview).gaussians)
    spec = engine.spec(job)
    assert isinstance(spec, JobSpec) and spec.dataset == dataset
    assert any("EUR so far" in note for note in notes)
    assert result.read_bytes() == far_folder(server, engine, job).result.read_bytes()


def test_a_finished_job_is_trained_further_where_it_is(server: Server, engine: RemoteEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, SHORT, "further"))
    with pytest.raises(UserError, match="is running"):
        engine.train_further(job, 100)
    wait(lambda: engine.state(job) is JobState.FINISHED, lambda: engine.note(job))
    there = far_folder(server, engine, job)
    for end in (300, 350, 400):  # at once, while the server still waits for the worker of before to end
        assert engine.train_further(job, 50 if end > 300 else 100) == end
        wait(lambda end=end: engine.state(job) is JobState.FINISHED and engine.told(job).trained == end, lambda: engine.note(job))
    assert far_folder(server, engine, job) == there, "the same job, with its checkpoint"
    started = [event for event in engine.events(job)[0] if isinstance(event, Started)]
    assert [event.step for event in started] == [0, 200, 300, 350] and started[-1].max_steps == 400
    config = there.read_spec().config
    assert (config.max_steps, config.planned_steps) == (400, 200)
    assert engine.file(job, "thumbnail.png") and engine.folder(job).result.read_bytes() == there.result.read_bytes()


def test_a_dataset_that_is_there_is_not_sent_again(engine: RemoteEngine, dataset: Path) -> None:
    for seed in (0, 1):
        job = engine.submit(JobSpec(dataset, dataclasses.replace(SHORT, max_steps=20, seed=seed)))
        wait_for(engine, job, JobState.FINISHED)
    stages = {event.name for event in engine.events(job)[0] if isinstance(event, Stage)}
    assert stages == {"reading the dataset"}


def test_cut_connections_lose_nothing(server: Server, engine: RemoteEngine, tmp_path: Path) -> None:
    noisy = write_ball_dataset(tmp_path / "noisy", views=8)
    rng = np.random.default_rng(0)
    for view in noisy.views:
        write_png(view.image, rng.integers(0, 256, (64, 64, 3), np.uint8).astype(np.uint8))
    (noisy.folder / "film.bin").write_bytes(rng.bytes(3_000_000))
    proxy = CuttingProxy(server.port, cut_after=250_000)
    far = RemoteEngine(engine.root, Address(f"http://127.0.0.1:{proxy.port}", TOKEN))
    job = far.submit(JobSpec(noisy.folder, SHORT))
    wait_for(far, job, JobState.FINISHED)
    proxy.close()
    there = far_folder(server, far, job)
    assert proxy.cuts >= 4
    assert (there.path / "input" / "film.bin").read_bytes() == (noisy.folder / "film.bin").read_bytes()
    assert far.folder(job).result.read_bytes() == there.result.read_bytes()
    once = [event for event in far.events(job)[0] if not isinstance(event, (Stage, Progress, Preview))]
    assert once == [event for event in there.read_events()[0] if not isinstance(event, (Stage, Progress, Preview))]


def test_pause_resume_and_stop(engine: RemoteEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(lambda: steps(engine, job) > 0)
    engine.control(job, "pause")
    wait_for(engine, job, JobState.PAUSED)
    resting = steps(engine, job)
    engine.resume(job)
    wait(lambda: steps(engine, job) > resting)
    engine.control(job, "stop")
    wait_for(engine, job, JobState.FINISHED)
    last = engine.events(job)[0][-1]
    assert isinstance(last, Finished) and last.stopped and engine.folder(job).result.exists()
    engine.resume(job)  # a stopped training goes on
    wait(lambda: steps(engine, job) > last.step)


def test_a_paused_job_frees_its_card(server: Server, engine: RemoteEngine, dataset: Path) -> None:
    first = engine.submit(JobSpec(dataset, ENDLESS, "first"))
    wait(lambda: steps(engine, first) > 0)
    worker = far_folder(server, engine, first).worker_pid()
    second = engine.submit(JobSpec(dataset, SHORT, "second"))
    wait_for(engine, second, JobState.QUEUED)
    engine.control(first, "pause")
    wait_for(engine, second, JobState.FINISHED)
    assert engine.state(first) is JobState.PAUSED and not process_exists(worker or 0)
    wait(lambda: engine.silence(first) == 0)
    wait(lambda: ask(server, "GET", "/v1/engine")["running"] == 0)
    resting = steps(engine, first)
    engine.resume(first)
    wait(lambda: steps(engine, first) > resting)
    started = [event.step for event in engine.events(first)[0] if isinstance(event, Started)]
    assert started[-1] >= resting, "nothing is lost by resting"
    engine.control(first, "pause")
    wait(lambda: engine.state(first) is JobState.PAUSED and not ask(server, "GET", "/v1/engine")["running"])
    engine.control(first, "stop")  # writes the result, when it is its turn
    wait_for(engine, first, JobState.FINISHED)
    last = engine.events(first)[0][-1]
    assert isinstance(last, Finished) and last.stopped and len(read_ply(engine.folder(first).result).gaussians)


def test_a_paused_job_that_is_killed_is_paused_no_more(engine: RemoteEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(lambda: steps(engine, job) > 0)
    engine.control(job, "pause")
    wait_for(engine, job, JobState.PAUSED)
    engine.kill(job)
    wait_for(engine, job, JobState.INTERRUPTED)
    engine.resume(job)
    wait_for(engine, job, JobState.RUNNING)


def test_a_deleted_job_leaves_the_engine_and_what_came_home_stays(server: Server, engine: RemoteEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, dataclasses.replace(SHORT, max_steps=20)))
    wait_for(engine, job, JobState.FINISHED)
    there = far_folder(server, engine, job).path
    assert engine.kept_there(job) and there.exists()
    engine.delete(job)
    wait(lambda: engine.state(job) is JobState.FINISHED and not engine.kept_there(job))
    assert not there.exists() and engine.state(job) is JobState.FINISHED and engine.file(job, "result.ply")
    engine.resume(job)  # is sent anew
    wait_for(engine, job, JobState.FINISHED)
    assert engine.kept_there(job)
    engine.close()
    running = engine.submit(JobSpec(dataset, ENDLESS))
    wait(lambda: steps(engine, running) > 0)
    worker = far_folder(server, engine, running).worker_pid() or 0
    engine.delete(running)
    wait_for(engine, running, JobState.INTERRUPTED)
    wait(lambda: not engine.kept_there(running) and not process_exists(worker))


def test_another_engine_object_finds_the_job_and_follows_it(engine: RemoteEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(lambda: steps(engine, job) > 0)
    engine.close()
    other = RemoteEngine(engine.root, engine.address)
    assert other.jobs() == [job]
    before = steps(other, job)
    wait(lambda: other.state(job) is JobState.RUNNING and steps(other, job) > before)


def test_a_job_that_was_never_sent_is_sent_by_the_next_who_looks(server: Server, tmp_path: Path, dataset: Path) -> None:
    nobody = RemoteEngine(tmp_path, Address("http://127.0.0.1:1", TOKEN))
    job = nobody.submit(JobSpec(dataset, SHORT))
    wait(lambda: "does not answer" in nobody.note(job))
    assert nobody.state(job) is JobState.STARTING
    nobody.close()
    engine = RemoteEngine(tmp_path, server.address())
    wait_for(engine, job, JobState.FINISHED)
    engine.close()


def test_the_order_of_the_queue(server: Server, engine: RemoteEngine, tmp_path: Path, dataset: Path) -> None:
    first = engine.submit(JobSpec(dataset, ENDLESS, "first"))
    wait_for(engine, first, JobState.RUNNING)
    names = {}
    for name, priority in (("low", 0), ("later", 0), ("high", 5)):
        sender = dataclasses.replace(engine, priority=priority, _followers={})
        names[name] = sender.submit(JobSpec(dataset, dataclasses.replace(SHORT, max_steps=20), name))
        wait_for(sender, names[name], JobState.QUEUED)
        sender.close()
    wait(lambda: "next" in engine.note(names["high"]) or engine.state(names["high"]) is not JobState.QUEUED)
    positions = {found["id"].split("-")[0]: found["position"] for found in ask(server, "GET", "/v1/jobs")["jobs"]
                 if found["state"] == "queued"}
    assert positions == {"high": 0, "low": 1, "later": 2}
    assert ask(server, "GET", "/v1/engine")["running"] == 1
    engine.control(first, "stop")
    for name in ("high", "low", "later"):
        wait_for(engine, names[name], JobState.FINISHED)
    ends = [far_folder(server, engine, names[name]).result.stat().st_mtime for name in ("high", "low", "later")]
    assert ends == sorted(ends)


def test_two_clients_share_the_engine(server: Server, engine: RemoteEngine, tmp_path: Path, dataset: Path) -> None:
    other = RemoteEngine(tmp_path / "other", server.address(OTHER))
    jobs = [(place, place.submit(JobSpec(dataset, SHORT, "both"))) for place in (engine, other)]
    for place, job in jobs:
        wait_for(place, job, JobState.FINISHED)
    mine, theirs = ({found["id"] for found in ask(server, "GET", "/v1/jobs", token=token)["jobs"]} for token in (TOKEN, OTHER))
    assert len(theirs) == 1 and not mine & theirs
    end_all(other)


def test_a_queued_job_can_be_stopped(engine: RemoteEngine, dataset: Path) -> None:
    first = engine.submit(JobSpec(dataset, ENDLESS, "first"))
    wait_for(engine, first, JobState.RUNNING)
    job = engine.submit(JobSpec(dataset, SHORT, "second"))
    wait_for(engine, job, JobState.QUEUED)
    engine.control(job, "stop")
    wait_for(engine, job, JobState.INTERRUPTED)


def test_a_killed_worker_goes_on_from_its_checkpoint(server: Server, engine: RemoteEngine, dataset: Path) -> None:
    job = engine.submit(JobSpec(dataset, ENDLESS))
    wait(lambda: steps(engine, job) > 100)
    there = far_folder(server, engine, job)
    kill(there.worker_pid())
    wait(lambda: len([event for event in engine.events(job)[0] if isinstance(event, Started)]) == 2)
    again = [event for event in engine.events(job)[0] if isinstance(event, Started)][-1]
    assert again.step > 0
    wait(lambda: steps(engine, job) > again.step)


@pytest.mark.parametrize("workers_too", [False, True])
def test_a_killed_server_finds_its_jobs_again(tmp_path: Path, dataset: Path, workers_too: bool) -> None:
    server = Server(tmp_path / "serve", "--gpus", "cpu")
    engine = RemoteEngine(tmp_path / "copies", server.address())
    try:
        running = engine.submit(JobSpec(dataset, ENDLESS))
        wait_for(engine, running, JobState.RUNNING)
        waiting = engine.submit(JobSpec(dataset, SHORT))
        wait(lambda: steps(engine, running) > 100 and engine.state(waiting) is JobState.QUEUED)
        there = far_folder(server, engine, running)
        pid = there.worker_pid()
        server.kill()
        if workers_too:
            kill(pid)
        wait(lambda: "does not answer" in engine.note(running) or "cut" in engine.note(running))
        before = steps(engine, running)
        server.start()
        wait(lambda: steps(engine, running) > before + 50, lambda: server.log)
        assert (there.worker_pid() == pid) is not workers_too
        assert engine.state(waiting) is JobState.QUEUED
        engine.control(running, "stop")
        wait_for(engine, running, JobState.FINISHED)
        wait_for(engine, waiting, JobState.FINISHED)
    finally:
        engine.close()
        server.close()


def test_refusals_fail_with_the_sentence(server: Server, tmp_path: Path, dataset: Path) -> None:
    stranger = RemoteEngine(tmp_path / "stranger", server.address("nobody-knows-this-token"))
    job = stranger.submit(JobSpec(dataset, SHORT))
    wait_for(stranger, job, JobState.FAILED)
    last = stranger.events(job)[0][-1]
    assert isinstance(last, Failed) and "token" in last.message and last.hint
    for url in ("", "engine", "ftp://x", "http://", "http://x:y", "http://x:1/path"):
        with pytest.raises(UserError):
            RemoteEngine(tmp_path, Address(url, TOKEN)).submit(JobSpec(dataset, SHORT))
    with pytest.raises(UserError, match="token"):
        RemoteEngine(tmp_path, Address("http://127.0.0.1:1", " ")).submit(JobSpec(dataset, SHORT))


def test_what_cannot_be_sent_fails_here(engine: RemoteEngine, dataset: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(dataset, moved)
    text = (moved / "transforms.json").read_text(encoding="utf-8")
    changed = text.replace("images/view_001.png", f"{dataset.as_posix()}/images/view_001.png")
    (moved / "transforms.json").write_text(changed, encoding="utf-8")
    too_many = dataclasses.replace(SHORT, gpus=8)
    for spec, word in ((JobSpec(tmp_path / "nothing", SHORT), "does not exist"), (JobSpec(moved, SHORT), "outside"),
                       (JobSpec(dataset, too_many), "graphics cards")):
        job = engine.submit(spec)
        wait_for(engine, job, JobState.FAILED)
        last = engine.events(job)[0][-1]
        assert isinstance(last, Failed) and word in last.message and last.hint


def test_https(tmp_path: Path, dataset: Path) -> None:
    if not shutil.which("openssl"):
        pytest.skip("no openssl to make a certificate with")
    certificate, key = tmp_path / "engine.pem", tmp_path / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)], check=True, capture_output=True)
    server = Server(tmp_path / "serve", "--gpus", "cpu", "--certificate", str(certificate), "--key", str(key))
    try:
        trusting = RemoteEngine(tmp_path / "copies", Address(server.url, TOKEN, certificate))
        job = trusting.submit(JobSpec(dataset, SHORT))
        wait_for(trusting, job, JobState.FINISHED)
        careful = RemoteEngine(tmp_path / "careful", server.address())
        job = careful.submit(JobSpec(dataset, SHORT))
        wait_for(careful, job, JobState.FAILED)
        assert "not trusted" in careful.events(job)[0][-1].message  # type: ignore[union-attr]
    finally:
        server.close()


def test_pictures_of_a_video_come_home(engine: RemoteEngine, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="videos need PyAV")
    from tests.sfm.videos import panning, write_video

    video = write_video(tmp_path / "ein Video ü.mp4", panning(20))
    job = engine.submit(FramesSpec(video, FrameOptions(count=4), "Flur"))
    wait_for(engine, job, JobState.FINISHED)
    photos = engine.file(job, "photos")
    assert photos is not None and len(list(photos.glob("*.jpg"))) == 4
    assert not list(engine.folder(job).path.glob("input*")) and engine.spec(job) == FramesSpec(video, FrameOptions(count=4), "Flur")


@needs_links
def test_a_linked_dataset_folder_is_sent(engine: RemoteEngine, tmp_path: Path, dataset: Path) -> None:
    (tmp_path / "link").symlink_to(dataset, target_is_directory=True)
    job = engine.submit(JobSpec(tmp_path / "link", dataclasses.replace(SHORT, max_steps=20)))
    wait_for(engine, job, JobState.FINISHED)


def test_a_start_file_and_a_region_travel_with_the_job(server: Server, engine: RemoteEngine, dataset: Path, tmp_path: Path) -> None:
    """An SPZ with its offset beside it; each engine keeps it in the job's own folder."""
    start = tmp_path / "begun with ü.spz"
    write_splats(start, colored_ball(), offset=(0.0, 0.0, 0.5))
    region = region_from_words("0 0 0  2.5 2.5 2.5").matrix
    spec = JobSpec(dataset, dataclasses.replace(SHORT, max_steps=20, max_gaussians=300), "ball", start_file=start, region=region)
    job = engine.submit(spec)
    start.unlink()
    wait(lambda: not engine.state(job).alive, lambda: engine.note(job))
    found = [event for event in engine.events(job)[0] if isinstance(event, Finding) and event.code == "training.start_cut"]
    assert engine.state(job) is JobState.FINISHED and len(found) == 1
    there = far_folder(server, engine, job)
    asked = there.read_spec()
    assert asked.region == region and asked.start_file and asked.start_file.is_relative_to(there.path)
    assert read_splats(asked.start_file).offset == (0.0, 0.0, 0.5)
    estimation = engine.estimate(dataclasses.replace(spec, start_file=engine.folder(job).path / "start.spz"))
    assert any(isinstance(event, Estimated) for event in estimation.wait())
