"""Trainings in Blender: real workers of the fake engine, real job folders; the timer is turned by hand because none ticks here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import addon_utils
import numpy as np
import pytest

from tests.fakes.fake_engine import FINAL_SPLATS, FIRST_SPLATS, SPLATS_A_TURN, fake_python
from tests.untyped import bpy

from ..conftest import EXTENSION, REPOSITORY, empty_scene, module
from .training import JOBS, Desk


def splat_count(desk: Desk) -> int:
    found = desk.splats()
    return len(found.data.points) if found else 0


def test_a_training_shows_previews_and_brings_its_result_home(desk: Desk) -> None:
    desk.train("happy")
    assert desk.job.state.alive and splat_count(desk) == 0
    desk.wait(lambda: splat_count(desk) > 0)
    made = desk.splats()
    assert FIRST_SPLATS < splat_count(desk) <= FIRST_SPLATS + 10 * SPLATS_A_TURN
    desk.wait(lambda: desk.job.imported)
    assert desk.job.state.value == "finished" and desk.splats() == made
    assert splat_count(desk) == FINAL_SPLATS and made.matrix_world.is_identity
    assert desk.job.psnr == 31.5 and desk.job.gaussians == FINAL_SPLATS and desk.job.fraction == 1.0
    assert [finding.message for finding in desk.job.findings] == ["3 of 20 images are black."]
    assert Path(made.splatwright.source).name == "result.ply"


def test_the_result_lies_where_the_file_says(desk: Desk) -> None:
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    read = np.empty(3 * FINAL_SPLATS, np.float32)
    desk.splats().data.attributes["position"].data.foreach_get("vector", read)
    expected = module("engine.core.formats.ply").read_ply(desk.folder / "result.ply").gaussians.means
    np.testing.assert_allclose(read.reshape(-1, 3), expected, atol=1e-6)


def test_the_timer_ends_when_nothing_is_left_to_follow(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("addon.jobs.job_status"), "LINGER_SECONDS", 0.0)
    desk.train("happy")
    assert bpy.app.timers.is_registered(desk.jobs.poll)
    assert desk.jobs.poll() == desk.jobs.INTERVAL
    desk.wait(lambda: desk.job.imported)
    assert desk.jobs.poll() is None


def test_one_undo_step_for_the_whole_training(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    pushed = []
    monkeypatch.setattr(bpy.ops, "ed", SimpleNamespace(undo_push=lambda message: pushed.append(message)))
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    assert pushed == ["Train Splats"]


def test_pause_resume_and_stop(desk: Desk) -> None:
    desk.train("slow")
    desk.wait(lambda: desk.job.step > 0)
    bpy.ops.splatwright.pause()
    desk.wait(lambda: desk.job.state.value == "paused")
    assert not bpy.ops.splatwright.pause.poll() and bpy.ops.splatwright.resume.poll()
    resting = desk.job.step
    desk.turn(0.4)
    assert desk.job.step == resting
    bpy.ops.splatwright.resume()
    desk.wait(lambda: desk.job.step > resting)
    bpy.ops.splatwright.stop()
    assert desk.job.stopping and not bpy.ops.splatwright.stop.poll()
    desk.wait(lambda: desk.job.imported)
    assert desk.job.stopped and splat_count(desk) == FINAL_SPLATS


def test_a_crash_is_an_interruption_and_resume_goes_on(desk: Desk) -> None:
    desk.train("crashing")
    desk.wait(lambda: desk.job.state.value == "interrupted")
    assert 0 < desk.job.fraction < 1 and splat_count(desk) > 0
    step, made = desk.job.step, desk.splats()
    bpy.ops.splatwright.resume()
    assert desk.job.state.alive
    desk.wait(lambda: desk.job.imported)
    assert desk.job.step > step and desk.splats() == made and splat_count(desk) == FINAL_SPLATS


def test_a_failure_says_why(desk: Desk) -> None:
    desk.train("failing")
    desk.wait(lambda: not desk.job.state.alive)
    assert desk.job.state.value == "failed" and "out of memory" in desk.job.failure.message and desk.job.failure.hint
    assert bpy.ops.splatwright.train.poll() and bpy.ops.splatwright.resume.poll()


def test_resumed_with_the_engine_that_was_installed_meanwhile(desk: Desk) -> None:
    desk.train("failing")
    desk.wait(lambda: desk.job.state.value == "failed")
    desk.use(fake_python(desk.root / "engines", "happy"))
    assert bpy.ops.splatwright.resume() == {"FINISHED"}
    desk.wait(lambda: desk.job.imported)
    assert desk.job.state.value == "finished"


def test_garbage_is_passed_over(desk: Desk) -> None:
    desk.train("garbage")
    desk.wait(lambda: desk.job.imported)
    assert desk.job.state.value == "finished" and splat_count(desk) == FINAL_SPLATS


def test_a_garbled_result_is_said_and_the_preview_stays(desk: Desk) -> None:
    desk.train("garbled_result")
    desk.wait(lambda: desk.job.imported)
    assert desk.job.findings[-1].severity == "error" and splat_count(desk) > 0
    assert bpy.ops.splatwright.resume.poll()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_hanging_worker_is_noticed_ended_and_resumed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("addon.jobs.job_status"), "HEARTBEAT_LOST_SECONDS", 0.5)
    desk.train("hanging")
    desk.wait(lambda: desk.job.step > 0 and desk.job.lost)
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.state.value == "interrupted")
    bpy.ops.splatwright.resume()
    desk.wait(lambda: desk.job.imported)


def test_an_engine_that_cannot_start_is_one_sentence(desk: Desk, tmp_path: Path) -> None:
    desk.use(tmp_path / "no-such-python")
    with pytest.raises(RuntimeError, match="could not be started"):
        bpy.ops.splatwright.train()


def test_a_deleted_object_gets_no_more_previews_but_the_result(desk: Desk) -> None:
    desk.train("slow")
    desk.wait(lambda: splat_count(desk) > 0)
    bpy.data.objects.remove(desk.splats())
    step = desk.job.step
    desk.wait(lambda: desk.job.step > step + 3)
    assert desk.splats() is None
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    assert splat_count(desk) == FINAL_SPLATS


def test_undo_takes_neither_the_training_nor_its_previews(desk: Desk) -> None:
    bpy.context.preferences.edit.use_global_undo = True
    bpy.ops.ed.undo_push(message="before")
    bpy.ops.object.empty_add()
    bpy.ops.ed.undo_push(message="an empty")
    desk.train("slow")
    desk.wait(lambda: splat_count(desk) > 0)
    bpy.ops.ed.undo()
    assert not [found for found in bpy.data.objects if found.type == "EMPTY"]
    assert bpy.context.scene.splatwright.job == desk.name
    desk.wait(lambda: splat_count(desk) > 0)
    bpy.ops.ed.redo()
    desk.wait(lambda: splat_count(desk) > 0)
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    assert splat_count(desk) == FINAL_SPLATS


def test_the_users_placement_survives_previews_and_result(desk: Desk) -> None:
    desk.train("slow")
    desk.wait(lambda: splat_count(desk) > 0)
    desk.splats().location = (1, 2, 3)
    desk.splats().name = "Mine"
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    assert tuple(desk.splats().location) == (1, 2, 3) and desk.splats().name == "Mine"


def test_a_reopened_file_finds_its_training_again(desk: Desk, tmp_path: Path) -> None:
    desk.train("slow")
    desk.wait(lambda: splat_count(desk) > 0)
    step = desk.job.step
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    empty_scene()
    assert desk.jobs.watched() == [] and bpy.data.objects.get("Splats") is None
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    assert bpy.context.scene.splatwright.job == desk.name
    desk.wait(lambda: desk.job.step > step)
    assert desk.job.state.value == "running"
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    assert splat_count(desk) == FINAL_SPLATS
    assert len([found for found in bpy.data.objects if found.splatwright.job]) == 1


def test_a_training_outlives_the_blender_that_began_it(desk: Desk, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.blender.jobs.leave_training", str(tmp_path / "other")]
    said = tmp_path / "said.txt"
    with open(said, "wb") as file:  # no pipe: whatever goes on might keep it open
        status = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, cwd=REPOSITORY, timeout=100).returncode
    assert status == 0, said.read_text(errors="replace")
    name, step = said.read_text(errors="replace").split("LEFT ")[1].split()[:2]
    desk.preferences.jobs_folder = str(tmp_path / "other" / JOBS)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "other" / "scene.blend"))
    assert desk.name == name
    desk.wait(lambda: desk.job.step > int(step))
    assert desk.job.state.value == "running" and len(desk.choice.engine().jobs()) == 1
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    assert splat_count(desk) == FINAL_SPLATS
    assert len([found for found in bpy.data.objects if found.splatwright.job]) == 1


def test_a_worker_that_died_while_blender_was_closed_is_an_interruption(desk: Desk, tmp_path: Path) -> None:
    desk.train("slow")
    desk.wait(lambda: splat_count(desk) > 0 and desk.job.step > 0)
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    empty_scene()
    desk.choice.engine().kill(desk.name)
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    desk.wait(lambda: desk.job.state.value == "interrupted" and desk.job.step > 0)
    bpy.ops.splatwright.resume()
    step = desk.job.step
    desk.wait(lambda: desk.job.step > step)


def test_a_result_comes_home_once(desk: Desk, tmp_path: Path) -> None:
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    bpy.data.objects.remove(desk.splats())
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    desk.turn(0.5)
    assert desk.job.state.value == "finished" and desk.splats() is None


def test_a_training_that_ended_while_the_file_was_closed_comes_home(desk: Desk, tmp_path: Path) -> None:
    desk.train("happy")
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "scene.blend"))
    empty_scene()
    engine = desk.choice.engine()
    desk.wait(lambda: engine.state(desk.name).value == "finished")
    bpy.ops.wm.open_mainfile(filepath=str(tmp_path / "scene.blend"))
    desk.wait(lambda: desk.job.imported)
    assert splat_count(desk) == FINAL_SPLATS


def test_an_earlier_training_can_be_shown_in_another_file(desk: Desk) -> None:
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    empty_scene()
    bpy.ops.splatwright.open_earlier_training(job=desk.name)
    desk.wait(lambda: desk.job.imported)
    assert splat_count(desk) == FINAL_SPLATS


def test_resuming_a_finished_training_brings_home_again(desk: Desk) -> None:
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    bpy.ops.splatwright.resume()
    assert not desk.job.imported and not bpy.context.scene.splatwright.imported_job
    desk.wait(lambda: desk.job.imported)


def test_another_jobs_folder_does_not_lose_a_running_training(desk: Desk, tmp_path: Path) -> None:
    desk.train("slow")
    desk.wait(lambda: desk.job.step > 0)
    desk.preferences.jobs_folder = str(tmp_path / "elsewhere")
    step = desk.job.step
    desk.wait(lambda: desk.job.step > step)
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)


def test_no_splats_change_under_a_render(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    rendering = True
    app = SimpleNamespace(is_job_running=lambda kind: rendering)
    blender = SimpleNamespace(app=app, context=bpy.context, data=bpy.data, ops=bpy.ops)
    monkeypatch.setattr(module("addon.jobs.training_results"), "bpy", blender)
    desk.train("happy")
    desk.wait(lambda: desk.job.state.value == "finished")
    desk.turn(0.3)
    assert desk.splats() is None and bpy.app.timers.is_registered(desk.jobs.poll)
    rendering = False
    desk.wait(lambda: desk.job.imported)


def test_many_splats_take_the_place_of_the_former_at_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module("addon.jobs.training_results"), "WRITTEN_AT_ONCE", 0)
    monkeypatch.setattr(module("addon.jobs.jobs"), "SHOWING_SECONDS", 0.0)  # a tick takes one step
    bpy.context.preferences.edit.use_global_undo = True
    for message in ("before", "an empty"):
        bpy.ops.ed.undo_push(message=message)
        bpy.ops.object.empty_add()
    desk.train("slow")
    desk.wait(lambda: splat_count(desk) > 0)
    twin = bpy.data.objects.new("Twin", desk.splats().data)
    material = desk.splats().data.materials[0] = bpy.data.materials.new("Mine")
    before = desk.splats().data
    desk.wait(lambda: desk.splats().data != before)
    assert twin.data == desk.splats().data and twin.data.name == "Splats" and twin.data.materials[0] == material
    desk.wait(lambda: len(bpy.data.pointclouds) == 2)  # the next ones are being filled beside
    assert twin.data == desk.splats().data
    bpy.ops.ed.undo()
    assert len(bpy.data.pointclouds) <= 1 and desk.job.showing is None
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    assert splat_count(desk) == FINAL_SPLATS and len(bpy.data.pointclouds) == 1


def test_panels_are_drawn_anew_when_something_changed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[int] = []
    monkeypatch.setattr(desk.jobs, "redraw_sidebars", lambda: drawn.append(1))
    desk.train("slow")
    desk.wait(lambda: desk.job.step > 0)
    bpy.ops.splatwright.pause()
    desk.wait(lambda: desk.job.state.value == "paused" and desk.job.showing is None)
    desk.turn(0.3)
    drawn.clear()
    desk.turn(0.5)
    assert not drawn
    bpy.ops.splatwright.resume()
    desk.wait(lambda: len(drawn) > 2)
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)


def test_a_converted_object_is_left_alone(desk: Desk) -> None:
    desk.train("slow")
    desk.wait(lambda: splat_count(desk) > 0)
    mesh = bpy.data.objects.new("Mine", bpy.data.meshes.new("Mine"))
    mesh.splatwright.job = desk.name
    bpy.data.objects.remove(desk.splats())
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.imported)
    assert splat_count(desk) == FINAL_SPLATS and mesh.type == "MESH"


COST = 0.1  # s


def test_previews_take_a_fifth_of_the_time_at_most(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[float] = []
    read = module("addon.jobs.training_results").read_ply

    def costly(path: Path) -> object:
        begun.append(time.monotonic())
        time.sleep(COST)
        return read(path)

    monkeypatch.setattr(module("addon.jobs.training_results"), "read_ply", costly)
    desk.train("slow")
    desk.wait(lambda: len(begun) > 4)
    assert all(following - one >= 5 * COST for one, following in pairwise(begun)), "however slow the computer is"


def test_reading_keeps_to_its_budget(desk: Desk) -> None:
    desk.train("happy")
    desk.wait(lambda: desk.job.imported)
    line = (desk.folder / "events.jsonl").read_text().splitlines()[2]
    (desk.folder / "events.jsonl").write_text((line + "\n") * 100_000)
    job = module("addon.jobs.job_status").WatchedJob(desk.name, desk.choice.engine())
    assert not job.follow(time.monotonic() + desk.jobs.BUDGET_SECONDS)
    assert 0 < job.cursor < (desk.folder / "events.jsonl").stat().st_size


def test_disabling_leaves_no_timer_and_no_handler(desk: Desk) -> None:
    desk.train("slow")
    desk.wait(lambda: desk.job.step > 0)
    name, engine = desk.name, desk.choice.engine()
    addon_utils.disable(EXTENSION)
    assert not bpy.app.timers.is_registered(desk.jobs.poll)
    for kind in ("load_post", "undo_pre", "undo_post", "redo_pre", "redo_post"):
        assert not [item for item in getattr(bpy.app.handlers, kind) if item.__module__.startswith(EXTENSION)]
    assert engine.state(name).alive
    addon_utils.enable(EXTENSION)
    desk.jobs.attach()
    desk.wait(lambda: desk.job.step > 0)
    engine.kill(name)


def test_train_says_what_is_missing(desk: Desk, tmp_path: Path) -> None:
    problem = module("addon.operators.training").problem
    settings = bpy.context.scene.splatwright.train
    settings.dataset = ""
    assert "no dataset yet" in problem(bpy.context.scene) and not bpy.ops.splatwright.train.poll()
    settings.dataset = str(tmp_path / "nowhere")
    assert "no dataset" in problem(bpy.context.scene)
    (tmp_path / "empty").mkdir()
    settings.dataset = str(tmp_path / "empty")
    assert problem(bpy.context.scene) == ""
    with pytest.raises(RuntimeError, match="holds no dataset"):
        bpy.ops.splatwright.train()
    assert bpy.context.scene.splatwright.job == "" and desk.choice.engine().jobs() == []


def test_the_operator_submits_what_the_function_does(desk: Desk) -> None:
    settings = bpy.context.scene.splatwright.train
    settings.max_steps, settings.background, settings.seed = 77, "white", 5
    desk.train("happy")
    spec = desk.choice.engine().spec(desk.name)
    assert spec.config == settings.to_config() and spec.config.max_steps == 77 and spec.config.background == "white"
    assert spec.dataset == desk.dataset


def test_a_preset_sets_what_the_panel_shows_and_what_it_does_not(desk: Desk) -> None:
    protocol, settings = module("engine.core.protocol.config"), bpy.context.scene.splatwright.train
    quick, preview = (protocol.PRESETS[name].settings for name in ("quick-look", "preview"))
    settings.max_steps, settings.seed = 5, 6
    settings.preset = "quick-look"
    assert (settings.max_steps, settings.resolution, settings.seed) == (quick["max_steps"], quick["resolution"], 6)
    assert settings.to_config() == protocol.TrainConfig(seed=6, **quick), "also what the panel does not show"
    settings.max_steps = 700
    assert settings.to_config().max_steps == 700
    settings.preset = "preview"
    assert settings.to_config() == protocol.TrainConfig(seed=6, **preview)

