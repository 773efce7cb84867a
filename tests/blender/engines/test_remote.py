"""Trainings on another computer, from the buttons: a real server in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.untyped import bpy

from ..conftest import module
from ..jobs.training import Desk
from ..panels.test_panels import Layout

pytest.importorskip("uvicorn", reason="the server's packages are not installed beside this Blender")
pytest.importorskip("tyro", reason="the command line's packages are not installed beside this Blender")

from tests.processes import kill
from tests.scenes import write_ball_dataset
from tests.server.serving import TOKEN, Server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("serve"), "--gpus", "cpu", "--price-per-hour", "2")
    yield made
    made.close()


@pytest.fixture
def desk(tmp_path: Path, server: Server) -> Iterator[Desk]:
    made = Desk(tmp_path)
    made.dataset = write_ball_dataset(tmp_path / "ball").folder
    bpy.context.scene.splatwright.train.dataset = str(made.dataset)
    bpy.ops.splatwright.add_engine()
    entry = made.preferences.engines[-1]
    entry.name, entry.url, entry.token = "Rented", server.url, TOKEN
    made.preferences.engine = str(entry.number)
    bpy.context.scene.splatwright.train.dataset = str(write_ball_dataset(tmp_path / "ball").folder)
    yield made
    made.close()
    while made.preferences.engines:
        bpy.ops.splatwright.remove_engine(number=made.preferences.engines[0].number)
    assert made.preferences.engine == "HERE"
    module("addon.engines.remote").close_all()


def train(desk: Desk, steps: int) -> None:
    settings = bpy.context.scene.splatwright.train
    settings.max_steps, settings.max_gaussians, settings.threads = steps, 500, 1
    assert bpy.ops.splatwright.train() == {"FINISHED"}
    desk._name = bpy.context.scene.splatwright.job


def test_a_training_at_the_rented_engine_comes_into_the_scene(desk: Desk) -> None:
    train(desk, 100)
    desk.wait(lambda: desk.job.state.value == "finished" and desk.job.imported)
    assert desk.splats() is not None and desk.job.gaussians > 0 and not desk.job.failure
    assert isinstance(desk.job.engine, module("engine.remote.engine").RemoteEngine)
    assert desk.folder.parent.parent.name == "remote" and desk.folder.joinpath("result.ply").exists()
    assert bpy.ops.splatwright.open_report.poll(), "the report came with the result"


def test_a_training_is_deleted_at_the_engine_and_stays_here(desk: Desk, server: Server) -> None:
    train(desk, 50)
    assert not bpy.ops.splatwright.delete_remote_job.poll()
    desk.wait(lambda: desk.job.state.value == "finished" and desk.job.imported)
    layout = Layout()
    module("addon.panels.train").draw_outcome(layout, desk.job)
    assert "delete_remote_job" in layout.operators
    there = set(server.jobs().glob("*/job.json"))
    assert bpy.ops.splatwright.delete_remote_job() == {"FINISHED"}
    desk.wait(lambda: not desk.job.kept_there)
    assert len(set(server.jobs().glob("*/job.json"))) == len(there) - 1
    assert desk.splats() is not None and desk.folder.joinpath("result.ply").exists() and not bpy.ops.splatwright.delete_remote_job.poll()
    layout = Layout()
    module("addon.panels.train").draw_outcome(layout, desk.job)
    assert "delete_remote_job" not in layout.operators


def test_pause_stop_and_what_the_panel_says(desk: Desk) -> None:
    train(desk, 1_000_000)
    desk.wait(lambda: desk.job.step > 0 and not desk.job.stage)
    layout = Layout()
    module("addon.panels.train").draw_running(layout, desk.job)
    assert any("$ so far" in text for text in layout.texts)
    bpy.ops.splatwright.pause()
    desk.wait(lambda: desk.job.state.value == "paused")
    bpy.ops.splatwright.resume()
    desk.wait(lambda: desk.job.state.value == "running")
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.state.value == "finished" and desk.job.imported)
    assert desk.splats() is not None


def test_blender_reopens_and_finds_the_training(desk: Desk, server: Server) -> None:
    train(desk, 1_000_000)
    desk.wait(lambda: desk.job.step > 0 and not desk.job.stage)
    desk.jobs._watched.clear()
    module("addon.engines.remote").close_all()
    desk.preferences.engine = "HERE"  # where new trainings go does not matter to those that run
    desk.jobs.attach()
    desk.wait(lambda: desk.job is not None and desk.job.state.value == "running")
    worker = next(server.folder.glob("clients/*/jobs/*/heartbeat"))
    before = desk.job.step
    kill(json.loads(worker.read_text())["pid"])
    desk.wait(lambda: desk.job.step > before + 100)
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.state.value == "finished")


def test_the_list_in_the_preferences(desk: Desk, server: Server) -> None:
    remote = module("addon.engines.remote")
    bpy.ops.splatwright.add_engine()
    first, second = desk.preferences.engines
    assert first.number != second.number
    second.url = "http://127.0.0.1:1"
    assert remote.ask(first.address())[0] and not remote.ask(second.address())[0]
    remote.begin_asking(first.number, first.address()).join()
    layout = Layout()
    remote.draw(layout, desk.preferences)
    assert layout.properties == ["engine", *["name", "url", "token", "certificate"] * 2]
    assert any(text.startswith("Ready: cpu") for text in layout.texts)
    bpy.ops.splatwright.remove_engine(number=second.number)
    assert remote.chosen(desk.preferences).name == "Rented"


def test_a_wrong_token_is_a_sentence_in_the_panel(desk: Desk) -> None:
    desk.preferences.engines[-1].token = "nobody-knows-this-token"
    train(desk, 100)
    desk.wait(lambda: desk.job.state.value == "failed")
    assert "token" in desk.job.failure.message and desk.job.failure.hint


def test_no_network_without_leave(desk: Desk) -> None:
    remote = module("addon.engines.remote")
    entry = SimpleNamespace(address=lambda: module("engine.remote.http").Address("https://gpu.example.org:8787", TOKEN))
    if bpy.app.online_access:
        assert remote.engine_at(entry, desk.root).address.url.startswith("https")
    else:
        with pytest.raises(module("engine.core.errors").UserError, match="network"):
            remote.engine_at(entry, desk.root)
    assert remote.is_near("http://localhost:8787") and not remote.is_near("http://192.168.1.5:1")


def rows_of_self_check(desk: Desk) -> dict[str, str]:
    """Subjects and states of the self-check's list."""
    assert bpy.ops.splatwright.self_check() == {"FINISHED"}
    self_check = module("addon.engines.self_check")
    desk.wait(lambda: not self_check.running())
    found = {row.subject: row.state for row in self_check.result().rows}
    assert bpy.ops.splatwright.copy_self_check() == {"FINISHED"} and self_check.result().report
    self_check.close()
    return found


def test_the_self_check_is_about_the_engine_that_is_chosen(desk: Desk) -> None:
    entry = desk.preferences.engines[-1]
    assert rows_of_self_check(desk) == {"Reachable": "well", "Token": "well", "Version": "well", "Graphics card": "absent", "Disk": "well"}
    entry.token = "another-token-than-the-engines"
    assert rows_of_self_check(desk) == {"Reachable": "well", "Token": "broken"}
    entry.url = "http://127.0.0.1:1"
    assert rows_of_self_check(desk) == {"Reachable": "broken"}
    desk.preferences.engine = "HERE"
    assert "Built-in engine" in rows_of_self_check(desk)
