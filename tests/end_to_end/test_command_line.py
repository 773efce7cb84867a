"""The command line as a user types it: real processes, real files, and one sentence for everything that is wrong."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from engine.cli.main import run
from engine.core.formats.ply import read_ply, write_ply
from engine.core.formats.registry import read_splats
from engine.core.processes import end_tree
from engine.core.protocol.config import TrainConfig
from engine.core.protocol.events import Progress
from engine.core.protocol.folder import JobFolder
from engine.core.protocol.spec import JobSpec
from engine.training.checkpoint import load_checkpoint
from tests.data import real
from tests.scenes import colored_ball, write_ball_dataset

ROOT = Path(__file__).resolve().parents[2]
QUICK = ["--max-steps", "150", "--resolution", "64", "--max-gaussians", "500", "--refine-every", "20"]


def splatwright(*arguments: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"}
    return subprocess.run([sys.executable, "-m", "engine", *map(str, arguments)], capture_output=True, text=True,
                          cwd=cwd, env=environment, timeout=240)


def last_json(done: subprocess.CompletedProcess[str]) -> dict:
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


def assert_sentence(done: subprocess.CompletedProcess[str], *words: str) -> None:
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said and all(word.lower() in said.lower() for word in words), said


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("my photos – 写真")).folder


@pytest.fixture(scope="module")
def trained(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("out put") / "ball.ply"
    figures = last_json(splatwright("train", dataset, "-o", output, *QUICK))
    assert figures["psnr"] > 20 and figures["gaussians"] == 500
    return output


def test_a_start_that_failed_before_its_first_checkpoint_does_not_block_the_next(tmp_path: Path, dataset: Path) -> None:
    """Other images, another folder and other settings: all of them are those of the second start."""
    broken = tmp_path / "broken"
    shutil.copytree(dataset, broken)
    for path in (broken / "images").iterdir():
        path.write_bytes(b"no image")
    output = tmp_path / "ball.ply"
    assert_sentence(splatwright("train", broken, "-o", output, *QUICK), "cannot be used, more than half", "--anyway")
    figures = last_json(splatwright("train", dataset, "-o", output, *QUICK[:2], "--resolution", "32", "--sh-degree", "0", *QUICK[4:]))
    assert figures["steps"] == 150 and output.exists()
    config = JobFolder(output.with_suffix(".job")).read_spec().config
    assert (config.resolution, config.sh_degree) == (32, 0)


def test_images_are_left_out_by_name(dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = sorted(path.name for path in (dataset / "images").iterdir())
    assert run(["check", str(dataset), "--exclude", names[1], names[2]]) == 0
    assert f"{len(names) - 2 - len(names[::8])} views to train on, {len(names[::8])} held out" in capsys.readouterr().out
    assert run(["check", str(dataset), "--exclude", "nobody.png"]) == 1 and "is called nobody.png" in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="a pipe whose reader is gone is closed otherwise on Windows")
def test_help_ends_quietly_when_nobody_reads_it_to_its_end() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.Popen([sys.executable, "-m", "engine", "train", "--help"], stdout=writing, stderr=subprocess.PIPE,
                            env={**os.environ, "PYTHONPATH": str(ROOT)})
    os.close(writing)
    assert done.communicate(timeout=60)[1] == b"" and done.returncode in (0, 141)


def test_trained_file_measures_as_it_was_reported(trained: Path, dataset: Path) -> None:
    report = json.loads((trained.with_suffix(".job") / "report.json").read_text())
    measured = last_json(splatwright("evaluate", trained, dataset, "--resolution", 64))
    assert measured["psnr"] == pytest.approx(report["psnr"], abs=0.01) and measured["held_out"]


def test_a_preset_sets_what_no_flag_sets(dataset: Path, tmp_path: Path) -> None:
    last_json(splatwright("train", dataset, "-o", tmp_path / "a.ply", "--preset", "quick-look", "--resolution", 48, "--max-steps", 30))
    config = json.loads((tmp_path / "a.job" / "job.json").read_text())["config"]
    assert (config["start_share"], config["resolution"], config["max_steps"]) == (0.6, 48, 30) and config["max_gaussians"] == 10_000
    assert config["strategy"] == "default"
    refused = splatwright("train", dataset, "--preset", "instant")
    assert refused.returncode == 2 and "quick-look" in refused.stdout + refused.stderr
    nameless = splatwright("train", dataset, "--preset")
    assert nameless.returncode == 2 and "Traceback" not in nameless.stderr and "--preset" in nameless.stdout + nameless.stderr


def test_a_training_with_minutes_is_repeated_by_its_plan(dataset: Path, tmp_path: Path) -> None:
    timed = last_json(splatwright("train", dataset, "-o", tmp_path / "timed.ply", "--minutes", 0.06))
    plan = tmp_path / "timed.job" / "plan.json"
    again = last_json(splatwright("train", dataset, "-o", tmp_path / "again.ply", "--plan", plan, "--threads", 1))
    assert again["steps"] == timed["steps"]
    assert (tmp_path / "again.ply").read_bytes() == (tmp_path / "timed.ply").read_bytes()
    other = write_ball_dataset(tmp_path / "other", views=10).folder
    assert_sentence(splatwright("train", other, "-o", tmp_path / "c.ply", "--plan", plan), "made for another dataset")
    plan.write_text(plan.read_text()[:100])
    assert_sentence(splatwright("train", dataset, "-o", tmp_path / "c.ply", "--plan", plan), "plan", "is damaged")


def test_goes_on_past_its_end_and_refuses_without_more_steps(trained: Path, dataset: Path) -> None:
    assert_sentence(splatwright("train", dataset, "-o", trained, *QUICK), "trained to its end", "--max-steps")
    longer = [*QUICK[:1], "200", *QUICK[2:]]
    before = JobFolder(trained.with_suffix(".job")).read_spec().config
    assert last_json(splatwright("train", dataset, "-o", trained, *longer, "--backend", "cpu", "--threads", 1, "--seed", 5))["steps"] == 200
    after = JobFolder(trained.with_suffix(".job")).read_spec().config
    assert after == dataclasses.replace(before, max_steps=200, schedule_steps=150, backend="cpu", threads=1)


def test_a_job_folder_alone_goes_on_to_its_end_and_further(dataset: Path, tmp_path: Path) -> None:
    output, job = tmp_path / "ball.ply", tmp_path / "ball.job"
    first = last_json(splatwright("train", dataset, "-o", output, *QUICK))
    assert_sentence(splatwright("resume", job), "trained to its end", "--further")
    assert_sentence(splatwright("resume", job, "--further", "-5"), "--further is -5")
    further = last_json(splatwright("resume", job, "--further", "100"))
    assert (further["steps"], further["gaussians"]) == (250, first["gaussians"]) and further["psnr"] > first["psnr"] - 0.2
    assert Path(further["output"]) == output and len(read_ply(output).gaussians) == 500
    assert JobFolder(job).read_spec().config.planned_steps == 150
    chosen = tmp_path / "other.spz"
    assert last_json(splatwright("resume", job, "--further", "50", "-o", chosen))["steps"] == 300 and chosen.exists()
    assert_sentence(splatwright("resume", tmp_path / "nowhere", "--further", "50"), "not a job folder")


def test_a_job_that_was_killed_past_its_end_goes_on_there(dataset: Path, tmp_path: Path) -> None:
    output, job = tmp_path / "ball.ply", JobFolder(tmp_path / "ball.job")
    last_json(splatwright("train", dataset, "-o", output, *QUICK))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen([sys.executable, "-m", "engine", "resume", str(job.path), "--further", "100000"], env=environment,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait_for_step(job, 300)
    assert_sentence(splatwright("resume", job.path, "--further", "50"), "is running")
    end_tree(job.worker_pid() or 0)
    running.wait(60)
    kept = load_checkpoint(job.checkpoint)
    assert kept and kept.step >= 150 and job.result.exists()
    config = job.read_spec().config
    job.write_spec(dataclasses.replace(job.read_spec(), config=config.lasting(kept.step + 50)))
    assert last_json(splatwright("resume", job.path))["steps"] == kept.step + 50


def wait_for_step(job: JobFolder, step: int) -> None:
    """Until a training tells that it is so far."""
    end = time.monotonic() + 100
    while max((event.step for event in job.last_events() if isinstance(event, Progress)), default=0) < step:
        assert time.monotonic() < end, job.log.read_text()
        time.sleep(0.1)


def test_every_view_is_told_and_the_table_can_be_kept(trained: Path, dataset: Path, tmp_path: Path) -> None:
    done = splatwright("evaluate", trained, "--output", tmp_path / "table.json")
    assert "PSNR/dB" in done.stdout and "view_008.png" in done.stdout and last_json(done)["views"] == 2
    kept = json.loads((tmp_path / "table.json").read_text())
    assert [row["name"] for row in kept["each"]] == ["view_000.png", "view_008.png"] and kept["psnr"] == last_json(done)["psnr"]
    assert last_json(splatwright("evaluate", trained.with_suffix(".job")))["psnr"] == kept["psnr"]


def test_what_is_said_of_a_rounding_format_is_of_that_file(dataset: Path, tmp_path: Path) -> None:
    figures = last_json(splatwright("train", dataset, "-o", tmp_path / "ball.splat", *QUICK))
    report = json.loads((tmp_path / "ball.job" / "report.json").read_text())
    measured = last_json(splatwright("evaluate", tmp_path / "ball.splat"))
    assert figures["psnr"] == pytest.approx(measured["psnr"], abs=0.01) and figures["psnr"] != pytest.approx(report["psnr"], abs=1e-4)


def test_a_dataset_that_holds_nothing_out_has_no_quality(dataset: Path, trained: Path, tmp_path: Path) -> None:
    folder = write_ball_dataset(tmp_path / "two", views=2).folder
    assert_sentence(splatwright("evaluate", trained, folder), "holds no views out")


def test_the_report_can_be_written_again(trained: Path) -> None:
    page = trained.with_suffix(".job") / "report.html"
    before = page.stat().st_mtime_ns
    done = splatwright("report", page.parent)
    assert done.returncode == 0 and str(page) in done.stdout and page.stat().st_mtime_ns > before
    assert_sentence(splatwright("report", page.parent / "checkpoint"), "not a job folder")


def test_an_orbit_as_a_film(trained: Path, tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    done = splatwright("render", trained.with_suffix(".job"), "-o", tmp_path / "orbit.mp4", "--frames", 8, "--resolution", 100)
    assert done.returncode == 0 and "8 frames" in done.stdout, done.stderr
    with av.open(str(tmp_path / "orbit.mp4")) as film:
        frames = [frame.to_ndarray(format="rgb24") for frame in film.decode(film.streams.video[0])]
    assert len(frames) == 8 and frames[0].shape == (56, 100, 3) and frames[0].max() > 100
    assert_sentence(splatwright("render", trained, "-o", tmp_path / "x", "--rate", 0), "positive")


def test_instant_splats_of_a_picture(tmp_path: Path) -> None:
    Image.new("RGB", (60, 40), (200, 80, 20)).save(tmp_path / "photo.png")
    np.save(tmp_path / "depth.npy", np.full((40, 60), 1500.0))
    done = splatwright("instant", tmp_path / "photo.png", "--depth", tmp_path / "depth.npy", "-o", tmp_path / "scene.spz")
    assert done.returncode == 0 and "2400 Gaussians" in done.stdout, done.stderr
    found = read_splats(tmp_path / "scene.spz").gaussians
    assert np.allclose(found.means[:, 1], 1.5, atol=1e-2)
    assert_sentence(splatwright("instant", tmp_path / "photo.png", "-o", tmp_path / "a.ply"), "--model", "--depth")
    np.save(tmp_path / "wrong.npy", np.ones((40, 40)))
    assert_sentence(splatwright("instant", tmp_path / "photo.png", "--depth", tmp_path / "wrong.npy", "-o", tmp_path / "a.ply"), "40 x 40")
    assert_sentence(splatwright("instant", tmp_path, "-o", tmp_path / "a.ply"), "cameras")
    assert not (tmp_path / "a.ply").exists()


def test_render_and_convert(trained: Path, dataset: Path, tmp_path: Path) -> None:
    done = splatwright("render", trained, dataset, "-o", tmp_path / "pictures", "--resolution", 32)
    assert done.returncode == 0, done.stderr
    pictures = sorted((tmp_path / "pictures").glob("*.png"))
    assert len(pictures) == 2 and Image.open(pictures[0]).size == (32, 32)
    assert splatwright("convert", trained, tmp_path / "copy.ply", "--axes", "BLENDER").returncode == 0
    assert len(read_ply(tmp_path / "copy.ply").gaussians) == len(read_ply(trained).gaussians)


@pytest.mark.parametrize("name", ["copy.compressed.ply", "copy.spz", "copy.splat"])
def test_convert_there_and_back(tmp_path: Path, name: str) -> None:
    write_ply(tmp_path / "ball.ply", colored_ball(50, sh_degree=1))
    there = splatwright("convert", tmp_path / "ball.ply", tmp_path / name)
    assert there.returncode == 0 and "50 Gaussians" in there.stdout, there.stderr
    assert ("it was left out" in there.stdout) == name.endswith(".splat")
    assert splatwright("convert", tmp_path / name, tmp_path / "back.ply").returncode == 0
    again = read_ply(tmp_path / "back.ply").gaussians
    assert len(again) == 50 and np.allclose(np.linalg.norm(again.means, axis=1), 1, atol=2e-3)


def test_convert_in_other_axes_and_an_older_version(tmp_path: Path) -> None:
    ball = colored_ball(5)
    write_ply(tmp_path / "ball.ply", ball)
    assert splatwright("convert", tmp_path / "ball.ply", tmp_path / "a.spz", "--source-axes", "BLENDER", "--axes", "OPENGL",
                       "--format", "SPZ_3").returncode == 0
    assert (tmp_path / "a.spz").read_bytes()[:2] == b"\x1f\x8b"
    expected = ball.means[:, [0, 2, 1]] * [1, -1, 1]  # as they stand in the file, which was said to be Blender's
    assert np.allclose(read_splats(tmp_path / "a.spz").gaussians.means, expected, atol=1e-3)


def test_convert_refuses_what_is_no_splat_file(tmp_path: Path) -> None:
    (tmp_path / "a.spz").write_bytes(b"hello")
    assert_sentence(splatwright("convert", tmp_path / "a.spz", tmp_path / "b.ply"), "not an SPZ")
    assert_sentence(splatwright("convert", tmp_path / "a.spz", tmp_path / "b.obj"), ".splat")
    assert [path.name for path in tmp_path.iterdir()] == ["a.spz"]


def test_a_sick_training_pauses_itself_and_goes_on_when_told_again(dataset: Path, tmp_path: Path) -> None:
    sick = ["train", dataset, "-o", tmp_path / "x.ply", *QUICK[2:], "--opacity-regularisation", 10, "--refine-until", 0, "--no-trial"]
    done = splatwright(*sick, "--max-steps", 100_000)
    assert_sentence(done, "paused itself at step", "have become transparent", "run the same command again")
    checkpoint = load_checkpoint(JobFolder(tmp_path / "x.job").checkpoint)
    assert checkpoint is not None and checkpoint.step > 50
    figures = last_json(splatwright(*sick, "--max-steps", checkpoint.step + 50))
    assert figures["steps"] == checkpoint.step + 50


def test_a_training_that_gets_worse_stops_at_the_smoke_test(dataset: Path, tmp_path: Path) -> None:
    assert_sentence(splatwright("train", dataset, "-o", tmp_path / "x.ply", *QUICK, "--lr-means", 1),
                    "first 100 steps did not", "lr_means is 1", "smoke test")
    assert not (tmp_path / "x.ply").exists()


def test_check_is_content_with_a_good_dataset(dataset: Path) -> None:
    done = splatwright("check", dataset)
    assert done.returncode == 0 and "14 views" in done.stdout


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert_sentence(splatwright("train", tmp_path / "nowhere", "-o", tmp_path / "x.ply"), "nowhere")


def test_a_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert_sentence(splatwright("check", tmp_path / "empty"), "empty")


def test_a_corrupt_image_is_named(tmp_path: Path) -> None:
    folder = write_ball_dataset(tmp_path / "data", views=6).folder
    image = folder / "images" / "view_003.png"
    image.write_bytes(image.read_bytes()[:200])
    done = splatwright("train", folder, "-o", tmp_path / "x.ply", *QUICK)
    assert done.returncode == 0 and "view_003.png is damaged and cannot be read. It is left out." in done.stderr
    assert "4 views to train on, 1 held out" in done.stderr


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    folder = write_ball_dataset(tmp_path / "data", views=6).folder
    (folder / "images" / "view_002.png").unlink()
    done = splatwright("train", folder, "-o", tmp_path / "x.ply", *QUICK)
    assert done.returncode == 0 and "not there (1 of 6): images/view_002.png" in done.stderr
    for image in (folder / "images").iterdir():
        image.unlink()
    assert_sentence(splatwright("train", folder, "-o", tmp_path / "y.ply", *QUICK), "images")


def test_a_pose_that_is_no_number_is_named(tmp_path: Path) -> None:
    folder = write_ball_dataset(tmp_path / "data", views=6).folder
    values = json.loads((folder / "transforms.json").read_text())
    values["frames"][4]["transform_matrix"][0][3] = float("nan")
    (folder / "transforms.json").write_text(json.dumps(values))
    done = splatwright("check", folder)
    assert done.returncode == 0 and "Frame 5 of transforms.json (images/view_004.png) is without a valid pose" in done.stderr


def test_an_output_that_is_no_ply(dataset: Path, tmp_path: Path) -> None:
    assert_sentence(splatwright("train", dataset, "-o", tmp_path / "x.obj"), ".ply")


def test_a_setting_out_of_range(dataset: Path, tmp_path: Path) -> None:
    assert_sentence(splatwright("train", dataset, "-o", tmp_path / "x.ply", "--sh-degree", 7), "sh_degree")


def test_a_missing_kernel_library(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLATWRIGHT_KERNELS", str(tmp_path / "none"))
    assert_sentence(splatwright("train", dataset, "-o", tmp_path / "x.ply", *QUICK), "kernel")


def test_a_folder_that_cannot_be_made(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "a file").write_text("")
    assert_sentence(splatwright("train", dataset, "-o", tmp_path / "a file" / "x.ply", *QUICK), "a file")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small disk"
    folder.mkdir()
    if not hasattr(os, "geteuid") or os.geteuid() != 0 or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=140k", "tmpfs", str(folder)], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=False)


@pytest.mark.parametrize("gaussians", [200, 500])
def test_a_full_disk_loses_nothing_and_leaves_nothing_half_written(dataset: Path, small_disk: Path, tmp_path: Path, gaussians: int) -> None:
    """The disk is too small for all: the training goes on, says so, waits where the result has no room until there is some, and what is
    written is whole."""
    command = [sys.executable, "-m", "engine", "train", str(dataset), "-o", str(small_disk / "x.ply"), *QUICK,
               "--max-gaussians", str(gaussians), "--checkpoint-seconds", "0.1", "--preview-seconds", "0.1"]
    log = tmp_path / "said.txt"
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=out, stderr=out)
    waits, begun = False, time.monotonic()
    while process.poll() is None and time.monotonic() < begun + 200:
        said = " ".join(log.read_text(encoding="utf-8").split())
        silent = time.monotonic() > begun + 60  # a disk may be too full for the word that it is
        if not waits and (silent or "result.ply could not be written" in said):
            waits = True
            subprocess.run(["mount", "-o", "remount,size=8m", str(small_disk)], check=True)
        time.sleep(0.1)
    assert process.poll() is not None
    said = " ".join(log.read_text(encoding="utf-8").lower().split())
    assert "disk is full" in said and "traceback" not in said
    assert not waits or (process.returncode == 0 and len(read_ply(small_disk / "x.ply").gaussians) > 0), said
    for path in small_disk.rglob("*.ply"):
        assert len(read_ply(path).gaussians) > 0
    assert not list(small_disk.rglob("*.tmp"))


def test_real_photos_with_a_colmap_model(tmp_path: Path) -> None:
    figures = last_json(splatwright("train", real("banana"), "-o", tmp_path / "banana.ply", "--max-steps", 200, "--resolution", 160,
                                    "--max-gaussians", 8000))
    assert figures["psnr"] > 12


def test_an_estimate_before_the_training(dataset: Path, tmp_path: Path) -> None:
    done = splatwright("estimate", dataset, *QUICK, "--backend", "cpu", cwd=tmp_path)
    assert done.returncode == 0 and "the training takes about" in done.stdout and " of disk." in done.stdout, done.stderr
    assert_sentence(splatwright("estimate", dataset, *QUICK, "--max-minutes", "0.001", cwd=tmp_path), "more than the 0.001 min that it may")
    assert_sentence(splatwright("estimate", tmp_path / "nowhere", cwd=tmp_path), "nowhere")
    assert list(tmp_path.iterdir()) == []


def test_an_estimate_can_be_stopped(dataset: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "engine", "estimate", str(dataset), "--max-gaussians", "50000"]
    process = subprocess.Popen(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.PIPE, text=True)
    while not list(tmp_path.glob(".estimates/*/events.jsonl")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130 and "Stopped." in said and "Traceback" not in said
    assert list(tmp_path.iterdir()) == []


def test_names_in_every_script_are_written_into_any_pipe(tmp_path: Path) -> None:
    """On Windows as UTF-8, whatever the code page of the country; elsewhere in the terminal's own, with ? for letters that it lacks."""
    JobFolder(tmp_path / "仕事").write_spec(JobSpec(tmp_path, TrainConfig(), "仕事"))
    plain = {name: value for name, value in os.environ.items() if name not in ("PYTHONIOENCODING", "PYTHONUTF8")}
    found = subprocess.run([sys.executable, "-m", "engine", "jobs", str(tmp_path)], cwd=ROOT, capture_output=True,
                           env={**plain, "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"})
    assert found.returncode == 0, found.stderr
    assert ("仕事" if os.name == "nt" else "??") in found.stdout.decode("utf-8")


def test_a_training_begins_with_an_earlier_one_and_keeps_to_a_region(dataset: Path, trained: Path, tmp_path: Path) -> None:
    """The whole way by --start, with a file and with a job's folder, and every sentence for starts and regions that cannot be."""
    before = JobFolder(trained.with_suffix(".job"))
    for name, start in (("file", trained), ("folder", before.path)):
        output = tmp_path / f"{name}.ply"
        figures = last_json(splatwright("train", dataset, "-o", output, *QUICK, "--start", start, "--region", "0 0 0 2.5 2.5 2.5"))
        first = json.loads(before.report.read_text())["psnr"]
        assert figures["psnr"] > first and figures["steps"] == 150
        spec = JobFolder(output.with_suffix(".job")).read_spec()
        assert spec.start_file == output.with_suffix(".job").resolve() / "start.ply" and spec.region
    assert said_by(splatwright("estimate", dataset, *QUICK, f"--start={trained}"))
    far = tmp_path / "far.ply"
    write_ply(far, dataclasses.replace(colored_ball(), means=colored_ball().means + np.float32(1e4)))
    for flags, words in ((["--start", far], ("lie elsewhere",)), (["--start", tmp_path], ("no finished training",)),
                         (["--start", tmp_path / "gone.ply"], ("does not exist",)), (["--region", "1 2 3"], ("is no region",)),
                         (["--region", "0 0 0 1 1 0"], ("no room",)), (["--region", "0 0 5000 1 1 1"], ("No camera sees the region",))):
        assert_sentence(splatwright("train", dataset, "-o", tmp_path / "none.ply", *QUICK, *flags), *words)


def said_by(done: subprocess.CompletedProcess[str]) -> str:
    """What a command that succeeded has said."""
    assert done.returncode == 0, done.stderr
    return done.stdout
