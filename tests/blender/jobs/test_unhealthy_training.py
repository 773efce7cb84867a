"""A training of the real engine that gets sick: Blender shows why it paused, and Resume and Stop do what they say."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.preflight.planting import sound_dataset
from tests.untyped import bpy

from ..conftest import module
from ..panels.test_panels import drawn
from .training import Desk


@pytest.fixture
def desk(desk: Desk, tmp_path: Path) -> Desk:
    bpy.context.scene.splatwright.train.dataset = str(sound_dataset(tmp_path / "ball").folder)
    return desk


def train_sick(desk: Desk, **changes: object) -> None:
    """A training whose Gaussians all become transparent."""
    config, job = module("engine.core.protocol.config"), module("engine.core.protocol.folder")
    unhealthy = config.TrainConfig(backend="cpu", max_steps=100_000, max_gaussians=500, resolution=64, opacity_regularisation=10.0,
                              refine_until=0.0, **changes)
    desk.jobs.submit(bpy.context.scene, job.JobSpec(Path(bpy.context.scene.splatwright.train.dataset), unhealthy))


def test_a_sick_training_pauses_and_the_panel_says_why(desk: Desk) -> None:
    train_sick(desk, smoke_test=False)
    desk.wait(lambda: desk.job.state.value == "paused")
    layout = drawn("train")
    assert "paused by itself" in layout.text and layout.text.count("have become transparent. Opacity Regularisation is 10") == 1
    assert layout.operators[:2] == ["resume", "stop"] and (desk.folder / "checkpoint" / "state.npz").exists()
    step = desk.job.step
    assert bpy.ops.splatwright.resume() == {"FINISHED"}
    desk.wait(lambda: desk.job.step > step + 20 and desk.job.state.value == "running")
    assert "paused by itself" not in drawn("train").text and "have become transparent" in drawn("train").text
    bpy.ops.splatwright.stop()
    desk.wait(lambda: desk.job.state.value == "finished")


def test_the_trial_fails_in_a_sentence(desk: Desk) -> None:
    train_sick(desk)
    desk.wait(lambda: desk.job.state.value == "failed")
    assert "The first 100 steps did not" in drawn("train").text and "Opacity Regularisation is 10" in drawn("train").text


def test_a_training_that_stands_still_offers_to_finish(desk: Desk) -> None:
    desk.train("slow")
    desk.wait(lambda: desk.job.step > 0)
    desk.job.apply(module("engine.core.protocol.events").Finding("info", "Nothing gets better any more.", "You can finish early.",
                                                                         "plateau", fixes=("finish",)))
    assert drawn("train").operators.count("stop") == 2


def test_trial_and_pause_can_be_switched_off(desk: Desk) -> None:
    settings = bpy.context.scene.splatwright.train
    assert settings.to_config().smoke_test and settings.to_config().pause_on_failure
    settings.trial = settings.pause_when_sick = False
    assert not settings.to_config().smoke_test and not settings.to_config().pause_on_failure
    assert {"trial", "pause_when_sick"} <= set(drawn("train_more").properties)
