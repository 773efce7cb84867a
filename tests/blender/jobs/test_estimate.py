"""The estimate in Blender: figures by a real worker, a setting that makes the training fit, and a stop in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.programs import program
from tests.scenes import write_ball_dataset
from tests.untyped import bpy

from ..conftest import module
from ..panels.test_panels import drawn
from .training import JOBS, Desk


@pytest.fixture
def desk(desk: Desk, tmp_path: Path) -> Iterator[Desk]:
    write_ball_dataset(tmp_path / "ball – 球", size=64)
    settings = bpy.context.scene.splatwright.train
    settings.dataset, settings.max_gaussians, settings.max_steps = str(tmp_path / "ball – 球"), 2000, 3000
    yield desk
    module("addon.jobs.estimate").forget()


def estimated() -> Any:
    assert bpy.ops.splatwright.estimate() == {"FINISHED"}
    return module("addon.jobs.estimate").current(bpy.context.scene)


def misfits(made: Any) -> list[Any]:
    """Without what is said of a computer that is busy."""
    return [finding for finding in made.findings if finding.kind == "fit"]


def panel() -> Any:
    return drawn("check", "addon.panels.check")


def test_the_button_says_what_the_training_takes(desk: Desk) -> None:
    assert "estimate" in panel().operators
    made = estimated()
    assert made.found.backend == "cpu" and made.found.gaussians == 2000 and not misfits(made)
    assert 0 < made.found.fastest < made.found.seconds < made.found.slowest < 600
    said = panel().text
    assert "2,000 splats" in said and "Memory: " in said and "Disk: " in said and "changed since" not in said
    bpy.context.scene.splatwright.train.resolution = 200
    assert "changed since" in panel().text
    assert not list((desk.root / JOBS).rglob("*.npz")), "nothing is left behind"


def test_the_fix_is_a_button(desk: Desk) -> None:
    settings = bpy.context.scene.splatwright.train
    settings.max_steps, settings.max_gaussians = 300_000, 50_000_000
    made = estimated()
    (finding,) = misfits(made)
    assert "apply_settings" in panel().operators and "of memory, and " in panel().text
    wanted = module("addon.jobs.estimate").changes(finding)
    assert bpy.ops.splatwright.apply_settings(finding=made.findings.index(finding)) == {"FINISHED"}
    assert {name: getattr(settings, name) for name in wanted} == wanted
    assert list(wanted) == ["max_gaussians"] and "changed since" in panel().text
    with pytest.raises(RuntimeError, match="no such estimate"):
        bpy.ops.splatwright.apply_settings(finding=7)


def test_stopped_in_the_middle_nothing_runs_on(desk: Desk) -> None:
    estimate = module("addon.jobs.estimate")
    made = estimate.start(bpy.context.scene)
    assert "stop_estimate" in panel().operators
    assert bpy.ops.splatwright.stop_estimate() == {"FINISHED"}
    assert not made.making.running and estimate.current(bpy.context.scene) is None
    assert not (desk.root / JOBS / ".estimates").exists()


def test_no_dataset_and_an_engine_that_crashes_are_one_sentence(desk: Desk, tmp_path: Path) -> None:
    bpy.context.scene.splatwright.train.dataset = str(tmp_path / "nowhere")
    with pytest.raises(RuntimeError, match="There is no dataset yet"):
        bpy.ops.splatwright.estimate()
    bpy.context.scene.splatwright.train.dataset = str(desk.dataset)
    script = program(tmp_path, "crash", "raise SystemExit(3)")
    desk.use(script)
    with pytest.raises(RuntimeError, match="ended before it was done"):
        bpy.ops.splatwright.estimate()
    assert "ended before it was done" in panel().text
