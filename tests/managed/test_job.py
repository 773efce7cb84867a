"""`splatwright job` as a service runs it: its folders, settings in texts, SIGTERM, another machine, and how it tells its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from engine.core.formats.registry import read_splats
from engine.core.protocol.config import PRESETS
from engine.core.protocol.folder import JobFolder
from engine.training.checkpoint import load_checkpoint
from tests.scenes import write_ball_dataset

ROOT = Path(__file__).resolve().parents[2]
SHORT = {"max_steps": "200", "max_gaussians": "500", "resolution": "64", "threads": "1", "sh_degree": "1"}
ENDLESS = {**SHORT, "max_steps": "1000000", "checkpoint_seconds": "0.3"}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="services run Linux containers")


class Container:
    """A bare root folder with the places of SageMaker, and the command as it runs in it."""

    def __init__(self, root: Path, settings: dict[str, str]):
        self.root, self.lines = root, []
        self.ml = root / "opt" / "ml"
        for name in ("input/config", "input/data", "model", "output"):
            (self.ml / name).mkdir(parents=True, exist_ok=True)
        (self.ml / "input" / "config" / "hyperparameters.json").write_text(json.dumps(settings))

    def channel(self, name: str, dataset: Path) -> None:
        (self.ml / "input" / "data" / name).symlink_to(dataset, target_is_directory=True)

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "engine", "job", "train", "--root", str(self.root), *words]
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **variables}, text=True, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT)
        threading.Thread(target=self._read, args=(process,), daemon=True).start()
        return process

    def run(self, *words: str, **variables: str) -> int:
        return self.start(*words, **variables).wait(120)

    def failure(self) -> str:
        return (self.ml / "output" / "failure").read_text()

    def wait(self, text: str, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while text not in self.log:
            assert time.monotonic() < end, self.log
            time.sleep(0.05)

    @property
    def log(self) -> str:
        return "\n".join(self.lines)

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        for line in process.stdout:
            self.lines.append(line.rstrip())


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_ball_dataset(tmp_path_factory.mktemp("data")).folder


def kept_step(checkpoints: Path) -> int:
    state = load_checkpoint(checkpoints)
    return state.step if state else -1


def no_worker_is_left(container: Container) -> bool:
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return not any("engine.worker" in line and str(container.root) in line for line in listed.splitlines())


def test_a_training_from_start_to_end(tmp_path: Path, dataset: Path) -> None:
    """Values are texts, some as JSON; a setting of the service's own is passed over; the failure of an earlier run goes."""
    container = Container(tmp_path, {**SHORT, "preset": '"quick-look"', "smoke_test": "false", "format": "spz", "sagemaker_region": '"x"'})
    container.channel("training", dataset)
    (container.ml / "output" / "failure").write_text("of an earlier run")
    assert container.run() == 0, container.log
    assert len(read_splats(container.ml / "model" / "scene.spz").gaussians) > 0
    assert {"report.json", "report.html", "thumbnail.png"} <= {path.name for path in (container.ml / "model").iterdir()}
    assert json.loads((container.ml / "model" / "report.json").read_text())["step"] == 200
    assert not (container.ml / "output" / "failure").exists() and "SageMaker: input" in container.log and "done:" in container.log
    spec = JobFolder(container.ml / "checkpoints").read_spec()
    asked = {name: value for name, value in PRESETS["quick-look"].settings.items() if name not in SHORT}
    assert {name: getattr(spec.config, name) for name in asked} == asked and not spec.config.smoke_test


def test_a_result_that_cannot_be_handed_over_is_a_failure_with_a_sentence(tmp_path: Path, dataset: Path) -> None:
    container = Container(tmp_path, {**SHORT, "smoke_test": "false"})
    container.channel("training", dataset)
    (container.ml / "model" / "report.json").mkdir()
    assert container.run() == 1 and "Traceback" not in container.log, container.log
    assert "report.json" in container.failure() and kept_step(container.ml / "checkpoints") == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_writes_a_checkpoint_and_another_machine_goes_on(tmp_path: Path, dataset: Path, number: int) -> None:
    first = Container(tmp_path / "first", ENDLESS)
    first.channel("training", dataset)
    process = first.start()
    first.wait("step ")
    begin = time.monotonic()
    process.send_signal(number)
    assert process.wait(30) == 75, first.log
    assert time.monotonic() - begin < 15
    step = kept_step(first.ml / "checkpoints")
    assert f"interrupted at step {step}." in first.failure() and "Start the job again" in first.failure() and step > 0
    second = Container(tmp_path / "second", {**ENDLESS, "max_steps": str(step + 100)})
    second.channel("training", write_ball_dataset(tmp_path / "elsewhere").folder)
    os.rename(first.ml / "checkpoints", second.ml / "checkpoints")
    assert second.run() == 0, second.log
    assert "going on from the checkpoint that is kept" in second.log and f"step {step}" in second.log
    assert json.loads((second.ml / "model" / "report.json").read_text())["step"] == step + 100
    assert no_worker_is_left(first) and no_worker_is_left(second)


def test_a_signal_before_the_first_step(tmp_path: Path, dataset: Path) -> None:
    """While images are read there is nothing to keep, and nothing to wait for."""
    container = Container(tmp_path, ENDLESS)
    container.channel("training", dataset)
    process = container.start()
    container.wait("dataset:")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 75 and "interrupted at step" in container.failure(), container.log
    assert no_worker_is_left(container)


def test_a_machine_that_is_lost_without_a_word_costs_seconds(tmp_path: Path, dataset: Path) -> None:
    container = Container(tmp_path / "first", ENDLESS)
    container.channel("training", dataset)
    process = container.start("--work", str(tmp_path / "work"))
    container.wait("step ")
    end = time.monotonic() + 30
    while kept_step(container.ml / "checkpoints") < 200:
        assert time.monotonic() < end
        time.sleep(0.1)
    process.kill()
    process.wait()
    kept, lost = kept_step(container.ml / "checkpoints"), kept_step(tmp_path / "work" / "scene" / "checkpoint")
    assert 0 < kept <= lost
    other = Container(tmp_path / "second", {**SHORT, "max_steps": str(kept + 50)})
    other.channel("training", dataset)
    os.rename(container.ml / "checkpoints", other.ml / "checkpoints")
    assert other.run() == 0, other.log
    assert f"step {kept}" in other.log


def test_a_damaged_newest_checkpoint_is_passed_over(tmp_path: Path, dataset: Path) -> None:
    """As a copy that was cut off leaves it."""
    container = Container(tmp_path, ENDLESS)
    container.channel("training", dataset)
    process = container.start()
    end = time.monotonic() + 60
    while not (container.ml / "checkpoints" / "previous.npz").exists():
        assert time.monotonic() < end, container.log
        time.sleep(0.1)
    process.terminate()
    assert process.wait(30) == 75
    newest = container.ml / "checkpoints" / "state.npz"
    newest.write_bytes(newest.read_bytes()[:1000])
    step = kept_step(container.ml / "checkpoints")
    assert step > 0
    assert container.run("--settings", f"max_steps={step + 10}") == 0, container.log


@pytest.mark.parametrize(("settings", "channels", "said"), [
    (SHORT, (), "the images|no dataset"),
    ({**SHORT, "max_stepz": "3"}, ("training",), "max_stepz, which is no setting"),
    ({**SHORT, "max_steps": "many"}, ("training",), "max_steps is 'many', not a number"),
    ({**SHORT, "preset": "best"}, ("training",), "preset is 'best'. Choose one of: quick-look"),
    ({**SHORT, "format": "obj"}, ("training",), "format is 'obj'. Choose one of: ply"),
    ({**SHORT, "budget_cost": "3"}, ("training",), "no price per hour"),
    (SHORT, ("left", "right"), "several channels: left, right. Name the one"),
    ({**SHORT, "channel": "up"}, ("left", "right"), "no channel 'up'"),
])
def test_bad_input_is_told_in_the_failure_file(tmp_path: Path, dataset: Path, settings: dict[str, str], channels: tuple[str, ...],
                                               said: str) -> None:
    container = Container(tmp_path, settings)
    for name in channels:
        container.channel(name, dataset)
    assert container.run() == 2, container.log
    assert any(text in container.failure() for text in said.split("|")) and "Traceback" not in container.log, container.failure()
    assert len(container.failure()) <= 1024 and no_worker_is_left(container)


def test_settings_that_are_no_json_and_places_that_are_missing(tmp_path: Path) -> None:
    container = Container(tmp_path, SHORT)
    (container.ml / "input" / "config" / "hyperparameters.json").write_text("max_steps: 3")
    assert container.run() == 2 and "not valid JSON" in container.failure()
    failure = str(tmp_path / "why")
    for words, said in (((), "Give it with --input"), (("--input", str(tmp_path)), "Give it with --model"),
                        (("--input", str(tmp_path), "--model", str(tmp_path / "m")), "--checkpoints")):
        assert container.run("--service", "folders", "--failure", failure, *words) == 2
        assert said in Path(failure).read_text()
    assert container.run("--service", "nobody") == 2


def test_a_worker_that_breaks_is_another_status_than_bad_input(tmp_path: Path, dataset: Path) -> None:
    container = Container(tmp_path, ENDLESS)
    container.channel("training", dataset)
    process = container.start("--work", str(tmp_path / "work"))
    container.wait("step ")
    os.kill(JobFolder(tmp_path / "work" / "scene").worker_pid() or 0, signal.SIGKILL)
    assert process.wait(30) == 1 and "goes on from its checkpoint" in container.failure()


def test_a_budget_ends_it_with_its_result(tmp_path: Path, dataset: Path) -> None:
    container = Container(tmp_path, {**ENDLESS, "budget_cost": "5"})
    container.channel("training", dataset)
    assert container.run("--price-per-hour", "3600", "--currency", "€") == 0, container.log
    assert "/ 5 €" in container.log and (container.ml / "model" / "scene.ply").exists()


def test_vertex_names_its_folders_in_variables(tmp_path: Path, dataset: Path) -> None:
    container = Container(tmp_path, {})
    bucket = tmp_path / "gcs" / "bucket"
    bucket.mkdir(parents=True)
    (bucket / "photos").symlink_to(dataset, target_is_directory=True)
    settings = [f"{name}={value}" for name, value in SHORT.items()]
    assert container.run("--input", "gs://bucket/photos", "--settings", *settings, AIP_MODEL_DIR="gs://bucket/job/model/",
                         AIP_CHECKPOINT_DIR="gs://bucket/job/checkpoints/") == 0, container.log
    assert (bucket / "job" / "model" / "scene.ply").exists() and (bucket / "job" / "checkpoints" / "state.npz").exists()
    assert "Vertex AI: input" in container.log


def test_folders_by_options_and_a_full_network_disk(tmp_path: Path, dataset: Path) -> None:
    """A folder of checkpoints that refuses is a warning; the training goes on."""
    container = Container(tmp_path, {})
    parameters: dict[str, Any] = {name: json.loads(value) for name, value in SHORT.items()}
    (tmp_path / "settings.json").write_text(json.dumps({**parameters, "max_steps": 3000, "checkpoint_seconds": 0.3}))
    process = container.start("--service", "folders", "--input", str(dataset), "--parameters", str(tmp_path / "settings.json"),
                              "--checkpoints", str(tmp_path / "kept"), "--model", str(tmp_path / "made"))
    container.wait("views to train on")
    (tmp_path / "kept").rename(tmp_path / "away")
    assert process.wait(60) == 0, container.log
    assert "the checkpoint could not be kept" in container.log and (tmp_path / "made" / "scene.ply").exists()
