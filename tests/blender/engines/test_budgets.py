"""Budgets, from the buttons: a training's own with the engine of this computer, and that of a rented machine which is not switched off."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.scenes import write_ball_dataset
from tests.untyped import bpy

from ..conftest import module
from ..jobs.training import Desk
from ..panels.test_panels import Layout


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    made.dataset = write_ball_dataset(tmp_path / "ball").folder
    settings = bpy.context.scene.splatwright.train
    settings.dataset = str(made.dataset)
    settings.max_steps, settings.max_gaussians, settings.threads = 1_000_000, 500, 1
    yield made
    made.close()
    while made.preferences.engines:
        bpy.ops.splatwright.remove_engine(number=made.preferences.engines[0].number)
    module("addon.engines.remote").close_all()


def begin(desk: Desk) -> None:
    assert bpy.ops.splatwright.train() == {"FINISHED"}
    desk._name = bpy.context.scene.splatwright.job


def outcome(desk: Desk) -> Layout:
    layout = Layout()
    module("addon.panels.train").draw_outcome(layout, desk.job)
    return layout


def test_a_training_stops_at_its_budget_and_resume_takes_the_raised_one(desk: Desk) -> None:
    desk.use(Path(sys.executable))
    settings = bpy.context.scene.splatwright.train
    settings.budget_hours = 5 / 3600
    begin(desk)
    desk.wait(lambda: desk.job.state.value == "finished" and desk.job.imported)
    step = desk.job.step
    assert "Stopped by its budget after" in " ".join(outcome(desk).texts) and desk.splats() is not None
    layout = Layout()
    module("addon.panels.train").draw_findings(layout, desk.job)
    assert "To go on, raise the budget and resume" in " ".join(layout.texts)
    with pytest.raises(RuntimeError, match="budget is spent"):
        bpy.ops.splatwright.resume()
    settings.budget_hours = 0  # no limit is no larger budget: nobody loses one by another scene's settings
    with pytest.raises(RuntimeError, match="budget is spent"):
        bpy.ops.splatwright.resume()
    settings.budget_hours = 12 / 3600
    assert bpy.ops.splatwright.resume() == {"FINISHED"}
    desk.wait(lambda: desk.job.state.value == "finished" and desk.job.imported and desk.job.step > step)
    assert desk.job.over_budget is not None


def test_a_budget_in_money_needs_an_engine_with_a_price(desk: Desk) -> None:
    desk.use(Path(sys.executable))
    bpy.context.scene.splatwright.train.budget_cost = 2
    begin(desk)
    desk.wait(lambda: desk.job.state.value == "failed")
    assert "names no price per hour" in " ".join(outcome(desk).texts)


def test_a_rented_machine_that_was_not_switched_off_is_a_red_line(desk: Desk, tmp_path: Path) -> None:
    pytest.importorskip("uvicorn", reason="the server's packages are not installed beside this Blender")
    pytest.importorskip("tyro", reason="the command line's packages are not installed beside this Blender")
    from tests.server.serving import TOKEN, Server

    server = Server(tmp_path / "serve", "--gpus", "cpu", "--price-per-hour", "3600", "--budget-cost", "15")
    try:
        bpy.ops.splatwright.add_engine()
        entry = desk.preferences.engines[-1]
        entry.url, entry.token = server.url, TOKEN
        desk.preferences.engine = str(entry.number)
        begin(desk)
        desk.wait(lambda: desk.job.state.value == "finished" and desk.job.imported)
        assert "Stopped by its budget after" in " ".join(outcome(desk).texts)
        desk.wait(lambda: desk.job.alarm != "")
        layout = Layout()
        module("addon.panels.base").draw_alarm(layout, desk.job)
        assert "NOT switched off" in " ".join(layout.texts) and vars(layout)["alert"]
        sound, sentence = module("addon.engines.remote").ask(entry.address())
        assert not sound and "NOT switched off" in sentence
    finally:
        server.close()
