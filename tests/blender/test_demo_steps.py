"""The demonstration's training, as short as it gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.core.formats.ply import read_ply
from tests.blender.conftest import module
from tests.scenes import write_ball_dataset
from tests.untyped import bpy


def test_it_trains_and_shows_the_splats(fresh_scene: bpy.types.Scene, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="what the demonstration draws with is not installed beside this Blender")
    from demo import blender_steps

    dataset = write_ball_dataset(tmp_path / "data").folder
    preferences = module("addon.engines.locations").preferences()
    before = preferences.jobs_folder
    try:
        outcome = blender_steps.train(dataset, tmp_path / "jobs", 60)
    finally:
        preferences.jobs_folder = before
    assert len(read_ply(outcome.result).gaussians) == outcome.gaussians and outcome.psnr > 5
    shown = module("addon.splats.splat_object").gaussians_from_object(outcome.splats)
    assert len(shown) == outcome.gaussians
